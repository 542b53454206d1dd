//! Proxy A-distance (Ben-David, Blitzer, Crammer & Pereira 2007): how well a linear classifier tells the domains apart.

use serde::Serialize;
use tlkit_statistics::{normal_quantile, wilson};

use super::Table;
use crate::logistic::{Dense, fit_rows};
use crate::random::Stream;

/// How well the domains are told apart.
#[derive(Clone, Debug, Serialize)]
pub struct Separation {
    /// Share of held-out rows, half of each domain, whose domain is found.
    pub accuracy: f64,
    /// Wilson's, at 95 %.
    pub accuracy_interval: (f64, f64),
    /// `2 (1 - 2 error)`: 0 where the classifier guesses, 2 where it never errs; below 0 by chance.
    pub a_distance: f64,
}

/// The penalty on standardised features: strong enough that a few hundred rows do not tell any two samples apart.
const STRENGTH: f64 = 0.1;

impl Separation {
    /// As many rows of each domain; one half teaches, the other is asked, and the other way round.
    pub fn of(source: Table<'_>, target: Table<'_>, random: Stream) -> Separation {
        let n = source.rows().min(target.rows());
        let pick = |t: Table<'_>, name: &str| -> Vec<u32> {
            let mut order = random.purpose(name).permutation(t.rows());
            order.truncate(n);
            order
        };
        let (s, t) = (pick(source, "source"), pick(target, "target"));
        let mut right = 0;
        for fold in 0..2 {
            let half = |rows: &[u32], learn: bool| -> Vec<u32> {
                let at = rows.iter().enumerate();
                at.filter(|(i, _)| (i % 2 == fold) == learn)
                    .map(|(_, r)| *r)
                    .collect()
            };
            let gather = |learn: bool| -> (Vec<f64>, Vec<u32>) {
                let (a, b) = (half(&s, learn), half(&t, learn));
                let rows = a.iter().map(|&r| source.row(r as usize));
                let rows = rows.chain(b.iter().map(|&r| target.row(r as usize)));
                let labels = std::iter::repeat_n(0, a.len()).chain(std::iter::repeat_n(1, b.len()));
                (rows.flatten().copied().collect(), labels.collect())
            };
            let ((x, y), (asked, truth)) = (gather(true), gather(false));
            let width = source.width;
            let rows = Dense { values: &x, width };
            let fit = fit_rows(&rows, &y, 2, STRENGTH, 1e-5, None);
            let hit = |(row, label): (&[f64], &u32)| fit.predict(row) == *label;
            right += asked
                .chunks_exact(width)
                .zip(&truth)
                .filter(|p| hit((p.0, p.1)))
                .count();
        }
        let accuracy = right as f64 / (2 * n).max(1) as f64;
        Separation {
            accuracy,
            accuracy_interval: wilson(right, 2 * n, normal_quantile(0.95)),
            a_distance: 2.0 * (2.0 * accuracy - 1.0),
        }
    }
}

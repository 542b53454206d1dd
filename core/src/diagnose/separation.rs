//! How well the domains are told apart: by a linear classifier, the proxy A-distance (Ben-David, Blitzer, Crammer & Pereira 2007), and by nearest neighbours, the test of
//! Schilling (1986) and Henze (1988), which sees what is left when a scaling has made the domains' means and deviations equal.

use rayon::prelude::*;
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
    /// Wilson's, at 99 %.
    pub accuracy_interval: (f64, f64),
    /// `2 (1 - 2 error)`: 0 where the classifier guesses, 2 where it never errs. Below 0 by chance, or where the means were made equal: what one half
    /// has too much of, the other has too little.
    pub a_distance: f64,
    /// Share of rows, half of each domain, whose nearest other row is of their own domain: a half where the domains are alike.
    pub neighbours: f64,
    /// Wilson's, at 99 %.
    pub neighbours_interval: (f64, f64),
}

/// `2 (1 - 2 error)`.
fn distance(accuracy: f64) -> f64 {
    2.0 * (2.0 * accuracy - 1.0)
}

/// The penalty on standardised features: strong enough that a few hundred rows do not tell any two samples apart.
const STRENGTH: f64 = 0.1;
/// Rows of a domain whose neighbours are looked for, at most.
const NEIGHBOURS: usize = 1000;

impl Separation {
    /// Whether a line tells the domains apart by more than chance.
    pub(super) fn apart(&self) -> bool {
        self.accuracy_interval.0 > 0.5
    }

    /// Whether rows are among those of their own domain by more than chance.
    pub(super) fn among_their_own(&self) -> bool {
        self.neighbours_interval.0 > 0.5
    }

    /// The lower limit of the A-distance, by that of the accuracy.
    pub(super) fn least(&self) -> f64 {
        distance(self.accuracy_interval.0)
    }

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
        let z = normal_quantile(0.99);
        let some = |rows: &[u32], table: Table<'_>| -> Vec<Vec<f64>> {
            let rows = rows.iter().take(NEIGHBOURS);
            rows.map(|&r| table.row(r as usize).to_vec()).collect()
        };
        let mut both = some(&s, source);
        let half = both.len();
        both.extend(some(&t, target));
        let asked = both.len();
        let own = |i: usize| -> bool {
            let square = |j: usize| -> f64 {
                both[i]
                    .iter()
                    .zip(&both[j])
                    .map(|(a, b)| (a - b).powi(2))
                    .sum()
            };
            let others = (0..asked).filter(|&j| j != i);
            let nearest = others
                .map(|j| (square(j), j))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            nearest.is_some_and(|(_, j)| (j < half) == (i < half))
        };
        let near = (0..asked).into_par_iter().filter(|&i| own(i)).count();
        Separation {
            accuracy,
            accuracy_interval: wilson(right, 2 * n, z),
            a_distance: distance(accuracy),
            neighbours: near as f64 / asked.max(1) as f64,
            neighbours_interval: wilson(near, asked, z),
        }
    }
}

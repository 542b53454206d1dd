//! Joint distribution adaptation (Long, Wang, Ding, Sun & Yu 2013): TCA that also brings each class's means together, by guesses of the target's classes.
//!
//! What it minimises: the squared distances between the domains' means, of all rows (counted as often as there are classes, as in the authors' code) and of every class, with a penalty `r |W|^2`, while the variance
//! of all rows is held ([`super::components`]). The target's classes are what the nearest row of the source says after the round
//! before, by the head's own distance where the head is a neighbour; the first round has none.
//!
//! Defaults: `dim = 100`, `regularisation = 1`, `kernel = "linear"`, `rounds = 10`, all of Long et al. 2013, whose tables are of Office with Caltech among others: that
//! is what they were tuned on. The head there is `1-nn`.

use tlkit_core::Result;
use tlkit_core::data::OFFICE_CALTECH;
use tlkit_core::recipe::Keys;

use super::align::{Align, Aligned, Pair};
use super::components::{Components, between};
use super::heads::Head;
use super::matrix::{Mat, stacked, tensor};

/// Joint distribution adaptation.
#[derive(Clone, Debug)]
pub(crate) struct Jda {
    components: Components,
    rounds: u64,
}

impl Jda {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        Jda {
            components: Components::read(keys),
            rounds: keys
                .u64("rounds")
                .range(1..=1000)
                .default(10u64, "Long et al. 2013")
                .tuned_on(&[OFFICE_CALTECH])
                .help("solutions in all; each but the first with the target's classes guessed anew")
                .read(),
        }
    }
}

impl Align for Jda {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        let rows = (pair.source.nrows(), pair.target.nrows());
        let total = rows.0 + rows.1;
        let prepared = self
            .components
            .prepared(&stacked(pair.source, pair.target))?;
        let mut guessed: Option<Vec<u32>> = None;
        let mut changed = 0;
        for round in 1.. {
            (pair.going_on)()?;
            let all = |count: usize| (0..count).collect::<Vec<_>>();
            let mut columns = Vec::new();
            if let Some(mut e) = between(rows, &all(rows.0), &all(rows.1)) {
                // As often as there are classes: all rows together count as much as the classes do.
                let times = (pair.classes as f64).sqrt();
                e.iter_mut().for_each(|v| *v *= times);
                columns.push(e);
            }
            for class in 0..pair.classes as u32 {
                let of = |labels: &[u32]| -> Vec<usize> {
                    (0..labels.len()).filter(|&i| labels[i] == class).collect()
                };
                let target = guessed.as_deref().map(of).unwrap_or_default();
                columns.extend(between(rows, &of(pair.labels), &target));
            }
            let means = Mat::from_column_slice(total, columns.len(), &columns.concat());
            let aligned = Aligned::split(self.components.solve(&prepared, &means)?, rows.0).made();
            if round == self.rounds {
                let dims = aligned.source.ncols();
                return Ok(aligned
                    .saying("dim", dims as f64)
                    .saying("changed_in_the_last_round", f64::from(changed)));
            }
            // By angle where the head is a neighbour by angle.
            let guess = match pair.head {
                nearest @ Head::Nearest { .. } => nearest,
                _ => &Head::Nearest { cosine: false },
            };
            let head = guess.fit(
                (&aligned.source, true),
                pair.labels,
                pair.classes,
                pair.random,
            )?;
            let logits = head.map.apply(&tensor(&aligned.target)?)?;
            let now = logits.argmax(1)?.to_vec1::<u32>()?;
            let before = guessed.as_deref().unwrap_or_default();
            changed = now.iter().zip(before).filter(|(a, b)| a != b).count() as u32;
            guessed = Some(now);
        }
        unreachable!("the last round returns, and there is one at least")
    }
}

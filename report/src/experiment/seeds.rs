//! Which runs of two arms belong together, and what is said where they do not.

use super::read::{Arm, Experiment, Trial};

/// The trials of these seeds, in their order, if all trials of one arm and pair ended well and each seed is there.
pub(super) fn complete<'a>(trials: &'a [Trial], seeds: &[u64]) -> Option<Vec<&'a Trial>> {
    if trials.is_empty() || trials.iter().any(|t| t.rows.is_none()) {
        return None;
    }
    let of = |seed: &u64| trials.iter().find(|t| t.seed == *seed);
    seeds.iter().map(of).collect()
}

impl Experiment {
    /// The seeds that all of these arms have of all of these pairs.
    pub(super) fn shared(&self, arms: &[usize], pairs: &[usize]) -> Vec<u64> {
        let lists = || {
            let of = |&arm: &usize| pairs.iter().map(move |&p| &self.arms[arm].trials[p]);
            arms.iter().flat_map(of)
        };
        let Some(first) = lists().next() else {
            return Vec::new();
        };
        let mut seeds: Vec<u64> = first.iter().map(|t| t.seed).collect();
        seeds.retain(|s| lists().all(|l| l.iter().any(|t| t.seed == *s)));
        seeds.dedup();
        seeds
    }

    /// Of each pair, or of its runs where there are no pairs.
    pub(super) fn every_pair(&self) -> Vec<usize> {
        (0..self.pairs.len().max(1)).collect()
    }

    /// Sentences on seeds that not all have.
    pub(super) fn seed_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let all = self.every_pair();
        for (i, arm) in self.arms.iter().enumerate() {
            if arm.trials.iter().any(Vec::is_empty) {
                continue;
            }
            let name = self.arm_words(i);
            if arm.trials.iter().any(|t| seeds(t) != seeds(&arm.trials[0])) {
                notes.push(format!(
                    "{name} has not the same seeds of each pair ({}): {}.",
                    self.by_pair(arm),
                    match self.shared(&[i], &all).as_slice() {
                        [] => "no seed is in all, so there is no mean".to_string(),
                        common => format!("over the pairs stands what all have, {}", list(common)),
                    }
                ));
            }
            let Some(r) = arm.reference else { continue };
            let reference = &self.arms[r];
            let apart = |p: usize| seeds(&arm.trials[p]) != seeds(&reference.trials[p]);
            if reference.trials.iter().any(Vec::is_empty) || !all.iter().any(|&p| apart(p)) {
                continue;
            }
            let other = self.arm_words(r);
            notes.push(match self.shared(&[i, r], &all).as_slice() {
                [] => format!(
                    "{name} and {other} have no seed in common ({} and {}), so nothing is said of their difference.",
                    self.by_pair(arm),
                    self.by_pair(reference)
                ),
                common => format!(
                    "{name} and {other} have not the same seeds ({} and {}): their difference is of {}.",
                    self.by_pair(arm),
                    self.by_pair(reference),
                    list(common)
                ),
            });
        }
        notes
    }

    /// `0 to 4`, or where pairs differ `0 to 4 of a to b, 0 to 2 of a to c`.
    fn by_pair(&self, arm: &Arm) -> String {
        let first = seeds(&arm.trials[0]);
        if arm.trials.iter().all(|t| seeds(t) == first) {
            return list(&first);
        }
        let each = arm.trials.iter().zip(&self.pairs);
        let each = each.map(|(t, (s, d))| format!("{} of {s} to {d}", list(&seeds(t))));
        each.collect::<Vec<_>>().join(", ")
    }
}

fn seeds(trials: &[Trial]) -> Vec<u64> {
    trials.iter().map(|t| t.seed).collect()
}

/// `0 to 4`; `0, 2, 7`.
fn list(seeds: &[u64]) -> String {
    match seeds {
        [first, .., last] if seeds.len() > 2 && seeds.windows(2).all(|w| w[1] == w[0] + 1) => {
            format!("{first} to {last}")
        }
        _ => {
            let words: Vec<String> = seeds.iter().map(u64::to_string).collect();
            words.join(", ")
        }
    }
}

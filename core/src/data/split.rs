//! Seeded splits that keep the share of each class.

use super::labels::Labels;
use crate::random::Stream;

/// Row indices of the parts of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// What is trained on.
    pub train: Vec<u32>,
    /// What decides.
    pub validation: Vec<u32>,
    /// What is reported.
    pub test: Vec<u32>,
}

/// Splits rows by seeded draws within each class: `validation` and `test` are fractions of all rows. Each class with at least three
/// rows gives at least one to every part that is asked for. The run's seed never reaches here: `seed` is the split's own.
pub fn stratified(labels: &Labels, validation: f64, test: f64, seed: u64) -> Split {
    let mut split = Split::default();
    let stream = Stream::new(seed).purpose("split");
    for class in 0..labels.names.len() as u32 {
        let rows: Vec<u32> = (0..labels.classes.len() as u32)
            .filter(|&r| labels.classes[r as usize] == class)
            .collect();
        let order = stream.at(u64::from(class)).permutation(rows.len());
        let part = |fraction: f64| match (fraction > 0.0, rows.len() >= 3) {
            (true, true) => {
                ((rows.len() as f64 * fraction).round() as usize).clamp(1, rows.len() - 2)
            }
            _ => 0,
        };
        let (nv, nt) = (part(validation), part(test));
        for (k, &i) in order.iter().enumerate() {
            let to = match k {
                k if k < nt => &mut split.test,
                k if k < nt + nv => &mut split.validation,
                _ => &mut split.train,
            };
            to.push(rows[i as usize]);
        }
    }
    for part in [&mut split.train, &mut split.validation, &mut split.test] {
        part.sort_unstable();
    }
    split
}

/// One part of a cross-validation: its rows are tested, all others learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// From 0.
    pub index: usize,
    /// How many there are, at least 2.
    pub of: usize,
}

impl Fold {
    /// The rows of this fold, and those of all others. Each row is in one fold; classes are dealt out one after the other, so folds differ by
    /// one row at most, in each class and in all.
    pub fn part(self, labels: &Labels, seed: u64) -> Split {
        let stream = Stream::new(seed).purpose("folds");
        let mut split = Split::default();
        let mut dealt = 0;
        for class in 0..labels.names.len() as u32 {
            let rows: Vec<u32> = (0..labels.classes.len() as u32)
                .filter(|&r| labels.classes[r as usize] == class)
                .collect();
            for &i in &stream.at(u64::from(class)).permutation(rows.len()) {
                let row = rows[i as usize];
                if dealt % self.of == self.index {
                    split.test.push(row);
                } else {
                    split.train.push(row);
                }
                dealt += 1;
            }
        }
        split.train.sort_unstable();
        split.test.sort_unstable();
        split
    }

    /// The same where rows of a group stay together: the largest groups first, each to the fold with the fewest rows so far. `groups` is by row.
    pub fn part_of_groups(self, groups: &[u32], seed: u64) -> Split {
        let count = groups.iter().max().map_or(0, |&g| g as usize + 1);
        let mut sizes = vec![0usize; count];
        groups.iter().for_each(|&g| sizes[g as usize] += 1);
        let order = Stream::new(seed).purpose("folds").permutation(count);
        let mut order: Vec<usize> = order.into_iter().map(|g| g as usize).collect();
        order.sort_by_key(|&g| std::cmp::Reverse(sizes[g]));
        let mut rows = vec![0usize; self.of];
        let mut fold_of = vec![0usize; count];
        for g in order {
            // The first among equals; there are two folds at least.
            let least = (0..self.of).min_by_key(|&f| rows[f]).unwrap_or(0);
            fold_of[g] = least;
            rows[least] += sizes[g];
        }
        let mut split = Split::default();
        for (row, &g) in groups.iter().enumerate() {
            let to = match fold_of[g as usize] == self.index {
                true => &mut split.test,
                false => &mut split.train,
            };
            to.push(row as u32);
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_together_and_folds_are_of_like_size() {
        let groups: Vec<u32> = (0..200).map(|i| i % 17 * u32::from(i % 3 > 0)).collect();
        let part = |index| Fold { index, of: 4 }.part_of_groups(&groups, 1);
        let mut all = Vec::new();
        for index in 0..4 {
            let s = part(index);
            let inside = |r: &u32| groups[*r as usize];
            let held: std::collections::BTreeSet<u32> = s.test.iter().map(inside).collect();
            assert!(s.train.iter().all(|r| !held.contains(&groups[*r as usize])));
            all.extend(s.test);
        }
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<u32>>());
        // The largest group has more than a third of the rows; the others share the rest.
        let sizes: Vec<usize> = (1..4).map(|i| part(i).test.len()).collect();
        assert!(
            sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 10,
            "{sizes:?}"
        );
    }

    #[test]
    fn folds_hold_each_row_once_and_each_class_alike() {
        let classes: Vec<u32> = (0..103).map(|i| u32::from(i % 3 == 0)).collect();
        let labels = Labels {
            classes,
            names: vec!["a".into(), "b".into()].into(),
        };
        let part = |index, seed| Fold { index, of: 5 }.part(&labels, seed);
        let mut all = Vec::new();
        for index in 0..5 {
            let s = part(index, 0);
            assert!(s.train.iter().all(|r| !s.test.contains(r)));
            assert_eq!(s.train.len() + s.test.len(), 103);
            assert!((20..=21).contains(&s.test.len()));
            assert!((13..=14).contains(&labels.pick(&s.test).counts()[0]));
            all.extend(s.test);
        }
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<u32>>());
        assert_eq!(part(2, 0), part(2, 0));
        assert_ne!(part(2, 0), part(2, 1));
    }

    #[test]
    fn parts_are_disjoint_complete_and_stratified() {
        let classes: Vec<u32> = (0..200).map(|i| u32::from(i % 4 == 0)).collect();
        let labels = Labels {
            classes,
            names: vec!["a".into(), "b".into()].into(),
        };
        let s = stratified(&labels, 0.1, 0.2, 0);
        let mut all = [s.train.clone(), s.validation.clone(), s.test.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<u32>>());
        assert_eq!((s.validation.len(), s.test.len()), (20, 40));
        assert_eq!(labels.pick(&s.test).counts(), [30, 10]);
        assert_eq!(s, stratified(&labels, 0.1, 0.2, 0));
        assert_ne!(s, stratified(&labels, 0.1, 0.2, 1));
    }

    #[test]
    fn a_small_class_is_in_every_part() {
        let labels = Labels {
            classes: vec![0, 0, 0, 0, 0, 0, 1, 1, 1],
            names: vec!["a".into(), "b".into()].into(),
        };
        let s = stratified(&labels, 0.1, 0.1, 0);
        assert_eq!(labels.pick(&s.test).counts()[1], 1);
        assert_eq!(labels.pick(&s.validation).counts()[1], 1);
    }
}

//! Seeded splits that keep the share of each class, and keep groups together.

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
/// rows gives at least one to every part that is asked for, and keeps one to train on. The run's seed never reaches here: `seed` is the split's own.
pub fn stratified(labels: &Labels, validation: f64, test: f64, seed: u64) -> Split {
    let mut split = Split::default();
    let stream = Stream::new(seed).purpose("split");
    for (class, rows) in (0u32..).zip(labels.by_class()) {
        let order = stream.at(u64::from(class)).permutation(rows.len());
        let part = |fraction: f64| match (fraction > 0.0, rows.len() >= 3) {
            (true, true) => {
                ((rows.len() as f64 * fraction).round() as usize).clamp(1, rows.len() - 2)
            }
            _ => 0,
        };
        let nt = part(test);
        // Two shares that are rounded up may be all there is.
        let nv = part(validation).min(rows.len().saturating_sub(nt + 1));
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

/// Splits whole groups: rows of one group are never on two sides. Groups are drawn by the seed, large ones placed first, each where the
/// counts of its classes are most wanted, so that shares come as near to what was asked for as the groups allow. `groups` has
/// a number a row.
pub fn grouped(labels: &Labels, groups: &[u32], validation: f64, test: f64, seed: u64) -> Split {
    let classes = labels.names.len().max(1);
    let count = groups.iter().max().map_or(0, |&g| g as usize + 1);
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); count];
    for (row, &g) in groups.iter().enumerate() {
        members[g as usize].push(row as u32);
    }
    let histogram = |rows: &[u32]| {
        let mut n = vec![0.0f64; classes];
        for &r in rows {
            n[labels.classes[r as usize] as usize] += 1.0;
        }
        n
    };
    let all = histogram(&(0..groups.len() as u32).collect::<Vec<_>>());
    // Train, validation, test.
    let shares = [1.0 - validation - test, validation, test];
    let mut have = vec![vec![0.0f64; classes]; 3];
    let mut parts: [Vec<u32>; 3] = Default::default();
    let mut order = Stream::new(seed).purpose("split groups").permutation(count);
    order.retain(|&g| !members[g as usize].is_empty());
    order.sort_by_key(|&g| std::cmp::Reverse(members[g as usize].len()));
    for &g in &order {
        let more = histogram(&members[g as usize]);
        // How much nearer to what is wanted a part comes, each class counting alike.
        let gain = |part: usize| -> f64 {
            (0..classes)
                .filter(|&c| all[c] > 0.0)
                .map(|c| {
                    let missing = shares[part] * all[c] - have[part][c];
                    (missing * missing - (missing - more[c]) * (missing - more[c])) / all[c]
                })
                .sum()
        };
        let asked = (0..3).filter(|&p| shares[p] > 0.0);
        let best = asked.max_by(|&a, &b| gain(a).total_cmp(&gain(b)).then(b.cmp(&a)));
        let best = best.unwrap_or(0);
        for c in 0..classes {
            have[best][c] += more[c];
        }
        parts[best].push(g);
    }
    // A part that was asked for and got nothing gets the smallest group of another that has several, of the training rows before all.
    for part in 0..3 {
        let asked = shares[part] > 0.0 && parts[part].is_empty();
        if asked && let Some(giver) = (0..3).find(|&p| parts[p].len() > 1) {
            let smallest = parts[giver].pop();
            parts[part].extend(smallest);
        }
    }
    let rows = |groups: &[u32]| {
        let mut rows: Vec<u32> = groups
            .iter()
            .flat_map(|&g| members[g as usize].iter().copied())
            .collect();
        rows.sort_unstable();
        rows
    };
    Split {
        train: rows(&parts[0]),
        validation: rows(&parts[1]),
        test: rows(&parts[2]),
    }
}

/// `n` rows a class, drawn by the seed, in the order of the rows.
pub fn per_class(labels: &Labels, n: usize, seed: u64) -> Vec<u32> {
    let stream = Stream::new(seed).purpose("per_class");
    let mut kept = Vec::new();
    for (class, rows) in (0u32..).zip(labels.by_class()) {
        kept.extend(
            stream
                .at(class.into())
                .permutation(rows.len())
                .into_iter()
                .take(n)
                .map(|i| rows[i as usize]),
        );
    }
    kept.sort_unstable();
    kept
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
        for (class, rows) in (0u32..).zip(labels.by_class()) {
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

    #[test]
    fn a_class_is_never_without_a_training_row() {
        for (rows, validation, test) in [(8, 0.2, 0.7), (3, 0.4, 0.4), (5, 0.3, 0.69)] {
            let labels = Labels {
                classes: vec![0; rows],
                names: vec!["a".into()].into(),
            };
            let s = stratified(&labels, validation, test, 0);
            let parts = [s.train.len(), s.validation.len(), s.test.len()];
            assert!(parts.iter().all(|&n| n > 0), "{rows}: {parts:?}");
            assert_eq!(parts.iter().sum::<usize>(), rows);
        }
        // What leaves one is as it is asked for.
        let labels = Labels {
            classes: vec![0; 10],
            names: vec!["a".into()].into(),
        };
        let s = stratified(&labels, 0.2, 0.7, 0);
        assert_eq!((s.train.len(), s.validation.len(), s.test.len()), (1, 2, 7));
    }

    #[test]
    fn a_group_is_never_on_two_sides() {
        // 400 rows, 60 customers of unequal size, a third of the rows positive.
        let groups: Vec<u32> = (0..400u32).map(|i| (i * 9).isqrt()).collect();
        let labels = Labels {
            classes: (0..400).map(|i| u32::from(i % 3 == 0)).collect(),
            names: vec!["a".into(), "b".into()].into(),
        };
        let mut seen = Vec::new();
        for seed in 0..5 {
            let s = grouped(&labels, &groups, 0.1, 0.2, seed);
            let mut all = [s.train.clone(), s.validation.clone(), s.test.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..400).collect::<Vec<u32>>());
            let of = |rows: &[u32]| -> std::collections::BTreeSet<u32> {
                rows.iter().map(|&r| groups[r as usize]).collect()
            };
            let sides = [of(&s.train), of(&s.validation), of(&s.test)];
            assert!(sides[0].is_disjoint(&sides[1]));
            assert!(sides[0].is_disjoint(&sides[2]));
            assert!(sides[1].is_disjoint(&sides[2]));
            assert!(
                (30..=50).contains(&s.validation.len()),
                "{}",
                s.validation.len()
            );
            assert!((70..=90).contains(&s.test.len()), "{}", s.test.len());
            let positive = labels.pick(&s.test).counts()[1] as f64 / s.test.len() as f64;
            assert!((0.25..0.42).contains(&positive), "{positive}");
            assert_eq!(s, grouped(&labels, &groups, 0.1, 0.2, seed));
            seen.push(s);
        }
        assert_ne!(seen[0], seen[1]);
    }

    #[test]
    fn few_groups_still_give_every_part_one() {
        let labels = Labels {
            classes: vec![0; 12],
            names: vec![String::new()].into(),
        };
        let groups: Vec<u32> = (0..12).map(|i| i / 4).collect();
        let s = grouped(&labels, &groups, 0.1, 0.1, 0);
        assert_eq!((s.train.len(), s.validation.len(), s.test.len()), (4, 4, 4));
        // Also where the training rows have one group alone, and the test two.
        let sizes = [180, 10, 10];
        let groups: Vec<u32> = (0..).zip(sizes).flat_map(|(g, n)| vec![g; n]).collect();
        let labels = Labels {
            classes: vec![0; groups.len()],
            names: vec![String::new()].into(),
        };
        for (validation, test) in [(0.1, 0.2), (0.2, 0.1), (0.5, 0.4)] {
            let s = grouped(&labels, &groups, validation, test, 0);
            let mut parts = [s.train.len(), s.validation.len(), s.test.len()];
            parts.sort();
            assert_eq!(parts, [10, 10, 180], "{validation}, {test}");
        }
    }
}

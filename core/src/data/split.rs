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

#[cfg(test)]
mod tests {
    use super::*;

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

//! Area under the ROC curve: the chance that a row of the class has a higher score than one that is not of it, ties counted half
//! (Hanley & McNeil 1982).

/// Rows in order of one class's score, ties together; made once, weighed often.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// Row and whether it is of the class, by rising score.
    rows: Vec<(u32, bool)>,
    /// Where each run of equal scores ends.
    ends: Vec<usize>,
}

impl Ranked {
    /// Orders rows. `of_class` and `score` are by row.
    pub fn new(
        rows: usize,
        score: impl Fn(usize) -> f32,
        of_class: impl Fn(usize) -> bool,
    ) -> Self {
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by(|&a, &b| {
            score(a as usize)
                .total_cmp(&score(b as usize))
                .then(a.cmp(&b))
        });
        let last =
            |i: usize| i + 1 == rows || score(order[i] as usize) != score(order[i + 1] as usize);
        let ends = (0..rows).filter(|&i| last(i)).map(|i| i + 1).collect();
        Ranked {
            rows: order
                .into_iter()
                .map(|r| (r, of_class(r as usize)))
                .collect(),
            ends,
        }
    }

    /// The area where row `r` counts `weight(r)` times; `None` without rows on both sides.
    pub fn area(&self, weight: impl Fn(usize) -> f64) -> Option<f64> {
        let (mut below, mut positives, mut area, mut start) = (0.0, 0.0, 0.0, 0);
        for &end in &self.ends {
            let (mut yes, mut no) = (0.0, 0.0);
            for &(row, of_class) in &self.rows[start..end] {
                let w = weight(row as usize);
                if of_class {
                    yes += w;
                } else {
                    no += w;
                }
            }
            area += yes * (below + no / 2.0);
            below += no;
            positives += yes;
            start = end;
        }
        (below > 0.0 && positives > 0.0).then(|| area / (positives * below))
    }
}

/// The area for one class against the rest; `None` where the rows are all of it, or none is.
pub fn auroc(probabilities: &[Vec<f32>], truth: &[u32], class: usize) -> Option<f64> {
    let ranked = Ranked::new(
        truth.len(),
        |r| probabilities[r][class],
        |r| truth[r] as usize == class,
    );
    ranked.area(|_| 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(scores: &[f32], truth: &[u32]) -> Option<f64> {
        let p: Vec<Vec<f32>> = scores.iter().map(|&s| vec![1.0 - s, s]).collect();
        auroc(&p, truth, 1)
    }

    #[test]
    fn closed_forms() {
        assert_eq!(binary(&[0.1, 0.2, 0.8, 0.9], &[0, 0, 1, 1]), Some(1.0));
        assert_eq!(binary(&[0.9, 0.8, 0.2, 0.1], &[0, 0, 1, 1]), Some(0.0));
        // All tied: a coin. Three of four pairs in order. One tie of two pairs.
        assert_eq!(binary(&[0.5; 4], &[0, 0, 1, 1]), Some(0.5));
        assert_eq!(binary(&[0.1, 0.6, 0.4, 0.9], &[0, 0, 1, 1]), Some(0.75));
        assert_eq!(binary(&[0.4, 0.4, 0.9], &[0, 1, 1]), Some(0.75));
        assert_eq!(binary(&[0.4, 0.9], &[1, 1]), None);
        assert_eq!(binary(&[], &[]), None);
    }

    #[test]
    fn a_weight_is_a_repeated_row() {
        let scores = [0.3f32, 0.5, 0.5, 0.2, 0.9];
        let of = [false, true, false, false, true];
        let weights = [2.0, 1.0, 3.0, 0.0, 2.0];
        let ranked = Ranked::new(5, |r| scores[r], |r| of[r]);
        let mut many = (Vec::new(), Vec::new());
        for r in 0..5 {
            for _ in 0..weights[r] as usize {
                many.0.push(scores[r]);
                many.1.push(of[r]);
            }
        }
        let repeated = Ranked::new(many.0.len(), |r| many.0[r], |r| many.1[r]);
        assert_eq!(ranked.area(|r| weights[r]), repeated.area(|_| 1.0));
    }
}

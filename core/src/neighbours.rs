//! The classes of the nearest rows (Fix & Hodges 1951; Cover & Hart 1967), as a map from features to the logarithms of probabilities.
//!
//! It is the head of a strategy with labels and of adaptations in closed form, so it lives where both find it.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::model::Map;
use crate::strategy::State;
use crate::{Error, Result};

/// What is tried for `k`.
const TRIED: [usize; 12] = [1, 3, 5, 7, 9, 11, 15, 19, 25, 31, 41, 51];
/// Rows whose distances are computed at once.
const BLOCK: usize = 256;

/// The training rows and how they vote, as a map from features to the logarithms of probabilities. It has no gradient.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// Taken off, `(width,)`.
    mean: Tensor,
    /// Training rows without it, of length one where the distance is by angle, `(rows, width)`.
    rows: Tensor,
    /// Half the squared length of each; empty by angle.
    lengths: Vec<f32>,
    labels: Vec<u32>,
    classes: usize,
    euclidean: bool,
    k: usize,
}

impl Neighbours {
    /// Rows `(rows, width)` whose mean is taken off before distances are taken. One votes, until [`Neighbours::with_votes`] says otherwise.
    pub fn new(
        features: &Tensor,
        labels: Vec<u32>,
        classes: usize,
        euclidean: bool,
    ) -> Result<Self> {
        Self::around(features.mean(0)?, features, labels, classes, euclidean)
    }

    /// The same with the rows as they are, and one vote: 1-NN. (Distances do not change where a mean is taken off, and are exact only then: squares of numbers far from
    /// 0 leave nothing of what is between them. Angles do change.)
    pub fn nearest(
        features: &Tensor,
        labels: Vec<u32>,
        classes: usize,
        euclidean: bool,
    ) -> Result<Self> {
        let mean = features.mean(0)?;
        let mean = match euclidean {
            true => mean,
            false => mean.zeros_like()?,
        };
        Self::around(mean, features, labels, classes, euclidean)
    }

    /// So many vote, as far as there are rows.
    pub fn with_votes(mut self, k: usize) -> Self {
        self.k = k.min(self.labels.len());
        self
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    fn around(
        mean: Tensor,
        features: &Tensor,
        labels: Vec<u32>,
        classes: usize,
        euclidean: bool,
    ) -> Result<Self> {
        let mut knn = Neighbours {
            mean,
            rows: features.clone(),
            lengths: Vec::new(),
            labels,
            classes,
            euclidean,
            k: 1,
        };
        knn.rows = knn.placed(features)?;
        knn.measure()?;
        Ok(knn)
    }

    /// A map that was saved.
    pub fn load(state: &State) -> Result<Arc<dyn Map>> {
        let said: serde_json::Value =
            serde_json::from_str(&state.json).map_err(|e| Error::msg(e.to_string()))?;
        let number = |name: &str| {
            let n = said[name].as_u64();
            n.map(|n| n as usize)
                .ok_or_else(|| Error::msg(format!("the saved neighbours have no `{name}`")))
        };
        let mut knn = Neighbours {
            mean: state.tensor("mean")?,
            rows: state.tensor("rows")?,
            lengths: Vec::new(),
            labels: state.tensor("labels")?.to_vec1()?,
            classes: number("classes")?,
            euclidean: said["euclidean"].as_bool().unwrap_or(false),
            k: number("k")?,
        };
        knn.measure()?;
        Ok(Arc::new(knn))
    }

    fn measure(&mut self) -> Result<()> {
        if self.euclidean {
            self.lengths = (self.rows.sqr()?.sum(1)? * 0.5)?.to_vec1()?;
        }
        Ok(())
    }

    /// Without the mean, and of length one where the distance is by angle.
    fn placed(&self, x: &Tensor) -> Result<Tensor> {
        // Made on the CPU, whatever the features are on.
        let x = x.broadcast_sub(&self.mean.to_device(x.device())?)?;
        if self.euclidean {
            return Ok(x);
        }
        let length = (x.sqr()?.sum_keepdim(1)? + 1e-24)?.sqrt()?;
        Ok(x.broadcast_div(&length)?)
    }

    /// The nearest `most` training rows of each of `x` (placed), nearest first; equals by their number. `skip` is a training row that does not count.
    fn neighbours(&self, x: &Tensor, most: usize, skip: &[Option<u32>]) -> Result<Vec<Vec<u32>>> {
        let near = x
            .matmul(&self.rows.to_device(x.device())?.t()?)?
            .to_vec2::<f32>()?;
        let one = |(near, skip): (&Vec<f32>, &Option<u32>)| {
            // The larger the nearer: by angle the cosine, otherwise x y - |y|^2 / 2.
            let value = |i: u32| {
                let i = i as usize;
                near[i] - self.lengths.get(i).copied().unwrap_or(0.0)
            };
            let mut order: Vec<u32> = (0..near.len() as u32)
                .filter(|i| Some(*i) != *skip)
                .collect();
            let by = |a: &u32, b: &u32| value(*b).total_cmp(&value(*a)).then(a.cmp(b));
            let most = most.min(order.len());
            if most < order.len() {
                order.select_nth_unstable_by(most, by);
                order.truncate(most);
            }
            order.sort_unstable_by(by);
            order
        };
        Ok(near.par_iter().zip(skip).map(one).collect())
    }

    fn votes(&self, neighbours: &[u32]) -> Vec<u32> {
        let mut votes = vec![0; self.classes];
        for &n in neighbours {
            votes[self.labels[n as usize] as usize] += 1;
        }
        votes
    }

    /// The `k` that is right most often on training rows left out in turn, and how often.
    pub fn choose(&self, asked: &[u32]) -> Result<(usize, f64)> {
        let rows = self.labels.len();
        let tried: Vec<usize> = TRIED.into_iter().filter(|&k| k < rows).collect();
        let Some(&most) = tried.last() else {
            return Ok((1, f64::NAN));
        };
        let mut right = vec![0usize; tried.len()];
        for block in asked.chunks(BLOCK) {
            let at = Tensor::new(block, self.rows.device())?;
            let x = self.rows.index_select(&at, 0)?;
            let skip: Vec<Option<u32>> = block.iter().map(|&r| Some(r)).collect();
            for (&row, near) in block.iter().zip(self.neighbours(&x, most, &skip)?) {
                for (right, &k) in right.iter_mut().zip(&tried) {
                    let answer = largest(&self.votes(&near[..k]));
                    *right += usize::from(answer == self.labels[row as usize]);
                }
            }
        }
        let best = right.iter().copied().max().unwrap_or(0);
        let at = right.iter().rposition(|&r| r == best).unwrap_or(0);
        Ok((tried[at], best as f64 / asked.len().max(1) as f64))
    }
}

/// The class with the most votes, the first among equals.
fn largest(votes: &[u32]) -> u32 {
    let best = votes.iter().copied().max().unwrap_or(0);
    votes.iter().position(|&v| v == best).unwrap_or(0) as u32
}

impl Map for Neighbours {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (n, _) = x.dims2()?;
        let placed = self.placed(&x.to_dtype(DType::F32)?.detach())?;
        let mut out = Vec::with_capacity(n * self.classes);
        for near in self.neighbours(&placed, self.k, &vec![None; n])? {
            let total = near.len() as f32 + 1.0;
            let part = 1.0 / self.classes as f32;
            out.extend(
                self.votes(&near)
                    .into_iter()
                    .map(|v| ((v as f32 + part) / total).ln()),
            );
        }
        Ok(Tensor::from_vec(out, (n, self.classes), x.device())?.to_dtype(x.dtype())?)
    }

    fn kind(&self) -> &str {
        "knn"
    }

    fn save(&self) -> State {
        let labels = Tensor::new(self.labels.as_slice(), &Device::Cpu);
        let mut tensors = vec![
            ("mean".to_string(), self.mean.clone()),
            ("rows".to_string(), self.rows.clone()),
        ];
        // A vector becomes a tensor on the CPU without fail.
        tensors.extend(labels.ok().map(|t| ("labels".to_string(), t)));
        let said = serde_json::json!({ "k": self.k, "classes": self.classes, "euclidean": self.euclidean });
        State {
            tensors,
            json: said.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> (Tensor, Vec<u32>) {
        let at = [
            [1f32, 0.0],
            [2.0, 0.1],
            [-1.0, 0.0],
            [-2.0, 0.1],
            [1.5, 0.0],
        ];
        let x = Tensor::new(&at, &Device::Cpu).unwrap();
        (x, vec![0, 0, 1, 1, 0])
    }

    #[test]
    fn the_nearest_vote() {
        for euclidean in [false, true] {
            let (x, labels) = points();
            let knn = Neighbours::new(&x, labels, 2, euclidean).unwrap();
            let knn = knn.with_votes(3);
            let asked = Tensor::new(&[[3f32, 0.0], [-3.0, 0.0]], &Device::Cpu).unwrap();
            let p = knn.apply(&asked).unwrap().exp().unwrap();
            let p = p.to_vec2::<f32>().unwrap();
            // Three of three votes; two of three on the side that has two points.
            assert!((p[0][0] - 3.5 / 4.0).abs() < 1e-6, "{p:?}");
            assert!((p[1][1] - 2.5 / 4.0).abs() < 1e-6, "{p:?}");
            assert!((p[0][0] + p[0][1] - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_saved_answers_alike() {
        let (x, labels) = points();
        let knn = Neighbours::new(&x, labels, 2, true).unwrap().with_votes(2);
        let again = Neighbours::load(&knn.save()).unwrap();
        let bits = |m: &dyn Map| m.apply(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(bits(again.as_ref()), bits(&knn));
        assert_eq!(again.kind(), "knn");
    }

    #[test]
    fn a_row_that_is_left_out_does_not_vote_for_itself() {
        // Each row's only neighbour of its own class is far: with itself in the vote k = 1 would always be right.
        let x = Tensor::new(&[[0f32], [1.0], [10.0], [11.0]], &Device::Cpu).unwrap();
        let knn = Neighbours::new(&x, vec![0, 1, 0, 1], 2, true).unwrap();
        let (_, right) = knn.choose(&[0, 1, 2, 3]).unwrap();
        assert!(right < 0.5, "{right}");
    }

    #[test]
    fn of_equals_the_first_row_and_the_first_class_count() {
        // Three rows in one place, of three classes, and one farther away.
        let x = Tensor::new(&[[1f32], [1.0], [1.0], [9.0]], &Device::Cpu).unwrap();
        for labels in [vec![2, 0, 1, 1], vec![1, 2, 0, 1]] {
            let first = labels[0] as usize;
            let knn = Neighbours::nearest(&x, labels, 3, true).unwrap();
            let asked = Tensor::new(&[[0f32], [2.0]], &Device::Cpu).unwrap();
            for p in knn.apply(&asked).unwrap().to_vec2::<f32>().unwrap() {
                let best = (0..3).max_by(|&a, &b| p[a].total_cmp(&p[b]));
                assert_eq!(best, Some(first), "{p:?}");
            }
        }
        assert_eq!(largest(&[1, 3, 3]), 1);
        assert_eq!(largest(&[0, 0]), 0);
    }
}

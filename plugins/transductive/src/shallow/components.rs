//! The eigenproblem that TCA and JDA share: few directions in which the domains' means lie together and the rows still spread.
//!
//! `max tr(W' B W)` subject to `W' A W = I`, by the generalised eigenvectors of `B v = w A v`.
//!
//! - `kernel = "linear"`: `W` `(width, dim)` acts on the features themselves; `B` is the scatter of all rows, `A = X' M X + r I`. The penalty is on the
//!   length of the directions in the space of features.
//! - `kernel = "rbf"`: `W` `(rows, dim)` acts on `K = exp(-|x - y|^2 / 2 s^2)` with `s` the median distance between all rows; `B = K H K`,
//!   `A = K M K + r I`, the penalty of Pan et al. 2011. Its cost grows with the cube of the rows.
//!
//! `M = E E'` holds the distance of means: its columns `e` have `1 / n` at the source's rows and `-1 / m` at the target's, of a class or of all; it is
//! brought to Frobenius norm 1, so that `r` means the same for any number of rows (Long et al. 2013).

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::data::OFFICE_CALTECH;
use tlkit_core::model::Map;
use tlkit_core::recipe::Keys;
use tlkit_core::strategy::State;
use tlkit_core::{Error, Result};

use super::align::dim;
use super::matrix::{Mat, affine, centred, distances, generalised, mean, ridge, tensor};

/// More rows make a kernel matrix whose eigenvectors take hours.
const MOST_ROWS: usize = 5000;

/// What both methods read.
#[derive(Clone, Debug)]
pub(crate) struct Components {
    dim: usize,
    regularisation: f64,
    rbf: bool,
}

/// The new features of all rows, and how a target row gets there.
pub(crate) struct Projected {
    pub rows: Mat,
    pub map: Arc<dyn Map>,
}

impl Components {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        Components {
            dim: dim(keys, 100, "Long et al. 2013"),
            regularisation: keys
                .f64("regularisation")
                .above(0.0)
                .default(1.0, "Long et al. 2013")
                .tuned_on(&[OFFICE_CALTECH])
                .help("of the directions' length")
                .read(),
            rbf: keys
                .string("kernel")
                .one_of(["linear", "rbf"])
                .default("linear", "few rows and wide features overfit with another")
                .help("in which space the directions are sought")
                .read()
                == "rbf",
        }
    }

    /// The kernel, or the features, of all rows; worked out once.
    pub fn prepared(&self, both: &Mat) -> Result<Prepared> {
        if !self.rbf {
            let spread = centred(both, &mean(both));
            return Ok(Prepared {
                scatter: spread.tr_mul(&spread),
                rows: both.clone(),
                kernel: None,
            });
        }
        if both.nrows() > MOST_ROWS {
            return Err(Error::msg(format!(
                "strategy.kernel: `rbf` needs a matrix of {n} x {n}, source and target rows together; give fewer rows by `limit`, at most {MOST_ROWS} in all, or write `kernel = \"linear\"`",
                n = both.nrows()
            )));
        }
        let d = distances(both, both);
        let mut known: Vec<f64> = (0..d.ncols())
            .flat_map(|j| (0..j).map(move |i| (i, j)))
            .map(|(i, j)| d[(i, j)])
            .collect();
        let middle = known.len() / 2;
        let median = match known.is_empty() {
            true => 1.0,
            false => *known.select_nth_unstable_by(middle, f64::total_cmp).1,
        };
        let width = 2.0 * median.max(1e-12);
        let k = d.map(|v| (-v / width).exp());
        // H K: every column without its mean.
        let spread = centred(&k, &mean(&k));
        Ok(Prepared {
            scatter: spread.tr_mul(&spread),
            rows: k,
            kernel: Some((both.clone(), width)),
        })
    }

    /// Solves for distances of means whose columns are `means` `(rows, any)`.
    pub fn solve(&self, prepared: &Prepared, means: &Mat) -> Result<Projected> {
        let norm = means.tr_mul(means).norm().max(1e-300);
        let m = prepared.rows.tr_mul(means);
        let a = ridge(&m * m.transpose() / norm, self.regularisation);
        let w = generalised(&prepared.scatter, &a, self.dim)?;
        let zeros = (vec![0.0; w.nrows()], vec![0.0; w.ncols()]);
        let map: Arc<dyn Map> = match &prepared.kernel {
            None => Arc::new(affine(&w, &zeros.0, &zeros.1)?),
            Some((rows, width)) => Arc::new(Kernel {
                rows: tensor(rows)?,
                weight: tensor(&w)?,
                width: *width,
            }),
        };
        Ok(Projected {
            rows: &prepared.rows * w,
            map,
        })
    }
}

/// What does not change from round to round.
pub(crate) struct Prepared {
    /// `X` or `K`.
    rows: Mat,
    scatter: Mat,
    /// The rows and twice the squared bandwidth.
    kernel: Option<(Mat, f64)>,
}

/// Kernel values with the rows that were there, times weights: `exp(-|x - r|^2 / width) W`.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `(rows, width)`.
    rows: Tensor,
    /// `(rows, out)`.
    weight: Tensor,
    width: f64,
}

impl Kernel {
    /// A map that was saved.
    pub fn load(state: &State) -> Result<Arc<dyn Map>> {
        let said: serde_json::Value =
            serde_json::from_str(&state.json).map_err(|e| Error::msg(e.to_string()))?;
        let width = said["width"].as_f64();
        Ok(Arc::new(Kernel {
            rows: state.tensor("rows")?,
            weight: state.tensor("weight")?,
            width: width.ok_or_else(|| Error::msg("the saved kernel has no `width`"))?,
        }))
    }
}

impl Map for Kernel {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let squares = |t: &Tensor| t.sqr()?.sum_keepdim(1);
        // Made on the CPU, whatever the features are on.
        let (rows, weight) = (
            self.rows.to_device(x.device())?,
            self.weight.to_device(x.device())?,
        );
        // Without their mean: squares of numbers far from 0 leave nothing of what is between them.
        let mean = rows.mean_keepdim(0)?;
        let (x, rows) = (x.broadcast_sub(&mean)?, rows.broadcast_sub(&mean)?);
        let cross = (x.matmul(&rows.t()?)? * -2.0)?;
        let d = cross
            .broadcast_add(&squares(&x)?)?
            .broadcast_add(&squares(&rows)?.t()?)?
            .clamp(0f64, f64::MAX)?;
        Ok((d * (-1.0 / self.width))?.exp()?.matmul(&weight)?)
    }

    fn kind(&self) -> &str {
        "rbf-kernel"
    }

    fn save(&self) -> State {
        State {
            tensors: vec![
                ("rows".into(), self.rows.clone()),
                ("weight".into(), self.weight.clone()),
            ],
            json: serde_json::json!({ "width": self.width }).to_string(),
        }
    }
}

/// The column of one distance of means: `1 / n` at some rows of the source, `-1 / m` at some of the target; `None` where there are none of one.
pub(crate) fn between(
    rows: (usize, usize),
    source: &[usize],
    target: &[usize],
) -> Option<Vec<f64>> {
    if source.is_empty() || target.is_empty() {
        return None;
    }
    let mut e = vec![0.0; rows.0 + rows.1];
    for &s in source {
        e[s] = 1.0 / source.len() as f64;
    }
    for &t in target {
        e[rows.0 + t] = -1.0 / target.len() as f64;
    }
    Some(e)
}

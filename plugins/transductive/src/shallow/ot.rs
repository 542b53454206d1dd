//! Optimal transport (Courty, Flamary, Tuia & Rakotomamonjy 2017): every source row is carried to where its mass goes among the target's rows.
//!
//! What it minimises, over plans `P` whose rows sum to `1 / n` and whose columns to `1 / m`: `<P, C> + e sum P (ln P - 1) + w sum_j sum_k (sum_{i in k} P_ij)^1/2`,
//! where `C` is the squared distance and the last sum, over target rows `j` and source classes `k`, wants the mass that reaches a target row to come
//! from one class. The second term alone is Cuturi's (2013) entropic transport, solved by Sinkhorn's scaling in logarithms; with the third, each of
//! `rounds` but the first puts the square root's tangent into the cost (Courty, Flamary & Tuia 2014). A source row becomes the mean of the target rows by its row of `P`;
//! the target's rows stay as they are. Scalings end after 1,000 a round; the result says by what share a target row's mass is off then (`transport_off`).
//!
//! Defaults: the cost is divided by its mean, so that nothing hangs on the features' scale; `entropy = 0.05` and `class_weight = 0.1` of that
//! mean cost, `rounds = 10`. The first two are ours: the papers search a grid. They were tuned on nothing. The papers' head is `1-nn`.

use nalgebra::DVector;
use tlkit_core::recipe::Keys;
use tlkit_core::{Error, Result};

use super::align::{Align, Aligned, Pair};
use super::matrix::{Mat, distances};

/// Scalings between two looks at the plan in logarithms.
const BLOCK: usize = 50;
/// Keeps the square root's slope finite where a class sends nothing.
const SMALLEST: f64 = 1e-3;

/// Most numbers of a plan. Six such matrices are held at once, 2.4 GB of them.
const PLAN: usize = 50_000_000;

/// Transport by rows.
#[derive(Clone, Debug)]
pub(crate) struct Ot {
    entropy: f64,
    class_weight: f64,
    rounds: usize,
    /// Scalings of a plan, at most.
    scalings: usize,
    /// How far the plan's column sums may be off, as a share.
    tolerance: f64,
}

impl Ot {
    /// Until nothing changes any more, to be compared with others.
    #[cfg(test)]
    pub fn to_the_end(class_weight: f64) -> Self {
        Ot {
            entropy: 0.05,
            class_weight,
            rounds: 10,
            scalings: 20_000,
            tolerance: 1e-13,
        }
    }

    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        Ot {
            entropy: keys
                .f64("entropy")
                .above(0.0)
                .default(0.05, "ours: of the mean cost")
                .help("weight of the plan's entropy, in units of the mean cost")
                .read(),
            class_weight: keys
                .f64("class_weight")
                .range(0.0..)
                .default(0.1, "ours: of the mean cost")
                .help("how much a target row's mass is to come from one class; 0 = labels have no say")
                .read(),
            rounds: keys
                .usize("rounds")
                .range(2..=1000)
                .default(10usize, "Courty et al. 2014")
                .help("transports in all; each but the first has the classes' part of the cost made anew")
                .read(),
            scalings: 1000,
            tolerance: 1e-7,
        }
    }
}

impl Align for Ot {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        let (n, m) = (pair.source.nrows(), pair.target.nrows());
        if n.saturating_mul(m) > PLAN {
            return Err(Error::msg(format!(
                "strategy.method: `ot` weighs every source row against every target row, {n} x {m} of them, and {PLAN} are the most; give fewer rows by `limit` under \
                 [source] and [target], or write `linear-ot`, which needs the covariances alone"
            )));
        }
        let mut cost = distances(pair.source, pair.target);
        let mean = cost.mean();
        if mean > 0.0 {
            cost /= mean;
        }
        let (plan, off) = transport(&cost, pair.labels, pair.classes, self, pair.going_on)?;
        let moved = plan * pair.target * pair.source.nrows() as f64;
        Ok(Aligned::source_moved(moved, pair.target).saying("transport_off", off))
    }
}

/// The plan `(rows of the source, rows of the target)`, and by what share the mass that some target row gets is off at most, where the scalings ended first. `going_on` is asked before each block of scalings.
fn transport(
    cost: &Mat,
    labels: &[u32],
    classes: usize,
    ot: &Ot,
    going_on: &dyn Fn() -> Result<()>,
) -> Result<(Mat, f64)> {
    let (mut plan, mut off) = sinkhorn(cost, ot, going_on)?;
    if ot.class_weight == 0.0 {
        return Ok((plan, off));
    }
    for _ in 1..ot.rounds {
        let mut with = cost.clone();
        for j in 0..cost.ncols() {
            let mut sums = vec![0.0; classes];
            for (i, &c) in labels.iter().enumerate() {
                sums[c as usize] += plan[(i, j)];
            }
            for (i, &c) in labels.iter().enumerate() {
                with[(i, j)] += ot.class_weight * 0.5 / (sums[c as usize] + SMALLEST).sqrt();
            }
        }
        (plan, off) = sinkhorn(&with, ot, going_on)?;
    }
    Ok((plan, off))
}

/// Entropic transport between even weights: Sinkhorn's scalings of the plan as it was in logarithms last, which is renewed before numbers get too
/// large or too small.
fn sinkhorn(cost: &Mat, ot: &Ot, going_on: &dyn Fn() -> Result<()>) -> Result<(Mat, f64)> {
    let (n, m) = cost.shape();
    let (a, b) = (1.0 / n as f64, 1.0 / m as f64);
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    // Rows beside each other, so that both passes run along memory.
    let by_row = cost.transpose() / -ot.entropy;
    let by_column = cost / -ot.entropy;
    let mut done = 0;
    let off = loop {
        going_on()?;
        for (i, f) in f.iter_mut().enumerate() {
            *f = a.ln() - log_sum(&by_row.as_slice()[i * m..(i + 1) * m], &g);
        }
        for (j, g) in g.iter_mut().enumerate() {
            *g = b.ln() - log_sum(&by_column.as_slice()[j * n..(j + 1) * n], &f);
        }
        let plan = Mat::from_fn(n, m, |i, j| (by_column[(i, j)] + f[i] + g[j]).exp());
        let (mut u, mut v) = (DVector::repeat(n, 1.0), DVector::repeat(m, 1.0));
        let (mut off, mut large) = (f64::INFINITY, false);
        for _ in 0..BLOCK {
            u = (&plan * &v).map(|s| a / s);
            let now = plan.tr_mul(&u).map(|s| b / s);
            // What a column lacked before it is set right.
            off = now.zip_fold(&v, 0.0f64, |off, new, old| off.max((old / new - 1.0).abs()));
            v = now;
            done += 1;
            let far = |x: &f64| !(1e-60..1e60).contains(x);
            large = u.iter().chain(v.iter()).any(far);
            if off < ot.tolerance || large {
                break;
            }
        }
        if !large {
            f.iter_mut().zip(u.iter()).for_each(|(f, u)| *f += u.ln());
            g.iter_mut().zip(v.iter()).for_each(|(g, v)| *g += v.ln());
        }
        if off < ot.tolerance || done >= ot.scalings {
            break off;
        }
    };
    // The rows are set right last: a source row becomes a true mean.
    for (i, f) in f.iter_mut().enumerate() {
        *f = a.ln() - log_sum(&by_row.as_slice()[i * m..(i + 1) * m], &g);
    }
    let plan = Mat::from_fn(n, m, |i, j| (by_column[(i, j)] + f[i] + g[j]).exp());
    Ok((plan, off))
}

/// `ln sum exp` of the sums of two.
fn log_sum(values: &[f64], other: &[f64]) -> f64 {
    let sums = values.iter().zip(other).map(|(c, g)| c + g);
    let top = sums.clone().fold(f64::NEG_INFINITY, f64::max);
    top + sums.map(|s| (s - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use tlkit_core::random::Stream;

    use super::super::heads::Head;
    use super::*;

    #[test]
    fn a_plan_that_no_memory_holds_is_not_begun() {
        let rows = Mat::zeros(7_500, 1);
        let pair = Pair {
            source: &rows,
            labels: &[0; 7_500],
            classes: 1,
            target: &rows,
            head: &Head::Nearest { cosine: false },
            random: Stream::new(0),
            going_on: &|| Ok(()),
        };
        let error = Ot::to_the_end(0.1).align(&pair).err().expect("too many");
        assert!(error.to_string().contains("7500 x 7500"), "{error}");
    }

    #[test]
    fn it_stops_when_it_is_asked_to() {
        let rows = Mat::from_fn(20, 2, |i, j| (i * (j + 1)) as f64);
        let pair = Pair {
            source: &rows,
            labels: &[0; 20],
            classes: 1,
            target: &rows,
            head: &Head::Nearest { cosine: false },
            random: Stream::new(0),
            going_on: &|| Err(Error::Stopped { step: 0 }),
        };
        let stopped = Ot::to_the_end(0.1).align(&pair).err();
        assert!(
            matches!(stopped, Some(Error::Stopped { .. })),
            "{stopped:?}"
        );
    }
}

//! `embedding.json`: where rows of source and target lie before an adaptation and after it, in the two directions in which both spread most.
//!
//! ```json
//! {"format": 1, "names": {"source": "books", "target": "kitchen"},
//!  "before": {"source": [[0.1, -2.0], ...], "target": [...], "explained": [0.31, 0.12], "distance": 1.7},
//!  "after": null or the same}
//! ```
//!
//! `explained` are the two directions' shares of the spread; `distance` is that of the domains' means, divided by the root of the mean variance within
//! the domains, over all directions. At most 200 rows of each domain, which depend on nothing but their number.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use super::arrange::arranged;
use super::given::{Given, Prepares};
use crate::Result;
use crate::check::Checked;
use crate::data::{Domain, Loaded, Samples};
use crate::model::Model;
use crate::nn::Store;
use crate::random::Stream;
use crate::strategy::TargetData;
use crate::train::{self, Observer};

/// Rows of a domain.
const ROWS: usize = 200;
/// Rounds of the power iteration for a direction.
const ROUNDS: usize = 500;

/// Both moments; none where there are not two domains. The start is made once more by the seed, so that nothing has to be kept for it.
pub(super) fn embedding(
    c: &Checked,
    given: &Given,
    prepares: &Prepares,
    model: &Model,
    store: &Store,
    resumed: bool,
    observer: &dyn Observer,
) -> Result<Option<Value>> {
    let Some(source) = &given.source else {
        return Ok(None);
    };
    let target = match &given.target {
        TargetData::Unlabelled(d) => d.unlabelled(),
        TargetData::Labelled(d) => d.unlabelled(),
        TargetData::None => return Ok(None),
    };
    let some = |name: &str, inputs: &Arc<dyn Samples>, prepare| {
        let rows = shown(inputs.len());
        let all = Domain {
            name: name.to_string(),
            inputs: inputs.clone(),
            labels: (),
        };
        (Loaded::unlabelled(&all.picked(&rows), prepare), rows)
    };
    let (s, s_rows) = some(&source.name, &source.inputs, prepares.source.clone());
    let (t, t_rows) = some(&target.name, &target.inputs, prepares.target.clone());
    let features = |model: &Model, store: &Store| -> Result<(Tensor, Tensor)> {
        let mut whole = model.clone();
        // All of the network, and nothing of these rows in the cache.
        whole.freeze(None);
        let of = |rows: &Loaded| train::predict(&whole, rows, store, "embedding", observer);
        Ok((of(&s)?.0, of(&t)?.0))
    };
    let start = Store::new(store.device(), store.dtype(), c.seed);
    let (a, b) = arranged(c, &start, |transfer| features(&transfer.model, &start))?;
    let before = moment(&a, &b)?;
    let closed = c.strategy.needs().closed_form;
    let after = match model.aligned() {
        Some((source, target)) => {
            let pick = |x: &Tensor, rows: &[u32]| -> Result<Tensor> {
                Ok(x.index_select(&Tensor::new(rows, x.device())?, 0)?)
            };
            moment(&pick(source, &s_rows)?, &pick(target, &t_rows)?)?
        }
        // What moved the source in closed form was not kept.
        None if closed && resumed => Value::Null,
        None => {
            let (a, b) = features(model, store)?;
            moment(&a, &b)?
        }
    };
    Ok(Some(json!({
        "format": 1,
        "names": { "source": source.name, "target": target.name },
        "before": before,
        "after": after,
    })))
}

/// The rows that are shown, in order.
fn shown(rows: usize) -> Vec<u32> {
    let mut order = Stream::new(0).purpose("embedding").permutation(rows);
    order.truncate(ROWS);
    order.sort_unstable();
    order
}

/// One moment, from features `(rows, width)` of the rows that are shown.
fn moment(source: &Tensor, target: &Tensor) -> Result<Value> {
    let rows = |t: &Tensor| -> Result<Vec<Vec<f64>>> { Ok(t.to_dtype(DType::F64)?.to_vec2()?) };
    let (source, target) = (rows(source)?, rows(target)?);
    let mean = |x: &[Vec<f64>]| -> Vec<f64> {
        let mut sum = vec![0.0; x[0].len()];
        x.iter()
            .for_each(|r| sum.iter_mut().zip(r).for_each(|(s, v)| *s += v));
        sum.iter().map(|s| s / x.len() as f64).collect()
    };
    let (ms, mt) = (mean(&source), mean(&target));
    let square =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum() };
    let within = |x: &[Vec<f64>], m: &[f64]| -> f64 {
        x.iter().map(|r| square(r, m)).sum::<f64>() / x.len() as f64
    };
    let spread = (within(&source, &ms) + within(&target, &mt)) / 2.0;
    let distance = square(&ms, &mt).sqrt() / spread.sqrt().max(1e-12);

    // The middle between the domains, each with half a say.
    let middle: Vec<f64> = ms.iter().zip(&mt).map(|(a, b)| (a + b) / 2.0).collect();
    let half = |n: usize| (0.5 / n as f64).sqrt();
    let weights: Vec<f64> = std::iter::repeat_n(half(source.len()), source.len())
        .chain(std::iter::repeat_n(half(target.len()), target.len()))
        .collect();
    let both: Vec<Vec<f64>> = source
        .iter()
        .chain(&target)
        .zip(&weights)
        .map(|(r, w)| r.iter().zip(&middle).map(|(v, m)| (v - m) * w).collect())
        .collect();
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    // Products of all rows: as many as rows, however wide they are.
    let mut gram: Vec<Vec<f64>> = both
        .iter()
        .map(|a| both.iter().map(|b| dot(a, b)).collect())
        .collect();
    let total: f64 = (0..gram.len()).map(|i| gram[i][i]).sum();
    let mut scores: Vec<Vec<f64>> = Vec::new();
    let mut explained = Vec::new();
    for axis in 0..2 {
        let (value, vector) = largest(&gram, Stream::new(axis));
        explained.push(if total > 0.0 { value / total } else { 0.0 });
        for i in 0..gram.len() {
            for j in 0..gram.len() {
                gram[i][j] -= value * vector[i] * vector[j];
            }
        }
        let root = value.max(0.0).sqrt();
        scores.push(
            vector
                .iter()
                .zip(&weights)
                .map(|(v, w)| v * root / w)
                .collect(),
        );
    }
    let point = |i: usize| [round(scores[0][i]), round(scores[1][i])];
    let n = source.len();
    Ok(json!({
        "source": (0..n).map(point).collect::<Vec<_>>(),
        "target": (n..both.len()).map(point).collect::<Vec<_>>(),
        "explained": explained.iter().map(|v| round(*v)).collect::<Vec<_>>(),
        "distance": round(distance),
    }))
}

/// The largest eigenvalue of a symmetric positive matrix and its vector, whose largest entry is positive.
fn largest(a: &[Vec<f64>], random: Stream) -> (f64, Vec<f64>) {
    let mut v: Vec<f64> = random
        .normals(a.len())
        .iter()
        .map(|v| f64::from(*v))
        .collect();
    let mut value = 0.0;
    for _ in 0..ROUNDS {
        let next: Vec<f64> = a
            .iter()
            .map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum())
            .collect();
        value = next.iter().map(|v| v * v).sum::<f64>().sqrt();
        if value < 1e-300 {
            return (0.0, vec![0.0; a.len()]);
        }
        let new: Vec<f64> = next.iter().map(|x| x / value).collect();
        let moved: f64 = new.iter().zip(&v).map(|(a, b)| (a - b).powi(2)).sum();
        v = new;
        if moved < 1e-18 {
            break;
        }
    }
    let top = v
        .iter()
        .fold(0.0f64, |m, x| if x.abs() > m.abs() { *x } else { m });
    if top < 0.0 {
        v.iter_mut().for_each(|x| *x = -*x);
    }
    (value, v)
}

/// Six digits are more than a picture shows.
fn round(v: f64) -> f64 {
    let text = format!("{v:.5e}");
    text.parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_first_direction_is_the_one_of_the_shift() {
        let noise = Stream::new(3).normals(400);
        let rows = |from: usize, shift: f32| -> Tensor {
            let rows: Vec<f32> = noise[from..from + 200]
                .iter()
                .enumerate()
                .map(|(i, v)| v * 0.5 + if i % 4 == 2 { shift } else { 0.0 })
                .collect();
            Tensor::from_vec(rows, (50, 4), &Device::Cpu).unwrap()
        };
        let far = moment(&rows(0, 0.0), &rows(200, 8.0)).unwrap();
        let x = |side: &str| -> Vec<f64> {
            let points = far[side].as_array().unwrap();
            points.iter().map(|p| p[0].as_f64().unwrap()).collect()
        };
        let (s, t) = (x("source"), x("target"));
        let apart = s.iter().all(|a| t.iter().all(|b| (a - b).abs() > 4.0));
        assert!(apart, "{s:?} {t:?}");
        assert!(far["explained"][0].as_f64().unwrap() > 0.9);
        let near = moment(&rows(0, 0.0), &rows(200, 0.0)).unwrap();
        let distance = |m: &Value| m["distance"].as_f64().unwrap();
        assert!(
            distance(&far) > 5.0 && distance(&near) < 0.5,
            "{far} {near}"
        );
        // The same rows give the same picture.
        assert_eq!(far, moment(&rows(0, 0.0), &rows(200, 8.0)).unwrap());
    }
}

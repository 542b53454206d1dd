//! Position embeddings for another number of patches.

use candle_core::{DType, Tensor};
use tlkit_core::{Error, Result};

/// Keys' cubic with a = -0.75, as PyTorch's `interpolate(mode = "bicubic", align_corners = False)` has it; without antialiasing.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    let x = x.abs();
    match x {
        x if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
        _ => 0.0,
    }
}

/// For each of `to` places the four neighbours among `from`, clamped at the border, with their weights.
fn neighbours(from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let at = (i as f64 + 0.5) * scale - 0.5;
            let first = at.floor();
            std::array::from_fn(|k| {
                let j = first + k as f64 - 1.0;
                let place = j.clamp(0.0, from as f64 - 1.0) as usize;
                (place, cubic(at - j))
            })
        })
        .collect()
}

/// Embeddings `(1, 1 + n * n, width)` of a class token and a square of patches, for a square of `side` patches a side: the patches' are interpolated,
/// as transformers does it.
pub(crate) fn interpolated(positions: &Tensor, side: usize) -> Result<Tensor> {
    let (_, tokens, width) = positions.dims3()?;
    let old = (((tokens - 1) as f64).sqrt()).round() as usize;
    if old * old + 1 != tokens {
        return Err(Error::msg(format!(
            "{tokens} position embeddings are not those of a class token and a square of patches"
        )));
    }
    if old == side {
        return Ok(positions.clone());
    }
    let values = positions
        .flatten_all()?
        .to_dtype(DType::F64)?
        .to_vec1::<f64>()?;
    let (class, patches) = values.split_at(width);
    let near = neighbours(old, side);
    let mut out = class.to_vec();
    out.reserve(side * side * width);
    for row in &near {
        for column in &near {
            let start = out.len();
            out.resize(start + width, 0.0);
            for (y, wy) in row {
                for (x, wx) in column {
                    let from = &patches[(y * old + x) * width..][..width];
                    let to = &mut out[start..];
                    to.iter_mut().zip(from).for_each(|(o, v)| *o += wy * wx * v);
                }
            }
        }
    }
    let shape = (1, 1 + side * side, width);
    Ok(Tensor::from_vec(out, shape, positions.device())?.to_dtype(positions.dtype())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn weights_sum_to_one_and_the_class_token_stays() {
        for (from, to) in [(16, 14), (3, 7), (37, 16)] {
            for n in neighbours(from, to) {
                assert!((n.iter().map(|(_, w)| w).sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
        let ramp: Vec<f32> = (0..1 + 16).map(|i| i as f32).collect();
        let t = Tensor::from_vec(ramp, (1, 17, 1), &Device::Cpu).unwrap();
        let p = interpolated(&t, 2).unwrap();
        let p = p.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // A plane stays a plane inside: 1 + 4 y + x, at y and x of 0.5 and 2.5, up to the border's clamping.
        assert_eq!(p[0], 0.0);
        assert!((p[1] + p[4] - 17.0).abs() < 1e-5 && (p[2] + p[3] - 17.0).abs() < 1e-5);
        assert!(p[1] < p[2] && p[2] < p[3] && p[3] < p[4]);
    }

    #[test]
    fn what_is_no_square_is_refused() {
        let t = Tensor::zeros((1, 7, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(interpolated(&t, 2).is_err());
    }
}

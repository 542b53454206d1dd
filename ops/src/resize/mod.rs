//! Bilinear resizing of images `(batch, height, width, channels)`, as PyTorch's `interpolate(mode="bilinear",
//! align_corners=False)` without antialiasing.
//!
//! Output place i of an axis looks at x = max((i + 1/2) in/out - 1/2, 0): weight x - ⌊x⌋ on the upper neighbour (the last place
//! where there is none) and the rest on the lower. The gradient is the transposed sum.

#[cfg(test)]
mod tests;

use crate::resample::{Axis, backward as transposed, forward as sums, graph};
use candle_core::{Error, Result, Tensor};

fn axes((h, w): (usize, usize), (oh, ow): (usize, usize)) -> Result<(Axis, Axis)> {
    if h == 0 || w == 0 || oh == 0 || ow == 0 {
        let text = format!("resize: from {h} x {w} to {oh} x {ow}");
        return Err(Error::Msg(text).bt());
    }
    let axis = |inputs: usize, outputs: usize| {
        let step = inputs as f64 / outputs as f64;
        let terms = (0..outputs).map(|i| {
            let x = ((i as f64 + 0.5) * step - 0.5).max(0.0);
            let low = (x.floor() as usize).min(inputs - 1);
            let weight = x - low as f64;
            let mut row = vec![(low, 1.0 - weight)];
            if low + 1 < inputs {
                row.push((low + 1, weight));
            } else {
                row[0].1 = 1.0;
            }
            row
        });
        Axis::new(inputs, terms.collect())
    };
    Ok((axis(h, oh), axis(w, ow)))
}

/// `x` resized to `size` (height, width); part of no graph.
pub fn forward(x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let (rows, columns) = axes((h, w), size)?;
    sums(x, &rows, &columns)
}

/// The gradient of an input of height and width `from`.
pub fn backward(from: (usize, usize), grad: &Tensor) -> Result<Tensor> {
    let (_, oh, ow, _) = grad.dims4()?;
    let (rows, columns) = axes(from, (oh, ow))?;
    transposed(grad, &rows, &columns)
}

/// `x` resized to `size` (height, width), recorded in Candle's graph.
pub fn resize(x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let (rows, columns) = axes((h, w), size)?;
    graph("resize", x, &rows, &columns)
}

//! Weighted sums over rows and columns of images `(batch, height, width, channels)`: what average pooling and bilinear resizing
//! have in common.
//!
//! y[n, i, j, c] = Σ over (a, v) in rows[i], (b, w) in columns[j] of v w x[n, a, b, c]. The gradient is the same sum with both
//! axes transposed.

use crate::parallel::unwritten;
use crate::path::{Path, per_path};
use crate::tensors::{Reading, on_kernels, tensor};
use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

/// For each output place along one axis: input places and their weights.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    inputs: usize,
    terms: Vec<Vec<(usize, f64)>>,
}

impl Axis {
    pub(crate) fn new(inputs: usize, terms: Vec<Vec<(usize, f64)>>) -> Self {
        Axis { inputs, terms }
    }

    pub(crate) fn outputs(&self) -> usize {
        self.terms.len()
    }

    fn transposed(&self) -> Axis {
        let mut terms = vec![Vec::new(); self.inputs];
        for (i, row) in self.terms.iter().enumerate() {
            for &(a, v) in row {
                terms[a].push((i, v));
            }
        }
        Axis {
            inputs: self.terms.len(),
            terms,
        }
    }

    /// As a matrix, outputs by inputs.
    fn matrix(&self, like: &Tensor) -> Result<Tensor> {
        let mut m = vec![0f64; self.terms.len() * self.inputs];
        for (i, row) in self.terms.iter().enumerate() {
            for &(a, v) in row {
                m[i * self.inputs + a] += v;
            }
        }
        Tensor::from_vec(m, (self.terms.len(), self.inputs), like.device())?.to_dtype(like.dtype())
    }
}

/// The sums; part of no graph.
pub(crate) fn forward(x: &Tensor, rows: &Axis, columns: &Axis) -> Result<Tensor> {
    let x = x.detach();
    // Sums of many are f32.
    if x.dtype() == DType::BF16 {
        return forward(&x.to_dtype(DType::F32)?, rows, columns)?.to_dtype(DType::BF16);
    }
    if !on_kernels(&[&x]) {
        return reference(&x, rows, columns);
    }
    let (n, _, _, c) = x.dims4()?;
    let y = kernel(&x, rows, columns)?;
    tensor(y, (n, rows.outputs(), columns.outputs(), c))
}

/// The gradient of the input.
pub(crate) fn backward(grad: &Tensor, rows: &Axis, columns: &Axis) -> Result<Tensor> {
    forward(grad, &rows.transposed(), &columns.transposed())
}

/// The sums, recorded in Candle's graph.
pub(crate) fn graph(name: &'static str, x: &Tensor, rows: &Axis, columns: &Axis) -> Result<Tensor> {
    if !on_kernels(&[x]) {
        return reference(x, rows, columns);
    }
    let (n, _, _, c) = x.dims4()?;
    let y = kernel(&x.detach(), rows, columns)?;
    let shape = (n, rows.outputs(), columns.outputs(), c);
    let (rows, columns) = (rows.clone(), columns.clone());
    crate::graph::record(name, &[x], y, shape, move |_, grad| {
        Ok(vec![Some(backward(grad, &rows, &columns)?)])
    })
}

/// In plain Candle operations: two products with the axes' matrices.
pub(crate) fn reference(x: &Tensor, rows: &Axis, columns: &Axis) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = (rows.outputs(), columns.outputs());
    // (h, n w c) from the left, then (w, n oh c).
    let y = x.transpose(0, 1)?.contiguous()?.reshape((h, n * w * c))?;
    let y = rows.matrix(x)?.matmul(&y)?.reshape((oh, n, w, c))?;
    let y = y.transpose(0, 2)?.contiguous()?.reshape((w, n * oh * c))?;
    let y = columns.matrix(x)?.matmul(&y)?.reshape((ow, n, oh, c))?;
    y.permute((1, 2, 0, 3))?.contiguous()
}

fn kernel(x: &Tensor, rows: &Axis, columns: &Axis) -> Result<Vec<f32>> {
    let path = Path::current();
    let x = x.contiguous()?;
    let (n, h, w, c) = x.dims4()?;
    let reading = Reading::of(&x);
    let x = reading.slice::<f32>()?;
    let (oh, row) = (rows.outputs(), columns.outputs() * c);
    // SAFETY: `sum_row` writes its row whole.
    let mut y = unsafe { unwritten::<f32>(n * oh * row) };
    if row > 0 {
        y.par_chunks_mut(row).enumerate().for_each(|(r, y)| {
            let image = &x[r / oh * h * w * c..(r / oh + 1) * h * w * c];
            sum_row(path, image, &rows.terms[r % oh], &columns.terms, w, c, y);
        });
    }
    Ok(y)
}

per_path! {
    fn sum_row(
        image: &[f32],
        row: &[(usize, f64)],
        columns: &[Vec<(usize, f64)>],
        w: usize,
        c: usize,
        y: &mut [f32],
    ) {
        for (y, column) in y.chunks_exact_mut(c).zip(columns) {
            y.fill(0.0);
            for &(a, v) in row {
                for &(b, u) in column {
                    let weight = (v * u) as f32;
                    let x = &image[(a * w + b) * c..][..c];
                    for (y, x) in y.iter_mut().zip(x) {
                        *y += weight * x;
                    }
                }
            }
        }
    }
}

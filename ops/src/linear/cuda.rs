//! The linear layer on a GPU: its products by cuBLAS.
//!
//! At `Precision::Bf16` factors of f32 are rounded first, as on the CPU; where the activations are bf16 their factor is already. Sums are f32,
//! an output has the activations' type, and the gradient of a weight is f32.

use crate::gpu::{Arg, Factor, Gemm, Gpu, Grid, count};
use crate::matmul::Precision;
use crate::tensors::rows;
use candle_core::{DType, Result, Tensor};

/// The factors' type, for activations of a type.
fn factors(precision: Precision, activations: DType) -> DType {
    match precision {
        Precision::Bf16 => DType::BF16,
        Precision::F32 => activations,
    }
}

/// x Wᵀ + b; shapes are checked.
pub(super) fn forward(
    gpu: &Gpu,
    precision: Precision,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    let (out, _) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = out;
    }
    let y = gpu.empty(shape, x.dtype())?;
    if let Some(bias) = bias {
        fill_rows(gpu, &bias.contiguous()?, &y)?;
    }
    let t = factors(precision, x.dtype());
    let (x, weight) = (whole(x, t)?, whole(weight, t)?);
    gpu.multiply(&Gemm {
        a: Factor::matrix(&x, width, false),
        b: Factor::matrix(&weight, width, true),
        c: Factor::matrix(&y, out, false),
        m: n,
        n: out,
        k: width,
        alpha: 1.0,
        beta: if bias.is_some() { 1.0 } else { 0.0 },
        batch: (1, 1),
    })?;
    Ok(y)
}

/// dy W, onto `sum` where there is one (contiguous, and added to in place).
pub(super) fn backward_x(
    gpu: &Gpu,
    precision: Precision,
    weight: &Tensor,
    grad: &Tensor,
    sum: Option<Tensor>,
) -> Result<Tensor> {
    let (n, out) = rows(grad)?;
    let (_, width) = weight.dims2()?;
    let mut shape = grad.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = width;
    }
    let beta = if sum.is_some() { 1.0 } else { 0.0 };
    let dx = match sum {
        Some(sum) => sum,
        None => gpu.empty(shape, grad.dtype())?,
    };
    let t = factors(precision, grad.dtype());
    let (grad, weight) = (whole(grad, t)?, whole(weight, t)?);
    gpu.multiply(&Gemm {
        a: Factor::matrix(&grad, out, false),
        b: Factor::matrix(&weight, width, false),
        c: Factor::matrix(&dx, width, false),
        m: n,
        n: width,
        k: out,
        alpha: 1.0,
        beta,
        batch: (1, 1),
    })?;
    Ok(dx)
}

/// dyᵀ x, f32.
pub(super) fn backward_weight(
    gpu: &Gpu,
    precision: Precision,
    x: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let ((n, width), (_, out)) = (rows(x)?, rows(grad)?);
    let dw = gpu.empty((out, width), DType::F32)?;
    let t = factors(precision, x.dtype());
    let (x, grad) = (whole(x, t)?, whole(grad, t)?);
    gpu.multiply(&Gemm {
        a: Factor::matrix(&grad, out, true),
        b: Factor::matrix(&x, width, false),
        c: Factor::matrix(&dw, width, false),
        m: out,
        n: width,
        k: n,
        alpha: 1.0,
        beta: 0.0,
        batch: (1, 1),
    })?;
    Ok(dw)
}

fn whole(t: &Tensor, dtype: DType) -> Result<Tensor> {
    t.to_dtype(dtype)?.contiguous()
}

/// Every row of `out` becomes `row`.
fn fill_rows(gpu: &Gpu, row: &Tensor, out: &Tensor) -> Result<()> {
    let n = out.elem_count();
    gpu.launch(
        "fill_rows",
        out.dtype(),
        Grid::elements(n)?,
        &[
            Arg::In(row),
            Arg::Out(out),
            Arg::U64(n as u64),
            Arg::U32(count(row.elem_count())?),
        ],
    )
}

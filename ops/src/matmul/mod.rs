//! Matrix product: C = op(A) op(B), where op is the identity or the transpose.
//!
//! Gradient, for C = A B: dA = dC Bᵀ and dB = Aᵀ dC; the transposed forms follow by transposing both sides.
//!
//! On AVX-512 the kernels are those of the `gemm` crate (with its feature `x86-v4`), called on slices; f32 on lesser paths has kernels of
//! its own (`panels`), so that `TLKIT_CPU` holds for products too, and large f32 products on AMX go through its tiles without loss of
//! precision (`amx::thirds`). Each output element is
//! summed by one thread in an order that depends on the shape alone, so the bits do not depend on the number of threads.
//!
//! [`forward_in`] with [`Precision::Bf16`] rounds the operands to bf16, which some processors with AVX-512 BF16 multiply at
//! about twice the rate of f32.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
pub(crate) mod bf16;
pub(crate) mod cpu;
mod panels;
pub(crate) mod precision;
mod rate;
pub mod reference;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
pub(crate) mod tile;

pub use cpu::{View, into, into_batched, into_view};
pub use precision::{Precision, forward_in};

use crate::tensors::{Element, Reading, on_kernels, tensor};
use candle_core::{DType, Error, Result, Tensor};

/// `op(a) op(b)` of two matrices, where `ta` and `tb` transpose; part of no graph.
///
/// f32 and f64 on the CPU run on the `gemm` crate with the strides the tensors have, without copies.
pub fn forward(a: &Tensor, b: &Tensor, ta: bool, tb: bool) -> Result<Tensor> {
    let (a, b) = (a.detach(), b.detach());
    if a.device().is_cpu() && a.dtype() == b.dtype() {
        match a.dtype() {
            DType::F32 => return product::<f32>(&a, &b, ta, tb),
            DType::F64 => return product::<f64>(&a, &b, ta, tb),
            _ => {}
        }
    }
    reference::matmul(&a, &b, ta, tb)
}

/// The gradients of `a` and `b` for the gradient of `op(a) op(b)`.
pub fn backward(
    a: &Tensor,
    b: &Tensor,
    ta: bool,
    tb: bool,
    grad: &Tensor,
) -> Result<(Tensor, Tensor)> {
    Ok((backward_a(b, ta, tb, grad)?, backward_b(a, ta, tb, grad)?))
}

/// G op(b)ᵀ, or its transpose.
fn backward_a(b: &Tensor, ta: bool, tb: bool, grad: &Tensor) -> Result<Tensor> {
    if ta {
        forward(b, grad, tb, true)
    } else {
        forward(grad, b, false, !tb)
    }
}

/// op(a)ᵀ G, or its transpose.
fn backward_b(a: &Tensor, ta: bool, tb: bool, grad: &Tensor) -> Result<Tensor> {
    if tb {
        forward(grad, a, true, ta)
    } else {
        forward(a, grad, !ta, false)
    }
}

/// `op(a) op(b)`, recorded in Candle's graph.
pub fn matmul(a: &Tensor, b: &Tensor, ta: bool, tb: bool) -> Result<Tensor> {
    if !on_kernels(&[a, b]) {
        return reference::matmul(a, b, ta, tb);
    }
    let (data, shape) = multiply::<f32>(a, b, ta, tb)?;
    crate::graph::record("matmul", &[a, b], data, shape, move |args, grad| {
        let (a, b) = (args[0], args[1]);
        Ok(vec![
            a.track_op()
                .then(|| backward_a(b, ta, tb, grad))
                .transpose()?,
            b.track_op()
                .then(|| backward_b(a, ta, tb, grad))
                .transpose()?,
        ])
    })
}

fn product<T: Element>(a: &Tensor, b: &Tensor, ta: bool, tb: bool) -> Result<Tensor> {
    let (data, shape) = multiply::<T>(a, b, ta, tb)?;
    tensor(data, shape)
}

fn multiply<T: Element>(
    a: &Tensor,
    b: &Tensor,
    ta: bool,
    tb: bool,
) -> Result<(Vec<T>, (usize, usize))> {
    let (ra, rb) = (Reading::of(a), Reading::of(b));
    let va = View::of(&ra, a, ta)?;
    let vb = View::of(&rb, b, tb)?;
    if va.columns != vb.rows {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: a.shape().clone(),
            rhs: b.shape().clone(),
            op: "matmul",
        }
        .bt());
    }
    let shape = (va.rows, vb.columns);
    Ok((cpu::fresh(va, vb), shape))
}

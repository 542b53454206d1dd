//! Linear layer: y = x Wᵀ + b, with W of (out, in) as PyTorch stores it.
//!
//! Gradient: dx = dy W, dW = dyᵀ x, db = the column sums of dy. The bias goes in before the product, which adds to it;
//! its gradient is summed by fixed chunks of rows.

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

pub use cpu::column_sums;

use crate::gpu::Gpu;
use crate::graph::Output;
use crate::matmul::{Precision, View, bf16, forward_in as product, precision::rounded};
use crate::tensors::{Reading, on_kernels, rows, same_storage, tensor};
use candle_core::{Error, Result, Tensor};

/// Gradients of a linear layer.
#[derive(Debug, Clone)]
pub struct Grads {
    /// Of the input, if it was asked for.
    pub x: Option<Tensor>,
    /// Of the weight.
    pub weight: Tensor,
    /// Of the bias; computed whether or not the layer has one.
    pub bias: Tensor,
}

/// x Wᵀ + b for x of (..., in) and `weight` of (out, in); part of no graph.
pub fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    forward_in(Precision::F32, x, weight, bias)
}

/// [`forward`] with the operands of the product at a precision.
pub fn forward_in(
    precision: Precision,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (x, weight) = (x.detach(), weight.detach());
    let bias = bias.map(Tensor::detach);
    if let Some(gpu) = gpu(&x, &weight, bias.as_ref()) {
        check(&x, &weight, bias.as_ref())?;
        return cuda::forward(&gpu, precision, &x, &weight, bias.as_ref());
    }
    if !kernels(&x, &weight, bias.as_ref()) {
        return reference::linear(&x, &weight, bias.as_ref());
    }
    let (data, shape) = apply(precision, &x, &weight, bias.as_ref())?;
    tensor(data, shape)
}

/// The gradients for the output gradient `grad`; `need_x` says whether the input's is wanted.
pub fn backward(x: &Tensor, weight: &Tensor, grad: &Tensor, need_x: bool) -> Result<Grads> {
    backward_in(Precision::F32, x, weight, grad, need_x)
}

/// [`backward`] with the operands of both products at a precision. The bias's gradient is a plain sum.
pub fn backward_in(
    precision: Precision,
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    need_x: bool,
) -> Result<Grads> {
    Ok(Grads {
        x: need_x
            .then(|| backward_x_in(precision, weight, grad))
            .transpose()?,
        weight: backward_weight_in(precision, x, grad)?,
        bias: backward_bias(grad)?,
    })
}

/// The gradient of the input alone, for a frozen layer in the middle of a trained network: dx = dy W.
pub fn backward_x(weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
    backward_x_in(Precision::F32, weight, grad)
}

/// [`backward_x`] at a precision.
pub fn backward_x_in(precision: Precision, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(gpu) = Gpu::of(&[grad], &[weight]) {
        through(weight, grad, None)?;
        return cuda::backward_x(&gpu, precision, &weight.detach(), &grad.detach(), None);
    }
    let mut shape = grad.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = weight.dim(1)?;
    }
    product(precision, &flat(grad)?, weight, false, false)?.reshape(shape)
}

/// `sum` + dy W: the gradient of an input that has others (a residual, a second layer), without a pass of its own.
///
/// On the CPU `sum` is added to in place: whoever shares its storage sees it change. (Where that is `grad` or `weight`, it is copied first.)
pub fn add_backward_x_in(
    precision: Precision,
    sum: Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let sum = match [grad, weight].iter().any(|t| same_storage(t, &sum)) {
        true => sum.copy()?,
        false => sum,
    };
    if let Some(gpu) = Gpu::of(&[grad, &sum], &[weight]).filter(|_| sum.is_contiguous()) {
        through(weight, grad, Some(&sum))?;
        return cuda::backward_x(
            &gpu,
            precision,
            &weight.detach(),
            &grad.detach(),
            Some(sum.detach()),
        );
    }
    let (weight, flat) = (weight.detach(), flat(grad)?);
    if !sum.is_contiguous() || !on_kernels(&[&sum, &weight, &flat]) {
        return sum.detach() + backward_x_in(precision, &weight, grad)?;
    }
    let (n, width) = rows(&sum)?;
    if (n, weight.dims()) != (flat.dim(0)?, &[flat.dim(1)?, width]) {
        return Err(Error::Msg(format!(
            "linear: gradient {:?} through weight {:?} onto {:?}",
            grad.dims(),
            weight.dims(),
            sum.dims()
        ))
        .bt());
    }
    let (rg, rw) = (Reading::of(&flat), Reading::of(&weight));
    let (g, w) = (View::of(&rg, &flat, false)?, View::of(&rw, &weight, false)?);
    crate::with_mut(&sum, |sum: &mut [f32]| match precision {
        Precision::F32 => crate::matmul::into_view(sum, g, w, 1.0),
        Precision::Bf16 => bf16::product(sum, g, w, bf16::Start::Kept),
    })?;
    Ok(sum)
}

/// The gradient of the weight alone: dW = dyᵀ x.
pub fn backward_weight(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    backward_weight_in(Precision::F32, x, grad)
}

/// [`backward_weight`] at a precision.
pub fn backward_weight_in(precision: Precision, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(gpu) = Gpu::of(&[x, grad], &[]) {
        let ((n, _), (m, _)) = (rows(x)?, rows(grad)?);
        if n != m {
            return Err(Error::Msg(format!("linear: {n} rows and {m} gradients")).bt());
        }
        return cuda::backward_weight(&gpu, precision, &x.detach(), &grad.detach());
    }
    product(precision, &flat(grad)?, &flat(x)?, true, false)
}

/// The gradient of the bias alone: the column sums of dy.
pub fn backward_bias(grad: &Tensor) -> Result<Tensor> {
    let grad = flat(grad)?;
    if let Some(gpu) = Gpu::of(&[&grad], &[]) {
        let (n, width) = rows(&grad)?;
        return gpu.column_sums(&grad, n, width);
    }
    if !on_kernels(&[&grad]) {
        return grad.sum(0);
    }
    let (_, width) = rows(&grad)?;
    let reading = Reading::of(&grad);
    tensor(column_sums(reading.slice()?, width), width)
}

/// The rows of the last dimension as a matrix, contiguous.
fn flat(t: &Tensor) -> Result<Tensor> {
    let t = t.detach().contiguous()?;
    let (n, width) = rows(&t)?;
    t.reshape((n, width))
}

/// Adds the weight's gradient dyᵀ x to `into` (row-major (out, in)), for accumulation over batches; f32 on the CPU.
pub fn accumulate_weight(into: &mut [f32], x: &Tensor, grad: &Tensor) -> Result<()> {
    let (x, grad) = (x.detach().contiguous()?, grad.detach().contiguous()?);
    let (n, width_in) = rows(&x)?;
    let (n_grad, width_out) = rows(&grad)?;
    if n != n_grad || into.len() != width_in * width_out {
        return Err(Error::Msg(format!(
            "linear: gradient of {width_out} x {width_in} from {n_grad} and {n} rows into {} elements",
            into.len()
        ))
        .bt());
    }
    let (rx, rg) = (Reading::of(&x), Reading::of(&grad));
    crate::matmul::into_view(
        into,
        View::new(rg.slice::<f32>()?, n, width_out).t(),
        View::new(rx.slice::<f32>()?, n, width_in),
        1.0,
    );
    Ok(())
}

/// x Wᵀ + b, recorded in Candle's graph.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    linear_in(Precision::F32, x, weight, bias)
}

/// [`linear`] with the operands of its products, on the way back too, at a precision.
pub fn linear_in(
    precision: Precision,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let on_gpu = gpu(x, weight, bias).is_some();
    if !on_gpu && !kernels(x, weight, bias) {
        return reference::linear(x, weight, bias);
    }
    let (data, shape): (Output, Vec<usize>) = if on_gpu {
        let y = forward_in(precision, x, weight, bias)?;
        let shape = y.dims().to_vec();
        (y.into(), shape)
    } else {
        let bias = bias.map(Tensor::detach);
        let (data, shape) = apply(precision, &x.detach(), &weight.detach(), bias.as_ref())?;
        (data.into(), shape)
    };
    // What no graph tracks is frozen, and costs nothing.
    let back = move |args: &[&Tensor], grad: &Tensor| {
        let (x, weight) = (args[0], args[1]);
        let tracked = |i: usize| args.get(i).is_some_and(|t| t.track_op());
        Ok(vec![
            tracked(0)
                .then(|| backward_x_in(precision, weight, grad))
                .transpose()?,
            tracked(1)
                .then(|| backward_weight_in(precision, x, grad))
                .transpose()?,
            tracked(2).then(|| backward_bias(grad)).transpose()?,
        ])
    };
    match bias {
        Some(b) => crate::graph::record("linear", &[x, weight, b], data, shape, back),
        None => crate::graph::record("linear", &[x, weight], data, shape, back),
    }
}

fn gpu(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Option<Gpu> {
    match bias {
        Some(b) => Gpu::of(&[x], &[weight, b]),
        None => Gpu::of(&[x], &[weight]),
    }
}

/// Fails unless `grad` goes back through `weight`, onto `sum` where there is one.
fn through(weight: &Tensor, grad: &Tensor, sum: Option<&Tensor>) -> Result<()> {
    let ((n, out), (expected, width)) = (rows(grad)?, weight.dims2()?);
    let onto = sum.map(rows).transpose()?;
    if out == expected && onto.is_none_or(|onto| onto == (n, width)) {
        return Ok(());
    }
    Err(Error::Msg(format!(
        "linear: gradient {:?} through weight {:?} onto {:?}",
        grad.dims(),
        weight.dims(),
        sum.map(Tensor::dims)
    ))
    .bt())
}

fn check(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    let ((_, width), (out, expected)) = (rows(x)?, weight.dims2()?);
    if width == expected && bias.is_none_or(|b| b.dims() == [out]) {
        return Ok(());
    }
    Err(Error::Msg(format!(
        "linear: x {:?}, weight {:?}, bias {:?}",
        x.dims(),
        weight.dims(),
        bias.map(Tensor::dims)
    ))
    .bt())
}

fn kernels(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> bool {
    on_kernels(&[x, weight]) && bias.is_none_or(|b| on_kernels(&[b]))
}

fn apply(
    precision: Precision,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<(Vec<f32>, Vec<usize>)> {
    let x = x.contiguous()?;
    let (n, width_in) = rows(&x)?;
    check(&x, weight, bias)?;
    let width_out = weight.dim(0)?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = width_out;
    }
    let bias = bias.map(Tensor::contiguous).transpose()?;
    let (rx, rw) = (Reading::of(&x), Reading::of(weight));
    let rb = bias.as_ref().map(Reading::of);
    let xs = View::new(rx.slice::<f32>()?, n, width_in);
    let ws = View::of(&rw, weight, true)?;
    let bs = rb.as_ref().map(|b| b.slice::<f32>()).transpose()?;
    let y = match precision {
        Precision::F32 => cpu::forward(xs, ws, bs),
        Precision::Bf16 => rounded(xs, ws, bs),
    };
    Ok((y, shape))
}

//! 2-D convolution of images laid out as `(batch, height, width, channels)`.
//!
//! y[n, i, j, o] = b[o] + Σ x[n, i s + k d - p, j s + l d - p, c] w[o, c, k, l] over the channels c of o's group and the kernel's
//! k, l, with zeros outside the image: PyTorch's `conv2d` (a cross-correlation), its weights `(out, in / groups, height, width)`
//! as PyTorch stores them. Its gradients: dx is the same sum with the roles of x and y exchanged, over the outputs that saw a
//! pixel; dw[o, c, k, l] = Σ dy[n, i, j, o] x[...] over all pixels; db[o] = Σ dy.
//!
//! Channels lie together, so every tap of the kernel reads a run of memory: all three are products of gathered rows with a
//! packed operand, and a 1 x 1 convolution is a plain product. No patch matrix is written. The gradient of a strided
//! convolution's input is computed for the pixels of each remainder by the stride apart, so that no product is with a zero
//! that the stride put in.
//!
//! Where the processor has tiles of bf16 (AMX), convolutions of enough channels go through them without loss of precision; where it multiplies pairs of bf16
//! (AVX-512 BF16), those that [`Conv2d::precision`] rounds do (`tiles`).
//!
//! [`forward_fused`] and [`backward_x_fused`] take with them what stands around a convolution in a residual network: a factor for
//! each output channel (a batch norm whose statistics stand still), bias, residual and ReLU.

mod cpu;
mod cuda;
mod geometry;
mod kernel;
pub mod reference;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod weights;

use crate::gpu::Gpu;
use crate::graph::Output;
use crate::matmul::Precision;
use crate::tensors::{Reading, on_kernels, pull_back, tensor};
use candle_core::{Error, Result, Tensor};
use cpu::Finish;
use geometry::Shape;

/// Stride, padding, dilation (each for height and width), groups and precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Steps between outputs.
    pub stride: (usize, usize),
    /// Zeros on each side.
    pub padding: (usize, usize),
    /// Steps between taps.
    pub dilation: (usize, usize),
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// With `Bf16`, factors of f32 tensors are rounded to bf16 and products summed in f32, in the gradients too, where the CPU has tiles of them (AMX) or
    /// multiplies pairs of them fast (AVX-512 BF16) and a convolution of enough channels goes there; elsewhere it makes no difference.
    pub precision: Precision,
}

impl Default for Conv2d {
    fn default() -> Self {
        Conv2d {
            stride: (1, 1),
            padding: (0, 0),
            dilation: (1, 1),
            groups: 1,
            precision: Precision::F32,
        }
    }
}

impl Conv2d {
    /// One stride and one padding for both directions.
    pub fn new(stride: usize, padding: usize) -> Self {
        Conv2d {
            stride: (stride, stride),
            padding: (padding, padding),
            ..Conv2d::default()
        }
    }

    /// The output's height and width for an input's and a kernel's; `None` where the kernel does not fit.
    pub fn output(
        &self,
        (h, w): (usize, usize),
        (kh, kw): (usize, usize),
    ) -> Option<(usize, usize)> {
        let axis = |n: usize, k: usize, p: usize, d: usize, s: usize| {
            if k == 0 || d == 0 || s == 0 {
                return None;
            }
            let free = (n + 2 * p).checked_sub(d * (k - 1) + 1)?;
            Some(free / s + 1)
        };
        Some((
            axis(h, kh, self.padding.0, self.dilation.0, self.stride.0)?,
            axis(w, kw, self.padding.1, self.dilation.1, self.stride.1)?,
        ))
    }
}

/// Gradients of a convolution.
#[derive(Clone, Debug)]
pub struct Grads {
    /// Of the input, where it was asked for.
    pub x: Option<Tensor>,
    /// Of the weight.
    pub weight: Tensor,
    /// Of the bias.
    pub bias: Tensor,
}

/// What is done to an output before it is stored: `relu(scale * conv(x) + bias + residual)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fused<'a> {
    /// A factor for each output channel, `(out,)`.
    pub scale: Option<&'a Tensor>,
    /// `(out,)`.
    pub bias: Option<&'a Tensor>,
    /// Of the output's shape.
    pub residual: Option<&'a Tensor>,
    /// Whether negative outputs become zero.
    pub relu: bool,
    /// Whether sums are f64, several times slower: for what magnifies roundings, as a batch norm over few values does.
    pub exact: bool,
}

/// The convolution of `x` `(batch, height, width, channels)`; part of no graph.
pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv2d,
) -> Result<Tensor> {
    let fused = Fused {
        bias,
        ..Fused::default()
    };
    forward_fused(x, weight, conv, &fused)
}

/// The convolution, and what follows it, in one pass; part of no graph.
pub fn forward_fused(
    x: &Tensor,
    weight: &Tensor,
    conv: &Conv2d,
    fused: &Fused<'_>,
) -> Result<Tensor> {
    let (x, weight) = (x.detach(), weight.detach());
    let s = Shape::new(x.dims(), weight.dims(), conv)?;
    check_vector(fused.scale, s.o)?;
    check_vector(fused.bias, s.o)?;
    let dims = [s.n, s.oh, s.ow, s.o];
    check_like(fused.residual, &dims)?;
    if let Some(gpu) = gpu(
        &x,
        &weight,
        [fused.residual, None],
        [fused.scale, fused.bias],
    ) {
        return cuda::forward(&gpu, &x, &weight, &s, fused);
    }
    let extra = [fused.scale, fused.bias, fused.residual];
    if !on_kernels(&[&x, &weight])
        || !on_kernels(&extra.iter().flatten().copied().collect::<Vec<_>>())
    {
        let mut y = reference::conv2d(&x, &weight, None, conv)?;
        if let Some(scale) = fused.scale {
            y = y.broadcast_mul(&scale.detach())?;
        }
        if let Some(bias) = fused.bias {
            y = y.broadcast_add(&bias.detach())?;
        }
        if let Some(residual) = fused.residual {
            y = (y + residual.detach())?;
        }
        return if fused.relu {
            crate::relu::relu(&y)
        } else {
            Ok(y)
        };
    }
    tensor(kernel_forward(&x, &weight, &s, fused)?, &dims)
}

/// The output by the kernels: f32 on the CPU, shapes checked.
fn kernel_forward(x: &Tensor, weight: &Tensor, s: &Shape, fused: &Fused<'_>) -> Result<Vec<f32>> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let [scale, bias, residual] = [
        whole(fused.scale)?,
        whole(fused.bias)?,
        whole(fused.residual)?,
    ];
    let (rx, rw) = (Reading::of(&x), Reading::of(&weight));
    let [rs, rb, rr] = [&scale, &bias, &residual].map(|t| t.as_ref().map(Reading::of));
    let finish = Finish {
        bias: slice(&rb)?,
        add: slice(&rr)?,
        relu: fused.relu,
        keep: None,
        exact: fused.exact,
    };
    let path = s.conv.precision.path();
    Ok(cpu::forward(
        path,
        rx.slice()?,
        rw.slice()?,
        slice(&rs)?,
        s,
        finish,
    ))
}

/// The gradients for the output gradient `grad`.
pub fn backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    conv: &Conv2d,
    need_x: bool,
) -> Result<Grads> {
    let (_, h, w, _) = x.dims4()?;
    let x_grad = match need_x {
        true => Some(backward_x(weight, grad, (h, w), conv)?),
        false => None,
    };
    Ok(Grads {
        x: x_grad,
        weight: backward_weight(x, weight, grad, conv)?,
        bias: backward_bias(grad)?,
    })
}

/// The gradient of an input of height and width `size`.
pub fn backward_x(
    weight: &Tensor,
    grad: &Tensor,
    size: (usize, usize),
    conv: &Conv2d,
) -> Result<Tensor> {
    backward_x_fused(weight, grad, size, conv, None, None, None)
}

/// The gradient of an input of height and width `size` under weights times `scale`, plus `add`, and zero where `keep` is not
/// positive: a residual's gradient and the ReLU below, in the same pass.
pub fn backward_x_fused(
    weight: &Tensor,
    grad: &Tensor,
    size: (usize, usize),
    conv: &Conv2d,
    scale: Option<&Tensor>,
    add: Option<&Tensor>,
    keep: Option<&Tensor>,
) -> Result<Tensor> {
    let (weight, grad) = (weight.detach(), grad.detach());
    let n = grad.dims4()?.0;
    let c = weight.dims4()?.1 * conv.groups;
    let dims = [n, size.0, size.1, c];
    let s = Shape::new(&dims, weight.dims(), conv)?;
    s.check_output(&grad)?;
    check_vector(scale, s.o)?;
    check_like(add, &dims)?;
    check_like(keep, &dims)?;
    if let Some(gpu) = gpu(&grad, &weight, [add, keep], [scale, None]) {
        return cuda::backward_x(&gpu, &weight, &grad, &s, scale, add, keep);
    }
    let extra: Vec<&Tensor> = [scale, add, keep].into_iter().flatten().collect();
    if !on_kernels(&[&weight, &grad]) || !on_kernels(&extra) {
        let x = Tensor::zeros(&dims, grad.dtype(), grad.device())?;
        let scaled = match scale {
            Some(scale) => grad.broadcast_mul(&scale.detach())?,
            None => grad,
        };
        let mut dx = pull_back(&[&x], &scaled, |t| {
            reference::conv2d(&t[0], &weight, None, conv)
        })?
        .remove(0);
        if let Some(add) = add {
            dx = (dx + add.detach())?;
        }
        if let Some(keep) = keep {
            dx = (keep.detach().gt(0f64)?.to_dtype(dx.dtype())? * dx)?;
        }
        return Ok(dx);
    }
    let (weight, grad) = (weight.contiguous()?, grad.contiguous()?);
    let [scale, add, keep] = [whole(scale)?, whole(add)?, whole(keep)?];
    let (rw, rg) = (Reading::of(&weight), Reading::of(&grad));
    let [rs, ra, rk] = [&scale, &add, &keep].map(|t| t.as_ref().map(Reading::of));
    let finish = Finish {
        bias: None,
        add: slice(&ra)?,
        relu: false,
        keep: slice(&rk)?,
        exact: false,
    };
    let path = s.conv.precision.path();
    let (rw, rs, rg) = (rw.slice()?, slice(&rs)?, rg.slice()?);
    let dx = cpu::backward_x(path, rw, rs, rg, &s, finish);
    tensor(dx, &dims)
}

/// The gradient of the weight, of the weight's shape.
pub fn backward_weight(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    conv: &Conv2d,
) -> Result<Tensor> {
    let (x, weight, grad) = (x.detach(), weight.detach(), grad.detach());
    let s = Shape::new(x.dims(), weight.dims(), conv)?;
    s.check_output(&grad)?;
    if let Some(gpu) = gpu(&x, &weight, [Some(&grad), None], [None, None]) {
        return Ok(cuda::backward_weight(&gpu, &x, &weight, None, &grad, &s)?.0);
    }
    if !on_kernels(&[&x, &weight, &grad]) {
        return Ok(pull_back(&[&weight], &grad, |t| {
            reference::conv2d(&x, &t[0], None, conv)
        })?
        .remove(0));
    }
    Ok(weight_gradient(&x, &weight, None, &grad, &s)?.0)
}

/// The gradient of the weight under outputs that were multiplied by `scale` `(out,)`, and the gradient of `scale`.
pub fn backward_weight_scaled(
    x: &Tensor,
    weight: &Tensor,
    scale: &Tensor,
    grad: &Tensor,
    conv: &Conv2d,
) -> Result<(Tensor, Tensor)> {
    let (x, weight, grad) = (x.detach(), weight.detach(), grad.detach());
    let s = Shape::new(x.dims(), weight.dims(), conv)?;
    s.check_output(&grad)?;
    check_vector(Some(scale), s.o)?;
    if let Some(gpu) = gpu(&x, &weight, [Some(&grad), None], [Some(scale), None]) {
        let (dw, ds) = cuda::backward_weight(&gpu, &x, &weight, Some(scale), &grad, &s)?;
        return Ok((dw, ds.map_or_else(|| scale.zeros_like(), Ok)?));
    }
    if !on_kernels(&[&x, &weight, &grad, scale]) {
        let all = pull_back(&[&weight, scale], &grad, |t| {
            reference::conv2d(&x, &t[0], None, conv)?.broadcast_mul(&t[1])
        })?;
        return Ok((all[0].clone(), all[1].clone()));
    }
    weight_gradient(&x, &weight, Some(scale), &grad, &s)
}

fn weight_gradient(
    x: &Tensor,
    weight: &Tensor,
    scale: Option<&Tensor>,
    grad: &Tensor,
    s: &Shape,
) -> Result<(Tensor, Tensor)> {
    let (x, grad, weight) = (x.contiguous()?, grad.contiguous()?, weight.contiguous()?);
    let scale = whole(scale)?;
    let (rx, rg, rw) = (Reading::of(&x), Reading::of(&grad), Reading::of(&weight));
    let rs = scale.as_ref().map(Reading::of);
    let scale = match slice(&rs)? {
        Some(scale) => Some((rw.slice()?, scale)),
        None => None,
    };
    let path = s.conv.precision.path();
    let (dw, dots) = weights::backward_weight(path, rx.slice()?, rg.slice()?, s, scale);
    let n = dots.len();
    Ok((tensor(dw, weight.shape())?, tensor(dots, n)?))
}

/// The gradient of the bias: the sum over all pixels.
pub fn backward_bias(grad: &Tensor) -> Result<Tensor> {
    crate::linear::backward_bias(grad)
}

/// The convolution, recorded in Candle's graph.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    let mut inputs = vec![x, weight];
    inputs.extend(bias);
    let on_gpu = gpu(x, weight, [None, None], [bias, None]).is_some();
    if !on_gpu && !on_kernels(&inputs) {
        Shape::new(x.dims(), weight.dims(), conv)?;
        return reference::conv2d(x, weight, bias, conv);
    }
    let s = Shape::new(x.dims(), weight.dims(), conv)?;
    check_vector(bias, s.o)?;
    let bias = bias.map(Tensor::detach);
    let fused = Fused {
        bias: bias.as_ref(),
        ..Fused::default()
    };
    let data: Output = match on_gpu {
        true => forward_fused(x, weight, conv, &fused)?.into(),
        false => kernel_forward(&x.detach(), &weight.detach(), &s, &fused)?.into(),
    };
    let conv = *conv;
    let shape = (s.n, s.oh, s.ow, s.o);
    crate::graph::record("conv2d", &inputs, data, shape, move |args, grad| {
        let (x, weight) = (args[0], args[1]);
        let (_, h, w, _) = x.dims4()?;
        let mut grads = vec![
            x.track_op()
                .then(|| backward_x(weight, grad, (h, w), &conv))
                .transpose()?,
            weight
                .track_op()
                .then(|| backward_weight(x, weight, grad, &conv))
                .transpose()?,
        ];
        if let Some(bias) = args.get(2) {
            grads.push(bias.track_op().then(|| backward_bias(grad)).transpose()?);
        }
        Ok(grads)
    })
}

/// What runs on these activations, the weight and other parameters on a GPU, if something does.
fn gpu(
    x: &Tensor,
    weight: &Tensor,
    activations: [Option<&Tensor>; 2],
    parameters: [Option<&Tensor>; 2],
) -> Option<Gpu> {
    let activations: Vec<&Tensor> = activations.into_iter().flatten().chain([x]).collect();
    let parameters: Vec<&Tensor> = parameters.into_iter().flatten().chain([weight]).collect();
    Gpu::of(&activations, &parameters)
}

fn check_vector(t: Option<&Tensor>, n: usize) -> Result<()> {
    match t {
        Some(t) if t.dims() != [n] => Err(Error::Msg(format!(
            "conv2d: scale or bias has shape {:?}, expected [{n}]",
            t.dims()
        ))
        .bt()),
        _ => Ok(()),
    }
}

fn check_like(t: Option<&Tensor>, dims: &[usize]) -> Result<()> {
    match t {
        Some(t) if t.dims() != dims => Err(Error::Msg(format!(
            "conv2d: a residual, gradient or mask has shape {:?}, expected {dims:?}",
            t.dims()
        ))
        .bt()),
        _ => Ok(()),
    }
}

fn whole(t: Option<&Tensor>) -> Result<Option<Tensor>> {
    t.map(|t| t.detach().contiguous()).transpose()
}

fn slice<'a>(r: &'a Option<Reading<'_>>) -> Result<Option<&'a [f32]>> {
    r.as_ref().map(|r| r.slice()).transpose()
}

//! Convolution on a GPU: a matrix of patches, and products by cuBLAS, one batch of all groups. A 1 x 1 convolution without stride and padding is
//! a product of the image itself. Sums are f32; an output has the activations' type, and the gradient of a weight is f32.

use super::geometry::Shape;
use super::{Conv2d, Fused};
use crate::gpu::{Arg, Factor, Gemm, Gpu, Grid, count};
use candle_core::{DType, Result, Tensor};

impl Shape {
    fn rows(&self) -> usize {
        self.n * self.oh * self.ow
    }

    /// Elements of a row of patches.
    fn width(&self) -> usize {
        self.c * self.taps()
    }

    /// Whether patches would be the image itself.
    fn plain(&self) -> bool {
        let Conv2d {
            stride, padding, ..
        } = self.conv;
        self.taps() == 1 && stride == (1, 1) && padding == (0, 0)
    }

    fn sizes(&self) -> Result<Vec<Arg<'static>>> {
        let conv = &self.conv;
        [
            self.h,
            self.w,
            self.c,
            self.oh,
            self.ow,
            self.kh,
            self.kw,
            conv.stride.0,
            conv.stride.1,
            conv.padding.0,
            conv.padding.1,
            conv.dilation.0,
            conv.dilation.1,
            self.depth(),
        ]
        .into_iter()
        .map(|n| Ok(Arg::U32(count(n)?)))
        .collect()
    }

    /// Elements from a row of patches to the next: zeros follow the row where cuBLAS's fast products of bf16 want rows of whole 16 bytes (of
    /// a network's first convolution: three channels make rows of 147).
    pub(super) fn pitch(&self, dtype: DType) -> usize {
        match dtype == DType::BF16 && self.conv.groups == 1 && !self.plain() {
            true => self.width().next_multiple_of(8),
            false => self.width(),
        }
    }

    /// Elements that a row of patches has for a group: what an output pixel is summed over, and the zeros behind it.
    fn inner(&self, dtype: DType) -> usize {
        self.pitch(dtype) / self.conv.groups
    }

    /// The kernel that makes patches of this image.
    pub(super) fn patcher(&self, x: &Tensor) -> &'static str {
        let bytes = |elements: usize| elements * x.dtype().size_in_bytes();
        let whole = |elements: usize| bytes(elements).is_multiple_of(16);
        match whole(self.depth()) && whole(x.layout().start_offset()) {
            true => "conv_patches_by_16",
            false => "conv_patches",
        }
    }

    /// The patches of x, (rows, pitch).
    fn patches(&self, gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        let pitch = self.pitch(x.dtype());
        if self.plain() {
            return x.reshape((self.rows(), pitch));
        }
        let patches = gpu.empty((self.rows(), pitch), x.dtype())?;
        let mut args = vec![
            Arg::In(&x),
            Arg::Out(&patches),
            Arg::U32(count(self.rows())?),
            Arg::U32(count(pitch)?),
        ];
        args.extend(self.sizes()?);
        let grid = Grid::warps(self.rows())?;
        gpu.launch(self.patcher(&x), x.dtype(), grid, &args)?;
        Ok(patches)
    }

    /// The weight as (out, inner), in a type: the columns of patches.
    fn columns_of(&self, weight: &Tensor, dtype: DType) -> Result<Tensor> {
        let flat = self.weight(weight, None, dtype)?;
        let k = flat.dim(1)?;
        flat.pad_with_zeros(1, 0, self.inner(dtype) - k)
    }

    /// The weight as (out, taps * depth), an output channel's scale in it, in a type.
    fn weight(&self, weight: &Tensor, scale: Option<&Tensor>, dtype: DType) -> Result<Tensor> {
        let flat = weight
            .permute((0, 2, 3, 1))?
            .contiguous()?
            .reshape((self.o, self.taps() * self.depth()))?;
        let flat = match scale {
            Some(scale) => flat.broadcast_mul(&scale.detach().unsqueeze(1)?)?,
            None => flat,
        };
        flat.to_dtype(dtype)
    }

    /// Parts of the groups in a matrix whose rows are `row` apart, `step` elements from one to the next.
    fn part<'a>(t: &'a Tensor, row: usize, step: usize, transposed: bool) -> Factor<'a> {
        Factor {
            steps: (0, step),
            ..Factor::matrix(t, row, transposed)
        }
    }

    fn gemm<'a>(
        &self,
        (a, b, c): (Factor<'a>, Factor<'a>, Factor<'a>),
        (m, n, k): (usize, usize, usize),
    ) -> Gemm<'a> {
        Gemm {
            a,
            b,
            c,
            m,
            n,
            k,
            alpha: 1.0,
            beta: 0.0,
            batch: (1, self.conv.groups),
        }
    }
}

pub(super) fn forward(
    gpu: &Gpu,
    x: &Tensor,
    weight: &Tensor,
    s: &Shape,
    fused: &Fused<'_>,
) -> Result<Tensor> {
    let y = gpu.empty((s.n, s.oh, s.ow, s.o), x.dtype())?;
    let patches = s.patches(gpu, x)?;
    let flat = s.columns_of(weight, x.dtype())?;
    let k = s.inner(x.dtype());
    gpu.multiply(&s.gemm(
        (
            Shape::part(&patches, s.pitch(x.dtype()), k, false),
            Shape::part(&flat, k, s.columns() * k, true),
            Shape::part(&y, s.o, s.columns(), false),
        ),
        (s.rows(), s.columns(), k),
    ))?;
    let whole = |t: Option<&Tensor>| t.map(|t| t.detach().contiguous()).transpose();
    finish(
        gpu,
        &y,
        whole(fused.scale)?.as_ref(),
        whole(fused.bias)?.as_ref(),
        whole(fused.residual)?.as_ref(),
        fused.relu,
    )?;
    Ok(y)
}

/// What is done to an output before it is stored; nothing where nothing is asked for.
fn finish(
    gpu: &Gpu,
    y: &Tensor,
    scale: Option<&Tensor>,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<()> {
    if scale.is_none() && bias.is_none() && residual.is_none() && !relu {
        return Ok(());
    }
    let n = y.elem_count();
    gpu.launch(
        "conv_finish",
        y.dtype(),
        Grid::elements(n)?,
        &[
            Arg::Out(y),
            Arg::read(scale),
            Arg::read(bias),
            Arg::read(residual),
            Arg::U64(n as u64),
            Arg::U32(count(y.dim(3)?)?),
            Arg::U32(u32::from(relu)),
        ],
    )
}

/// The gradient of the input under weights times `scale`, plus `add`, and zero where `keep` is not positive.
pub(super) fn backward_x(
    gpu: &Gpu,
    weight: &Tensor,
    grad: &Tensor,
    s: &Shape,
    scale: Option<&Tensor>,
    add: Option<&Tensor>,
    keep: Option<&Tensor>,
) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    let flat = s.weight(weight, scale, grad.dtype())?;
    let k = s.taps() * s.depth();
    let patches = gpu.empty((s.rows(), s.width()), grad.dtype())?;
    gpu.multiply(&s.gemm(
        (
            Shape::part(&grad, s.o, s.columns(), false),
            Shape::part(&flat, k, s.columns() * k, false),
            Shape::part(&patches, s.width(), k, false),
        ),
        (s.rows(), k, s.columns()),
    ))?;
    let shape = (s.n, s.h, s.w, s.c);
    if s.plain() && add.is_none() && keep.is_none() {
        return patches.reshape(shape);
    }
    let whole = |t: Option<&Tensor>| t.map(|t| t.detach().contiguous()).transpose();
    let (add, keep) = (whole(add)?, whole(keep)?);
    let gx = gpu.empty(shape, grad.dtype())?;
    let n = gx.elem_count();
    let mut args = vec![
        Arg::In(&patches),
        Arg::read(add.as_ref()),
        Arg::read(keep.as_ref()),
        Arg::Out(&gx),
        Arg::U64(n as u64),
    ];
    args.extend(s.sizes()?);
    gpu.launch("conv_image", grad.dtype(), Grid::elements(n)?, &args)?;
    Ok(gx)
}

/// The gradient of the weight under outputs that were multiplied by `scale`, and the gradient of `scale`.
pub(super) fn backward_weight(
    gpu: &Gpu,
    x: &Tensor,
    weight: &Tensor,
    scale: Option<&Tensor>,
    grad: &Tensor,
    s: &Shape,
) -> Result<(Tensor, Option<Tensor>)> {
    let grad = grad.contiguous()?;
    let patches = s.patches(gpu, x)?;
    let k = s.inner(x.dtype());
    let flat = gpu.empty((s.o, k), DType::F32)?;
    gpu.multiply(&s.gemm(
        (
            Shape::part(&grad, s.o, s.columns(), true),
            Shape::part(&patches, s.pitch(x.dtype()), k, false),
            Shape::part(&flat, k, s.columns() * k, false),
        ),
        (s.columns(), k, s.rows()),
    ))?;
    let dw = flat
        .narrow(1, 0, s.taps() * s.depth())?
        .reshape((s.o, s.kh, s.kw, s.depth()))?
        .permute((0, 3, 1, 2))?
        .contiguous()?;
    let Some(scale) = scale else {
        return Ok((dw, None));
    };
    let dots = (&dw * weight)?.flatten_from(1)?.sum(1)?;
    let scale = scale.detach().reshape((s.o, 1, 1, 1))?;
    Ok((dw.broadcast_mul(&scale)?, Some(dots)))
}

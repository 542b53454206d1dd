//! The convolution in plain Candle operations: a matrix of patches and a product.

use super::Conv2d;
use candle_core::{Device, Result, Tensor};

/// x `(batch, height, width, channels)`, weight `(out, in / groups, height, width)`.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (o, i, kh, kw) = weight.dims4()?;
    let Some((oh, ow)) = conv.output((h, w), (kh, kw)) else {
        return Err(candle_core::Error::Msg("conv2d: no output".into()).bt());
    };
    let ids = patches((n, h, w), (kh, kw), conv, (oh, ow), x.device())?;
    // The last row is what lies outside the image.
    let rows = x.contiguous()?.reshape((n * h * w, c))?;
    let outside = Tensor::zeros((1, c), x.dtype(), x.device())?;
    let rows = Tensor::cat(&[&rows, &outside], 0)?;
    let patches = rows
        .index_select(&ids, 0)?
        .reshape((n * oh * ow, kh * kw, c))?;
    let mut groups = Vec::new();
    for g in 0..conv.groups {
        let a = patches
            .narrow(2, g * i, i)?
            .contiguous()?
            .reshape((n * oh * ow, kh * kw * i))?;
        let columns = o / conv.groups;
        let b = weight
            .narrow(0, g * columns, columns)?
            .permute((2, 3, 1, 0))?
            .contiguous()?
            .reshape((kh * kw * i, columns))?;
        groups.push(a.matmul(&b)?);
    }
    let y = Tensor::cat(&groups, 1)?.reshape((n, oh, ow, o))?;
    match bias {
        Some(b) => y.broadcast_add(b),
        None => Ok(y),
    }
}

/// For each output pixel and tap the input pixel it sees; one past the last where that is outside.
fn patches(
    (n, h, w): (usize, usize, usize),
    (kh, kw): (usize, usize),
    conv: &Conv2d,
    (oh, ow): (usize, usize),
    device: &Device,
) -> Result<Tensor> {
    let at = |i: usize, k: usize, s: usize, p: usize, d: usize, size: usize| {
        (i * s + k * d).checked_sub(p).filter(|&y| y < size)
    };
    let mut ids = Vec::with_capacity(n * oh * ow * kh * kw);
    for image in 0..n {
        for i in 0..oh {
            for j in 0..ow {
                for k in 0..kh {
                    for l in 0..kw {
                        let y = at(i, k, conv.stride.0, conv.padding.0, conv.dilation.0, h);
                        let x = at(j, l, conv.stride.1, conv.padding.1, conv.dilation.1, w);
                        ids.push(match (y, x) {
                            (Some(y), Some(x)) => ((image * h + y) * w + x) as u32,
                            _ => (n * h * w) as u32,
                        });
                    }
                }
            }
        }
    }
    Tensor::new(ids, device)
}

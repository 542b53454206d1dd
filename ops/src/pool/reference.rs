//! Max-pooling in plain Candle operations.

use super::Window;
use candle_core::{Result, Tensor};

/// The maximum of each window of x `(batch, height, width, channels)`; the gradient goes to the first of equal ones, on a GPU to one of them.
pub fn max(x: &Tensor, window: &Window) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = window.output((h, w))?;
    let (rows, columns) = (window.spans(true, h, oh), window.spans(false, w, ow));
    let (kh, kw) = window.kernel;
    let mut ids = Vec::with_capacity(n * oh * ow * kh * kw);
    for image in 0..n {
        for &(top, bottom) in &rows {
            for &(left, right) in &columns {
                let from = ids.len();
                for y in top..bottom {
                    for x in left..right {
                        ids.push(((image * h + y) * w + x) as u32);
                    }
                }
                // A window of every size: the last place again, which no first maximum is.
                let last = ids[ids.len() - 1];
                ids.resize(from + kh * kw, last);
            }
        }
    }
    let ids = Tensor::new(ids, x.device())?;
    let windows = x
        .contiguous()?
        .reshape((n * h * w, c))?
        .index_select(&ids, 0)?
        .reshape((n * oh * ow, kh * kw, c))?;
    let first = windows.detach().argmax_keepdim(1)?;
    windows.gather(&first, 1)?.reshape((n, oh, ow, c))
}

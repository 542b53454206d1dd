//! Pooling of images `(batch, height, width, channels)`, with PyTorch's meaning of padding, ceil mode and divisors.
//!
//! Maximum: y = max over the window, places outside the image not among them; the gradient goes to the first place, row by
//! row, that holds the maximum. Average: y = Σ x / d, where d counts the window's places, those in the padding too or not; the
//! gradient spreads dy / d over the window. Adaptive average: output i of an axis averages places ⌊i in/out⌋ to
//! ⌈(i + 1) in/out⌉.

mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::resample::{self, Axis};
use crate::tensors::{Reading, on_kernels, pull_back, tensor};
use candle_core::{Error, Result, Tensor};
use std::sync::Arc;

/// The windows of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: (usize, usize),
    /// Steps between windows.
    pub stride: (usize, usize),
    /// How far the first window lies outside the image; at most half the kernel.
    pub padding: (usize, usize),
    /// Whether a last window that reaches past the padded image counts.
    pub ceil: bool,
    /// Whether places in the padding count in an average's divisor.
    pub count_padding: bool,
}

impl Window {
    /// A square window.
    pub fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Window {
            kernel: (kernel, kernel),
            stride: (stride, stride),
            padding: (padding, padding),
            ceil: false,
            count_padding: true,
        }
    }

    /// The output's height and width, or what is wrong.
    pub fn output(&self, (h, w): (usize, usize)) -> Result<(usize, usize)> {
        let axis = |n: usize, k: usize, s: usize, p: usize| {
            let fail = || {
                let text = format!("pool: an image of {h} x {w} has no window of {self:?}");
                Error::Msg(text).bt()
            };
            if k == 0 || s == 0 || 2 * p > k {
                return Err(fail());
            }
            let free = (n + 2 * p).checked_sub(k).ok_or_else(fail)?;
            let mut out = if self.ceil {
                free.div_ceil(s)
            } else {
                free / s
            } + 1;
            // Every window begins within the image or the padding before it.
            if self.ceil && (out - 1) * s >= n + p {
                out -= 1;
            }
            Ok(out)
        };
        Ok((
            axis(h, self.kernel.0, self.stride.0, self.padding.0)?,
            axis(w, self.kernel.1, self.stride.1, self.padding.1)?,
        ))
    }

    /// The places of each window within the image, for one axis.
    pub(crate) fn spans(
        &self,
        vertical: bool,
        inputs: usize,
        outputs: usize,
    ) -> Vec<(usize, usize)> {
        let pick = |p: (usize, usize)| if vertical { p.0 } else { p.1 };
        let (k, s, p) = (pick(self.kernel), pick(self.stride), pick(self.padding));
        (0..outputs)
            .map(|i| {
                let from = (i * s).saturating_sub(p);
                (from.min(inputs), (i * s + k).saturating_sub(p).min(inputs))
            })
            .collect()
    }

    fn axes(&self, (h, w): (usize, usize)) -> Result<(Axis, Axis)> {
        let (oh, ow) = self.output((h, w))?;
        let axis = |vertical: bool, n: usize, out: usize| {
            let pick = |p: (usize, usize)| if vertical { p.0 } else { p.1 };
            let (k, s, p) = (pick(self.kernel), pick(self.stride), pick(self.padding));
            let terms = self.spans(vertical, n, out).into_iter().enumerate();
            let terms = terms.map(|(i, (from, to))| {
                // The window ends with the padding on the far side, not beyond it.
                let count = match self.count_padding {
                    true => (i * s + k).min(n + 2 * p) - i * s,
                    false => to - from,
                };
                (from..to).map(|a| (a, 1.0 / count as f64)).collect()
            });
            Axis::new(n, terms.collect())
        };
        Ok((axis(true, h, oh), axis(false, w, ow)))
    }
}

/// Which place of each window held the maximum.
#[derive(Clone, Debug)]
pub struct Saved {
    places: Places,
    window: Window,
    size: (usize, usize),
}

#[derive(Clone, Debug)]
enum Places {
    /// The place's number within the window.
    Known(Arc<Vec<u16>>),
    /// The same on a GPU, a byte each.
    Device(Tensor),
    /// The input, where the reference ran.
    Input(Tensor),
}

/// The maximum of each window; part of no graph.
pub fn max_forward(x: &Tensor, window: &Window) -> Result<(Tensor, Saved)> {
    let x = x.detach();
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = window.output((h, w))?;
    let saved = |places| Saved {
        places,
        window: *window,
        size: (h, w),
    };
    if let Some(gpu) = gpu(&x, window) {
        let (y, places) = cuda::forward(&gpu, &x, window)?;
        return Ok((y, saved(Places::Device(places))));
    }
    if !on_kernels(&[&x]) || window.kernel.0 * window.kernel.1 > usize::from(u16::MAX) {
        let y = reference::max(&x, window)?;
        return Ok((y, saved(Places::Input(x))));
    }
    let (y, places) = run(&x, window)?;
    Ok((
        tensor(y, (n, oh, ow, c))?,
        saved(Places::Known(Arc::new(places))),
    ))
}

/// The gradient of the input of [`max_forward`].
pub fn max_backward(saved: &Saved, grad: &Tensor) -> Result<Tensor> {
    let grad = grad.detach();
    let places = match &saved.places {
        Places::Device(places) => {
            let (_, oh, ow, _) = grad.dims4()?;
            let fits = (oh, ow) == saved.window.output(saved.size)? && places.dims() == grad.dims();
            return match gpu(&grad, &saved.window).filter(|_| fits) {
                Some(gpu) => cuda::backward(&gpu, &grad, places, &saved.window, saved.size),
                None => {
                    let text = format!("max pool: a gradient of shape {:?}", grad.dims());
                    Err(Error::Msg(text).bt())
                }
            };
        }
        Places::Known(places) if on_kernels(&[&grad]) => places,
        Places::Known(_) => {
            return Err(Error::Msg("max pool: a gradient of another type".into()).bt());
        }
        Places::Input(x) => {
            return Ok(pull_back(&[x], &grad, |t| reference::max(&t[0], &saved.window))?.remove(0));
        }
    };
    let (n, oh, ow, c) = grad.dims4()?;
    if (oh, ow) != saved.window.output(saved.size)? || places.len() != grad.elem_count() {
        let text = format!("max pool: a gradient of shape {:?}", grad.dims());
        return Err(Error::Msg(text).bt());
    }
    let grad = grad.contiguous()?;
    let reading = Reading::of(&grad);
    let (h, w) = saved.size;
    let dx = cpu::max_backward(
        reading.slice()?,
        places,
        &saved.window,
        (n, h, w, c),
        (oh, ow),
    );
    tensor(dx, (n, h, w, c))
}

/// The maximum of each window, recorded in Candle's graph.
pub fn max_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    if gpu(x, window).is_some() {
        let (y, saved) = max_forward(x, window)?;
        let shape = y.shape().clone();
        let back = move |_: &[&Tensor], grad: &Tensor| Ok(vec![Some(max_backward(&saved, grad)?)]);
        return crate::graph::record("max_pool", &[x], y, shape, back);
    }
    if !on_kernels(&[x]) || window.kernel.0 * window.kernel.1 > usize::from(u16::MAX) {
        return reference::max(x, window);
    }
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = window.output((h, w))?;
    let (y, places) = run(&x.detach(), window)?;
    let saved = Saved {
        places: Places::Known(Arc::new(places)),
        window: *window,
        size: (h, w),
    };
    crate::graph::record("max_pool", &[x], y, (n, oh, ow, c), move |_, grad| {
        Ok(vec![Some(max_backward(&saved, grad)?)])
    })
}

/// What runs max-pooling of these activations on a GPU, if something does.
fn gpu(x: &Tensor, window: &Window) -> Option<Gpu> {
    Gpu::of(&[x], &[]).filter(|_| cuda::fits(window))
}

fn run(x: &Tensor, window: &Window) -> Result<(Vec<f32>, Vec<u16>)> {
    let x = x.contiguous()?;
    let dims = x.dims4()?;
    let reading = Reading::of(&x);
    let out = window.output((dims.1, dims.2))?;
    Ok(cpu::max_forward(reading.slice()?, window, dims, out))
}

/// The average of each window; part of no graph.
pub fn average_forward(x: &Tensor, window: &Window) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let (rows, columns) = window.axes((h, w))?;
    resample::forward(x, &rows, &columns)
}

/// The gradient of an input of height and width `size` under [`average_forward`].
pub fn average_backward(size: (usize, usize), window: &Window, grad: &Tensor) -> Result<Tensor> {
    let (rows, columns) = window.axes(size)?;
    check(grad, &rows, &columns)?;
    resample::backward(grad, &rows, &columns)
}

/// The average of each window, recorded in Candle's graph.
pub fn average_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let (rows, columns) = window.axes((h, w))?;
    resample::graph("average_pool", x, &rows, &columns)
}

/// Averages over `size` (height, width) parts; part of no graph.
pub fn adaptive_forward(x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    if (h, w) == size {
        return Ok(x.detach());
    }
    let (rows, columns) = adaptive((h, w), size)?;
    resample::forward(x, &rows, &columns)
}

/// The gradient of an input of height and width `from` under [`adaptive_forward`].
pub fn adaptive_backward(from: (usize, usize), grad: &Tensor) -> Result<Tensor> {
    let (_, oh, ow, _) = grad.dims4()?;
    if (oh, ow) == from {
        return Ok(grad.detach());
    }
    let (rows, columns) = adaptive(from, (oh, ow))?;
    resample::backward(grad, &rows, &columns)
}

/// Averages over `size` (height, width) parts, recorded in Candle's graph.
pub fn adaptive_average_pool(x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let (rows, columns) = adaptive((h, w), size)?;
    resample::graph("adaptive_average_pool", x, &rows, &columns)
}

fn adaptive((h, w): (usize, usize), (oh, ow): (usize, usize)) -> Result<(Axis, Axis)> {
    if h == 0 || w == 0 || oh == 0 || ow == 0 {
        let text = format!("adaptive pool: from {h} x {w} to {oh} x {ow}");
        return Err(Error::Msg(text).bt());
    }
    let axis = |n: usize, out: usize| {
        let terms = (0..out).map(|i| {
            let (from, to) = (i * n / out, ((i + 1) * n).div_ceil(out));
            (from..to).map(|a| (a, 1.0 / (to - from) as f64)).collect()
        });
        Axis::new(n, terms.collect())
    };
    Ok((axis(h, oh), axis(w, ow)))
}

fn check(grad: &Tensor, rows: &Axis, columns: &Axis) -> Result<()> {
    let (_, oh, ow, _) = grad.dims4()?;
    if (oh, ow) != (rows.outputs(), columns.outputs()) {
        let text = format!(
            "average pool: a gradient of {oh} x {ow}, expected {} x {}",
            rows.outputs(),
            columns.outputs()
        );
        return Err(Error::Msg(text).bt());
    }
    Ok(())
}

//! Which pixels of one tensor meet which pixels of another, tap by tap.

use super::Conv2d;
use candle_core::{Error, Result, Tensor};

/// The sizes of one convolution. Images are `(n, h, w, c)`, outputs `(n, oh, ow, o)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) n: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) c: usize,
    pub(super) o: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
    pub(super) conv: Conv2d,
}

impl Shape {
    /// Of an input and a weight, checked.
    pub(super) fn new(x: &[usize], weight: &[usize], conv: &Conv2d) -> Result<Self> {
        let fail = |why: &str| {
            Err(Error::Msg(format!(
                "conv2d: {why}; input {x:?} as (batch, height, width, channels), weight {weight:?} as (out, in / groups, height, width), {conv:?}"
            ))
            .bt())
        };
        let (&[n, h, w, c], &[o, i, kh, kw]) = (x, weight) else {
            return fail("input and weight have four dimensions");
        };
        let g = conv.groups;
        if g == 0 || !c.is_multiple_of(g) || !o.is_multiple_of(g) || i != c / g {
            return fail("channels do not fit the weight and the groups");
        }
        if kh == 0 || kw == 0 || i == 0 || o == 0 {
            return fail("the kernel is empty");
        }
        let Some((oh, ow)) = conv.output((h, w), (kh, kw)) else {
            return fail("the kernel is larger than the padded input");
        };
        Ok(Shape {
            n,
            h,
            w,
            c,
            o,
            kh,
            kw,
            oh,
            ow,
            conv: *conv,
        })
    }

    pub(super) fn check_output(&self, grad: &Tensor) -> Result<()> {
        let expected = [self.n, self.oh, self.ow, self.o];
        if grad.dims() != expected {
            return Err(Error::Msg(format!(
                "conv2d: the output's gradient has shape {:?}, expected {expected:?}",
                grad.dims()
            ))
            .bt());
        }
        Ok(())
    }

    pub(super) fn taps(&self) -> usize {
        self.kh * self.kw
    }

    /// Input channels of one group.
    pub(super) fn depth(&self) -> usize {
        self.c / self.conv.groups
    }

    /// Output channels of one group.
    pub(super) fn columns(&self) -> usize {
        self.o / self.conv.groups
    }
}

/// An image that rows are gathered from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) data: &'a [f32],
    pub(super) h: usize,
    pub(super) w: usize,
    /// Floats from a pixel to its right neighbour.
    pub(super) pixel: usize,
    /// Floats that each tap reads of a pixel (and, when taps of a row are one run, of its right neighbours).
    pub(super) depth: usize,
}

/// One tap: where it lies in the weights, and how far from a row's place in the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) index: usize,
    pub(super) y: isize,
    pub(super) x: isize,
}

/// Destination pixels that see the source through the same taps: all of them in a forward pass, those of one remainder by the
/// stride in the gradient of the input.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) n: usize,
    /// Pixels of this class in an image.
    pub(super) grid: (usize, usize),
    /// The destination's size, its first pixel of this class and the steps to the next ones.
    pub(super) size: (usize, usize),
    pub(super) first: (usize, usize),
    pub(super) step: (usize, usize),
    /// Steps in the source.
    pub(super) source_step: (usize, usize),
    pub(super) taps: Vec<Tap>,
}

impl Class {
    pub(super) fn rows(&self) -> usize {
        self.n * self.grid.0 * self.grid.1
    }

    /// Pointers for rows `from .. from + rows`, tap by tap, `stride` apart, and where each row is in the destination (in
    /// pixels). Rows up to the stride get the zeros.
    ///
    /// # Safety
    /// Only that pointers are made: each is within the source, at a pixel with `depth` floats from `channel` on, or `zeros`.
    pub(super) fn table(
        &self,
        source: Source<'_>,
        channel: usize,
        zeros: *const f32,
        from: usize,
        rows: usize,
        stride: usize,
        table: &mut Vec<*const f32>,
        at: &mut Vec<usize>,
    ) {
        table.clear();
        table.resize(self.taps.len() * stride, zeros);
        at.clear();
        at.resize(stride, 0);
        let base = source.data.as_ptr().wrapping_add(channel);
        self.walk((source.h, source.w), from, rows, stride, at, |m| {
            let (first, apart) = (
                base.wrapping_add(m.pixel * source.pixel),
                m.apart * source.pixel,
            );
            for (k, seen) in table[m.slot..][..m.rows].iter_mut().enumerate() {
                *seen = first.wrapping_add(k * apart);
            }
        });
    }

    /// Calls `meet` for the rows `from .. from + rows` and each tap that sees pixels of a source of this `size`, run by run, and writes where each row is in
    /// the destination (in pixels).
    pub(super) fn walk(
        &self,
        size: (usize, usize),
        from: usize,
        rows: usize,
        stride: usize,
        at: &mut [usize],
        mut meet: impl FnMut(Meeting),
    ) {
        let (gh, gw) = self.grid;
        let (h, w) = (size.0 as isize, size.1 as isize);
        let (down, along) = (self.source_step.0, self.source_step.1);
        let mut row = 0;
        while row < rows {
            let place = from + row;
            let (n, i, j) = (place / (gh * gw), place / gw % gh, place % gw);
            let end = gw.min(j + rows - row);
            let line =
                (n * self.size.0 + self.first.0 + i * self.step.0) * self.size.1 + self.first.1;
            for (at, j) in at[row..].iter_mut().zip(j..end) {
                *at = line + j * self.step.1;
            }
            let image = n as isize * h;
            for (t, tap) in self.taps.iter().enumerate() {
                let y = (i * down) as isize + tap.y;
                if y < 0 || y >= h {
                    continue;
                }
                // The columns whose pixel, `j * along + tap.x`, lies between 0 and w.
                let inside = |x: isize| (x.max(0) as usize).div_ceil(along);
                let (first, last) = (inside(-tap.x).max(j), inside(w - tap.x).min(end));
                if first < last {
                    let x = (first * along) as isize + tap.x;
                    meet(Meeting {
                        slot: t * stride + row + first - j,
                        rows: last - first,
                        pixel: ((image + y) * w + x) as usize,
                        apart: along,
                    });
                }
            }
            row += end - j;
        }
    }
}

/// Rows, one after another, that see pixels through a tap.
#[derive(Clone, Copy)]
pub(super) struct Meeting {
    /// The first row, as `tap * stride + row`, and how many.
    pub(super) slot: usize,
    pub(super) rows: usize,
    /// The pixel that the first one sees, and the steps to those of the others.
    pub(super) pixel: usize,
    pub(super) apart: usize,
}

/// The output's pixels and the taps through which they see the input.
pub(super) fn forward(s: &Shape) -> Class {
    let (ph, pw) = s.conv.padding;
    let (dh, dw) = s.conv.dilation;
    let mut taps = Vec::with_capacity(s.taps());
    for ky in 0..s.kh {
        for kx in 0..s.kw {
            taps.push(Tap {
                index: ky * s.kw + kx,
                y: (ky * dh) as isize - ph as isize,
                x: (kx * dw) as isize - pw as isize,
            });
        }
    }
    Class {
        n: s.n,
        grid: (s.oh, s.ow),
        size: (s.oh, s.ow),
        first: (0, 0),
        step: (1, 1),
        source_step: s.conv.stride,
        taps,
    }
}

/// The input's pixels, by their remainder by the stride, and the taps through which they were seen by the output.
pub(super) fn transposed(s: &Shape) -> Vec<Class> {
    let (sh, sw) = s.conv.stride;
    let axis = |remainder: usize, kernel: usize, pad: usize, dilation: usize, stride: usize| {
        let mut taps = Vec::new();
        for k in 0..kernel {
            let offset = (remainder + pad) as isize - (k * dilation) as isize;
            if offset.rem_euclid(stride as isize) == 0 {
                taps.push((k, offset.div_euclid(stride as isize)));
            }
        }
        taps
    };
    let mut classes = Vec::new();
    for ry in 0..sh.min(s.h) {
        let ys = axis(ry, s.kh, s.conv.padding.0, s.conv.dilation.0, sh);
        for rx in 0..sw.min(s.w) {
            let xs = axis(rx, s.kw, s.conv.padding.1, s.conv.dilation.1, sw);
            let mut taps = Vec::with_capacity(ys.len() * xs.len());
            for &(ky, y) in &ys {
                for &(kx, x) in &xs {
                    taps.push(Tap {
                        index: ky * s.kw + kx,
                        y,
                        x,
                    });
                }
            }
            classes.push(Class {
                n: s.n,
                grid: ((s.h - ry).div_ceil(sh), (s.w - rx).div_ceil(sw)),
                size: (s.h, s.w),
                first: (ry, rx),
                step: (sh, sw),
                source_step: (1, 1),
                taps,
            });
        }
    }
    classes
}

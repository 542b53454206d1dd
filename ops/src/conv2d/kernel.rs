//! The two inner loops of a convolution, generic over the vector instructions.
//!
//! [`rows`] is a product of gathered rows with a packed panel: each row of the left operand is a list of runs of channels,
//! one for each tap, found through a table of pointers, so no patch matrix is ever written (Dukhan, "The Indirect Convolution
//! Algorithm", 2019). [`outer`] sums outer products over pixels, for the gradient of the weights.
//!
//! Each element of an output is summed by one task in an order that its shape alone fixes.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::path::{Level, Path, per_path};
use crate::simd::{Plain, Simd};

/// Rows of a table are a multiple of this: of every tile's height.
pub(super) const ROWS: usize = 24;
/// Elements of the inner dimension in one block: a panel of 64 columns then takes 32 KiB of the first-level cache.
const INNER: usize = 128;

/// A block of output rows against one panel.
pub(super) struct Block<'a> {
    /// For each tap, the first channel of each row's pixel: `taps x stride` pointers.
    pub(super) table: &'a [*const f32],
    /// Rows in the table, a multiple of [`ROWS`].
    pub(super) stride: usize,
    /// Rows that are stored.
    pub(super) rows: usize,
    /// Where each row's output begins.
    pub(super) at: &'a [usize],
    /// Where each tap begins in the panel.
    pub(super) taps: &'a [usize],
    /// Channels of each tap.
    pub(super) depth: usize,
    /// The panel: `taps x depth` rows of its vectors.
    pub(super) panel: *const f32,
    /// Columns of the panel that are stored.
    pub(super) width: usize,
    /// The output at the panel's first column.
    pub(super) out: *mut f32,
    /// What sums start from, or null: one value a column.
    pub(super) bias: *const f32,
    /// Added at the end, or null: laid out as the output.
    pub(super) add: *const f32,
    /// The result is zero where this is not positive, or null: laid out as the output.
    pub(super) keep: *const f32,
    /// Negative results become zero.
    pub(super) relu: bool,
    /// Sums are f64.
    pub(super) exact: bool,
    /// Floats in a packed row.
    pub(super) wide: usize,
}

/// A sum of outer products over pixels.
pub(super) struct Outer<'a> {
    /// A pointer to each pixel's channels.
    pub(super) x: &'a [*const f32],
    /// Packed gradients: one row of the panel's vectors a pixel.
    pub(super) grad: *const f32,
    /// Columns of the panel.
    pub(super) width: usize,
    /// The channels summed: rows of the output.
    pub(super) channels: std::ops::Range<usize>,
    /// The output at channel 0: rows of the panel's vectors.
    pub(super) out: *mut f32,
    /// Whether sums start from zero and not from the output.
    pub(super) fresh: bool,
}

/// Floats in a panel's row when it holds `width` columns.
pub(super) fn padded(path: Path, width: usize) -> usize {
    width.next_multiple_of(lanes(path))
}

/// Most columns of a panel.
pub(super) fn panel(path: Path) -> usize {
    match path.level() {
        Level::Avx512 | Level::Avx512Bf16 | Level::Amx => 64,
        Level::Avx2 => 16,
        Level::Plain => 8,
    }
}

fn lanes(path: Path) -> usize {
    match path.level() {
        Level::Avx512 | Level::Avx512Bf16 | Level::Amx => 16,
        Level::Avx2 => 8,
        Level::Plain => 4,
    }
}

/// Computes a block.
///
/// # Safety
/// The table has `taps.len() * stride` pointers, each to `depth` floats, and `at` `stride` offsets; the panel was packed for
/// this path; out, add and keep reach to every stored row's last column, bias to the last column; no other task touches the
/// rows stored.
pub(super) unsafe fn rows(path: Path, block: &Block<'_>) {
    if block.exact {
        return exact(path, block);
    }
    // SAFETY: a `Path` of a level exists only where its features were detected; the rest by the contract above.
    unsafe {
        match path.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Bf16 | Level::Amx => x86::rows_avx512(block),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::rows_avx2(block),
            _ => match block.width.div_ceil(4) {
                1 => block_of::<Plain, 6, 1>(block),
                _ => block_of::<Plain, 4, 2>(block),
            },
        }
    }
}

/// Computes a sum of outer products.
///
/// # Safety
/// Every pointer of `x` reaches to the last channel, `grad` has a packed row for each, and the output a row for each channel
/// up to the last, which no other task touches.
pub(super) unsafe fn outer(path: Path, job: &Outer<'_>) {
    // SAFETY: as in `rows`.
    unsafe {
        match path.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Bf16 | Level::Amx => x86::outer_avx512(job),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::outer_avx2(job),
            _ => match job.width.div_ceil(4) {
                1 => outer_of::<Plain, 6, 1>(job),
                _ => outer_of::<Plain, 4, 2>(job),
            },
        }
    }
}

/// Columns and rows of a tile of f64 sums.
const EXACT: (usize, usize) = (16, 4);

per_path! {
    /// [`rows`] with sums in f64, under its contract.
    fn exact(w: &Block<'_>) {
        const COLUMNS: usize = EXACT.0;
        const HEIGHT: usize = EXACT.1;
        let wide = w.wide;
        for row in (0..w.rows).step_by(HEIGHT) {
            for from in (0..w.width).step_by(COLUMNS) {
                let (n, packed) = ((w.width - from).min(COLUMNS), (wide - from).min(COLUMNS));
                let mut sums = [[0f64; COLUMNS]; HEIGHT];
                let mut b = [0f64; COLUMNS];
                for (t, &tap) in w.taps.iter().enumerate() {
                    for c in 0..w.depth {
                        // SAFETY: by the contract of `rows`: the panel has a packed row for every tap and channel, the table a
                        // pointer to `depth` floats for every row up to a multiple of the tile's height.
                        unsafe {
                            let line = w.panel.add(tap + c * wide + from);
                            if packed == COLUMNS {
                                let line = line.cast::<[f32; COLUMNS]>().read_unaligned();
                                for (b, x) in b.iter_mut().zip(line) {
                                    *b = f64::from(x);
                                }
                            } else {
                                for (i, b) in b.iter_mut().enumerate().take(packed) {
                                    *b = f64::from(*line.add(i));
                                }
                            }
                            for (r, sums) in sums.iter_mut().enumerate() {
                                let a = f64::from(*w.table[t * w.stride + row + r].add(c));
                                for (s, b) in sums.iter_mut().zip(&b) {
                                    *s = if FMA { a.mul_add(*b, *s) } else { a * b + *s };
                                }
                            }
                        }
                    }
                }
                for (r, sums) in sums.iter().enumerate().take(w.rows - row) {
                    for (i, &sum) in sums.iter().enumerate().take(n) {
                        let (column, at) = (from + i, w.at[row + r] + from + i);
                        // SAFETY: by the contract of `rows`: bias, add, keep and out reach to every stored row's columns.
                        unsafe {
                            let mut x = sum;
                            if !w.bias.is_null() {
                                x += f64::from(*w.bias.add(column));
                            }
                            if !w.add.is_null() {
                                x += f64::from(*w.add.add(at));
                            }
                            let mut x = x as f32;
                            let kept = w.keep.is_null() || *w.keep.add(at) > 0.0;
                            if w.relu && x < 0.0 || !kept {
                                x = 0.0;
                            }
                            *w.out.add(at) = x;
                        }
                    }
                }
            }
        }
    }
}

/// A part of the inner dimension.
struct Span {
    from_tap: usize,
    to_tap: usize,
    from: usize,
    n: usize,
    first: bool,
    last: bool,
}

#[inline(always)]
unsafe fn block_of<S: Simd, const R: usize, const V: usize>(w: &Block<'_>) {
    let taps = w.taps.len();
    let (tap_step, parts) = if w.depth >= INNER {
        (1, w.depth.div_ceil(INNER))
    } else {
        ((INNER / w.depth.max(1)).max(1), 1)
    };
    let groups = taps.div_ceil(tap_step);
    // A block without taps still writes what it starts from.
    let spans = (groups * parts).max(1);
    for s in 0..spans {
        let (group, part) = (s / parts, s % parts);
        let from = w.depth * part / parts;
        let span = Span {
            from_tap: (group * tap_step).min(taps),
            to_tap: ((group + 1) * tap_step).min(taps),
            from,
            n: w.depth * (part + 1) / parts - from,
            first: s == 0,
            last: s + 1 == spans,
        };
        let mut row = 0;
        while row < w.rows {
            // SAFETY: by the contract of `rows`.
            unsafe { tile::<S, R, V>(w, row, &span) };
            row += R;
        }
    }
}

/// Loads vector `v` of a row of `width` columns.
#[inline(always)]
unsafe fn columns<S: Simd>(p: *const f32, v: usize, width: usize) -> S::V {
    let at = v * S::LANES;
    // SAFETY: lanes past the width are not touched.
    unsafe {
        if at + S::LANES <= width {
            S::load(p.add(at))
        } else {
            S::load_some(p.wrapping_add(at), width.saturating_sub(at))
        }
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(w: &Block<'_>, row: usize, span: &Span) {
    let wide = V * S::LANES;
    let valid = (w.rows - row).min(R);
    // SAFETY: rows past the last one have pointers in the table and are not stored; the rest by the contract of `rows`.
    unsafe {
        let mut sums = [[S::zero(); V]; R];
        // Each part is summed from zero and added to those before it: the rounding errors of long sums grow with the root of their
        // parts' lengths and not of the whole.
        if span.first && !w.bias.is_null() {
            for v in 0..V {
                let x = columns::<S>(w.bias, v, w.width);
                for sums in &mut sums {
                    sums[v] = x;
                }
            }
        }
        for t in span.from_tap..span.to_tap {
            let mut a = [std::ptr::null::<f32>(); R];
            let table = w.table.as_ptr().add(t * w.stride + row);
            for (r, a) in a.iter_mut().enumerate() {
                *a = (*table.add(r)).add(span.from);
            }
            let b = w.panel.add(*w.taps.get_unchecked(t) + span.from * wide);
            S::accumulate(&mut sums, a, b, span.n);
        }
        for (r, sums) in sums.iter().enumerate() {
            if r >= valid {
                continue;
            }
            let at = *w.at.get_unchecked(row + r);
            for (v, &sum) in sums.iter().enumerate() {
                let mut x = sum;
                if !span.first {
                    x = S::add(x, columns::<S>(w.out.add(at), v, w.width));
                }
                if span.last {
                    if !w.add.is_null() {
                        x = S::add(x, columns::<S>(w.add.add(at), v, w.width));
                    }
                    if w.relu {
                        x = S::relu(x);
                    }
                    if !w.keep.is_null() {
                        x = S::keep(x, columns::<S>(w.keep.add(at), v, w.width));
                    }
                }
                let (to, from) = (w.out.add(at), v * S::LANES);
                if from + S::LANES <= w.width {
                    S::store(to.add(from), x);
                } else {
                    S::store_some(to.wrapping_add(from), w.width.saturating_sub(from), x);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn outer_of<S: Simd, const R: usize, const V: usize>(job: &Outer<'_>) {
    let wide = V * S::LANES;
    let mut channel = job.channels.start;
    while channel < job.channels.end {
        let valid = (job.channels.end - channel).min(R);
        let mut offsets = [0usize; R];
        for (r, o) in offsets.iter_mut().enumerate() {
            // What is past the last channel repeats it, and is not stored.
            *o = channel + r.min(valid - 1);
        }
        // SAFETY: by the contract of `outer`.
        unsafe {
            let out = job.out.add(channel * wide);
            let mut sums = [[S::zero(); V]; R];
            let mut b = job.grad;
            for &x in job.x {
                let mut bs = [S::zero(); V];
                for (v, y) in bs.iter_mut().enumerate() {
                    *y = S::load(b.add(v * S::LANES));
                }
                for r in 0..R {
                    let a = S::splat(*x.add(offsets[r]));
                    for v in 0..V {
                        sums[r][v] = S::fma(a, bs[v], sums[r][v]);
                    }
                }
                b = b.add(wide);
            }
            for (r, sums) in sums.iter().enumerate() {
                if r < valid {
                    for (v, &sum) in sums.iter().enumerate() {
                        let to = out.add(r * wide + v * S::LANES);
                        let sum = match job.fresh {
                            true => sum,
                            false => S::add(sum, S::load(to)),
                        };
                        S::store(to, sum);
                    }
                }
            }
        }
        channel += R;
    }
}

//! Floats as parts: what the tiles multiply.
//!
//! A pixel's channels lie in blocks of 32: of each part a line of 64 bytes, in which channel i stands beside channel i + 16.

use super::step::{HALF, LINE, Pair, SIDE, TILE, pairs};
use super::table::OUTSIDE;
use crate::conv2d::geometry::Tap;
use crate::matmul::amx::turned;
use std::arch::x86_64::*;
use std::ops::Range;

/// The first `n` of sixteen lanes.
#[inline(always)]
pub(super) fn lanes(n: usize) -> u16 {
    if n >= 16 { !0 } else { (1 << n) - 1 }
}

/// Sixteen floats and the sixteen beside them in parts, as pairs.
#[inline]
#[target_feature(enable = "avx512f")]
fn parts<const P: usize>(mut x: __m512, mut y: __m512) -> [__m512i; P] {
    std::array::from_fn(|part| {
        // What is left for the third part has eight bits at most, or is NaN.
        let (nx, ny) = match part {
            2 => (x, upper(y)),
            _ => (nearest::<P>(x), nearest::<P>(y)),
        };
        x = _mm512_sub_ps(x, nx);
        y = _mm512_sub_ps(y, ny);
        _mm512_or_si512(
            _mm512_srli_epi32::<16>(_mm512_castps_si512(nx)),
            _mm512_castps_si512(ny),
        )
    })
}

/// Stores parts, `apart` from one to the next.
///
/// # Safety
/// There is room for them.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn put<const P: usize>(parts: [__m512i; P], to: *mut Pair, apart: usize) {
    for (i, part) in parts.into_iter().enumerate() {
        // SAFETY: by the contract.
        unsafe { _mm512_storeu_si512(to.add(i * apart).cast(), part) };
    }
}

/// To the nearest bf16. Ties go away from zero, and NaN may become a number where what is left of it is a part of its own, NaN then; alone, ties go
/// to even and NaN stays.
#[inline]
#[target_feature(enable = "avx512f")]
fn nearest<const P: usize>(x: __m512) -> __m512 {
    let bits = _mm512_castps_si512(x);
    if P == 1 {
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
        let quiet = _mm512_set1_epi32(0x0040_0000);
        return upper(_mm512_castsi512_ps(_mm512_mask_or_epi32(
            up, nan, bits, quiet,
        )));
    }
    upper(_mm512_castsi512_ps(_mm512_add_epi32(
        bits,
        _mm512_set1_epi32(0x8000),
    )))
}

/// The upper half of each.
#[inline]
#[target_feature(enable = "avx512f")]
fn upper(x: __m512) -> __m512 {
    let mask = _mm512_set1_epi32(0xffff_0000u32 as i32);
    _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), mask))
}

/// Pixels whose channels are split.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) data: *const Pair,
    /// The first pixel.
    pub(super) first: usize,
    /// Pairs from a pixel to the next.
    pub(super) pitch: usize,
}

// SAFETY: only read once it has been written.
unsafe impl Send for Planes {}
// SAFETY: as above.
unsafe impl Sync for Planes {}

/// Pairs of a pixel of `blocks` blocks of channels: an odd number of lines, so that neighbours do not fall on each other in the cache.
pub(super) fn pitch(blocks: usize, parts: usize) -> usize {
    ((blocks * parts) | 1) * LINE
}

impl Planes {
    /// The lines of a pixel's block of channels.
    ///
    /// # Safety
    /// The pixel is one of these.
    #[inline(always)]
    pub(super) unsafe fn at(&self, pixel: usize, block: usize, parts: usize) -> *const Pair {
        // SAFETY: by the contract.
        unsafe {
            self.data
                .add((pixel - self.first) * self.pitch + block * parts * LINE)
        }
    }
}

/// Images that rows are gathered from: `(.., channels)`, each of one height and width.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) data: &'a [f32],
    pub(super) size: (usize, usize),
    /// Channels.
    pub(super) depth: usize,
}

impl Source<'_> {
    pub(super) fn blocks(&self) -> usize {
        self.depth.div_ceil(SIDE)
    }

    /// Splits channels `width` from `channel` on of some pixels.
    ///
    /// # Safety
    /// The processor has AVX-512 F; there is room.
    pub(super) unsafe fn split<const P: usize>(
        &self,
        pixels: Range<usize>,
        channel: usize,
        width: usize,
        to: *mut Pair,
    ) -> Planes {
        // SAFETY: pixels of the source.
        unsafe {
            let from = self
                .data
                .as_ptr()
                .wrapping_add(pixels.start * self.depth + channel);
            split::<P>(from, self.depth, width, pixels.len(), to);
        }
        Planes {
            data: to,
            first: pixels.start,
            pitch: pitch(width.div_ceil(SIDE), P),
        }
    }
}

/// Splits `width` channels of each of `n` pixels, `pixel` floats apart, zeros up to a whole block.
///
/// # Safety
/// The processor has AVX-512 F; the pixels lie within one slice, `to` has room for `n` of them, [`pitch`] apart.
#[target_feature(enable = "avx512f")]
unsafe fn split<const P: usize>(
    from: *const f32,
    pixel: usize,
    width: usize,
    n: usize,
    to: *mut Pair,
) {
    let blocks = width.div_ceil(SIDE);
    let pitch = pitch(blocks, P);
    for i in 0..n {
        for block in 0..blocks {
            let rest = width - block * SIDE;
            // SAFETY: lanes past the width are masked; the rest by the contract.
            unsafe {
                let from = from.add(i * pixel + block * SIDE);
                let x = _mm512_maskz_loadu_ps(lanes(rest), from);
                let y =
                    _mm512_maskz_loadu_ps(lanes(rest.saturating_sub(16)), from.wrapping_add(16));
                put(parts::<P>(x, y), to.add(i * pitch + block * P * LINE), LINE);
            }
        }
    }
}

/// Numbers within a weight, as columns of the tiles.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) data: &'a [f32],
    /// Columns, and numbers from one to the next.
    pub(super) columns: usize,
    pub(super) column: usize,
    /// The inner dimension of one tap, and numbers from one to the next of it.
    pub(super) depth: usize,
    pub(super) deep: usize,
    /// A factor for each column, or for each of the inner dimension.
    pub(super) column_scale: Option<&'a [f32]>,
    pub(super) deep_scale: Option<&'a [f32]>,
}

impl Weights<'_> {
    /// Packs a panel of 32 columns and 32 of the inner dimension of some taps: a step each.
    ///
    /// # Safety
    /// The processor has AVX-512 F; columns and depth lie within the data; there is room for the steps.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn pack<const P: usize>(
        &self,
        panel: usize,
        block: usize,
        taps: &[Tap],
        to: *mut Pair,
    ) {
        let lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        let apart = _mm512_mullo_epi32(lane, _mm512_set1_epi32(self.column as i32));
        for tile in 0..2 {
            let first = panel * SIDE + tile * 16;
            let mask = lanes(self.columns.saturating_sub(first));
            let column_scale = match self.column_scale {
                // SAFETY: a factor for each column.
                Some(s) => unsafe { _mm512_maskz_loadu_ps(mask, s.as_ptr().wrapping_add(first)) },
                None => _mm512_set1_ps(1.0),
            };
            for r in 0..16 {
                let line = |deep: usize| {
                    let k = block * SIDE + deep;
                    let mask = if k < self.depth { mask } else { 0 };
                    let scale = match self.deep_scale {
                        Some(s) if mask != 0 => _mm512_set1_ps(s[k]),
                        _ => column_scale,
                    };
                    (
                        self.data
                            .as_ptr()
                            .wrapping_add(k * self.deep + first * self.column),
                        mask,
                        scale,
                    )
                };
                let lines = [line(r), line(r + 16)];
                // What taps share is near.
                for (i, tap) in taps.iter().enumerate() {
                    let [x, y] = lines.map(|(from, mask, scale)| {
                        let from = from.wrapping_add(tap.index);
                        let zero = _mm512_setzero_ps();
                        // SAFETY: masked lanes are not touched.
                        let x = unsafe {
                            match self.column {
                                1 => _mm512_maskz_loadu_ps(mask, from),
                                _ => _mm512_mask_i32gather_ps::<4>(zero, mask, apart, from),
                            }
                        };
                        _mm512_mul_ps(x, scale)
                    });
                    // SAFETY: within the step.
                    unsafe {
                        let to = to.add(i * pairs(P) + tile * TILE + r * LINE);
                        put(parts::<P>(x, y), to, 2 * TILE);
                    }
                }
            }
        }
    }
}

/// Gathers rows of the left operand, one after another: a block of channels of the pixels that `rows` names, or zeros.
///
/// # Safety
/// The processor has AVX-512 F; the pixels are among the planes', and there is room for the rows.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn gather<const P: usize>(
    planes: &Planes,
    block: usize,
    rows: &[u32],
    zeros: *const Pair,
    to: *mut Pair,
) {
    for (r, &pixel) in rows.iter().enumerate() {
        // SAFETY: by the contract.
        unsafe {
            let from = match pixel {
                OUTSIDE => zeros,
                _ => planes.at(pixel as usize, block, P),
            };
            for part in 0..P {
                let x = _mm512_loadu_si512(from.add(part * LINE).cast());
                _mm512_storeu_si512(to.add((r * P + part) * LINE).cast(), x);
            }
        }
    }
}

/// Gathers a step of B whose inner dimension are 32 pixels, and its columns 32 channels.
///
/// # Safety
/// As [`gather`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn across<const P: usize>(
    planes: &Planes,
    block: usize,
    pixels: &[u32],
    zeros: *const Pair,
    to: *mut Pair,
) {
    let low = _mm512_set1_epi32(0xffff);
    let (first, second) = pixels.split_at(16);
    for (r, (&p, &q)) in first.iter().zip(second).enumerate() {
        // SAFETY: by the contract.
        unsafe {
            let line = |pixel: u32| match pixel {
                OUTSIDE => zeros,
                _ => planes.at(pixel as usize, block, P),
            };
            let (p, q) = (line(p), line(q));
            for part in 0..P {
                let x = _mm512_loadu_si512(p.add(part * LINE).cast());
                let y = _mm512_loadu_si512(q.add(part * LINE).cast());
                // Where the mask has a bit the first, elsewhere the second.
                let lower = _mm512_ternarylogic_epi32::<0xca>(low, x, _mm512_slli_epi32::<16>(y));
                let upper = _mm512_ternarylogic_epi32::<0xca>(low, _mm512_srli_epi32::<16>(x), y);
                let to = to.add(part * 2 * TILE + r * LINE);
                _mm512_storeu_si512(to.cast(), lower);
                _mm512_storeu_si512(to.add(TILE).cast(), upper);
            }
        }
    }
}

/// Packs rows of the left operand, one after another, which are 32 columns of a matrix from `column` on; the inner dimension are 32
/// rows of it. Zeros past `columns` and `rows`.
///
/// # Safety
/// The processor has AVX-512 F; the rows, `row` floats apart, lie within one slice; there is room for 32 rows.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn turn<const P: usize>(
    from: *const f32,
    row: usize,
    rows: usize,
    (column, columns): (usize, usize),
    to: *mut Pair,
) {
    for tile in 0..2 {
        let first = column + tile * 16;
        let mask = lanes(columns.saturating_sub(first));
        let mut lines = [[_mm512_setzero_si512(); 16]; P];
        for r in 0..16 {
            let line = |r: usize| match r < rows {
                // SAFETY: masked lanes are not touched.
                true => unsafe { _mm512_maskz_loadu_ps(mask, from.wrapping_add(r * row + first)) },
                false => _mm512_setzero_ps(),
            };
            for (lines, part) in lines.iter_mut().zip(parts::<P>(line(r), line(r + 16))) {
                lines[r] = part;
            }
        }
        for (part, lines) in lines.into_iter().enumerate() {
            for (r, line) in turned(lines).into_iter().enumerate() {
                let at = ((tile * HALF + r) * P + part) * LINE;
                // SAFETY: within the step.
                unsafe { _mm512_storeu_si512(to.add(at).cast(), line) };
            }
        }
    }
}

/// Memory for pairs that begins on a cache line.
#[derive(Default)]
pub(super) struct Scratch(Vec<Pair>);

impl Scratch {
    /// Room for `n` pairs.
    pub(super) fn room(&mut self, n: usize) -> *mut Pair {
        if self.0.len() < n + LINE {
            self.0.resize(n + LINE, 0);
        }
        let at = self.0.as_ptr().align_offset(64);
        self.0[at..].as_mut_ptr()
    }

    /// Room for `n` steps.
    pub(super) fn steps(&mut self, n: usize, parts: usize) -> *mut Pair {
        self.room(n * pairs(parts))
    }
}

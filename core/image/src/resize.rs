//! Resizing with antialiasing, as PIL does it: the filter is widened by the scale, rows first, then columns, each rounded to bytes.
//!
//! Own code, after Pillow's `Resample.c` with its fixed-point numbers: crates that resize round in their own ways and were up to 2 of 255
//! from it, and this is exact. Sums go over whole rows, which compilers turn into vectors.

use crate::Pixels;

/// How pixels between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// PIL's `BILINEAR`: a triangle.
    #[default]
    Bilinear,
    /// PIL's `BICUBIC`: Keys' cubic with a = -0.5.
    Bicubic,
}

impl Interpolation {
    /// As configurations write them.
    pub const NAMES: [&str; 2] = ["bilinear", "bicubic"];

    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "bilinear" => Some(Interpolation::Bilinear),
            "bicubic" => Some(Interpolation::Bicubic),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        }
    }

    /// How far the filter reaches, in pixels of the result's or the source's size, whichever are larger.
    fn reach(self) -> f64 {
        match self {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        }
    }

    /// The filter.
    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Interpolation::Bilinear => (1.0 - x).max(0.0),
            Interpolation::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Interpolation::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Interpolation::Bicubic => 0.0,
        }
    }
}

/// The image at another size, byte for byte PIL's `resize` of the same pixels (`tests/pil.rs`). Both sides are at least 1.
pub fn resize(
    pixels: &Pixels,
    width: usize,
    height: usize,
    interpolation: Interpolation,
) -> Pixels {
    let (width, height) = (width.max(1), height.max(1));
    let wide = |p: &Pixels| match width == p.width {
        true => p.clone(),
        false => rows(p, &weights(p.width, width, interpolation)),
    };
    let high = |p: &Pixels| match height == p.height {
        true => p.clone(),
        false => columns(p, &weights(p.height, height, interpolation)),
    };
    // Rows first, but where they grow and the columns shrink: less work, and what Pillow does since version 13. (Before, it took rows first always;
    // where proportions are kept, as in every transform here, there is no difference.)
    match width > pixels.width && height < pixels.height {
        true => wide(&high(pixels)),
        false => high(&wide(pixels)),
    }
}

/// Bits after the point: the sum of products of bytes stays within 32 bits.
const BITS: u32 = 32 - 8 - 2;

/// For one pixel of the result: the first pixel that it is made of, and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn weights(from: usize, to: usize, interpolation: Interpolation) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let wider = scale.max(1.0);
    let reach = interpolation.reach() * wider;
    let one = |i: usize| {
        let middle = (i as f64 + 0.5) * scale;
        let first = (middle - reach + 0.5).max(0.0) as usize;
        let end = ((middle + reach + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end)
            .map(|x| interpolation.weight((x as f64 - middle + 0.5) / wider))
            .collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |w: &f64| {
            let w = match sum == 0.0 {
                true => *w,
                false => w / sum,
            };
            (w * f64::from(1u32 << BITS) + if w < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        Taps {
            first,
            weights: weights.iter().map(fixed).collect(),
        }
    };
    (0..to).map(one).collect()
}

fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (BITS - 1);

fn rows(pixels: &Pixels, taps: &[Taps]) -> Pixels {
    let mut out = Pixels::filled(taps.len(), pixels.height, [0; 3]);
    let lines = pixels.rgb.chunks_exact(pixels.width * 3);
    for (line, target) in lines.zip(out.rgb.chunks_exact_mut(taps.len() * 3)) {
        for (pixel, tap) in target.chunks_exact_mut(3).zip(taps) {
            let mut sum = [HALF; 3];
            let source = line[tap.first * 3..].chunks_exact(3);
            for (p, &w) in source.zip(&tap.weights) {
                for (s, &b) in sum.iter_mut().zip(p) {
                    *s += i32::from(b) * w;
                }
            }
            pixel.copy_from_slice(&sum.map(byte));
        }
    }
    out
}

fn columns(pixels: &Pixels, taps: &[Taps]) -> Pixels {
    let mut out = Pixels::filled(pixels.width, taps.len(), [0; 3]);
    let row = pixels.width * 3;
    let mut sums = vec![HALF; row];
    for (target, tap) in out.rgb.chunks_exact_mut(row).zip(taps) {
        sums.fill(HALF);
        let source = pixels.rgb[tap.first * row..].chunks_exact(row);
        for (line, &w) in source.zip(&tap.weights) {
            for (s, &b) in sums.iter_mut().zip(line) {
                *s += i32::from(b) * w;
            }
        }
        for (b, &s) in target.iter_mut().zip(&sums) {
            *b = byte(s);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colour_stays_one_colour_at_any_size() {
        let p = Pixels::filled(37, 11, [200, 3, 77]);
        for (w, h) in [(1, 1), (224, 224), (5, 90), (37, 11)] {
            for i in [Interpolation::Bilinear, Interpolation::Bicubic] {
                assert_eq!(resize(&p, w, h, i), Pixels::filled(w, h, [200, 3, 77]));
            }
        }
    }
}

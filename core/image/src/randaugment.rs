//! RandAugment (Cubuk et al. 2019), with torchvision's fourteen operations and their strengths.

use crate::Pixels;
use crate::augment::Draw;
use crate::{colour, geometry};

/// Random operations one after the other, all of one strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandAugment {
    /// How many.
    pub operations: usize,
    /// How strong, from 0 to 30.
    pub magnitude: usize,
}

impl Default for RandAugment {
    /// torchvision's.
    fn default() -> Self {
        RandAugment {
            operations: 2,
            magnitude: 9,
        }
    }
}

/// The strongest.
const MOST: f64 = 30.0;

impl RandAugment {
    /// Applies them.
    pub(crate) fn apply(&self, pixels: Pixels, fill: [u8; 3], draw: Draw<'_>) -> Pixels {
        let share = (self.magnitude as f64 / MOST).min(1.0);
        let mut out = pixels;
        for _ in 0..self.operations {
            let which = ((draw() * 14.0) as usize).min(13);
            let sign = if draw() < 0.5 { -1.0 } else { 1.0 };
            out = operation(out, which, share, sign, fill);
        }
        out
    }
}

fn operation(pixels: Pixels, which: usize, share: f64, sign: f64, fill: [u8; 3]) -> Pixels {
    let mut out = pixels;
    let by = 1.0 + sign * 0.9 * share;
    match which {
        0 => {}
        1 => return geometry::sheared(&out, sign * 0.3 * share, 0.0, fill),
        2 => return geometry::sheared(&out, 0.0, sign * 0.3 * share, fill),
        3 => {
            let x = sign * share * out.width as f64 * 150.0 / 331.0;
            return geometry::moved(&out, x.trunc(), 0.0, fill);
        }
        4 => {
            let y = sign * share * out.height as f64 * 150.0 / 331.0;
            return geometry::moved(&out, 0.0, y.trunc(), fill);
        }
        5 => return geometry::rotated(&out, sign * 30.0 * share, fill),
        6 => colour::brightness(&mut out, by),
        7 => colour::saturation(&mut out, by),
        8 => colour::contrast(&mut out, by),
        9 => return sharpened(&out, by),
        10 => {
            let bits = 8 - (4.0 * share).round() as u32;
            let mask = !(0xffu8.checked_shr(bits).unwrap_or(0));
            out.rgb.iter_mut().for_each(|b| *b &= mask);
        }
        11 => {
            let threshold = 255.0 * (1.0 - share);
            out.rgb
                .iter_mut()
                .filter(|b| f64::from(**b) >= threshold)
                .for_each(|b| *b = 255 - *b);
        }
        12 => each_colour(&mut out, autocontrast),
        _ => each_colour(&mut out, equalise),
    }
    out
}

/// A blend with the image smoothed by `1 1 1; 1 5 1; 1 1 1`; edges stay.
fn sharpened(pixels: &Pixels, factor: f64) -> Pixels {
    let mut out = pixels.clone();
    if pixels.width < 3 || pixels.height < 3 {
        return out;
    }
    let row = pixels.width * 3;
    for y in 1..pixels.height - 1 {
        for x in 3..row - 3 {
            let at = y * row + x;
            let around = [at - row, at, at + row];
            let sum: u32 = around
                .iter()
                .flat_map(|&c| [c - 3, c, c + 3])
                .map(|i| u32::from(pixels.rgb[i]))
                .sum();
            let own = f64::from(pixels.rgb[at]);
            let smooth = ((f64::from(sum) + 4.0 * own) / 13.0).round();
            out.rgb[at] = (smooth + factor * (own - smooth)).clamp(0.0, 255.0) as u8;
        }
    }
    out
}

/// Replaces each colour's bytes by a table made from how often they occur.
fn each_colour(pixels: &mut Pixels, table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    for colour in 0..3 {
        let mut counts = [0usize; 256];
        let bytes = pixels.rgb.iter().skip(colour).step_by(3);
        bytes.for_each(|&b| counts[b as usize] += 1);
        let table = table(&counts);
        let bytes = pixels.rgb.iter_mut().skip(colour).step_by(3);
        bytes.for_each(|b| *b = table[*b as usize]);
    }
}

fn same() -> [u8; 256] {
    std::array::from_fn(|i| i as u8)
}

/// The darkest becomes 0, the brightest 255.
fn autocontrast(counts: &[usize; 256]) -> [u8; 256] {
    let low = counts.iter().position(|&n| n > 0).unwrap_or(0);
    let high = counts.iter().rposition(|&n| n > 0).unwrap_or(255);
    if low >= high {
        return same();
    }
    let scale = 255.0 / (high - low) as f64;
    std::array::from_fn(|i| ((i as f64 - low as f64) * scale).round().clamp(0.0, 255.0) as u8)
}

/// Every brightness about as often as any other (PIL's `ImageOps.equalize`).
fn equalise(counts: &[usize; 256]) -> [u8; 256] {
    let total: usize = counts.iter().sum();
    let last = counts.iter().rev().find(|&&n| n > 0).copied().unwrap_or(0);
    let step = (total - last) / 255;
    if step == 0 {
        return same();
    }
    let mut sum = step / 2;
    std::array::from_fn(|i| {
        let value = (sum / step).min(255) as u8;
        sum += counts[i];
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Pixels {
        let rgb = (0..32 * 32)
            .flat_map(|i| {
                [
                    60 + (i % 32) as u8 * 3,
                    40 + (i / 32) as u8 * 4,
                    90 + (i % 7) as u8,
                ]
            })
            .collect();
        Pixels::new(32, 32, rgb).unwrap()
    }

    #[test]
    fn every_operation_does_something_but_identity() {
        for which in 0..14 {
            let out = operation(picture(), which, 0.6, 1.0, [0; 3]);
            assert_eq!(out.rgb.len(), 32 * 32 * 3);
            assert_eq!(out == picture(), which == 0, "operation {which}");
        }
    }

    #[test]
    fn strength_zero_is_no_change_but_where_there_is_none() {
        for which in [0, 1, 2, 3, 4, 5, 6, 7, 8, 10] {
            assert_eq!(
                operation(picture(), which, 0.0, 1.0, [0; 3]),
                picture(),
                "operation {which}"
            );
        }
    }

    #[test]
    fn stretched_contrast_uses_all_of_it() {
        let out = operation(picture(), 12, 0.0, 1.0, [0; 3]);
        let red: Vec<u8> = out.rgb.iter().step_by(3).copied().collect();
        assert_eq!((red.iter().min(), red.iter().max()), (Some(&0), Some(&255)));
    }
}

//! Colours moved: brightness, contrast, saturation, hue. Formulas as in PIL's `ImageEnhance` and torchvision.

use crate::Pixels;
use crate::augment::Draw;
use crate::pixels::luma;

/// How far each is moved at most. A factor is drawn from `1 - x` to `1 + x` (hue: a turn from `-x` to `x`, of 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// Towards black, or brighter.
    pub brightness: f64,
    /// Towards the mean grey, or away from it.
    pub contrast: f64,
    /// Towards grey, or more colourful.
    pub saturation: f64,
    /// Around the colour circle, at most 0.5.
    pub hue: f64,
}

impl Jitter {
    /// None.
    pub const NONE: Jitter = Jitter {
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        hue: 0.0,
    };

    /// Whether nothing is moved.
    pub fn is_none(&self) -> bool {
        *self == Jitter::NONE
    }
}

/// Moves colours, in a random order.
pub(crate) fn jitter(pixels: &mut Pixels, by: &Jitter, draw: Draw<'_>) {
    let mut order = [0, 1, 2, 3];
    for i in (1..4).rev() {
        order.swap(i, ((draw() * (i + 1) as f64) as usize).min(i));
    }
    for what in order {
        let mut factor = |x: f64| (1.0 - x).max(0.0) + ((1.0 + x) - (1.0 - x).max(0.0)) * draw();
        match what {
            0 if by.brightness > 0.0 => brightness(pixels, factor(by.brightness)),
            1 if by.contrast > 0.0 => contrast(pixels, factor(by.contrast)),
            2 if by.saturation > 0.0 => saturation(pixels, factor(by.saturation)),
            3 if by.hue > 0.0 => hue(pixels, (draw() * 2.0 - 1.0) * by.hue),
            _ => {}
        }
    }
}

fn blend(from: u8, to: u8, factor: f64) -> u8 {
    // PIL's: outside of 0..1 it extrapolates and clips.
    (f64::from(from) + factor * (f64::from(to) - f64::from(from))).clamp(0.0, 255.0) as u8
}

/// Times a factor.
pub(crate) fn brightness(pixels: &mut Pixels, factor: f64) {
    let table: Vec<u8> = (0..=255).map(|b| blend(0, b, factor)).collect();
    pixels.rgb.iter_mut().for_each(|b| *b = table[*b as usize]);
}

/// Around the mean brightness.
pub(crate) fn contrast(pixels: &mut Pixels, factor: f64) {
    let luma = pixels.luma();
    let sum: u64 = luma.iter().map(|&l| u64::from(l)).sum();
    let mean = (sum as f64 / luma.len().max(1) as f64 + 0.5) as u8;
    let table: Vec<u8> = (0..=255).map(|b| blend(mean, b, factor)).collect();
    pixels.rgb.iter_mut().for_each(|b| *b = table[*b as usize]);
}

/// Around each pixel's brightness.
pub(crate) fn saturation(pixels: &mut Pixels, factor: f64) {
    for p in pixels.rgb.chunks_exact_mut(3) {
        let grey = luma([p[0], p[1], p[2]]);
        p.iter_mut().for_each(|b| *b = blend(grey, *b, factor));
    }
}

/// Around the colour circle; 1 is a whole turn.
pub(crate) fn hue(pixels: &mut Pixels, turn: f64) {
    for p in pixels.rgb.chunks_exact_mut(3) {
        let [r, g, b] = [p[0], p[1], p[2]].map(|v| f64::from(v) / 255.0);
        let most = r.max(g).max(b);
        let span = most - r.min(g).min(b);
        if span <= 0.0 {
            continue;
        }
        let sixth = if most == r {
            (g - b) / span
        } else if most == g {
            2.0 + (b - r) / span
        } else {
            4.0 + (r - g) / span
        };
        let h = (sixth / 6.0 + turn).rem_euclid(1.0) * 6.0;
        let channel = |n: f64| {
            let k = (n + h).rem_euclid(6.0);
            most - span * k.min(4.0 - k).clamp(0.0, 1.0)
        };
        for (byte, n) in p.iter_mut().zip([5.0, 3.0, 1.0]) {
            *byte = (channel(n) * 255.0).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(colour: [u8; 3]) -> Pixels {
        Pixels::filled(1, 1, colour)
    }

    #[test]
    fn a_third_of_a_turn_makes_red_green() {
        let mut p = one([255, 0, 0]);
        hue(&mut p, 1.0 / 3.0);
        assert_eq!(p.rgb, [0, 255, 0]);
        let mut p = one([200, 100, 50]);
        hue(&mut p, 1.0);
        assert_eq!(p.rgb, [200, 100, 50]);
        let mut grey = one([9, 9, 9]);
        hue(&mut grey, 0.3);
        assert_eq!(grey.rgb, [9, 9, 9]);
    }

    #[test]
    fn factor_one_changes_nothing_and_zero_takes_it_all() {
        let start = Pixels::new(2, 1, vec![10, 200, 30, 90, 80, 70]).unwrap();
        for f in [brightness, contrast, saturation] {
            let mut p = start.clone();
            f(&mut p, 1.0);
            assert_eq!(p, start);
        }
        let mut black = start.clone();
        brightness(&mut black, 0.0);
        assert!(black.rgb.iter().all(|&b| b == 0));
        let mut flat = start.clone();
        contrast(&mut flat, 0.0);
        assert!(flat.rgb.windows(2).all(|w| w[0] == w[1]));
        let mut grey = start.clone();
        saturation(&mut grey, 0.0);
        assert!(grey.is_grey());
    }
}

//! Day and night: how much light falls on a scene, and what a camera makes of it.

use tiny_skia::Pixmap;

use super::dice::Dice;

/// By which light a picture is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// Sun or bright rooms: mild differences of exposure and colour.
    Day,
    /// Little and blue light, glow around lamps, noise, blur.
    Night,
}

impl Light {
    /// As recipes call it.
    pub fn name(self) -> &'static str {
        match self {
            Light::Day => "day",
            Light::Night => "night",
        }
    }

    /// What a camera sees of a picture under this light: three bytes a pixel.
    pub(super) fn fall(self, picture: &Pixmap, dice: &mut Dice) -> Vec<u8> {
        let width = picture.width() as usize;
        let mut seen: Vec<[f32; 3]> = picture
            .pixels()
            .iter()
            // To light that adds up: a display's curve is about a square.
            .map(|p| [p.red(), p.green(), p.blue()].map(|c| (f32::from(c) / 255.0).powi(2)))
            .collect();
        let (exposure, cast, grain) = match self {
            Light::Day => {
                let warm = dice.near(0.0, 0.1);
                (
                    dice.between(0.75, 1.25),
                    [1.0 + warm, 1.0, 1.0 - warm],
                    dice.between(0.0, 0.02),
                )
            }
            Light::Night => {
                let blue = dice.between(0.1, 0.35);
                (
                    dice.between(0.06, 0.2),
                    [1.0 - blue, 1.0 - blue * 0.5, 1.0 + blue],
                    dice.between(0.03, 0.09),
                )
            }
        };
        let glows: Vec<Glow> = match self {
            Light::Day => Vec::new(),
            Light::Night => (0..1 + dice.below(3))
                .map(|_| Glow::new(dice, width as f32))
                .collect(),
        };
        for (i, pixel) in seen.iter_mut().enumerate() {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let mut light = cast.map(|c| c * exposure);
            let mut air = [0.0; 3];
            for glow in &glows {
                let (falls, hangs) = glow.at(x, y);
                for c in 0..3 {
                    light[c] += falls * glow.colour[c];
                    air[c] += hangs * glow.colour[c];
                }
            }
            for c in 0..3 {
                pixel[c] = pixel[c] * light[c] + air[c];
            }
        }
        if self == Light::Night {
            blur(&mut seen, width, dice.between(0.0, 0.014) * width as f32);
        }
        let noise = dice.stream().normals(seen.len() * 3);
        seen.iter()
            .flatten()
            .zip(noise)
            .map(|(&light, n)| {
                // Noise is of the light, so that the dark parts are the noisy ones once the curve is applied.
                let v = (light.max(0.0).sqrt() + grain * n).clamp(0.0, 1.0);
                (v * 255.0).round() as u8
            })
            .collect()
    }
}

/// A lamp: it lights what is near and shows as a halo.
struct Glow {
    x: f32,
    y: f32,
    reach: f32,
    strength: f32,
    halo: f32,
    colour: [f32; 3],
}

impl Glow {
    fn new(dice: &mut Dice, side: f32) -> Self {
        let warm = dice.between(0.0, 1.0);
        Glow {
            x: dice.between(0.0, side),
            y: dice.between(-0.1, 0.6) * side,
            reach: dice.between(0.1, 0.35) * side,
            strength: dice.between(0.1, 0.5),
            halo: dice.between(0.1, 0.6),
            colour: [1.0, 0.85 - 0.3 * warm, 0.7 - 0.55 * warm],
        }
    }

    /// Light that falls on a thing there, and light in the air before it.
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let d = ((x - self.x).powi(2) + (y - self.y).powi(2)) / (self.reach * self.reach);
        (self.strength / (1.0 + d), self.halo * (-6.0 * d).exp())
    }
}

/// A Gaussian blur, along rows and then columns.
fn blur(pixels: &mut [[f32; 3]], width: usize, sigma: f32) {
    if sigma < 0.3 {
        return;
    }
    let reach = (sigma * 2.5).ceil() as isize;
    let kernel: Vec<f32> = (-reach..=reach)
        .map(|d| (-(d * d) as f32 / (2.0 * sigma * sigma)).exp())
        .collect();
    let total: f32 = kernel.iter().sum();
    let height = pixels.len() / width;
    for (count, length, step, stride) in [(height, width, 1, width), (width, height, width, 1)] {
        for line in 0..count {
            let at = |i: usize| line * stride + i * step;
            let row: Vec<[f32; 3]> = (0..length).map(|i| pixels[at(i)]).collect();
            for i in 0..length {
                let mut sum = [0.0; 3];
                for (k, weight) in kernel.iter().enumerate() {
                    let j = (i as isize + k as isize - reach).clamp(0, length as isize - 1);
                    for c in 0..3 {
                        sum[c] += weight * row[j as usize][c];
                    }
                }
                pixels[at(i)] = sum.map(|s| s / total);
            }
        }
    }
}

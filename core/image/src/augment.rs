//! Views of an image that a person would still give the same name: cut, mirrored, turned, recoloured, partly erased.
//!
//! Every choice is a draw from a source of numbers in `0..1` that the caller passes in, made from seed, epoch and row. So the same row of
//! the same epoch has the same view, however many workers there are and in whichever order they come. Bytes go in and bytes come out;
//! scaling to numbers is the checkpoint's affair ([`crate::Transform::normalise`]) and comes last.

use crate::Pixels;
use crate::colour::{self, Jitter};
use crate::geometry;
use crate::randaugment::RandAugment;
use crate::resize::{Interpolation, resize};

/// A source of numbers in `0..1`.
pub type Draw<'d> = &'d mut dyn FnMut() -> f64;

/// Which part of the image is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// The plain view's: resized and cut from the middle.
    Middle,
    /// A rectangle of a random share of the area and random proportions, resized to a square (Szegedy et al. 2014; torchvision's `RandomResizedCrop`).
    Resized {
        /// Least and greatest share of the area.
        scale: (f64, f64),
        /// Least and greatest width over height.
        ratio: (f64, f64),
    },
    /// The plain view with so many black pixels around it, cut at a random place (He et al. 2015 on CIFAR).
    Padded(usize),
}

impl Cut {
    /// torchvision's defaults.
    pub const RESIZED: Cut = Cut::Resized {
        scale: (0.08, 1.0),
        ratio: (3.0 / 4.0, 4.0 / 3.0),
    };
}

/// Which views are made. [`Augment::NONE`] makes the plain one.
#[derive(Clone, Debug, PartialEq)]
pub struct Augment {
    /// Which part of the image is shown.
    pub cut: Cut,
    /// How often it is mirrored, left to right.
    pub flip: f64,
    /// Degrees by which it is turned to either side, at most.
    pub rotation: f64,
    /// How far colours are moved.
    pub jitter: Jitter,
    /// Random operations one after the other.
    pub randaugment: Option<RandAugment>,
    /// How often a rectangle is erased (Zhong et al. 2017).
    pub erasing: f64,
}

impl Augment {
    /// The plain view.
    pub const NONE: Augment = Augment {
        cut: Cut::Middle,
        flip: 0.0,
        rotation: 0.0,
        jitter: Jitter::NONE,
        randaugment: None,
        erasing: 0.0,
    };

    /// Whether every view is the plain one.
    pub fn is_none(&self) -> bool {
        *self == Augment::NONE
    }

    /// A view. `plain` is the plain view, a square; `original` the image it was cut from, which only [`Cut::Resized`] looks at. `fill` is the colour of what lies outside and of what is erased.
    pub fn view(
        &self,
        plain: &Pixels,
        original: &Pixels,
        interpolation: Interpolation,
        fill: [u8; 3],
        draw: Draw<'_>,
    ) -> Pixels {
        let side = plain.width;
        let mut out = match self.cut {
            Cut::Middle => plain.clone(),
            Cut::Resized { scale, ratio } => {
                let [left, top, width, height] =
                    rectangle(original.width, original.height, scale, ratio, draw);
                let part = original.cut(left as isize, top as isize, width, height);
                resize(&part, side, side, interpolation)
            }
            Cut::Padded(margin) => {
                let mut place = || (draw() * (2 * margin + 1) as f64) as isize - margin as isize;
                let (left, top) = (place(), place());
                plain.cut(left, top, side, side)
            }
        };
        if self.flip > 0.0 && draw() < self.flip {
            out = out.mirrored();
        }
        if self.rotation > 0.0 {
            let degrees = (draw() * 2.0 - 1.0) * self.rotation;
            out = geometry::rotated(&out, degrees, fill);
        }
        if let Some(random) = &self.randaugment {
            out = random.apply(out, fill, draw);
        }
        if !self.jitter.is_none() {
            colour::jitter(&mut out, &self.jitter, draw);
        }
        if self.erasing > 0.0 && draw() < self.erasing {
            erase(&mut out, fill, draw);
        }
        out
    }

    /// A text that changes whenever views do.
    pub fn digest(&self) -> String {
        format!("augment 1, {self:?}")
    }
}

/// Left, top, width and height of a random part: ten tries, then the middle with the nearest allowed proportions, as in torchvision.
fn rectangle(
    width: usize,
    height: usize,
    scale: (f64, f64),
    ratio: (f64, f64),
    draw: Draw<'_>,
) -> [usize; 4] {
    let area = (width * height) as f64;
    let (low, high) = (ratio.0.ln(), ratio.1.ln());
    for _ in 0..10 {
        let target = area * (scale.0 + (scale.1 - scale.0) * draw());
        let ratio = (low + (high - low) * draw()).exp();
        let w = (target * ratio).sqrt().round_ties_even() as usize;
        let h = (target / ratio).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = (draw() * (height - h + 1) as f64) as usize;
            let left = (draw() * (width - w + 1) as f64) as usize;
            return [left, top, w, h];
        }
    }
    let own = width as f64 / height as f64;
    let (w, h) = if own < ratio.0 {
        (width, (width as f64 / ratio.0).round_ties_even() as usize)
    } else if own > ratio.1 {
        ((height as f64 * ratio.1).round_ties_even() as usize, height)
    } else {
        (width, height)
    };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    [(width - w) / 2, (height - h) / 2, w, h]
}

/// Fills a rectangle of 2 to 33 % of the area, of proportions between 0.3 and 3.3 (torchvision's defaults).
fn erase(pixels: &mut Pixels, fill: [u8; 3], draw: Draw<'_>) {
    let area = (pixels.width * pixels.height) as f64;
    for _ in 0..10 {
        let target = area * (0.02 + 0.31 * draw());
        let ratio = (0.3f64.ln() + (3.3f64.ln() - 0.3f64.ln()) * draw()).exp();
        let h = (target * ratio).sqrt().round() as usize;
        let w = (target / ratio).sqrt().round() as usize;
        if h >= pixels.height || w >= pixels.width || h == 0 || w == 0 {
            continue;
        }
        let top = (draw() * (pixels.height - h + 1) as f64) as usize;
        let left = (draw() * (pixels.width - w + 1) as f64) as usize;
        for y in top..top + h {
            let from = (y * pixels.width + left) * 3;
            for p in pixels.rgb[from..from + w * 3].chunks_exact_mut(3) {
                p.copy_from_slice(&fill);
            }
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    fn numbers(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    fn picture(width: usize, height: usize) -> Pixels {
        let rgb = (0..width * height)
            .flat_map(|i| {
                [
                    (i % width * 5) as u8,
                    (i / width * 5) as u8,
                    (i * 31 % 256) as u8,
                ]
            })
            .collect();
        Pixels::new(width, height, rgb).unwrap()
    }

    fn all() -> Augment {
        Augment {
            cut: Cut::RESIZED,
            flip: 0.5,
            rotation: 15.0,
            jitter: Jitter {
                brightness: 0.4,
                contrast: 0.4,
                saturation: 0.4,
                hue: 0.1,
            },
            randaugment: Some(RandAugment::default()),
            erasing: 0.5,
        }
    }

    #[test]
    fn a_view_is_a_function_of_its_draws() {
        let (plain, original) = (picture(24, 24), picture(40, 30));
        let view = |seed| {
            all().view(
                &plain,
                &original,
                Interpolation::Bilinear,
                [124, 116, 104],
                &mut numbers(seed),
            )
        };
        assert_eq!(view(3), view(3));
        let different = (0..20).filter(|&s| view(s) != view(s + 1)).count();
        assert!(different > 15, "{different}");
        for seed in 0..50 {
            let v = view(seed);
            assert_eq!((v.width, v.height, v.rgb.len()), (24, 24, 24 * 24 * 3));
        }
    }

    #[test]
    fn no_augmentation_is_the_plain_view() {
        let plain = picture(24, 24);
        let view = Augment::NONE.view(
            &plain,
            &plain,
            Interpolation::Bilinear,
            [0; 3],
            &mut numbers(1),
        );
        assert_eq!(view, plain);
        assert!(Augment::NONE.is_none() && !all().is_none());
    }

    #[test]
    fn cuts_lie_inside_and_have_the_area_that_was_asked_for() {
        let mut draw = numbers(5);
        let mut shares = Vec::new();
        for _ in 0..500 {
            let [l, t, w, h] = rectangle(100, 80, (0.08, 1.0), (0.75, 4.0 / 3.0), &mut draw);
            assert!(w >= 1 && h >= 1 && l + w <= 100 && t + h <= 80);
            let ratio = w as f64 / h as f64;
            assert!((0.70..1.43).contains(&ratio), "{w} x {h}");
            shares.push((w * h) as f64 / 8000.0);
        }
        let mean = shares.iter().sum::<f64>() / 500.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
        // A strip has no such part: its middle.
        assert_eq!(
            rectangle(1, 90, (0.5, 1.0), (0.75, 4.0 / 3.0), &mut draw),
            [0, 44, 1, 1]
        );
    }

    #[test]
    fn flips_come_as_often_as_they_should() {
        let plain = picture(8, 8);
        let half = Augment {
            flip: 0.5,
            ..Augment::NONE
        };
        let mut draw = numbers(2);
        let mirrored = (0..400)
            .filter(|_| {
                half.view(&plain, &plain, Interpolation::Bilinear, [0; 3], &mut draw) != plain
            })
            .count();
        assert!((160..240).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn erasing_fills_a_rectangle_of_the_stated_share() {
        let mut draw = numbers(9);
        for _ in 0..100 {
            let mut p = Pixels::filled(40, 40, [255; 3]);
            erase(&mut p, [0; 3], &mut draw);
            let gone = p.rgb.iter().filter(|&&b| b == 0).count() as f64 / p.rgb.len() as f64;
            assert!((0.01..0.36).contains(&gone), "{gone}");
        }
    }

    #[test]
    fn a_padded_cut_moves_by_at_most_its_margin() {
        let plain = picture(16, 16);
        let padded = Augment {
            cut: Cut::Padded(2),
            ..Augment::NONE
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut draw = numbers(4);
        for _ in 0..300 {
            let v = padded.view(&plain, &plain, Interpolation::Bilinear, [0; 3], &mut draw);
            let place = (-2isize..=2).flat_map(|l| (-2isize..=2).map(move |t| (l, t)));
            let found = place
                .into_iter()
                .find(|&(l, t)| plain.cut(l, t, 16, 16) == v);
            seen.insert(found.expect("a moved copy"));
        }
        assert!(seen.len() > 20, "{seen:?}");
    }
}

//! Images to batches: decoded, resized, cut, scaled, as the weights expect them.

use candle_core::{Device, Tensor};
use tlkit_core::data::{CUTS, Example, Field, Input, Prepare, View};
use tlkit_core::nn::Batch;
use tlkit_core::random::Stream;
use tlkit_core::{Error, Result};
use tlkit_image::{
    Augment, Cut, Limits, Pixels, RandAugment, Transform, beta, cutmix, decode, mixup,
};

/// The shape of the shares' distribution, as torchvision trains its second ImageNet weights.
const MIXUP: f64 = 0.2;
const CUTMIX: f64 = 1.0;

/// Views besides the fixed cuts.
const OWN: usize = 6;

/// All views of an image.
const VIEWS: [View; OWN + CUTS] = {
    let mut all = [View::Plain; OWN + CUTS];
    all[1] = View::Weak;
    all[2] = View::Strong;
    all[3] = View::Mixup;
    all[4] = View::Cutmix;
    all[5] = View::Shifted;
    let mut cut = 0;
    while cut < CUTS {
        all[OWN + cut] = View::Cut(cut as u8);
        cut += 1;
    }
    all
};

/// Preparation of images by a checkpoint's transform.
///
/// An example is the resized image, still bytes and not cut; a batch is `(rows, side, side, 3)`, channels last, f32. Augmentation works on the
/// resized image: `Weak` cuts, scales and mirrors at random, `Strong` also changes colours and erases, `Shifted` moves and turns.
pub struct ImagePrepare {
    transform: Transform,
    weak: Augment,
    strong: Augment,
    shifted: Augment,
}

impl ImagePrepare {
    /// By a transform.
    pub fn new(transform: Transform) -> Self {
        let weak = Augment {
            // What is small is shown nearly whole (He et al. 2015 on CIFAR).
            cut: match transform.crop {
                0..=96 => Cut::Padded(transform.crop / 8),
                _ => Cut::RESIZED,
            },
            flip: 0.5,
            ..Augment::NONE
        };
        let strong = Augment {
            randaugment: Some(RandAugment::default()),
            erasing: 0.25,
            ..weak.clone()
        };
        // As SHOT's authors move the digits of USPS: 4 of 28 pixels, 10 degrees.
        let shifted = Augment {
            cut: Cut::Padded(transform.crop / 7),
            rotation: 10.0,
            ..Augment::NONE
        };
        ImagePrepare {
            transform,
            weak,
            strong,
            shifted,
        }
    }
}

/// The pixels of an example.
fn pixels(example: &Example) -> Result<Pixels> {
    let lost = || Error::msg("an example without pixels");
    let &[width, height] = example.ids("size") else {
        return Err(lost());
    };
    let rgb = example.raw("pixels").to_vec();
    Pixels::new(width as usize, height as usize, rgb).ok_or_else(lost)
}

fn example(pixels: Pixels) -> Example {
    let size = vec![pixels.width as u32, pixels.height as u32];
    Example::new(1)
        .with("pixels", Field::Bytes(pixels.rgb))
        .with("size", Field::Ids(size))
}

impl Prepare for ImagePrepare {
    fn digest(&self) -> String {
        let views = [&self.weak, &self.strong, &self.shifted].map(Augment::digest);
        let views = views.join(", ");
        format!("{}, {views}", self.transform.digest())
    }

    fn views(&self) -> &[View] {
        &VIEWS
    }

    fn length(&self) -> Option<usize> {
        Some(1)
    }

    fn slow(&self) -> bool {
        true
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        let Input::Image(bytes) = input else {
            return Err(Error::msg(format!(
                "this network reads images, and this is {}",
                input.kind()
            )));
        };
        let decoded = decode(bytes, &Limits::default()).map_err(|e| Error::msg(e.to_string()))?;
        Ok(example(self.transform.resized(&decoded)))
    }

    fn view(&self, plain: &Example, view: View, random: Stream) -> Result<Example> {
        let augment = match view {
            View::Plain => return Ok(plain.clone()),
            View::Weak => &self.weak,
            View::Strong => &self.strong,
            View::Shifted => &self.shifted,
            View::Masked => return Err(Error::msg("images have no masked view")),
            View::Cut(i) => {
                let cut = self.transform.cut(&pixels(plain)?, usize::from(i));
                return Ok(example(cut));
            }
            View::Mixup | View::Cutmix => {
                return Err(Error::msg("two images are mixed, and this is one"));
            }
        };
        let whole = pixels(plain)?;
        let mut drawn = 0;
        let mut draw = || {
            drawn += 1;
            random.uniform(drawn)
        };
        // What a shift leaves empty is black, and so is what a turn does beside it.
        let fill = match view {
            View::Shifted => [0; 3],
            _ => self.transform.middle(),
        };
        Ok(example(augment.view(
            &whole.centre(self.transform.crop),
            &whole,
            self.transform.interpolation,
            fill,
            &mut draw,
        )))
    }

    fn mix(
        &self,
        one: &Example,
        other: &Example,
        view: View,
        random: Stream,
    ) -> Result<(Example, f64)> {
        let (one, other) = (pixels(one)?, pixels(other)?);
        let mut drawn = 0;
        let mut draw = || {
            drawn += 1;
            random.uniform(drawn)
        };
        Ok(match view {
            View::Cutmix => {
                let share = beta(CUTMIX, &mut draw);
                let (mixed, share) = cutmix(&one, &other, share, &mut draw);
                (example(mixed), share)
            }
            _ => {
                let share = beta(MIXUP, &mut draw);
                (example(mixup(&one, &other, share)), share)
            }
        })
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let side = self.transform.crop;
        let plane = side * side;
        let mut values = vec![0f32; examples.len() * plane * 3];
        for (e, values) in examples.iter().zip(values.chunks_exact_mut(plane * 3)) {
            // What was augmented has its size already.
            let cut = pixels(e)?.centre(side);
            self.transform.normalise_last(&cut.rgb, values);
        }
        let shape = (examples.len(), side, side, 3);
        Ok(Batch::new(
            examples.len(),
            Tensor::from_vec(values, shape, device)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preparation::Preparation;
    use tlkit_image::Resize;

    /// A white square in the middle of black: it is moved by at most a seventh, turned a little, never grey around it and never lost.
    #[test]
    fn a_shifted_view_moves_and_turns_and_leaves_black_behind() {
        let side = 28;
        let mut whole = Pixels::filled(side, side, [0; 3]);
        for y in 10..18 {
            for x in 10..18 {
                let at = (y * side + x) * 3;
                whole.rgb[at..at + 3].fill(255);
            }
        }
        let preparation = Preparation::imagenet(side, "");
        let prepare = ImagePrepare::new(Transform {
            resize: Resize::Exact(side, side),
            interpolation: preparation.interpolation,
            crop: side,
            mean: [0.5; 3],
            std: [0.5; 3],
        });
        let plain = example(whole.clone());
        let mut middles = Vec::new();
        for row in 0..200 {
            let view = prepare
                .view(&plain, View::Shifted, Stream::new(7).at(row))
                .unwrap();
            let view = pixels(&view).unwrap();
            let (mut mass, mut sum) = (0.0, [0.0; 2]);
            for y in 0..side {
                for x in 0..side {
                    let v = f64::from(view.at(x, y)[0]);
                    mass += v;
                    sum = [sum[0] + v * x as f64, sum[1] + v * y as f64];
                }
            }
            assert_eq!([view.at(0, 0), view.at(27, 27)], [[0; 3]; 2]);
            assert!((mass / 255.0 - 64.0).abs() < 4.0, "{mass}");
            middles.push(sum.map(|s| s / mass - 13.5));
        }
        // Turned around the picture's middle, the moved one's distance stays.
        let far = |m: &[f64; 2]| m[0].hypot(m[1]);
        let most = middles.iter().map(far).fold(0.0, f64::max);
        assert!((4.0..5.8).contains(&most), "{most}");
        assert!(middles.iter().any(|m| m[0] < -2.0) && middles.iter().any(|m| m[1] > 2.0));
    }
}

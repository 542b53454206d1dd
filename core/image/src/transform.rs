//! What a checkpoint expects of its inputs: resized, cut, scaled. It belongs to the weights, not to the data.

use crate::Pixels;
use crate::resize::{Interpolation, resize};

/// The size before the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this length, the other in proportion, rounded down, as in torchvision.
    Shorter(usize),
    /// Width and height, whatever the proportions.
    Exact(usize, usize),
}

/// Of an image this many times longer than wide only the middle is resized: a line of pixels would else become gigabytes.
const STRIP: usize = 40;

/// From pixels to what a network takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// The size before the cut.
    pub resize: Resize,
    /// How it is resized.
    pub interpolation: Interpolation,
    /// The side of the square that is cut from the middle.
    pub crop: usize,
    /// Subtracted from each colour, in `0..1`.
    pub mean: [f32; 3],
    /// What each colour is then divided by.
    pub std: [f32; 3],
}

impl Transform {
    /// ImageNet's mean of red, green and blue.
    pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    /// ImageNet's standard deviations.
    pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

    /// torchvision's for its first ImageNet weights: shorter side 256, bilinear, the middle 224.
    pub fn imagenet() -> Self {
        Transform {
            resize: Resize::Shorter(256),
            interpolation: Interpolation::Bilinear,
            crop: 224,
            mean: Self::IMAGENET_MEAN,
            std: Self::IMAGENET_STD,
        }
    }

    /// Resized, not cut.
    pub fn resized(&self, pixels: &Pixels) -> Pixels {
        let strip = pixels.width.max(pixels.height) > pixels.width.min(pixels.height) * STRIP;
        if let (true, Resize::Shorter(_)) = (strip, self.resize) {
            let short = pixels.width.min(pixels.height);
            let (width, height) = (
                pixels.width.min(short * STRIP),
                pixels.height.min(short * STRIP),
            );
            let (left, top) = ((pixels.width - width) / 2, (pixels.height - height) / 2);
            return self.resized(&pixels.cut(left as isize, top as isize, width, height));
        }
        let (width, height) = match self.resize {
            Resize::Exact(width, height) => (width, height),
            Resize::Shorter(side) => shorter(pixels.width, pixels.height, side),
        };
        resize(pixels, width, height, self.interpolation)
    }

    /// Resized and cut: the plain view, `crop` x `crop`, still bytes.
    pub fn plain(&self, pixels: &Pixels) -> Pixels {
        self.resized(pixels).centre(self.crop)
    }

    /// One of ten cuts of a resized image: the corners, the middle, then their mirror images in the same order. The mean of their predictions is
    /// a little better than the middle's alone, and costs ten times as much (Krizhevsky et al. 2012).
    pub fn cut(&self, resized: &Pixels, which: usize) -> Pixels {
        let side = self.crop;
        let right = resized.width as isize - side as isize;
        let low = resized.height as isize - side as isize;
        let cut = match which % 5 {
            0 => resized.cut(0, 0, side, side),
            1 => resized.cut(right, 0, side, side),
            2 => resized.cut(0, low, side, side),
            3 => resized.cut(right, low, side, side),
            _ => resized.centre(side),
        };
        match which / 5 % 2 {
            0 => cut,
            _ => cut.mirrored(),
        }
    }

    /// Bytes as numbers, `(3, height, width)`, appended to `out`: `(byte / 255 - mean) / std`.
    pub fn normalise(&self, pixels: &[u8], out: &mut Vec<f32>) {
        for (colour, table) in self.tables().iter().enumerate() {
            out.extend(pixels.chunks_exact(3).map(|p| table[p[colour] as usize]));
        }
    }

    /// The same numbers as they lie, `(height, width, 3)`: one for each byte.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn normalise_last(&self, pixels: &[u8], out: &mut [f32]) {
        assert_eq!(pixels.len(), out.len(), "a number for each byte");
        let [red, green, blue] = self.tables();
        for (p, y) in pixels.chunks_exact(3).zip(out.chunks_exact_mut(3)) {
            y[0] = red[p[0] as usize];
            y[1] = green[p[1] as usize];
            y[2] = blue[p[2] as usize];
        }
    }

    /// What a byte of each colour becomes.
    fn tables(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|colour| {
            let (mean, std) = (self.mean[colour], self.std[colour]);
            std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std)
        })
    }

    /// Everything: `(3, crop, crop)`.
    pub fn apply(&self, pixels: &Pixels) -> Vec<f32> {
        let plain = self.plain(pixels);
        let mut out = Vec::with_capacity(plain.rgb.len());
        self.normalise(&plain.rgb, &mut out);
        out
    }

    /// The colour that becomes nearly 0: what erased places are filled with.
    pub fn middle(&self) -> [u8; 3] {
        self.mean
            .map(|m| (m * 255.0).round().clamp(0.0, 255.0) as u8)
    }

    /// A text that changes whenever the outcome does, for caches.
    pub fn digest(&self) -> String {
        let size = match self.resize {
            Resize::Shorter(side) => format!("shorter {side}"),
            Resize::Exact(width, height) => format!("{width}x{height}"),
        };
        format!(
            "image 1, {size} {}, crop {}, mean {:?}, std {:?}",
            self.interpolation.name(),
            self.crop,
            self.mean,
            self.std
        )
    }
}

/// The size whose shorter side is `side`; the longer one is rounded down, as in torchvision.
pub fn shorter(width: usize, height: usize, side: usize) -> (usize, usize) {
    let long = |long: usize, short: usize| ((side * long) / short.max(1)).max(1);
    match width <= height {
        true => (side, long(height, width)),
        false => (long(width, height), side),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_side_decides_and_the_longer_is_rounded_down() {
        assert_eq!(shorter(640, 480, 256), (341, 256));
        assert_eq!(shorter(480, 641, 256), (256, 341));
        assert_eq!(shorter(100, 100, 224), (224, 224));
        assert_eq!(shorter(10_000, 1, 8), (80_000, 8));
    }

    #[test]
    fn a_line_of_pixels_does_not_become_gigabytes() {
        let p = Transform::imagenet().plain(&Pixels::filled(30_000, 1, [1, 2, 3]));
        assert_eq!(p, Pixels::filled(224, 224, [1, 2, 3]));
    }

    #[test]
    fn numbers_are_scaled_colour_by_colour() {
        let t = Transform {
            resize: Resize::Exact(2, 1),
            crop: 1,
            mean: [0.5, 0.0, 1.0],
            std: [0.5, 1.0, 2.0],
            ..Transform::imagenet()
        };
        let mut out = Vec::new();
        t.normalise(&[255, 0, 51, 0, 255, 255], &mut out);
        assert_eq!(out, [1.0, -1.0, 0.0, 1.0, (0.2 - 1.0) / 2.0, 0.0]);
        assert_eq!(Transform::imagenet().middle(), [124, 116, 104]);
    }

    #[test]
    fn ten_cuts_are_five_and_their_mirror_images() {
        let rgb = (0..20 * 16 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let p = Pixels::new(20, 16, rgb).unwrap();
        let t = Transform {
            resize: Resize::Exact(20, 16),
            crop: 8,
            ..Transform::imagenet()
        };
        let resized = t.resized(&p);
        let ten: Vec<Pixels> = (0..10).map(|i| t.cut(&resized, i)).collect();
        assert_eq!(ten[0].at(0, 0), p.at(0, 0));
        assert_eq!(ten[1].at(7, 0), p.at(19, 0));
        assert_eq!(ten[3].at(7, 7), p.at(19, 15));
        assert_eq!(ten[4], p.centre(8));
        assert_eq!(ten[9], ten[4].mirrored());
        assert_eq!(t.apply(&p).len(), 3 * 8 * 8);
    }

    #[test]
    fn numbers_are_the_same_in_either_order() {
        let bytes: Vec<u8> = (0..5 * 4 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let t = Transform::imagenet();
        let mut planes = Vec::new();
        t.normalise(&bytes, &mut planes);
        let mut last = vec![0f32; bytes.len()];
        t.normalise_last(&bytes, &mut last);
        for (i, x) in last.iter().enumerate() {
            assert_eq!(x.to_bits(), planes[i % 3 * 20 + i / 3].to_bits());
        }
    }
}

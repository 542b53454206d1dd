//! Which images look alike: a difference hash of 64 bits, and the small grey picture that it was made of.
//!
//! The image is reduced to 9 x 8 grey pixels, and each bit says whether a pixel is brighter than its right neighbour ("dHash", N. Krawetz, 2013). Resized and
//! recompressed copies differ in a few bits and hardly in their greys. The hash alone is not enough: of things photographed on white, a
//! backpack and a monitor may have one (on Office-Caltech's catalogue pictures it took 44 pairs for copies, none of which was); their greys tell them apart.

use crate::Pixels;
use crate::resize::{Interpolation, resize};

/// Bits in which copies of one image may differ.
pub const NEAR: u32 = 3;
/// How far the greys of copies may be apart, of 255, on average. Mirrored, cropped and recoloured copies are not found.
pub const NEAR_GREY: u32 = 5;

/// What copies of an image share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// A bit for each pixel and its right neighbour, row by row.
    pub hash: u64,
    /// Eight rows of nine.
    pub greys: [u8; 72],
}

impl Likeness {
    /// Whether two images are taken for copies of one.
    pub fn is_near(&self, other: &Likeness) -> bool {
        // Nearly all pairs that are asked for end here.
        if (self.hash ^ other.hash).count_ones() > NEAR {
            return false;
        }
        let pairs = self.greys.iter().zip(&other.greys);
        let apart: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        apart <= NEAR_GREY * 72
    }
}

/// Of an image. `None` where there is too little in it to tell: one colour, or nearly.
pub fn likeness(pixels: &Pixels) -> Option<Likeness> {
    let small = resize(pixels, 9, 8, Interpolation::Bilinear).luma();
    let (low, high) = (small.iter().min()?, small.iter().max()?);
    if high - low < 8 {
        return None;
    }
    let mut hash = 0u64;
    for row in small.chunks_exact(9) {
        for pair in row.windows(2) {
            hash = hash << 1 | u64::from(pair[0] > pair[1]);
        }
    }
    let greys = small.try_into().ok()?;
    Some(Likeness { hash, greys })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(width: usize, height: usize, phase: f64) -> Pixels {
        let mut rgb = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (u, v) = (x as f64 / width as f64, y as f64 / height as f64);
                let value = ((u * 9.0 + phase).sin() * (v * 7.0 - phase * 2.0).cos() + 1.0) * 120.0;
                rgb.extend([value as u8, (value * 0.8) as u8, 40]);
            }
        }
        Pixels::new(width, height, rgb).unwrap()
    }

    #[test]
    fn copies_of_another_size_are_near_and_others_are_not() {
        let one = likeness(&waves(200, 150, 0.3)).unwrap();
        let copy = likeness(&resize(
            &waves(200, 150, 0.3),
            90,
            67,
            Interpolation::Bicubic,
        ))
        .unwrap();
        assert!(one.is_near(&copy));
        let other = likeness(&waves(200, 150, 2.1)).unwrap();
        assert!((one.hash ^ other.hash).count_ones() > 2 * NEAR);
        assert!(!one.is_near(&other));
        // The same edges in other greys are another picture.
        let mut brighter = waves(200, 150, 0.3);
        brighter
            .rgb
            .iter_mut()
            .for_each(|b| *b = b.saturating_add(14));
        let brighter = likeness(&brighter).unwrap();
        assert!((one.hash ^ brighter.hash).count_ones() <= NEAR);
        assert!(!one.is_near(&brighter));
    }

    #[test]
    fn an_empty_image_is_like_no_other() {
        assert_eq!(likeness(&Pixels::filled(50, 50, [7; 3])), None);
    }
}

//! Which images look alike: a difference hash of 64 bits.
//!
//! The image is reduced to 9 x 8 grey pixels, and each bit says whether a pixel is brighter than its right neighbour ("dHash", N. Krawetz, 2013). Resized, recompressed or slightly
//! recoloured copies differ in a few bits; pictures of different things in about half of them.

use crate::Pixels;
use crate::resize::{Interpolation, resize};

/// Bits in which copies of one image may differ. Chosen so that two photographs of different things are rarely taken for copies; mirrored and cropped copies are not found.
pub const NEAR: u32 = 3;

/// The hash. `None` where an image has too little in it for its hash to mean anything: one colour, or nearly.
pub fn likeness(pixels: &Pixels) -> Option<u64> {
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
    Some(hash)
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
        assert!((one ^ copy).count_ones() <= NEAR);
        let other = likeness(&waves(200, 150, 2.1)).unwrap();
        assert!(
            (one ^ other).count_ones() > 2 * NEAR,
            "{}",
            (one ^ other).count_ones()
        );
    }

    #[test]
    fn an_empty_image_is_like_no_other() {
        assert_eq!(likeness(&Pixels::filled(50, 50, [7; 3])), None);
    }
}

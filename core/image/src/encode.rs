//! Small pictures for reports, and uncompressed ones for images that were drawn or stored as pixels.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::Pixels;
use crate::resize::{Interpolation, resize};
use crate::transform::shorter;

/// A JPEG whose longer side is at most `side` pixels, for a report.
pub fn thumbnail(pixels: &Pixels, side: usize) -> Vec<u8> {
    let (w, h) = (pixels.width, pixels.height);
    let long = w.max(h);
    let small = if long > side {
        let scaled = |n: usize| (n * side / long).max(1);
        resize(pixels, scaled(w), scaled(h), Interpolation::Bilinear)
    } else {
        pixels.clone()
    };
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 75)
        .write_image(
            &small.rgb,
            small.width as u32,
            small.height as u32,
            ExtendedColorType::Rgb8,
        )
        .expect("a small image is written into memory");
    out
}

/// An uncompressed BMP of 24 bits: quick to write, quick to read, and no byte is changed.
pub fn bmp(pixels: &Pixels) -> Vec<u8> {
    let row = (pixels.width * 3).next_multiple_of(4);
    let size = 54 + row * pixels.height;
    let mut out = Vec::with_capacity(size);
    out.extend(b"BM");
    out.extend((size as u32).to_le_bytes());
    out.extend([0; 4]);
    out.extend(54u32.to_le_bytes());
    out.extend(40u32.to_le_bytes());
    out.extend((pixels.width as i32).to_le_bytes());
    out.extend((pixels.height as i32).to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(24u16.to_le_bytes());
    out.resize(54, 0);
    for line in pixels.rgb.chunks_exact(pixels.width * 3).rev() {
        for p in line.chunks_exact(3) {
            out.extend([p[2], p[1], p[0]]);
        }
        // Rows begin at multiples of four bytes.
        out.resize(54 + (out.len() - 54).next_multiple_of(row), 0);
    }
    out
}

/// The size of a thumbnail whose shorter side is `side`: what a sheet of equal squares cuts from.
pub fn square(pixels: &Pixels, side: usize) -> Pixels {
    let (width, height) = shorter(pixels.width, pixels.height, side);
    let width = width.min(side * 20);
    let height = height.min(side * 20);
    resize(pixels, width, height, Interpolation::Bilinear).centre(side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode};

    #[test]
    fn a_bitmap_comes_back_as_it_was() {
        for (w, h) in [(1, 1), (2, 3), (5, 4), (32, 32), (7, 1)] {
            let rgb: Vec<u8> = (0..w * h * 3).map(|i| (i * 37 % 256) as u8).collect();
            let p = Pixels::new(w, h, rgb).unwrap();
            assert_eq!(decode(&bmp(&p), &Limits::default()).unwrap(), p);
        }
    }

    #[test]
    fn a_thumbnail_is_small_and_keeps_its_proportions() {
        let jpeg = thumbnail(&Pixels::filled(400, 100, [10, 200, 30]), 96);
        let small = decode(&jpeg, &Limits::default()).unwrap();
        assert_eq!((small.width, small.height), (96, 24));
        assert!(jpeg.len() < 2_000);
        let [r, g, b] = small.at(40, 10);
        assert!(r < 20 && g > 190 && b < 40);
    }
}

//! Decoded images: three bytes a pixel.

/// An image as red, green and blue bytes, row by row from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Pixels {
    /// An image of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Pixels {
            width,
            height,
            rgb: colour.repeat(width * height),
        }
    }

    /// From bytes; `None` where their number is not `width * height * 3`.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Option<Self> {
        let right = width.checked_mul(height)?.checked_mul(3)? == rgb.len();
        (right && width > 0 && height > 0).then_some(Pixels { width, height, rgb })
    }

    /// One pixel.
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let i = (y * self.width + x) * 3;
        [self.rgb[i], self.rgb[i + 1], self.rgb[i + 2]]
    }

    /// The rectangle whose left upper corner is `(left, top)`. What lies outside of the image is black, as in torchvision.
    pub fn cut(&self, left: isize, top: isize, width: usize, height: usize) -> Pixels {
        let mut out = Pixels::filled(width, height, [0; 3]);
        let (from, to) = overlap(left, width, self.width);
        if from >= to {
            return out;
        }
        for y in 0..height {
            let Some(sy) = top.checked_add_unsigned(y) else {
                continue;
            };
            if sy < 0 || sy as usize >= self.height {
                continue;
            }
            let source = (sy as usize * self.width + (left + from as isize) as usize) * 3;
            let target = (y * width + from) * 3;
            let bytes = (to - from) * 3;
            out.rgb[target..target + bytes].copy_from_slice(&self.rgb[source..source + bytes]);
        }
        out
    }

    /// The middle `side` x `side` pixels. Halves are rounded to the even number, as Python does and therefore torchvision.
    pub fn centre(&self, side: usize) -> Pixels {
        let start =
            |length: usize| ((length as f64 - side as f64) / 2.0).round_ties_even() as isize;
        self.cut(start(self.width), start(self.height), side, side)
    }

    /// Its mirror image, left and right exchanged.
    pub fn mirrored(&self) -> Pixels {
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for row in self.rgb.chunks_exact(self.width * 3) {
            for pixel in row.chunks_exact(3).rev() {
                rgb.extend_from_slice(pixel);
            }
        }
        Pixels { rgb, ..*self }
    }

    /// Whether no pixel has a colour.
    pub fn is_grey(&self) -> bool {
        self.rgb
            .chunks_exact(3)
            .all(|p| p[0] == p[1] && p[1] == p[2])
    }

    /// How bright each pixel is: ITU-R 601 in whole numbers, as PIL converts to `L`.
    pub fn luma(&self) -> Vec<u8> {
        self.rgb
            .chunks_exact(3)
            .map(|p| luma([p[0], p[1], p[2]]))
            .collect()
    }
}

/// How bright a colour is: PIL's `(19595 r + 38470 g + 7471 b + 0x8000) >> 16`.
pub(crate) fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Where a window that starts at `start` lies inside `0..size`, counted from the window's start.
fn overlap(start: isize, window: usize, size: usize) -> (usize, usize) {
    let from = (-start).clamp(0, window as isize) as usize;
    let to = (size as isize - start).clamp(0, window as isize) as usize;
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(width: usize, height: usize) -> Pixels {
        let rgb = (0..width * height).flat_map(|i| [i as u8; 3]).collect();
        Pixels { width, height, rgb }
    }

    #[test]
    fn a_cut_beyond_the_edge_is_black_there() {
        let p = numbered(3, 2).cut(-1, -1, 3, 3);
        let firsts: Vec<u8> = p.rgb.chunks(3).map(|c| c[0]).collect();
        assert_eq!(firsts, [0, 0, 0, 0, 0, 1, 0, 3, 4]);
        let far = numbered(3, 2).cut(7, 0, 2, 2);
        assert_eq!(far, Pixels::filled(2, 2, [0; 3]));
    }

    #[test]
    fn the_centre_rounds_halves_to_even() {
        // (5 - 2) / 2 = 1.5 becomes 2; (3 - 2) / 2 = 0.5 becomes 0.
        assert_eq!(numbered(5, 2).centre(2).at(0, 0), [2; 3]);
        assert_eq!(numbered(3, 2).centre(2).at(0, 0), [0; 3]);
        assert_eq!(numbered(2, 2).centre(4).at(1, 1), [0; 3]);
    }

    #[test]
    fn mirrored_twice_is_the_same() {
        let p = numbered(4, 3);
        assert_ne!(p.mirrored(), p);
        assert_eq!(p.mirrored().mirrored(), p);
    }

    #[test]
    fn bytes_of_another_size_are_no_image() {
        assert!(Pixels::new(2, 2, vec![0; 12]).is_some());
        assert!(Pixels::new(2, 2, vec![0; 11]).is_none());
        assert!(Pixels::new(0, 2, Vec::new()).is_none());
    }
}

//! Which pixels rows see.

use super::step::{HALF, SIDE};
use crate::conv2d::geometry::Class;
use std::ops::Range;

/// A tap that sees no pixel.
pub(super) const OUTSIDE: u32 = u32::MAX;

/// For each tap and row the pixel, or [`OUTSIDE`]; `stride` rows a tap.
#[derive(Default)]
pub(super) struct Table {
    pixels: Vec<u32>,
    /// Where each row is in the destination, in pixels.
    pub(super) at: Vec<usize>,
    stride: usize,
    sights: Vec<Sight>,
}

/// What sixteen rows see through a tap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sight {
    /// Nothing.
    Zeros,
    /// Pixels as far apart from each other.
    Run {
        first: usize,
        apart: usize,
    },
    Scattered,
}

impl Table {
    /// Of rows `from .. from + rows`, and which pixels they see.
    pub(super) fn fill(
        &mut self,
        class: &Class,
        size: (usize, usize),
        from: usize,
        rows: usize,
    ) -> Range<usize> {
        let stride = rows.next_multiple_of(SIDE);
        self.stride = stride;
        self.pixels.clear();
        self.pixels.resize(class.taps.len() * stride, OUTSIDE);
        self.at.clear();
        self.at.resize(stride, 0);
        let (mut first, mut end) = (usize::MAX, 0);
        let pixels = &mut self.pixels;
        class.walk(size, from, rows, stride, &mut self.at, |m| {
            for (k, seen) in pixels[m.slot..][..m.rows].iter_mut().enumerate() {
                *seen = (m.pixel + k * m.apart) as u32;
            }
            let last = m.pixel + (m.rows - 1) * m.apart;
            (first, end) = (first.min(m.pixel), end.max(last + 1));
        });
        self.sights.clear();
        self.sights
            .extend(self.pixels.chunks_exact(HALF).map(sight));
        first.min(end)..end
    }

    /// Of a tap the pixels of `n` rows.
    pub(super) fn rows(&self, tap: usize, from: usize, n: usize) -> &[u32] {
        &self.pixels[tap * self.stride + from..][..n]
    }

    /// Of a tap what sixteen rows see; `from` is a multiple of so many.
    pub(super) fn sight(&self, tap: usize, from: usize) -> Sight {
        self.sights[(tap * self.stride + from) / HALF]
    }
}

fn sight(pixels: &[u32]) -> Sight {
    let (first, last) = (pixels[0], pixels[pixels.len() - 1]);
    if pixels.iter().all(|&p| p == OUTSIDE) {
        return Sight::Zeros;
    }
    let apart = pixels[1].wrapping_sub(first);
    let even = pixels.windows(2).all(|p| p[1].wrapping_sub(p[0]) == apart);
    // The first pixel of all follows on what is outside, if one counts around.
    if even && first <= last && last != OUTSIDE {
        let (first, apart) = (first as usize, apart as usize);
        return Sight::Run { first, apart };
    }
    Sight::Scattered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_even_and_inside() {
        let run = |from: u32, step: u32| -> Vec<u32> { (0..16).map(|i| from + i * step).collect() };
        assert_eq!(sight(&run(3, 2)), Sight::Run { first: 3, apart: 2 });
        assert_eq!(sight(&[OUTSIDE; 16]), Sight::Zeros);
        let mut around = run(0, 1);
        around.rotate_right(1);
        around[0] = OUTSIDE;
        assert_eq!(sight(&around), Sight::Scattered);
        for hole in 0..16 {
            let mut some = run(5, 1);
            some[hole] = OUTSIDE;
            assert_eq!(sight(&some), Sight::Scattered, "{hole}");
        }
        let mut bent = run(5, 1);
        bent[8..].iter_mut().for_each(|p| *p += 3);
        assert_eq!(sight(&bent), Sight::Scattered);
    }
}

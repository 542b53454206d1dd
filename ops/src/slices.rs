//! Slices that are looked through, or copied, by all threads.

use crate::parallel::{CHUNK, unwritten};
use rayon::prelude::*;

/// Where the first number stands that is not finite.
///
/// ```
/// assert_eq!(tlkit_ops::first_not_finite(&[1.0, 2.0]), None);
/// assert_eq!(tlkit_ops::first_not_finite(&[1.0, f32::NAN, f32::INFINITY]), Some(1));
/// ```
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    const EXPONENT: u32 = 0x7f80_0000;
    // Without a branch at each number: sixteen of them are one vector.
    let bad = |chunk: &[f32]| {
        let all = chunk.iter().fold(0, |bad, v| {
            bad | u32::from(v.to_bits() & EXPONENT == EXPONENT)
        });
        all != 0
    };
    let chunks = values.par_chunks(CHUNK).enumerate();
    let (c, chunk) = chunks.find_first(|(_, chunk)| bad(chunk))?;
    let at = chunk.iter().position(|v| !v.is_finite())?;
    Some(c * CHUNK + at)
}

/// Copies `from` to `to`, which is as long.
///
/// # Panics
/// If it is not.
pub fn copy(to: &mut [f32], from: &[f32]) {
    assert_eq!(
        to.len(),
        from.len(),
        "as many numbers as there is place for"
    );
    let parts = to.par_chunks_mut(4 * CHUNK).zip(from.par_chunks(4 * CHUNK));
    parts.for_each(|(to, from)| to.copy_from_slice(from));
}

/// A copy, as [`copy`] makes it.
pub fn copied(from: &[f32]) -> Vec<f32> {
    if from.len() <= 4 * CHUNK {
        return from.to_vec();
    }
    // SAFETY: every element is written by `copy`, which has as many to write, before anything reads it.
    let mut to = unsafe { unwritten(from.len()) };
    copy(&mut to, from);
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_is_found_wherever_it_stands() {
        let n = 3 * CHUNK + 5;
        for at in [0, 1, CHUNK - 1, CHUNK, n - 1] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![f32::MAX; n];
                values[n - 1] = f32::NAN;
                values[at] = bad;
                assert_eq!(first_not_finite(&values), Some(at));
            }
        }
        assert_eq!(first_not_finite(&vec![f32::MIN; n]), None);
        assert_eq!(first_not_finite(&[]), None);
    }

    #[test]
    fn a_copy_is_whole() {
        let from: Vec<f32> = (0..9 * CHUNK + 7).map(|i| i as f32).collect();
        let mut to = vec![0.0; from.len()];
        copy(&mut to, &from);
        assert!(to == from);
        assert!(copied(&from) == from);
        assert!(copied(&from[..5]) == from[..5]);
        copy(&mut [], &[]);
    }
}

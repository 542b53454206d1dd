//! Randomness as a function: no generator is ever carried along.
//!
//! A [`Stream`] is a key; its numbers are a function of the key and a position. Streams are derived from the run's one
//! seed by naming what they are for, so nothing about them has to be saved to resume a run, and no draw depends on
//! the order in which other draws were made. (Candle's own CPU generator cannot be seeded.)

use tlkit_ops::random;

/// A named source of random numbers: a pure function of (seed, purposes, position).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(u64);

impl Stream {
    /// The root stream of a run.
    pub fn new(seed: u64) -> Self {
        Stream(mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// The stream for one purpose: `Stream::new(seed).purpose("shuffle")`.
    pub fn purpose(self, name: &str) -> Self {
        // FNV-1a, then mixed: names are short and few.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Stream(mix(self.0 ^ mix(hash)))
    }

    /// The stream of one index within a purpose (an epoch, a row).
    pub fn at(self, index: u64) -> Self {
        Stream(mix(self
            .0
            .wrapping_add(mix(index.wrapping_add(0xa076_1d64_78bd_642f)))))
    }

    /// The key, for the counter generator of `ops`.
    pub fn key(self) -> u64 {
        self.0
    }

    /// The `i`-th draw, uniform in `[0, 1)`.
    pub fn uniform(self, i: u64) -> f64 {
        (mix(self.0 ^ mix(i)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The `i`-th draw, uniform in `0..n`; `n` is at least 1.
    pub fn below(self, i: u64, n: u64) -> u64 {
        // Multiply-shift: the bias is below n / 2^64.
        ((u128::from(mix(self.0 ^ mix(i))) * u128::from(n.max(1))) >> 64) as u64
    }

    /// `0..n` in random order (Fisher-Yates).
    pub fn permutation(self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64, i as u64 + 1) as usize);
        }
        order
    }

    /// `n` draws of a standard normal distribution.
    pub fn normals(self, n: usize) -> Vec<f32> {
        let mut out = vec![0.0; n];
        random::fill_normal(&mut out, random::Counter::new(self.0, 0), 0.0, 1.0);
        out
    }

    /// `n` draws uniform in `[0, 1)`.
    pub fn uniforms(self, n: usize) -> Vec<f32> {
        let mut out = vec![0.0; n];
        random::fill_uniform(&mut out, random::Counter::new(self.0, 0), 0.0, 1.0);
        out
    }
}

/// SplitMix64's finalizer (Steele et al. 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_functions_of_their_names() {
        let root = Stream::new(7);
        assert_eq!(
            root.purpose("a").uniform(3),
            Stream::new(7).purpose("a").uniform(3)
        );
        assert_ne!(root.purpose("a").key(), root.purpose("b").key());
        assert_ne!(root.at(0).key(), root.at(1).key());
        assert_ne!(Stream::new(0).key(), Stream::new(1).key());
    }

    #[test]
    fn a_permutation_holds_each_index_once_and_differs_by_epoch() {
        let s = Stream::new(1).purpose("shuffle");
        let mut p = s.at(0).permutation(100);
        assert_ne!(p, s.at(1).permutation(100));
        p.sort_unstable();
        assert_eq!(p, (0..100).collect::<Vec<u32>>());
    }

    #[test]
    fn uniform_draws_have_the_right_mean_and_stay_inside() {
        let s = Stream::new(3);
        let mean = (0..10_000).map(|i| s.uniform(i)).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((0..1000).all(|i| s.below(i, 7) < 7));
    }
}

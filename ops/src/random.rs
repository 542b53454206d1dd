//! Random numbers as functions of a key and an index: nothing is stored, nothing depends on who asks first.
//!
//! The generator is Philox-4x32-10 (Salmon et al. 2011, *Parallel random numbers: as easy as 1, 2, 3*): ten rounds of
//! multiplication over a 128-bit counter, with the seed as its key. A dropout mask is drawn again in the backward pass
//! instead of being kept, any part of a tensor can be drawn alone, and a resumed run draws what the first would have.
//!
//! A draw is named by a [`Counter`] (seed, stream, step) and an index. Different streams, steps or seeds are
//! independent. The kinds of draw ([`Counter::word`], [`Counter::short`], [`Counter::uniform`], [`Counter::normal`], [`Counter::below`]) read
//! the same words, so give each use a stream of its own.

use crate::path::{Path, per_path};
use rayon::prelude::*;

/// Names an endless sequence of random words. The first 2^34 of them are distinct draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Counter {
    /// The run's seed.
    pub seed: u64,
    /// What is drawn: a number of its own for each use.
    pub stream: u64,
    /// When it is drawn: the training step, or 0.
    pub step: u32,
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Counters evaluated together; the words of a group are laid out so that this vectorises.
const TOGETHER: usize = 16;
/// Words in a group.
const GROUP: usize = 4 * TOGETHER;

impl Counter {
    /// The sequence of `stream` under `seed`, at step 0.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Counter {
            seed,
            stream,
            step: 0,
        }
    }

    /// The sequence named `name` under `seed`: its stream is the FNV-1a hash of the name.
    pub const fn named(seed: u64, name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        Counter::new(seed, hash)
    }

    /// The same sequence at another step.
    pub const fn at(self, step: u32) -> Self {
        Counter { step, ..self }
    }

    /// Word `i`: 32 random bits.
    pub fn word(self, i: u64) -> u32 {
        let (group, within) = (i / GROUP as u64, i % GROUP as u64);
        let (word, lane) = (within / TOGETHER as u64, within % TOGETHER as u64);
        let counter = (group * TOGETHER as u64 + lane) as u32;
        let stream = [self.stream as u32, (self.stream >> 32) as u32];
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        philox([counter, self.step, stream[0], stream[1]], key)[word as usize]
    }

    /// Number `i` of 16 bits: the low halves of the 64 words of a group, then the high ones.
    pub fn short(self, i: u64) -> u16 {
        let (group, within) = (i / SHORTS as u64, i % SHORTS as u64);
        let (half, word) = (within / GROUP as u64, within % GROUP as u64);
        (self.word(group * GROUP as u64 + word) >> (16 * half)) as u16
    }

    /// A number in [0, 1), a multiple of 2^-24, from word `i`.
    pub fn uniform(self, i: u64) -> f32 {
        unit(self.word(i))
    }

    /// A standard normal number (Box and Muller 1958); 2j and 2j + 1 share their two words.
    pub fn normal(self, i: u64) -> f32 {
        let pair = i & !1;
        let (a, b) = box_muller(self.word(pair), self.word(pair + 1));
        if i & 1 == 0 { a } else { b }
    }

    /// An integer in 0..n, from words 2i and 2i + 1; its bias is below n / 2^64.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(self, i: u64, n: u64) -> u64 {
        assert!(n > 0, "no integer is below 0");
        let word = u64::from(self.word(2 * i)) | u64::from(self.word(2 * i + 1)) << 32;
        ((u128::from(word) * u128::from(n)) >> 64) as u64
    }

    /// A random order of 0..n (Fisher and Yates).
    pub fn permutation(self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64, i as u64 + 1) as usize);
        }
        order
    }
}

fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

fn box_muller(a: u32, b: u32) -> (f32, f32) {
    // 1 - uniform lies in (0, 1], so the logarithm is finite. libm, and not the platform's: the same bits everywhere.
    let radius = (-2.0 * libm::logf(1.0 - unit(a))).sqrt();
    let (sin, cos) = libm::sincosf(std::f32::consts::TAU * unit(b));
    (radius * cos, radius * sin)
}

#[inline(always)]
fn philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c[0]);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c[2]);
        c = [
            (p1 >> 32) as u32 ^ c[1] ^ k[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ c[3] ^ k[1],
            p0 as u32,
        ];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

/// The words of one group: word i of the sequence is element i % 64 of group i / 64.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Lanes side by side.
fn group(counter: Counter, group: u64) -> [u32; GROUP] {
    let first = (group as u32).wrapping_mul(TOGETHER as u32);
    let mut c = [[0u32; TOGETHER]; 4];
    for l in 0..TOGETHER {
        c[0][l] = first.wrapping_add(l as u32);
        c[1][l] = counter.step;
        c[2][l] = counter.stream as u32;
        c[3][l] = (counter.stream >> 32) as u32;
    }
    let mut k = [counter.seed as u32, (counter.seed >> 32) as u32];
    for _ in 0..10 {
        for l in 0..TOGETHER {
            let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c[0][l]);
            let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c[2][l]);
            c[0][l] = (p1 >> 32) as u32 ^ c[1][l] ^ k[0];
            c[1][l] = p1 as u32;
            c[2][l] = (p0 >> 32) as u32 ^ c[3][l] ^ k[1];
            c[3][l] = p0 as u32;
        }
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    let mut words = [0u32; GROUP];
    for w in 0..4 {
        words[w * TOGETHER..][..TOGETHER].copy_from_slice(&c[w]);
    }
    words
}

/// Numbers of 16 bits in a group of words.
const SHORTS: usize = 2 * GROUP;

/// Calls `f(offset, shorts)` for the pieces of `first..first + n`, a group or less at a time.
#[inline(always)]
pub(crate) fn for_shorts(counter: Counter, first: u64, n: usize, mut f: impl FnMut(usize, &[u32])) {
    let mut done = 0;
    while done < n {
        let at = first + done as u64;
        let skip = (at % SHORTS as u64) as usize;
        let words = group(counter, at / SHORTS as u64);
        let mut shorts = [0u32; SHORTS];
        for (i, word) in words.iter().enumerate() {
            shorts[i] = word & 0xFFFF;
            shorts[i + GROUP] = word >> 16;
        }
        let take = (SHORTS - skip).min(n - done);
        f(done, &shorts[skip..skip + take]);
        done += take;
    }
}

per_path! {
    /// Words `first`, `first + 1`, ... of the sequence.
    fn words(out: &mut [u32], counter: Counter, first: u64) {
        let mut done = 0;
        while done < out.len() {
            let at = first + done as u64;
            let skip = (at % GROUP as u64) as usize;
            let words = group(counter, at / GROUP as u64);
            let take = (GROUP - skip).min(out.len() - done);
            out[done..done + take].copy_from_slice(&words[skip..skip + take]);
            done += take;
        }
    }
}

const CHUNK: usize = 1 << 14;

fn fill<T: Send>(out: &mut [T], counter: Counter, f: impl Fn(&mut [T], &[u32]) + Sync) {
    let path = Path::current();
    out.par_chunks_mut(CHUNK).enumerate().for_each_init(
        || vec![0u32; CHUNK],
        |bits, (c, out)| {
            words(path, bits, counter, (c * CHUNK) as u64);
            f(out, bits);
        },
    );
}

/// Fills `out` with the words of `counter`, element i with word i.
pub fn fill_words(out: &mut [u32], counter: Counter) {
    fill(out, counter, |out, bits| {
        let n = out.len();
        out.copy_from_slice(&bits[..n]);
    });
}

/// Fills `out` with uniform numbers: element i is `low + (high - low) * counter.uniform(i)`.
pub fn fill_uniform(out: &mut [f32], counter: Counter, low: f32, high: f32) {
    fill(out, counter, |out, bits| {
        for (o, &b) in out.iter_mut().zip(bits) {
            *o = low + (high - low) * unit(b);
        }
    });
}

/// Fills `out` with normal numbers: element i is `mean + deviation * counter.normal(i)`.
pub fn fill_normal(out: &mut [f32], counter: Counter, mean: f32, deviation: f32) {
    fill(out, counter, |out, bits| {
        for (pair, bits) in out.chunks_mut(2).zip(bits.chunks_exact(2)) {
            let (a, b) = box_muller(bits[0], bits[1]);
            pair[0] = mean + deviation * a;
            if let Some(second) = pair.get_mut(1) {
                *second = mean + deviation * b;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_known_answers() {
        // Random123 1.14, kat_vectors: philox4x32 10.
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
        assert_eq!(
            philox(
                [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
                [0xa4093822, 0x299f31d0]
            ),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    #[test]
    fn fills_are_functions_of_key_and_index_on_every_path() {
        let counter = Counter::named(3, "fills").at(5);
        let expected: Vec<u32> = (0..1000).map(|i| counter.word(i)).collect();
        for path in Path::all() {
            for (first, n) in [(0, 1000), (1, 64), (63, 130), (64, 64), (900, 100)] {
                let mut out = vec![0; n];
                words(path, &mut out, counter, first as u64);
                assert_eq!(out, expected[first..first + n], "{path:?} {first}+{n}");
            }
        }
        for first in [0, 1, 127, 128, 300] {
            for_shorts(counter, first, 200, |at, shorts| {
                for (i, &short) in shorts.iter().enumerate() {
                    assert_eq!(short, u32::from(counter.short(first + (at + i) as u64)));
                }
            });
        }
        let n = 2 * CHUNK + 7;
        let (mut bits, mut uniform, mut normal) = (vec![0; n], vec![0.; n], vec![0.; n]);
        fill_words(&mut bits, counter);
        fill_uniform(&mut uniform, counter, -1.0, 1.0);
        fill_normal(&mut normal, counter, 1.0, 2.0);
        for i in [0, 1, 63, 64, CHUNK - 1, CHUNK, n - 1] {
            let key = i as u64;
            assert_eq!(bits[i], counter.word(key));
            assert_eq!(uniform[i], -1.0 + 2.0 * counter.uniform(key));
            assert_eq!(normal[i], 1.0 + 2.0 * counter.normal(key));
        }
    }

    #[test]
    fn moments_are_right() {
        let n = 1 << 20;
        let mut x = vec![0f32; n];
        let moments = |x: &[f32]| {
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            let square = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
            (mean, square - mean * mean)
        };
        fill_uniform(&mut x, Counter::new(1, 2), 0.0, 1.0);
        let (mean, variance) = moments(&x);
        assert!((mean - 0.5).abs() < 2e-3 && (variance - 1.0 / 12.0).abs() < 1e-3);
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
        fill_normal(&mut x, Counter::new(1, 3), 0.0, 1.0);
        let (mean, variance) = moments(&x);
        assert!(
            mean.abs() < 5e-3 && (variance - 1.0).abs() < 1e-2,
            "{mean} {variance}"
        );
    }

    #[test]
    fn permutations_hold_every_number_once_and_differ_by_step() {
        let counter = Counter::new(1, 1);
        let order = counter.permutation(1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000));
        assert_ne!(order, counter.at(1).permutation(1000));
        assert_eq!(order, counter.permutation(1000));
        assert!(counter.permutation(0).is_empty());
    }
}

//! Whether products of pairs of bf16 are worth it here.
//!
//! Some processors multiply pairs of bf16 at the rate of f32 instructions, and so twice as many numbers; others take four
//! times as long for each instruction (measured on one: 100 against 200 GFLOP/s of f32). No feature flag tells them apart,
//! so it is measured once: four to one against one to one, on registers alone, the least of many tries, decided at two.

use crate::path::{Level, Path};
use std::sync::OnceLock;

/// The path for bf16 products: the current one, or AVX-512 in f32 on rounded operands where that is faster.
///
/// `TLKIT_CPU=avx512bf16` takes the pairs without asking.
pub(crate) fn path() -> Path {
    static CHOSEN: OnceLock<Path> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let current = Path::current();
        let forced = std::env::var("TLKIT_CPU").is_ok_and(|v| v == Level::Avx512Bf16.name());
        // Tiles are always worth it.
        if current.level() != Level::Avx512Bf16 || forced || pairs_are_fast() {
            return current;
        }
        Path::at(Level::Avx512).unwrap_or(current)
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn pairs_are_fast() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
fn pairs_are_fast() -> bool {
    let least = |f: &dyn Fn()| {
        let time = |_| {
            let start = std::time::Instant::now();
            f();
            start.elapsed()
        };
        (0..25).map(time).min().unwrap_or_default()
    };
    // SAFETY: the caller knows that the processor has AVX-512 BF16.
    let (pairs, singles) = unsafe { (least(&|| run_pairs()), least(&|| run_singles())) };
    pairs < 2 * singles
}

/// Sums in flight: enough to hide the latency of either instruction.
#[cfg(target_arch = "x86_64")]
const SUMS: usize = 24;
/// About ten microseconds at one instruction a cycle.
#[cfg(target_arch = "x86_64")]
const TIMES: usize = 1000;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn run_pairs() {
    use std::arch::x86_64::*;
    let one = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0), _mm512_set1_ps(1.0));
    let x = std::hint::black_box(one);
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..TIMES {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, x, x);
        }
    }
    std::hint::black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn run_singles() {
    use std::arch::x86_64::*;
    let x = std::hint::black_box(_mm512_set1_ps(1.0));
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..TIMES {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(x, x, *sum);
        }
    }
    std::hint::black_box(sums);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_one_of_the_two_and_stays() {
        let chosen = path();
        assert!(chosen <= Path::current());
        assert!(chosen >= Path::current().min(Path::at(Level::Avx512).unwrap_or(chosen)));
        assert_eq!(chosen, path());
    }
}

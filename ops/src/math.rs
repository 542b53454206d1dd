//! Elementary functions that vectorise: no branches, no table, no call.
//!
//! Each is generic over `FMA`, whether a fused multiply-add is one instruction (see `per_path!`), and its error was
//! measured against f64 by the tests beside it.

/// `a * b + c`, fused where that is one instruction.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the mantissa.
const MAGIC: f32 = 12_582_912.0;
// ln 2 in two parts, the first with zeros at its end so that n * LN2_HIGH is exact.
const LN2_HIGH: f32 = 355.0 / 512.0;
const LN2_LOW: f32 = -2.121_944_4e-4;
const EXP_LEAST: f32 = -87.3;
const EXP_MOST: f32 = 88.3;

/// e^x. Relative error at most 1.0e-7 (measured 8.3e-8); 0 below -87.3, and e^88.3 above 88.3.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; the polynomial for e^r is the one of Cephes' `expf` (Moshier 1989).
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    let clamped = if x < EXP_LEAST { EXP_LEAST } else { x };
    let clamped = if clamped > EXP_MOST {
        EXP_MOST
    } else {
        clamped
    };
    let shifted = fma::<FMA>(clamped, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = fma::<FMA>(n, -LN2_HIGH, clamped);
    let r = fma::<FMA>(n, -LN2_LOW, r);
    let p = 1.987_569_1e-4;
    let p = fma::<FMA>(p, r, 1.398_199_9e-3);
    let p = fma::<FMA>(p, r, 8.333_452e-3);
    let p = fma::<FMA>(p, r, 4.166_579_6e-2);
    let p = fma::<FMA>(p, r, 1.666_666_5e-1);
    let p = fma::<FMA>(p, r, 5.000_000_3e-1);
    let p = fma::<FMA>(p, r * r, r) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < EXP_LEAST { 0.0 } else { p * power }
}

/// The standard normal distribution function at x, and e^(-x²/2).
///
/// Φ(x) = (1 + erf(x / √2)) / 2, computed from its smaller tail, which is e^(-x²/2) Q(t) with t = 1 / (1 + 0.35 |x|): a
/// polynomial Q of degree 9, fitted for relative error (3.2e-8 before rounding) on |x| <= 14. Unlike 1 + erf, it keeps
/// its relative precision in the left tail.
#[inline(always)]
pub(crate) fn normal_cdf<const FMA: bool>(x: f32) -> (f32, f32) {
    let magnitude = x.abs();
    let half = 0.5 * x;
    let bell = exp::<FMA>(-(half * x));
    let t = 1.0 / fma::<FMA>(magnitude, 0.35, 1.0);
    let q = -0.029_146_139_f32;
    let q = fma::<FMA>(q, t, 0.143_972_71);
    let q = fma::<FMA>(q, t, -0.255_716_32);
    let q = fma::<FMA>(q, t, 0.159_176_5);
    let q = fma::<FMA>(q, t, -0.023_111_418);
    let q = fma::<FMA>(q, t, 0.105_508_66);
    let q = fma::<FMA>(q, t, 0.119_832_7);
    let q = fma::<FMA>(q, t, 0.139_861_9);
    let q = fma::<FMA>(q, t, 0.139_621_4);
    let tail = bell * (q * t);
    (if x < 0.0 { tail } else { 1.0 - tail }, bell)
}

/// s = 1 / (1 + e^-x) and its derivative s (1 - s), both from e^-|x|, so that neither cancels in a tail.
#[inline(always)]
pub(crate) fn sigmoid<const FMA: bool>(x: f32) -> (f32, f32) {
    let e = exp::<FMA>(-x.abs());
    let r = 1.0 / (1.0 + e);
    let er = e * r;
    (if x < 0.0 { er } else { r }, er * r)
}

/// Lanes of a vectorised sum: one AVX-512 register, two of AVX2. The same on every path.
pub(crate) const LANES: usize = 16;

/// The sum of the lanes, pairwise.
#[inline(always)]
pub(crate) fn add_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `S` sums over the elements of `K` slices of one length, by lanes: element i goes to lane i mod 16.
#[inline(always)]
pub(crate) fn lane_sums<const K: usize, const S: usize>(
    x: [&[f32]; K],
    f: impl Fn([f32; K]) -> [f32; S],
) -> [f32; S] {
    let n = x[0].len();
    let parts = x.map(|x| x[..n].as_chunks::<LANES>());
    let mut lanes = [[0f32; LANES]; S];
    for i in 0..n / LANES {
        let block = parts.map(|(blocks, _)| &blocks[i]);
        for l in 0..LANES {
            let terms = f(block.map(|b| b[l]));
            for s in 0..S {
                lanes[s][l] += terms[s];
            }
        }
    }
    for l in 0..n % LANES {
        let terms = f(parts.map(|(_, rest)| rest[l]));
        for s in 0..S {
            lanes[s][l] += terms[s];
        }
    }
    lanes.map(add_lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{Path, per_path};
    use crate::testing::worse;

    per_path! {
        fn exp_of(x: &[f32], y: &mut [f32]) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = exp::<FMA>(x);
            }
        }
    }
    per_path! {
        fn cdf_of(x: &[f32], y: &mut [f32]) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = normal_cdf::<FMA>(x).0;
            }
        }
    }

    fn grid(from: f32, to: f32) -> Vec<f32> {
        let n = 200_001;
        (0..n)
            .map(|i| from + (to - from) * i as f32 / (n - 1) as f32)
            .collect()
    }

    #[test]
    fn exp_is_within_its_stated_error() {
        let x = grid(-87.2, 88.2);
        let mut y = vec![0f32; x.len()];
        for path in Path::all() {
            exp_of(path, &x, &mut y);
            let worst = x
                .iter()
                .zip(&y)
                .map(|(&x, &y)| {
                    let exact = f64::from(x).exp();
                    ((f64::from(y) - exact) / exact).abs()
                })
                .fold(0.0, worse);
            println!("exp {path:?}: {worst:.2e}");
            assert!(worst <= 1.0e-7, "{path:?}: {worst:.2e}");
            exp_of(path, &[-1e30, f32::NEG_INFINITY, 0.0], &mut y[..3]);
            assert_eq!(&y[..3], &[0.0, 0.0, 1.0]);
        }
    }

    #[test]
    fn normal_cdf_is_within_its_stated_error() {
        let x = grid(-6.0, 6.0);
        let mut y = vec![0f32; x.len()];
        for path in Path::all() {
            cdf_of(path, &x, &mut y);
            let (mut absolute, mut relative) = (0f64, 0f64);
            for (&x, &y) in x.iter().zip(&y) {
                let exact = 0.5 * libm::erfc(-f64::from(x) / std::f64::consts::SQRT_2);
                let error = (f64::from(y) - exact).abs();
                absolute = absolute.max(error);
                relative = relative.max(error / exact);
            }
            println!("normal_cdf {path:?}: absolute {absolute:.2e} relative {relative:.2e}");
            assert!(absolute <= 2.5e-7, "{path:?}: {absolute:.2e}");
            assert!(relative <= 2.0e-6, "{path:?}: {relative:.2e}");
        }
    }
}

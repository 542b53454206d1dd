//! Two images in one: mixup and cutmix. Labels are mixed by the same share, which is the caller's affair.

use crate::Pixels;
use crate::augment::Draw;

/// mixup (Zhang et al. 2017): each pixel is `share` of the one and the rest of the other. Both are of one size.
pub fn mixup(one: &Pixels, other: &Pixels, share: f64) -> Pixels {
    let rgb = one.rgb.iter().zip(&other.rgb);
    let mixed =
        |(&a, &b): (&u8, &u8)| (share * f64::from(a) + (1.0 - share) * f64::from(b)).round() as u8;
    Pixels {
        rgb: rgb.map(mixed).collect(),
        ..*one
    }
}

/// cutmix (Yun et al. 2019): a rectangle of the other, its middle anywhere, its sides `sqrt(1 - share)` of the image's. Returns the share that the one still
/// has, which is larger where the rectangle reaches over an edge.
pub fn cutmix(one: &Pixels, other: &Pixels, share: f64, draw: Draw<'_>) -> (Pixels, f64) {
    let part = (1.0 - share).clamp(0.0, 1.0).sqrt();
    let mut span = |length: usize| {
        let middle = draw() * length as f64;
        let half = part * length as f64 / 2.0;
        let from = (middle - half).round().clamp(0.0, length as f64) as usize;
        let to = (middle + half).round().clamp(0.0, length as f64) as usize;
        (from, to)
    };
    let (left, right) = span(one.width);
    let (top, bottom) = span(one.height);
    let mut out = one.clone();
    for y in top..bottom {
        let at = |x: usize| (y * one.width + x) * 3;
        out.rgb[at(left)..at(right)].copy_from_slice(&other.rgb[at(left)..at(right)]);
    }
    let gone = ((right - left) * (bottom - top)) as f64;
    (out, 1.0 - gone / (one.width * one.height) as f64)
}

/// A draw from Beta(alpha, alpha), `alpha` in `(0, 1]`, by Jöhnk's method (1964).
pub fn beta(alpha: f64, draw: Draw<'_>) -> f64 {
    let power = 1.0 / alpha;
    // Accepted at least half of the time for alpha up to 1.
    for _ in 0..64 {
        let (x, y) = (draw().powf(power), draw().powf(power));
        if x + y <= 1.0 && x + y > 0.0 {
            return x / (x + y);
        }
    }
    0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> impl FnMut() -> f64 {
        let mut state = 3u64;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    #[test]
    fn mixup_is_a_weighted_mean() {
        let (a, b) = (
            Pixels::filled(2, 2, [200, 0, 9]),
            Pixels::filled(2, 2, [100, 40, 9]),
        );
        assert_eq!(mixup(&a, &b, 0.75), Pixels::filled(2, 2, [175, 10, 9]));
        assert_eq!(mixup(&a, &b, 1.0), a);
    }

    #[test]
    fn cutmix_says_what_share_is_left() {
        let (a, b) = (
            Pixels::filled(20, 10, [1; 3]),
            Pixels::filled(20, 10, [0; 3]),
        );
        let mut draw = numbers();
        for i in 0..200 {
            let share = i as f64 / 200.0;
            let (mixed, left) = cutmix(&a, &b, share, &mut draw);
            let ones = mixed.rgb.iter().filter(|&&v| v == 1).count() as f64 / 600.0;
            assert!((ones - left).abs() < 1e-12, "{ones} {left}");
            assert!(left > share - 0.12, "{left} of {share}");
        }
    }

    #[test]
    fn draws_have_the_mean_and_the_variance_of_beta() {
        let mut draw = numbers();
        for alpha in [0.2, 1.0] {
            let n = 20_000;
            let all: Vec<f64> = (0..n).map(|_| beta(alpha, &mut draw)).collect();
            let mean = all.iter().sum::<f64>() / n as f64;
            let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!(
                (variance - expected).abs() < 0.01,
                "{alpha}: {variance} {expected}"
            );
        }
    }
}

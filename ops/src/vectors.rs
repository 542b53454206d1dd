//! Vectors of f64: most of what a closed-form fit does.
//!
//! Products and sums are rounded one by one and in a fixed order, so every instruction set gives the same bits.

use crate::path::{Path, per_path};

/// Sums side by side: one sum alone would have to wait for each addition before it makes the next.
const SUMS: usize = 16;

per_path! {
    fn dot_on(a: &[f64], b: &[f64]) -> f64 {
        let (a, b) = (a.chunks_exact(SUMS), b.chunks_exact(SUMS));
        let rest = a.remainder().iter().zip(b.remainder());
        let rest: f64 = rest.map(|(x, y)| x * y).sum();
        let mut sums = [0.0; SUMS];
        for (a, b) in a.zip(b) {
            for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += x * y;
            }
        }
        sums.iter().sum::<f64>() + rest
    }
}

per_path! {
    fn add_scaled_on(to: &mut [f64], scale: f64, x: &[f64]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to += scale * x;
        }
    }
}

/// The inner product of two vectors of one length.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    dot_on(Path::current(), a, b)
}

/// Adds `scale` times one vector to another of its length.
pub fn add_scaled(to: &mut [f64], scale: f64, x: &[f64]) {
    debug_assert_eq!(to.len(), x.len());
    add_scaled_on(Path::current(), to, scale, x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_gives_the_same_bits() {
        for n in [0, 1, 15, 16, 17, 250] {
            let a: Vec<f64> = (0..n).map(|i| f64::from(i).sin()).collect();
            let b: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
            let exact: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            let plain = dot(&a, &b);
            assert!((plain - exact).abs() < 1e-14, "{n}: {plain} {exact}");
            let mut to = b.clone();
            add_scaled(&mut to, -0.3, &a);
            let wanted = b.iter().zip(&a).map(|(b, a)| b + -0.3 * a);
            assert!(to.iter().copied().eq(wanted), "{n}");
            for path in Path::all() {
                assert_eq!(dot_on(path, &a, &b).to_bits(), plain.to_bits(), "{n}");
                let mut on = b.clone();
                add_scaled_on(path, &mut on, -0.3, &a);
                assert_eq!(on, to, "{n}");
            }
        }
    }
}

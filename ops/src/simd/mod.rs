//! Vectors of f32, for kernels that are written once and compiled for every instruction set: convolutions, products.

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// Vectors of some instruction set.
pub(crate) trait Simd {
    type V: Copy;
    const LANES: usize;
    unsafe fn zero() -> Self::V;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n` lanes, zeros beside them.
    unsafe fn load_some(p: *const f32, n: usize) -> Self::V;
    unsafe fn store_some(p: *mut f32, n: usize, v: Self::V);
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// Zero for what is negative; NaN stays.
    unsafe fn relu(v: Self::V) -> Self::V;
    /// Zero where `m` is not positive.
    unsafe fn keep(v: Self::V, m: Self::V) -> Self::V;

    /// Adds to `sums` the products of `n` columns of `R` rows, each at its pointer, with `n` rows of `V` vectors that lie one after another at
    /// `b`: the inner loop of a product.
    #[inline(always)]
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[Self::V; V]; R],
        a: [*const f32; R],
        b: *const f32,
        n: usize,
    ) {
        // In a place of its own, which nothing points to: else the compiler stores every sum after every column.
        let mut own = *sums;
        let mut b = b;
        for c in 0..n {
            // SAFETY: by the contract: every pointer reaches over n columns, b over n rows.
            unsafe {
                let mut bs = [Self::zero(); V];
                for (v, x) in bs.iter_mut().enumerate() {
                    *x = Self::load(b.add(v * Self::LANES));
                }
                for (a, sums) in a.iter().zip(own.iter_mut()) {
                    let x = Self::splat(*a.add(c));
                    for (sum, b) in sums.iter_mut().zip(bs) {
                        *sum = Self::fma(x, b, *sum);
                    }
                }
                b = b.add(V * Self::LANES);
            }
        }
        *sums = own;
    }
}

/// Four floats by whatever the compiler has; products and sums are rounded separately.
pub(crate) struct Plain;

impl Simd for Plain {
    type V = [f32; 4];
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> [f32; 4] {
        [0.0; 4]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 4] {
        // SAFETY: by the contract of the callers.
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 4]) {
        // SAFETY: as above.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, n: usize) -> [f32; 4] {
        let mut v = [0.0; 4];
        for (i, v) in v.iter_mut().enumerate().take(n) {
            // SAFETY: as above.
            *v = unsafe { *p.add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f32, n: usize, v: [f32; 4]) {
        for (i, v) in v.iter().enumerate().take(n) {
            // SAFETY: as above.
            unsafe { *p.add(i) = *v };
        }
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        let mut y = c;
        for i in 0..4 {
            y[i] += a[i] * b[i];
        }
        y
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        let mut y = a;
        for i in 0..4 {
            y[i] += b[i];
        }
        y
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        let mut y = a;
        for i in 0..4 {
            y[i] *= b[i];
        }
        y
    }
    #[inline(always)]
    unsafe fn relu(v: [f32; 4]) -> [f32; 4] {
        v.map(|x| if x < 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn keep(v: [f32; 4], m: [f32; 4]) -> [f32; 4] {
        let mut y = v;
        for i in 0..4 {
            y[i] = if m[i] > 0.0 { v[i] } else { 0.0 };
        }
        y
    }
}

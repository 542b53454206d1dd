//! The vectors of x86.

use super::Simd;
use std::arch::x86_64::*;

pub(crate) struct Avx512;

/// The first `n` of sixteen lanes.
#[inline(always)]
fn some(n: usize) -> __mmask16 {
    if n >= 16 { !0 } else { (1 << n) - 1 }
}

// SAFETY, for all of it: only functions that have the features use it; pointers are theirs.
impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn zero() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, n: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(some(n), p) }
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f32, n: usize, v: __m512) {
        unsafe { _mm512_mask_storeu_ps(p, some(n), v) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(v: __m512) -> __m512 {
        // The second operand is what comes out where one is NaN.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), v) }
    }
    #[inline(always)]
    unsafe fn keep(v: __m512, m: __m512) -> __m512 {
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(m, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(positive, v)
        }
    }
    #[inline(always)]
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[__m512; V]; R],
        a: [*const f32; R],
        b: *const f32,
        n: usize,
    ) {
        if R == 6 && V == 4 {
            let a = std::array::from_fn(|i| a[i]);
            // SAFETY: the type is this one: six times four.
            unsafe { six_by_four(&mut *(&raw mut *sums).cast(), a, b, n) };
            return;
        }
        // See the trait's own.
        let mut own = *sums;
        let mut b = b;
        for c in 0..n {
            unsafe {
                let mut bs = [_mm512_setzero_ps(); V];
                for (v, x) in bs.iter_mut().enumerate() {
                    *x = _mm512_loadu_ps(b.add(16 * v));
                }
                for (a, sums) in a.iter().zip(own.iter_mut()) {
                    let x = _mm512_set1_ps(*a.add(c));
                    for (sum, b) in sums.iter_mut().zip(bs) {
                        *sum = _mm512_fmadd_ps(x, b, *sum);
                    }
                }
                b = b.add(16 * V);
            }
        }
        *sums = own;
    }
}

pub(crate) struct Avx2;

/// The first `n` of eight lanes.
#[inline(always)]
unsafe fn lanes(n: usize) -> __m256i {
    unsafe {
        let order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n.min(8) as i32), order)
    }
}

// SAFETY, for all of it: as above.
impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn zero() -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, n: usize) -> __m256 {
        unsafe { _mm256_maskload_ps(p, lanes(n)) }
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f32, n: usize, v: __m256) {
        unsafe { _mm256_maskstore_ps(p, lanes(n), v) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn relu(v: __m256) -> __m256 {
        // The second operand is what comes out where one is NaN.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), v) }
    }
    #[inline(always)]
    unsafe fn keep(v: __m256, m: __m256) -> __m256 {
        unsafe { _mm256_and_ps(v, _mm256_cmp_ps::<_CMP_GT_OQ>(m, _mm256_setzero_ps())) }
    }
}

/// One column of six rows times a row of four vectors: so many bytes of a row, and of b, from where the loop stands.
macro_rules! column {
    ($a:literal, $b:literal) => {
        concat!(
            "vmovups zmm24, [{b} + ",
            $b,
            "]\n",
            "vmovups zmm25, [{b} + ",
            $b,
            " + 64]\n",
            "vmovups zmm26, [{b} + ",
            $b,
            " + 128]\n",
            "vmovups zmm27, [{b} + ",
            $b,
            " + 192]\n",
            "vbroadcastss zmm28, [{a0} + 4*{c} + ",
            $a,
            "]\n",
            "vfmadd231ps zmm0, zmm24, zmm28\n",
            "vfmadd231ps zmm1, zmm25, zmm28\n",
            "vfmadd231ps zmm2, zmm26, zmm28\n",
            "vfmadd231ps zmm3, zmm27, zmm28\n",
            "vbroadcastss zmm29, [{a1} + 4*{c} + ",
            $a,
            "]\n",
            "vfmadd231ps zmm4, zmm24, zmm29\n",
            "vfmadd231ps zmm5, zmm25, zmm29\n",
            "vfmadd231ps zmm6, zmm26, zmm29\n",
            "vfmadd231ps zmm7, zmm27, zmm29\n",
            "vbroadcastss zmm30, [{a2} + 4*{c} + ",
            $a,
            "]\n",
            "vfmadd231ps zmm8, zmm24, zmm30\n",
            "vfmadd231ps zmm9, zmm25, zmm30\n",
            "vfmadd231ps zmm10, zmm26, zmm30\n",
            "vfmadd231ps zmm11, zmm27, zmm30\n",
            "vbroadcastss zmm31, [{a3} + 4*{c} + ",
            $a,
            "]\n",
            "vfmadd231ps zmm12, zmm24, zmm31\n",
            "vfmadd231ps zmm13, zmm25, zmm31\n",
            "vfmadd231ps zmm14, zmm26, zmm31\n",
            "vfmadd231ps zmm15, zmm27, zmm31\n",
            "vbroadcastss zmm28, [{a4} + 4*{c} + ",
            $a,
            "]\n",
            "vfmadd231ps zmm16, zmm24, zmm28\n",
            "vfmadd231ps zmm17, zmm25, zmm28\n",
            "vfmadd231ps zmm18, zmm26, zmm28\n",
            "vfmadd231ps zmm19, zmm27, zmm28\n",
            "vbroadcastss zmm29, [{a5} + 4*{c} + ",
            $a,
            "]\n",
            "vfmadd231ps zmm20, zmm24, zmm29\n",
            "vfmadd231ps zmm21, zmm25, zmm29\n",
            "vfmadd231ps zmm22, zmm26, zmm29\n",
            "vfmadd231ps zmm23, zmm27, zmm29\n",
        )
    };
}

/// [`Simd::accumulate`] of six rows and four vectors, four columns at a time: counting and comparing after each column takes places of
/// multiplications, and the compiler, asked to do it, spills.
///
/// # Safety
/// The pointers reach over `n` columns, `b` over `n` rows of four vectors.
#[target_feature(enable = "avx512f")]
unsafe fn six_by_four(s: &mut [[__m512; 4]; 6], a: [*const f32; 6], b: *const f32, n: usize) {
    // SAFETY: by the contract.
    unsafe {
        std::arch::asm!(
            "cmp {c}, {fours}",
            "jae 3f",
            "2:",
            column!("0", "0"),
            column!("4", "256"),
            column!("8", "512"),
            column!("12", "768"),
            "add {b}, 1024",
            "add {c}, 4",
            "cmp {c}, {fours}",
            "jb 2b",
            "3:",
            "cmp {c}, {n}",
            "jae 5f",
            "4:",
            column!("0", "0"),
            "add {b}, 256",
            "inc {c}",
            "cmp {c}, {n}",
            "jb 4b",
            "5:",
            b = inout(reg) b => _,
            c = inout(reg) 0usize => _,
            n = in(reg) n,
            fours = in(reg) n / 4 * 4,
            a0 = in(reg) a[0],
            a1 = in(reg) a[1],
            a2 = in(reg) a[2],
            a3 = in(reg) a[3],
            a4 = in(reg) a[4],
            a5 = in(reg) a[5],
            inout("zmm0") s[0][0],
            inout("zmm1") s[0][1],
            inout("zmm2") s[0][2],
            inout("zmm3") s[0][3],
            inout("zmm4") s[1][0],
            inout("zmm5") s[1][1],
            inout("zmm6") s[1][2],
            inout("zmm7") s[1][3],
            inout("zmm8") s[2][0],
            inout("zmm9") s[2][1],
            inout("zmm10") s[2][2],
            inout("zmm11") s[2][3],
            inout("zmm12") s[3][0],
            inout("zmm13") s[3][1],
            inout("zmm14") s[3][2],
            inout("zmm15") s[3][3],
            inout("zmm16") s[4][0],
            inout("zmm17") s[4][1],
            inout("zmm18") s[4][2],
            inout("zmm19") s[4][3],
            inout("zmm20") s[5][0],
            inout("zmm21") s[5][1],
            inout("zmm22") s[5][2],
            inout("zmm23") s[5][3],
            out("zmm24") _,
            out("zmm25") _,
            out("zmm26") _,
            out("zmm27") _,
            out("zmm28") _,
            out("zmm29") _,
            out("zmm30") _,
            out("zmm31") _,
            options(nostack, readonly),
        );
    }
}

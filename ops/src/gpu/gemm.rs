//! Products of matrices as cuBLAS takes them: column-major, in two levels of batches.

use candle_core::Tensor;

/// A matrix, or a batch of them, in a tensor's storage.
#[derive(Clone, Copy)]
#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
pub(crate) struct Factor<'a> {
    pub(crate) tensor: &'a Tensor,
    /// The first element, counted from the tensor's own first.
    pub(crate) offset: usize,
    /// Elements from one row to the next; a row's elements lie side by side.
    pub(crate) row: usize,
    /// Whether the matrix is the transpose of what lies there.
    pub(crate) transposed: bool,
    /// Elements from a matrix to the next, in the outer batch and in the inner one.
    pub(crate) steps: (usize, usize),
}

impl<'a> Factor<'a> {
    /// One contiguous matrix of rows of `row` elements, or its transpose.
    pub(crate) fn matrix(tensor: &'a Tensor, row: usize, transposed: bool) -> Self {
        Factor {
            tensor,
            offset: 0,
            row,
            transposed,
            steps: (0, 0),
        }
    }
}

/// c = alpha a b + beta c, with a (m, k), b (k, n) and c (m, n), all row-major; a and b of one type.
#[derive(Clone, Copy)]
#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
pub(crate) struct Gemm<'a> {
    pub(crate) a: Factor<'a>,
    pub(crate) b: Factor<'a>,
    /// Written; not transposed.
    pub(crate) c: Factor<'a>,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
    /// Matrices of the outer batch and of the inner one.
    pub(crate) batch: (usize, usize),
}

/// The same product in cuBLAS's terms: C = alpha op(A) op(B) + beta C, column-major, with A (m, k), B (k, n) after `op`.
///
/// A row-major matrix is the transpose of a column-major one, and Cᵀ = Bᵀ Aᵀ: the factors change places.
#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
pub(crate) struct Product<'a> {
    pub(crate) a: Factor<'a>,
    pub(crate) b: Factor<'a>,
    pub(crate) c: Factor<'a>,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
impl<'a> Gemm<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.m * self.n * self.batch.0 * self.batch.1 == 0
    }

    pub(crate) fn product(&self) -> Product<'a> {
        Product {
            a: self.b,
            b: self.a,
            c: self.c,
            m: self.n,
            n: self.m,
            k: self.k,
        }
    }

    /// The first elements of A, B and C of every matrix, from the tensors' own first ones, in cuBLAS's order.
    pub(crate) fn offsets(&self) -> Vec<[usize; 3]> {
        let p = self.product();
        let at = |f: &Factor<'_>, o: usize, i: usize| f.offset + o * f.steps.0 + i * f.steps.1;
        (0..self.batch.0)
            .flat_map(|o| (0..self.batch.1).map(move |i| (o, i)))
            .map(|(o, i)| [at(&p.a, o, i), at(&p.b, o, i), at(&p.c, o, i)])
            .collect()
    }

    /// The addresses of A, B and C of every matrix, from those of the tensors' first elements and the elements' sizes.
    pub(crate) fn addresses(&self, first: [u64; 3], sizes: [usize; 3]) -> Vec<[u64; 3]> {
        let offsets = self.offsets().into_iter();
        offsets
            .map(|o| std::array::from_fn(|i| first[i] + (o[i] * sizes[i]) as u64))
            .collect()
    }
}

/// What cuBLAS wants addresses to be multiples of, in bytes.
const ALIGNED: u64 = 16;

/// Whether matrices at these addresses, the smallest elements so large, may be multiplied in one batch. For a batch cuBLAS chooses a kernel
/// by the dimensions: those for elements of two bytes read 16 at once, wherever a matrix begins. For a single product it looks at the
/// addresses too.
#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
pub(crate) fn may_be_batched(addresses: &[[u64; 3]], size: usize) -> bool {
    size > 2 || addresses.iter().flatten().all(|a| a % ALIGNED == 0)
}

/// Arrays of the addresses of A, of B and of C, one after the other, and how many elements from one to the next: each begins at a multiple
/// of 16 bytes where the first does, with a zero before it where the matrices are odd in number.
#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
pub(crate) fn table(addresses: &[[u64; 3]]) -> (Vec<u64>, usize) {
    let pitch = addresses
        .len()
        .next_multiple_of(ALIGNED as usize / size_of::<u64>());
    let mut table = vec![0; 3 * pitch];
    for (i, array) in table.chunks_exact_mut(pitch.max(1)).enumerate() {
        for (to, of) in array.iter_mut().zip(addresses) {
            *to = of[i];
        }
    }
    (table, pitch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    /// Heads of this width of three sentences of eight tokens, and their products.
    fn addresses(heads: usize, dim: usize, dtype: DType) -> Vec<[u64; 3]> {
        let x = Tensor::zeros((3, 8, heads * dim), dtype, &Device::Cpu).unwrap();
        let y = Tensor::zeros((3, heads, 8, 8), dtype, &Device::Cpu).unwrap();
        let of_heads = Factor {
            steps: (8 * heads * dim, dim),
            ..Factor::matrix(&x, heads * dim, false)
        };
        let gemm = Gemm {
            a: of_heads,
            b: Factor {
                transposed: true,
                ..of_heads
            },
            c: Factor {
                steps: (heads * 64, 64),
                ..Factor::matrix(&y, 8, false)
            },
            m: 8,
            n: 8,
            k: dim,
            alpha: 1.0,
            beta: 0.0,
            batch: (3, heads),
        };
        gemm.addresses([1 << 12, 1 << 13, 1 << 14], [dtype.size_in_bytes(); 3])
    }

    #[test]
    fn halves_are_batched_only_where_each_matrix_begins_at_16_bytes() {
        // The second head of the second sentence.
        let of = addresses(3, 5, DType::BF16);
        let at = |first: u64, elements: u64| first + 2 * elements;
        assert_eq!(
            of[4],
            [
                at(1 << 12, 120 + 5),
                at(1 << 13, 120 + 5),
                at(1 << 14, 4 * 64)
            ]
        );
        let batched = |heads, dim, dtype: DType| {
            may_be_batched(&addresses(heads, dim, dtype), dtype.size_in_bytes())
        };
        assert!(!batched(3, 5, DType::BF16));
        assert!(!batched(3, 4, DType::BF16));
        assert!(batched(1, 5, DType::BF16), "whole sentences");
        assert!(batched(3, 8, DType::BF16));
        assert!(batched(3, 5, DType::F32));
    }

    #[test]
    fn arrays_of_addresses_begin_at_16_bytes() {
        for (heads, pitch) in [(1, 4), (2, 6), (3, 10)] {
            let of = addresses(heads, 8, DType::F32);
            assert_eq!(of.len(), 3 * heads);
            let (table, by) = table(&of);
            assert_eq!((by, table.len()), (pitch, 3 * pitch));
            for (i, array) in table.chunks_exact(pitch).enumerate() {
                let own: Vec<u64> = of.iter().map(|a| a[i]).collect();
                assert_eq!(array[..of.len()], own);
                assert!(array[of.len()..].iter().all(|&a| a == 0));
            }
        }
    }
}

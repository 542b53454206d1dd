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
}

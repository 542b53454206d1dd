//! Products at a chosen precision.

use super::View;
use super::bf16::{Start, product};
use crate::parallel::unwritten;
use crate::path::Path;
use crate::tensors::{Reading, tensor};
use candle_core::{DType, Error, Result, Tensor};

/// How the factors of a product are rounded. Sums are always in the tensors' own type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Each operand is rounded to bf16 (eight bits of precision, to nearest even) as it is packed, and products are
    /// summed in f32. It holds for f32 on the CPU and for a linear layer on a GPU, where networks keep their activations in
    /// bf16 too; other types compute as with `F32`. (What it means for convolutions: [`crate::conv2d::Conv2d::precision`].)
    Bf16,
}

impl Precision {
    /// The names a recipe may write.
    pub const NAMES: [&'static str; 2] = ["f32", "bf16"];

    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "f32" => Some(Precision::F32),
            "bf16" => Some(Precision::Bf16),
            _ => None,
        }
    }

    /// As a recipe writes it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }

    /// The path for products at this precision: the current one or, for bf16 where pairs of them are slow, AVX-512 in f32.
    pub fn path(self) -> Path {
        match self {
            Precision::F32 => Path::current(),
            Precision::Bf16 => super::rate::path(),
        }
    }

    /// Whether operands of this type and place are rounded.
    pub(crate) fn rounds(self, tensors: &[&Tensor]) -> bool {
        self == Precision::Bf16
            && tensors
                .iter()
                .all(|t| t.dtype() == DType::F32 && t.device().is_cpu())
    }
}

/// `op(a) op(b)` as [`super::forward`], at a precision.
pub fn forward_in(
    precision: Precision,
    a: &Tensor,
    b: &Tensor,
    ta: bool,
    tb: bool,
) -> Result<Tensor> {
    let (a, b) = (a.detach(), b.detach());
    if !precision.rounds(&[&a, &b]) {
        return super::forward(&a, &b, ta, tb);
    }
    let (ra, rb) = (Reading::of(&a), Reading::of(&b));
    let va = View::of(&ra, &a, ta)?;
    let vb = View::of(&rb, &b, tb)?;
    if va.columns != vb.rows {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: a.shape().clone(),
            rhs: b.shape().clone(),
            op: "matmul",
        }
        .bt());
    }
    tensor(rounded(va, vb, None), (va.rows, vb.columns))
}

/// a b + bias in a new vector, the operands rounded to bf16.
pub(crate) fn rounded(a: View<'_, f32>, b: View<'_, f32>, bias: Option<&[f32]>) -> Vec<f32> {
    // SAFETY: `product` writes every element and reads none unless it starts from what is there.
    let mut out = unsafe { unwritten::<f32>(a.rows * b.columns) };
    let start = bias.map_or(Start::Zero, Start::Bias);
    product(&mut out, a, b, start);
    out
}

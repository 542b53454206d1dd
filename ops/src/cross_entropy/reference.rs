//! Cross-entropy in plain Candle operations.

use super::{CrossEntropy, Reduction};
use candle_core::{D, Result, Tensor};

/// The loss of `logits` (n, classes) with `labels`.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], options: &CrossEntropy) -> Result<Tensor> {
    let (n, classes) = logits.dims2()?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let log_p = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let smoothing = options.label_smoothing;
    let mut targets = vec![0f64; n * classes];
    for (row, &label) in targets.chunks_exact_mut(classes.max(1)).zip(labels) {
        if Some(label) == options.ignore_index {
            continue;
        }
        for (class, target) in row.iter_mut().enumerate() {
            *target = smoothing * options.weight(class) / classes as f64;
        }
        row[label as usize] += (1.0 - smoothing) * options.weight(label as usize);
    }
    let targets =
        Tensor::from_vec(targets, (n, classes), logits.device())?.to_dtype(logits.dtype())?;
    let losses = (log_p * targets)?.sum(D::Minus1)?.neg()?;
    match options.reduction {
        Reduction::None => Ok(losses),
        Reduction::Mean | Reduction::Sum => losses.sum_all()? / options.divisor(labels),
    }
}

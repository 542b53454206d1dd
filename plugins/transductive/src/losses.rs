//! What the methods minimise, as functions of features and logits in Candle's graph. Rows are the first dimension.

use candle_core::{D, DType, Tensor};
use tlkit_core::Result;

/// The logarithm of the softmax over classes, `(rows, classes)`.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    Ok(logits.broadcast_sub(&logits.log_sum_exp(D::Minus1)?.unsqueeze(1)?)?)
}

/// The softmax over classes, `(rows, classes)`.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    Ok(log_softmax(logits)?.exp()?)
}

/// The entropy of each prediction, in nats, `(rows,)`.
pub fn entropy(logits: &Tensor) -> Result<Tensor> {
    let log = log_softmax(logits)?;
    Ok((log.exp()? * log)?.sum(1)?.neg()?)
}

/// The entropy of the mean prediction, a scalar.
pub fn diversity(logits: &Tensor) -> Result<Tensor> {
    let mean = softmax(logits)?.mean(0)?;
    Ok((&mean * (&mean + 1e-12)?.log()?)?.sum_all()?.neg()?)
}

/// Minus the log-probability of each row's class, `(rows,)`. `labels` `(rows,)`, u32.
pub fn log_loss(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let picked = log_softmax(logits)?.gather(&labels.unsqueeze(1)?, 1)?;
    Ok(picked.squeeze(1)?.neg()?)
}

/// The squared distances between rows, `(rows of a, rows of b)`.
pub fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (aa, bb) = (a.sqr()?.sum_keepdim(1)?, b.sqr()?.sum_keepdim(1)?);
    let cross = (a.matmul(&b.t()?)? * 2.0)?;
    Ok(aa.broadcast_add(&bb.t()?)?.sub(&cross)?)
}

/// The squared maximum mean discrepancy between two sets of rows under a sum of Gaussian kernels (Long et al. 2015, the plain quadratic
/// estimate), a scalar. Kernel `k` of `n` has `2^(k - n / 2)` times the mean squared distance of all rows as its width; no gradient goes
/// through the width.
pub fn multi_kernel_mmd(source: &Tensor, target: &Tensor, kernels: usize) -> Result<Tensor> {
    let (n, m) = (source.dim(0)?, target.dim(0)?);
    let all = Tensor::cat(&[source, target], 0)?;
    let distances = squared_distances(&all, &all)?;
    let rows = (n + m) as f64;
    let mean = distances.detach().sum_all()?.to_dtype(DType::F64)?;
    let mean = mean.to_scalar::<f64>()? / (rows * rows - rows).max(1.0);
    let mut kernel: Option<Tensor> = None;
    for k in 0..kernels {
        let width = mean.max(1e-12) * 2f64.powi(k as i32 - (kernels / 2) as i32);
        let one = (&distances * (-1.0 / width))?.exp()?;
        kernel = Some(match kernel {
            Some(sum) => (sum + one)?,
            None => one,
        });
    }
    let kernel = kernel.ok_or_else(|| tlkit_core::Error::msg("no kernel"))?;
    let block = |from: usize, rows: usize, to: usize, columns: usize| -> Result<Tensor> {
        Ok(kernel
            .narrow(0, from, rows)?
            .narrow(1, to, columns)?
            .mean_all()?)
    };
    let (ss, tt, st) = (block(0, n, 0, n)?, block(n, m, n, m)?, block(0, n, n, m)?);
    Ok(((ss + tt)? - (st * 2.0)?)?)
}

/// The covariance of rows, `(width, width)`, divided by `rows - 1`.
pub fn covariance(x: &Tensor) -> Result<Tensor> {
    let n = x.dim(0)?;
    let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    Ok((centred.t()?.matmul(&centred)? * (1.0 / (n as f64 - 1.0).max(1.0)))?)
}

/// The squared distance of two sets' covariances, over `4 width^2` (Sun & Saenko 2016), a scalar.
pub fn coral(source: &Tensor, target: &Tensor) -> Result<Tensor> {
    let width = source.dim(1)? as f64;
    let apart = (covariance(source)? - covariance(target)?)?;
    Ok((apart.sqr()?.sum_all()? * (1.0 / (4.0 * width * width)))?)
}

/// Minimum class confusion (Jin et al. 2020): how much two classes' probabilities, softened by a temperature, go together on the target;
/// rows count by how sure they are. A scalar.
pub fn class_confusion(logits: &Tensor, temperature: f64) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let scaled = (logits * (1.0 / temperature))?;
    let p = softmax(&scaled)?;
    let sure = (entropy(&scaled)?.detach().neg()?.exp()? + 1.0)?;
    let total = sure.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    let weights = (sure * (rows as f64 / total))?;
    let confusion = p.broadcast_mul(&weights.unsqueeze(1)?)?.t()?.matmul(&p)?;
    // A class without any probability in the batch is confused with none, and not by 0/0.
    let confusion = confusion.broadcast_div(&(confusion.sum_keepdim(1)? + 1e-30)?)?;
    let eye = Tensor::eye(classes, confusion.dtype(), confusion.device())?;
    let right = (&confusion * eye)?.sum_all()?;
    Ok(((confusion.sum_all()? - right)? * (1.0 / classes as f64))?)
}

/// How far two classifiers' probabilities are apart, a scalar (Saito et al. 2018).
pub fn discrepancy(one: &Tensor, other: &Tensor) -> Result<Tensor> {
    Ok((softmax(one)? - softmax(other)?)?.abs()?.mean_all()?)
}

/// `-log(1 - p)` of each row's class, `(rows,)`: what the adversary of the margin disparity discrepancy minimises on the target.
pub fn log_of_rest(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let p = softmax(logits)?.gather(&labels.unsqueeze(1)?, 1)?;
    let rest = (p.neg()? + (1.0 + 1e-6))?;
    Ok(rest.squeeze(1)?.log()?.neg()?)
}

/// The class of the largest logit, `(rows,)`, u32; without a gradient.
pub fn predicted(logits: &Tensor) -> Result<Tensor> {
    Ok(logits.detach().argmax(D::Minus1)?)
}

/// The rows of a mean that count by weights, a scalar.
pub fn weighted_mean(values: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let total = weights.sum_all()?;
    Ok((values * weights)?.sum_all()?.div(&total)?)
}

/// Rows of length one.
pub fn unit(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_div(&(x.sqr()?.sum_keepdim(1)?.sqrt()? + 1e-8)?)?)
}

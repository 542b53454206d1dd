//! Cross-entropy of logits with integer labels, in one pass with its gradient.
//!
//! With p = softmax(x), label y, class weights w (1 without) and label smoothing ε over C classes (Szegedy et al. 2016),
//! example i loses -Σ a_c ln p_c where a_c = (1 - ε) w_y [c = y] + ε w_c / C. Its gradient is (Σ a) p_c - a_c. The mean
//! divides by Σ w_y over the examples, as PyTorch's `cross_entropy`; examples with the ignored label count nowhere.
//! Where every example is ignored the mean is 0 (PyTorch: NaN).

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::tensors::{Reading, on_kernels, pull_back, tensor};
use candle_core::{DType, Error, Result, Tensor};

/// How the losses of the examples become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The mean, weighted by the weight of each example's label.
    #[default]
    Mean,
    /// The sum.
    Sum,
    /// They stay a vector.
    None,
}

/// What to compute; the default is the plain mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CrossEntropy {
    /// The share of the target that is spread over all classes, in 0..=1.
    pub label_smoothing: f64,
    /// A weight for each class.
    pub weights: Option<Vec<f32>>,
    /// A label whose examples do not count.
    pub ignore_index: Option<u32>,
    /// How the losses are put together.
    pub reduction: Reduction,
}

impl CrossEntropy {
    fn weight(&self, class: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| f64::from(w[class]))
    }

    /// What the sum is divided by; 1 where nothing counts.
    pub(crate) fn divisor(&self, labels: &[u32]) -> f64 {
        if self.reduction != Reduction::Mean {
            return 1.0;
        }
        let counted = labels.iter().filter(|&&l| Some(l) != self.ignore_index);
        let sum: f64 = counted.map(|&l| self.weight(l as usize)).sum();
        if sum == 0.0 { 1.0 } else { sum }
    }

    fn check(&self, logits: &Tensor, labels: &[u32]) -> Result<()> {
        let (n, classes) = logits.dims2()?;
        self.check_shapes(n, labels.len(), classes)?;
        let bad = |l: &&u32| Some(**l) != self.ignore_index && **l as usize >= classes;
        match labels.iter().find(bad) {
            Some(label) => {
                Err(Error::Msg(format!("cross_entropy: label {label} of {classes} classes")).bt())
            }
            None => Ok(()),
        }
    }

    fn check_shapes(&self, n: usize, labels: usize, classes: usize) -> Result<()> {
        let fail = |what: String| Err(Error::Msg(format!("cross_entropy: {what}")).bt());
        if labels != n {
            return fail(format!("{labels} labels for {n} examples"));
        }
        if self.weights.as_ref().is_some_and(|w| w.len() != classes) {
            return fail(format!("class weights for other than {classes} classes"));
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return fail(format!(
                "label smoothing {} outside 0..=1",
                self.label_smoothing
            ));
        }
        Ok(())
    }
}

/// What the backward pass needs.
#[derive(Debug, Clone)]
pub struct Saved {
    kept: Kept,
    divisor: f64,
    reduction: Reduction,
}

#[derive(Debug, Clone)]
enum Kept {
    /// The gradient of each example's own loss.
    Gradient(Tensor),
    /// What the reference needs to compute it.
    Inputs(Tensor, Vec<u32>, CrossEntropy),
    /// The gradient of each example's own loss, and what the reduction divided by, on a GPU.
    Device(Tensor, Tensor),
}

/// The loss of `logits` (n, classes) with `labels` (n): a scalar, or (n) without reduction. Part of no graph.
pub fn forward(
    logits: &Tensor,
    labels: &Tensor,
    options: &CrossEntropy,
) -> Result<(Tensor, Saved)> {
    let logits = logits.detach();
    if let Some(gpu) = gpu(&logits) {
        return cuda::forward(&gpu, &logits, labels, options);
    }
    let labels = read_labels(labels)?;
    options.check(&logits, &labels)?;
    if !on_kernels(&[&logits]) {
        let loss = reference::cross_entropy(&logits, &labels, options)?;
        let saved = Saved {
            kept: Kept::Inputs(logits, labels, options.clone()),
            divisor: 1.0,
            reduction: options.reduction,
        };
        return Ok((loss, saved));
    }
    let (loss, shape, saved) = run(&logits, &labels, options)?;
    Ok((tensor(loss, shape)?, saved))
}

/// The gradient of the logits, for the gradient `grad` of the loss.
pub fn backward(saved: &Saved, grad: &Tensor) -> Result<Tensor> {
    match &saved.kept {
        Kept::Device(gradient, divisor) => match gpu(gradient) {
            Some(gpu) => cuda::backward(&gpu, (gradient, divisor), saved.reduction, grad),
            None => Err(Error::Msg("cross_entropy: the device is gone".into()).bt()),
        },
        Kept::Inputs(logits, labels, options) => {
            let mut all = pull_back(&[logits], grad, |t| {
                reference::cross_entropy(&t[0], labels, options)
            })?;
            match all.pop() {
                Some(gradient) => Ok(gradient),
                None => Err(Error::Msg("cross_entropy: no gradient".into()).bt()),
            }
        }
        Kept::Gradient(gradient) => {
            let (n, classes) = gradient.dims2()?;
            let grad = grad
                .detach()
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            let expected = if saved.reduction == Reduction::None {
                n
            } else {
                1
            };
            if grad.len() != expected {
                return Err(Error::Msg(format!(
                    "cross_entropy: a gradient of {} elements, expected {expected}",
                    grad.len()
                ))
                .bt());
            }
            let reading = Reading::of(gradient);
            let scaled = cpu::scale_rows(reading.slice()?, classes, &grad, saved.divisor);
            tensor(scaled, (n, classes))
        }
    }
}

/// The loss, recorded in Candle's graph.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, options: &CrossEntropy) -> Result<Tensor> {
    // A loss is f32, whatever the activations were.
    if logits.dtype() == DType::BF16 {
        return cross_entropy(&logits.to_dtype(DType::F32)?, labels, options);
    }
    if gpu(logits).is_some() {
        let (loss, saved) = forward(logits, labels, options)?;
        let shape = loss.shape().clone();
        let back = move |_: &[&Tensor], grad: &Tensor| Ok(vec![Some(backward(&saved, grad)?)]);
        return crate::graph::record("cross_entropy", &[logits], loss, shape, back);
    }
    let labels = read_labels(labels)?;
    options.check(logits, &labels)?;
    if !on_kernels(&[logits]) {
        return reference::cross_entropy(logits, &labels, options);
    }
    let (loss, shape, saved) = run(&logits.detach(), &labels, options)?;
    crate::graph::record("cross_entropy", &[logits], loss, shape, move |_, grad| {
        Ok(vec![Some(backward(&saved, grad)?)])
    })
}

/// What runs f32 logits on a GPU, if something does.
fn gpu(logits: &Tensor) -> Option<Gpu> {
    Gpu::of(&[logits], &[]).filter(|_| logits.dtype() == DType::F32)
}

fn read_labels(labels: &Tensor) -> Result<Vec<u32>> {
    labels.detach().to_dtype(DType::U32)?.to_vec1()
}

fn run(
    logits: &Tensor,
    labels: &[u32],
    options: &CrossEntropy,
) -> Result<(Vec<f32>, Vec<usize>, Saved)> {
    let (n, classes) = logits.dims2()?;
    let logits = logits.contiguous()?;
    let (losses, gradient) = {
        let reading = Reading::of(&logits);
        cpu::forward(reading.slice()?, labels, classes, options)
    };
    let divisor = options.divisor(labels);
    let saved = Saved {
        kept: Kept::Gradient(tensor(gradient, (n, classes))?),
        divisor,
        reduction: options.reduction,
    };
    Ok(match options.reduction {
        Reduction::None => (losses, vec![n], saved),
        Reduction::Mean | Reduction::Sum => {
            let sum: f64 = losses.iter().map(|&l| f64::from(l)).sum();
            (vec![(sum / divisor) as f32], vec![], saved)
        }
    })
}

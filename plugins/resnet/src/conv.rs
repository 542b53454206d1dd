//! Convolution, batch norm, residual and ReLU as one unit, with a hand-written way back.
//!
//! Where the norm's statistics stand still, it is a factor and a shift for each channel: the whole unit is one pass of the
//! convolution, nothing but its input and output is kept, and the norm's own gradients come out of the weights' (see
//! [`Kept::Still`]).

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::nn::{Gradients, Init, NormMode, Param, Pass, Role, Running, Scope};
use tlkit_ops::batch_norm::{self, After, Statistics};
use tlkit_ops::conv2d::{self, Conv2d, Fused};
use tlkit_ops::{Precision, relu};

/// Statistics over so few values divide by deviations that may be small beside the mean, and each norm magnifies the roundings
/// below it: ResNet-50 makes 1e-4 of 1e-7. Convolutions before them sum in f64.
const FEW: usize = 2048;

/// How a pass treats a stage: its batch norms, and its convolutions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norms {
    /// Of the factors of convolutions, where activations are f32 on a CPU.
    pub(crate) precision: Precision,
    /// The batch's statistics are used, and the running ones follow.
    pub(crate) batch: bool,
    /// How.
    pub(crate) running: Running,
}

impl Norms {
    /// In a pass through a stage, of which something trains or nothing.
    pub(crate) fn of(pass: &Pass, trains: bool) -> Self {
        let batch = match pass.norm {
            NormMode::Frozen => false,
            // What is frozen keeps its statistics, and prediction uses the running ones.
            NormMode::Train => pass.training && trains,
            NormMode::Adapt => true,
        };
        Norms {
            precision: pass.precision,
            batch,
            running: pass.running,
        }
    }
}

/// Batch norm's parameters and statistics.
#[derive(Clone)]
struct Norm {
    weight: Param,
    bias: Param,
    mean: Param,
    var: Param,
    eps: f64,
}

impl Norm {
    fn new(scope: &Scope<'_>, width: usize, eps: f64) -> Result<Self> {
        let make = |name, role, init| scope.param(name, &[width], role, init);
        Ok(Norm {
            weight: make("weight", Role::NormWeight, Init::Ones)?,
            bias: make("bias", Role::NormBias, Init::Zeros)?,
            mean: make("running_mean", Role::Statistic, Init::Zeros)?,
            var: make("running_var", Role::Statistic, Init::Ones)?,
            eps,
        })
    }

    /// The running statistics follow a batch's.
    fn follow(&self, moments: Option<batch_norm::Moments>, running: Running) -> Result<()> {
        moments.map_or(Ok(()), |m| running.put(&m, &self.mean, &self.var))
    }
}

/// What a unit is made of, but for its channels.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// The convolution's name in the scope.
    pub(crate) conv: &'a str,
    /// The norm's, where there is one, and its epsilon.
    pub(crate) norm: Option<(&'a str, f64)>,
    /// Whether the convolution has a bias.
    pub(crate) bias: bool,
    /// Height and width of the kernel.
    pub(crate) kernel: (usize, usize),
    /// Stride, padding and so on.
    pub(crate) how: Conv2d,
    /// Whether a ReLU follows.
    pub(crate) relu: bool,
}

/// `relu(norm(conv(x)) + residual)`, the last three optional.
#[derive(Clone)]
pub(crate) struct Conv {
    weight: Param,
    bias: Option<Param>,
    norm: Option<Norm>,
    how: Conv2d,
    pub(crate) relu: bool,
}

impl Conv {
    pub(crate) fn new(
        scope: &Scope<'_>,
        inputs: usize,
        outputs: usize,
        plan: Plan<'_>,
    ) -> Result<Self> {
        let (kh, kw) = plan.kernel;
        // He et al. 2015: the variance of what comes back is kept.
        let std = (2.0 / (outputs * kh * kw) as f64).sqrt();
        let conv = scope.sub(plan.conv);
        let shape = [outputs, inputs / plan.how.groups, kh, kw];
        let weight = conv.param("weight", &shape, Role::Weight, Init::Normal(std))?;
        let bias = match (plan.bias, plan.norm) {
            (false, _) => None,
            // The batch's mean takes it out again; it moves only where statistics stand still.
            (true, Some(_)) => {
                Some(conv.param("bias", &[outputs], Role::InvariantBias, Init::Zeros)?)
            }
            (true, None) => Some(conv.param("bias", &[outputs], Role::Bias, Init::Zeros)?),
        };
        let norm = match plan.norm {
            Some((name, eps)) => Some(Norm::new(&scope.sub(name), outputs, eps)?),
            None => None,
        };
        Ok(Conv {
            weight,
            bias,
            norm,
            how: plan.how,
            relu: plan.relu,
        })
    }

    pub(crate) fn params(&self) -> Vec<Param> {
        let mut all = vec![self.weight.clone()];
        all.extend(self.bias.clone());
        if let Some(n) = &self.norm {
            all.extend([&n.weight, &n.bias, &n.mean, &n.var].map(Clone::clone));
        }
        all
    }

    /// In Candle's graph.
    pub(crate) fn graph(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        norms: Norms,
    ) -> Result<Tensor> {
        let like = |p: &Param| p.tensor().to_dtype(x.dtype());
        let bias = self.bias.as_ref().map(like).transpose()?;
        let mut y = conv2d::conv2d(x, &like(&self.weight)?, bias.as_ref(), &self.how(norms))?;
        if let Some(n) = &self.norm {
            let still = |p: &Param| p.detached().to_dtype(x.dtype());
            let (mean, var) = (still(&n.mean)?, still(&n.var)?);
            let statistics = match norms.batch {
                true => Statistics::Batch,
                false => Statistics::Given {
                    mean: &mean,
                    var: &var,
                },
            };
            let (weight, bias) = (like(&n.weight)?, like(&n.bias)?);
            let (normed, moments) = batch_norm::batch_norm(&y, &weight, &bias, statistics, n.eps)?;
            n.follow(moments, norms.running)?;
            y = normed;
        }
        if let Some(residual) = residual {
            y = (y + residual)?;
        }
        Ok(if self.relu { relu::relu(&y)? } else { y })
    }

    fn how(&self, norms: Norms) -> Conv2d {
        Conv2d {
            precision: norms.precision,
            ..self.how
        }
    }

    /// Whether a batch's statistics would be of few values.
    fn few(&self, x: &Tensor) -> Result<bool> {
        let (n, h, w, _) = x.dims4()?;
        let kernel = (self.weight.dims()[2], self.weight.dims()[3]);
        let out = self.how.output((h, w), kernel);
        Ok(out.is_some_and(|(oh, ow)| n * oh * ow <= FEW))
    }

    /// The same without a graph, keeping what the way back needs.
    pub(crate) fn record(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        norms: Norms,
    ) -> Result<(Tensor, Recorded)> {
        let how = self.how(norms);
        let weight = self.weight.detached();
        let bias = self.bias.as_ref().map(Param::detached);
        let (y, kept) = match &self.norm {
            Some(n) if norms.batch => {
                let plain = Fused {
                    bias: bias.as_ref(),
                    exact: self.few(x)?,
                    ..Fused::default()
                };
                let z = conv2d::forward_fused(x, &weight, &how, &plain)?;
                let after = After {
                    residual,
                    relu: self.relu,
                };
                let (w, b) = (n.weight.detached(), n.bias.detached());
                let (y, saved, moments) =
                    batch_norm::forward(&z, &w, &b, Statistics::Batch, n.eps, after)?;
                n.follow(moments, norms.running)?;
                (y, Kept::Batch(saved))
            }
            norm => {
                let (scale, shift) = match norm {
                    None => (None, bias),
                    Some(n) => {
                        let [w, b, mean, var] =
                            [&n.weight, &n.bias, &n.mean, &n.var].map(Param::detached);
                        let (scale, shift) = batch_norm::fold(&w, &b, &mean, &var, n.eps)?;
                        let shift = match bias {
                            Some(bias) => (shift + (bias * &scale)?)?,
                            None => shift,
                        };
                        (Some(scale), Some(shift))
                    }
                };
                let fused = Fused {
                    scale: scale.as_ref(),
                    bias: shift.as_ref(),
                    residual,
                    relu: self.relu,
                    ..Fused::default()
                };
                let y = conv2d::forward_fused(x, &weight, &how, &fused)?;
                (y, Kept::Still { scale })
            }
        };
        let recorded = Recorded {
            unit: Conv {
                how,
                ..self.clone()
            },
            x: x.clone(),
            y: self.relu.then(|| y.clone()),
            kept,
        };
        Ok((y, recorded))
    }
}

/// What the norm left behind.
enum Kept {
    /// It was a factor s = w r and a shift b - mean s, with r = 1 / sqrt(var + eps). The gradients of its own parameters come
    /// from those of the convolution z: with g the output's gradient, d s = Σ g z is the inner product of a filter with its
    /// gradient, dw = r (d s - mean Σ g), and db = Σ g. So z need not be kept, nor computed.
    Still { scale: Option<Tensor> },
    /// It used the batch's statistics.
    Batch(batch_norm::Saved),
}

/// A unit on its way back.
pub(crate) struct Recorded {
    unit: Conv,
    x: Tensor,
    y: Option<Tensor>,
    kept: Kept,
}

/// What is wanted of a unit's input.
#[derive(Default)]
pub(crate) struct Ask {
    /// Its gradient at all.
    pub(crate) need: bool,
    /// Zero where the input is not positive: it came out of a ReLU, which need not look again then.
    pub(crate) keep: bool,
    /// Added before that.
    pub(crate) add: Option<Tensor>,
}

impl Recorded {
    /// The output's gradient as it stands before the ReLU: `masked` says that it does already.
    pub(crate) fn below_relu(&self, grad: &Tensor, masked: bool) -> Result<Tensor> {
        match &self.y {
            Some(y) if !masked => Ok(relu::backward(y, grad)?),
            _ => Ok(grad.clone()),
        }
    }

    /// Takes a gradient from below the ReLU.
    pub(crate) fn pull(
        self,
        grad: Tensor,
        ask: Ask,
        into: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        let Recorded { unit, x, kept, y } = self;
        drop(y);
        let Conv {
            weight,
            bias,
            norm,
            how,
            ..
        } = &unit;
        let filter = weight.detached();
        let (grad, scale) = match kept {
            Kept::Batch(saved) => {
                let mut grad = grad;
                if let Some(n) = norm {
                    let grads = batch_norm::backward(&saved, &n.weight.detached(), &grad)?;
                    into.add(&n.weight, grads.weight)?;
                    into.add(&n.bias, grads.bias)?;
                    grad = grads.x;
                }
                if weight.trains() {
                    into.add(weight, conv2d::backward_weight(&x, &filter, &grad, how)?)?;
                }
                if let Some(bias) = bias.as_ref().filter(|b| b.trains()) {
                    into.add(bias, conv2d::backward_bias(&grad)?)?;
                }
                (grad, None)
            }
            Kept::Still { scale } => {
                let own = norm.as_ref();
                let norm_trains = own.is_some_and(|n| n.weight.trains() || n.bias.trains());
                let bias_trains = bias.as_ref().is_some_and(Param::trains);
                let sums = match norm_trains || bias_trains {
                    true => Some(conv2d::backward_bias(&grad)?),
                    false => None,
                };
                match (own, &scale) {
                    (Some(n), Some(scale)) if weight.trains() || n.weight.trains() => {
                        let (dw, ds) =
                            conv2d::backward_weight_scaled(&x, &filter, scale, &grad, how)?;
                        into.add(weight, dw)?;
                        if let (true, Some(sums)) = (n.weight.trains(), &sums) {
                            let mut mean = n.mean.detached();
                            if let Some(bias) = bias {
                                mean = (mean - bias.detached())?;
                            }
                            let r = (n.var.detached() + n.eps)?.sqrt()?.recip()?;
                            into.add(&n.weight, ((ds - (mean * sums)?)? * r)?)?;
                        }
                    }
                    (None, _) if weight.trains() => {
                        into.add(weight, conv2d::backward_weight(&x, &filter, &grad, how)?)?;
                    }
                    _ => {}
                }
                if let Some(sums) = sums {
                    if let Some(bias) = bias {
                        let g = match &scale {
                            Some(scale) => (&sums * scale)?,
                            None => sums.clone(),
                        };
                        into.add(bias, g)?;
                    }
                    if let Some(n) = own {
                        into.add(&n.bias, sums)?;
                    }
                }
                (grad, scale)
            }
        };
        if !ask.need {
            return Ok(None);
        }
        let (_, h, w, _) = x.dims4()?;
        let keep = ask.keep.then_some(&x);
        let dx = conv2d::backward_x_fused(
            &filter,
            &grad,
            (h, w),
            how,
            scale.as_ref(),
            ask.add.as_ref(),
            keep,
        )?;
        Ok(Some(dx))
    }
}

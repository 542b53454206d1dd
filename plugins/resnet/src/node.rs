//! Networks as trees of a few kinds of node: each runs in Candle's graph, or is recorded and pulled back by hand.
//!
//! Activations are `(batch, height, width, channels)`.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::nn::{Gradients, Linear, Param};
use tlkit_ops::pool::{self, Window};
use tlkit_ops::{Precision, layout, linear, relu};

use crate::conv::{Ask, Conv, Norms, Recorded};

/// A piece of a network.
pub(crate) enum Node {
    /// Convolution, norm, ReLU.
    Conv(Box<Conv>),
    /// Maximum of windows.
    Max(Window),
    /// Average of windows.
    Average(Window),
    /// Averages over a fixed number of parts.
    Adaptive(usize, usize),
    /// One after another.
    Chain(Vec<Node>),
    /// All on the same input, their channels side by side.
    Branches(Vec<Node>),
    /// `relu(last(.. first(x)) + shortcut(x))`; the last convolution has the ReLU.
    Residual(Vec<Conv>, Shortcut),
    /// All values of an image in PyTorch's order, channels first: `(batch, values)`.
    Flatten,
    /// A linear map of the last dimension, and a ReLU.
    Dense(Linear),
}

/// What goes around a residual block.
pub(crate) enum Shortcut {
    /// The input.
    Identity,
    /// A convolution and a norm.
    Conv(Box<Conv>),
    /// Every second pixel, zeros for new channels on both sides (He et al. 2015, shortcut A).
    Subsample {
        /// Steps between the pixels that stay.
        stride: usize,
        /// New channels on each side.
        pad: usize,
    },
}

impl Shortcut {
    fn params(&self) -> Vec<Param> {
        match self {
            Shortcut::Conv(c) => c.params(),
            _ => Vec::new(),
        }
    }
}

/// Pixels `stride` apart, `pad` zero channels on each side.
fn subsample(x: &Tensor, stride: usize, pad: usize) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let every = |n: usize| Tensor::arange_step(0u32, n as u32, stride as u32, x.device());
    let y = x.index_select(&every(h)?, 1)?.index_select(&every(w)?, 2)?;
    Ok(y.pad_with_zeros(3, pad, pad)?.contiguous()?)
}

/// The gradient of [`subsample`]'s input of this height and width.
fn spread(grad: &Tensor, (h, w): (usize, usize), stride: usize, pad: usize) -> Result<Tensor> {
    let (n, gh, gw, c) = grad.dims4()?;
    let c = c - 2 * pad;
    let grad = grad.narrow(3, pad, c)?;
    let every = |n: usize| Tensor::arange_step(0u32, n as u32, stride as u32, grad.device());
    let wide = Tensor::zeros((n, gh, w, c), grad.dtype(), grad.device())?;
    let wide = wide.index_add(&every(w)?, &grad.contiguous()?, 2)?;
    debug_assert_eq!(gw, w.div_ceil(stride));
    let tall = Tensor::zeros((n, h, w, c), grad.dtype(), grad.device())?;
    Ok(tall.index_add(&every(h)?, &wide, 1)?)
}

impl Node {
    pub(crate) fn params(&self) -> Vec<Param> {
        match self {
            Node::Conv(c) => c.params(),
            Node::Chain(all) | Node::Branches(all) => all.iter().flat_map(Node::params).collect(),
            Node::Residual(main, shortcut) => {
                let mut params: Vec<_> = main.iter().flat_map(Conv::params).collect();
                params.extend(shortcut.params());
                params
            }
            Node::Dense(l) => l.params(),
            Node::Max(_) | Node::Average(_) | Node::Adaptive(..) | Node::Flatten => Vec::new(),
        }
    }

    fn trains(&self) -> bool {
        self.params().iter().any(Param::trains)
    }

    /// Whether its output is a ReLU's.
    fn ends_in_relu(&self) -> bool {
        match self {
            Node::Conv(c) => c.relu,
            Node::Residual(..) => true,
            Node::Chain(all) => all.last().is_some_and(Node::ends_in_relu),
            _ => false,
        }
    }

    /// Whether it masks its input's gradient for free, or nearly.
    fn masks_input(&self) -> bool {
        match self {
            Node::Conv(_) | Node::Residual(..) | Node::Max(_) => true,
            Node::Chain(all) => all.first().is_some_and(Node::masks_input),
            _ => false,
        }
    }

    /// In Candle's graph.
    pub(crate) fn graph(&self, x: &Tensor, norms: Norms) -> Result<Tensor> {
        Ok(match self {
            Node::Conv(c) => c.graph(x, None, norms)?,
            Node::Max(w) => pool::max_pool(x, w)?,
            Node::Average(w) => pool::average_pool(x, w)?,
            Node::Adaptive(h, w) => pool::adaptive_average_pool(x, (*h, *w))?,
            Node::Chain(all) => {
                let mut x = x.clone();
                for node in all {
                    x = node.graph(&x, norms)?;
                }
                x
            }
            Node::Branches(all) => {
                let parts: Result<Vec<_>> = all.iter().map(|n| n.graph(x, norms)).collect();
                Tensor::cat(&parts?, 3)?
            }
            Node::Residual(main, shortcut) => {
                let around = match shortcut {
                    Shortcut::Identity => x.clone(),
                    Shortcut::Conv(c) => c.graph(x, None, norms)?,
                    Shortcut::Subsample { stride, pad } => subsample(x, *stride, *pad)?,
                };
                let mut y = x.clone();
                for (i, conv) in main.iter().enumerate() {
                    let residual = (i + 1 == main.len()).then_some(&around);
                    y = conv.graph(&y, residual, norms)?;
                }
                y
            }
            Node::Flatten => flatten(x)?,
            Node::Dense(l) => relu::relu(&linear::linear_in(
                norms.precision,
                x,
                &l.weight.tensor(),
                Some(&l.bias.tensor()),
            )?)?,
        })
    }

    /// Without a graph and without keeping anything.
    pub(crate) fn run(&self, x: Tensor, norms: Norms) -> Result<Tensor> {
        match self {
            Node::Chain(all) => all.iter().try_fold(x, |x, node| node.run(x, norms)),
            Node::Branches(all) => {
                let parts: Result<Vec<_>> = all.iter().map(|n| n.run(x.clone(), norms)).collect();
                Ok(Tensor::cat(&parts?, 3)?)
            }
            node => Ok(node.record(x, norms)?.0),
        }
    }

    /// Without a graph, keeping what the way back needs.
    pub(crate) fn record(&self, x: Tensor, norms: Norms) -> Result<(Tensor, Back)> {
        let trains = self.trains();
        let (y, kind) = match self {
            Node::Conv(c) => {
                let (y, recorded) = c.record(&x, None, norms)?;
                (y, Kind::Conv(Box::new(recorded)))
            }
            Node::Max(w) => {
                let (y, saved) = pool::max_forward(&x, w)?;
                (y.clone(), Kind::Max(saved, y))
            }
            Node::Average(w) => {
                let (_, h, wide, _) = x.dims4()?;
                (pool::average_forward(&x, w)?, Kind::Average((h, wide), *w))
            }
            Node::Adaptive(h, w) => {
                let (_, from_h, from_w, _) = x.dims4()?;
                let y = pool::adaptive_forward(&x, (*h, *w))?;
                (y, Kind::Adaptive((from_h, from_w)))
            }
            Node::Chain(all) => {
                let (mut x, mut backs) = (x, Vec::with_capacity(all.len()));
                for node in all {
                    let (y, back) = node.record(x, norms)?;
                    x = y;
                    backs.push(back);
                }
                (x, Kind::Chain(backs))
            }
            Node::Branches(all) => {
                let (mut parts, mut backs) = (Vec::new(), Vec::new());
                for node in all {
                    let (y, back) = node.record(x.clone(), norms)?;
                    backs.push((y.dim(3)?, back));
                    parts.push(y);
                }
                (Tensor::cat(&parts, 3)?, Kind::Branches(backs))
            }
            Node::Residual(main, shortcut) => {
                let (around, back) = match shortcut {
                    Shortcut::Identity => (x.clone(), Around::Identity),
                    Shortcut::Conv(c) => {
                        let (y, recorded) = c.record(&x, None, norms)?;
                        (y, Around::Conv(Box::new(recorded)))
                    }
                    Shortcut::Subsample { stride, pad } => {
                        let (_, h, w, _) = x.dims4()?;
                        let y = subsample(&x, *stride, *pad)?;
                        (y, Around::Subsample((h, w), *stride, *pad))
                    }
                };
                let (mut x, mut recorded) = (x, Vec::with_capacity(main.len()));
                for (i, conv) in main.iter().enumerate() {
                    let residual = (i + 1 == main.len()).then_some(&around);
                    let (y, r) = conv.record(&x, residual, norms)?;
                    x = y;
                    recorded.push(r);
                }
                (x, Kind::Residual(recorded, back))
            }
            Node::Flatten => {
                let dims = x.dims4()?;
                let y = layout::channels_first(&x)?;
                (y.flatten_from(1)?, Kind::Flatten(dims))
            }
            Node::Dense(l) => {
                let (weight, bias) = (l.weight.detached(), l.bias.detached());
                let z = linear::forward_in(norms.precision, &x, &weight, Some(&bias))?;
                let y = relu::forward(&z)?;
                (y.clone(), Kind::Dense(norms.precision, l.clone(), x, y))
            }
        };
        let back = Back {
            kind,
            trains,
            ends_in_relu: self.ends_in_relu(),
            masks_input: self.masks_input(),
        };
        Ok((y, back))
    }
}

/// `(batch, h, w, c)` as `(batch, c h w)`.
fn flatten(x: &Tensor) -> Result<Tensor> {
    Ok(x.permute((0, 3, 1, 2))?.contiguous()?.flatten_from(1)?)
}

/// A node on its way back.
pub(crate) struct Back {
    kind: Kind,
    trains: bool,
    ends_in_relu: bool,
    masks_input: bool,
}

enum Kind {
    Conv(Box<Recorded>),
    Max(pool::Saved, Tensor),
    Average((usize, usize), Window),
    Adaptive((usize, usize)),
    Chain(Vec<Back>),
    Branches(Vec<(usize, Back)>),
    Residual(Vec<Recorded>, Around),
    Flatten((usize, usize, usize, usize)),
    Dense(Precision, Linear, Tensor, Tensor),
}

enum Around {
    Identity,
    Conv(Box<Recorded>),
    Subsample((usize, usize), usize, usize),
}

impl Back {
    /// The gradient of the input, where it is asked for. `masked`: the gradient is zero already where this node's last ReLU was.
    pub(crate) fn pull(
        self,
        grad: Tensor,
        masked: bool,
        ask: Ask,
        into: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        match self.kind {
            Kind::Conv(recorded) => {
                let grad = recorded.below_relu(&grad, masked)?;
                recorded.pull(grad, ask, into)
            }
            Kind::Max(saved, y) => {
                if !ask.need {
                    return Ok(None);
                }
                debug_assert!(
                    !ask.keep || ask.add.is_none(),
                    "what is added would not be masked"
                );
                // What is largest is what comes out: masked there, where there is less of it, the gradient is masked everywhere.
                let grad = match ask.keep {
                    true => relu::backward(&y, &grad)?,
                    false => grad,
                };
                plain(pool::max_backward(&saved, &grad), &ask)
            }
            Kind::Average(size, window) => {
                plain(pool::average_backward(size, &window, &grad), &ask)
            }
            Kind::Adaptive(size) => plain(pool::adaptive_backward(size, &grad), &ask),
            Kind::Chain(backs) => {
                let (mut grad, mut masked, mut ask) = (grad, masked, Some(ask));
                let trains: Vec<bool> = backs.iter().map(|b| b.trains).collect();
                let relus: Vec<bool> = backs.iter().map(|b| b.ends_in_relu).collect();
                for (i, back) in backs.into_iter().enumerate().rev() {
                    let first = i == 0;
                    let keep = !first && relus[i - 1] && back.masks_input;
                    let outer = ask.as_ref().is_some_and(|a| a.need);
                    let own = match first {
                        true => ask.take().unwrap_or_default(),
                        false => Ask {
                            need: outer || trains[..i].contains(&true),
                            keep,
                            add: None,
                        },
                    };
                    match back.pull(grad, masked, own, into)? {
                        Some(g) if !first => (grad, masked) = (g, keep),
                        g => return Ok(g),
                    }
                }
                Ok(None)
            }
            Kind::Branches(backs) => {
                let (mut from, mut sum) = (0, ask.add.clone());
                for (width, back) in backs {
                    let part = grad.narrow(3, from, width)?.contiguous()?;
                    from += width;
                    let own = Ask {
                        need: ask.need,
                        ..Ask::default()
                    };
                    if let Some(g) = back.pull(part, false, own, into)? {
                        sum = Some(match sum {
                            Some(sum) => (sum + g)?,
                            None => g,
                        });
                    }
                }
                Ok(sum.filter(|_| ask.need))
            }
            Kind::Residual(mut main, around) => {
                let Some(last) = main.pop() else {
                    return Ok(Some(grad));
                };
                let grad = last.below_relu(&grad, masked)?;
                // What comes back around the block, on top of what was asked to be added.
                let around = match around {
                    Around::Identity => with(ask.add, &grad)?,
                    Around::Conv(recorded) => {
                        let own = Ask {
                            need: ask.need,
                            keep: false,
                            add: ask.add,
                        };
                        recorded.pull(grad.clone(), own, into)?
                    }
                    Around::Subsample(size, stride, pad) => {
                        with(ask.add, &spread(&grad, size, stride, pad)?)?
                    }
                };
                let mut rest = main.len();
                let mut grad = Some(grad);
                main.push(last);
                let mut around = around;
                for recorded in main.into_iter().rev() {
                    let Some(g) = grad.take() else { break };
                    let own = match rest {
                        0 => Ask {
                            need: ask.need,
                            keep: ask.keep,
                            add: around.take(),
                        },
                        // Within a block every convolution but the last has a ReLU of its own.
                        _ => Ask {
                            need: true,
                            keep: true,
                            add: None,
                        },
                    };
                    grad = recorded.pull(g, own, into)?;
                    rest = rest.saturating_sub(1);
                }
                Ok(grad)
            }
            Kind::Flatten((n, h, w, c)) => {
                let g = grad.reshape((n, c, h, w))?;
                plain(layout::channels_last(&g), &ask)
            }
            Kind::Dense(precision, l, x, y) => {
                let grad = relu::backward(&y, &grad)?;
                if l.weight.trains() {
                    let g = linear::backward_weight_in(precision, &x, &grad)?;
                    into.add(&l.weight, g)?;
                }
                if l.bias.trains() {
                    into.add(&l.bias, linear::backward_bias(&grad)?)?;
                }
                let weight = l.weight.detached();
                let below = || linear::backward_x_in(precision, &weight, &grad);
                Ok(ask.need.then(below).transpose()?)
            }
        }
    }
}

/// The gradient of a node that masks nothing and adds nothing.
fn plain(grad: candle_core::Result<Tensor>, ask: &Ask) -> Result<Option<Tensor>> {
    if !ask.need {
        return Ok(None);
    }
    let grad = grad?;
    with(ask.add.clone(), &grad)
}

fn with(add: Option<Tensor>, grad: &Tensor) -> Result<Option<Tensor>> {
    Ok(Some(match add {
        Some(add) => (add + grad)?,
        None => grad.clone(),
    }))
}

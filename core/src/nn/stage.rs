//! The unit of recording: a stage, its input a leaf, its output, and a pullback.
//!
//! A model is a chain of stages. Recording by stage is what lets gradients be accumulated in place, memory be freed on the way
//! back, a frozen prefix cost nothing, features be cached at a border, a fast stage bring its own backward, and a
//! plugin in C provide one. The default pullback is Candle's own backward over that one stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use tlkit_ops::Precision;
use tlkit_ops::batch_norm::Moments;
use tlkit_ops::random::Counter;

use super::adapter::Adaptable;
use super::gradients::Gradients;
use super::param::Param;
use crate::random::Stream;
use crate::{Error, Result};

/// A batch as named tensors. `input` is what the first stage takes; the rest (`attention_mask`, `type_ids`,
/// `masked_positions`, `targets`) is there for whoever asks by name.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    tensors: BTreeMap<String, Tensor>,
    rows: usize,
}

impl Batch {
    /// A batch of `rows` examples whose main tensor is `input`, with `rows` as its first dimension.
    pub fn new(rows: usize, input: Tensor) -> Self {
        Batch {
            tensors: [("input".to_string(), input)].into(),
            rows,
        }
    }

    /// Adds a named tensor.
    pub fn with(mut self, name: &str, tensor: Tensor) -> Self {
        self.tensors.insert(name.to_string(), tensor);
        self
    }

    /// How many examples.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What the first stage takes.
    pub fn input(&self) -> &Tensor {
        &self.tensors["input"]
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// A tensor that must be there.
    pub fn want(&self, name: &str) -> Result<&Tensor> {
        self.get(name).ok_or_else(|| {
            let there: Vec<_> = self.tensors.keys().map(String::as_str).collect();
            Error::msg(format!(
                "the batch has no `{name}`; it has {}",
                there.join(", ")
            ))
        })
    }

    /// All of them, in the order of their names.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }
}

/// What passes between stages: one tensor that has a gradient, and the batch it came from, which has none.
#[derive(Clone)]
pub struct Flow {
    /// The activation.
    pub hidden: Tensor,
    /// The batch: masks, positions, whatever a stage knows by name.
    pub batch: Arc<Batch>,
}

impl Flow {
    /// The start of the chain.
    pub fn start(batch: &Arc<Batch>) -> Self {
        Flow {
            hidden: batch.input().clone(),
            batch: batch.clone(),
        }
    }

    /// The same batch, another activation.
    pub fn with(&self, hidden: Tensor) -> Self {
        Flow {
            hidden,
            batch: self.batch.clone(),
        }
    }
}

/// How batch normalisation behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormMode {
    /// The stored statistics; they do not change.
    #[default]
    Frozen,
    /// The batch's statistics; the stored ones follow.
    Train,
    /// The batch's statistics at prediction too.
    Adapt,
}

impl NormMode {
    /// As a recipe writes them.
    pub const NAMES: [&'static str; 3] = ["frozen", "train", "adapt"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "frozen" => NormMode::Frozen,
            "train" => NormMode::Train,
            "adapt" => NormMode::Adapt,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            NormMode::Frozen => "frozen",
            NormMode::Train => "train",
            NormMode::Adapt => "adapt",
        }
    }
}

/// How PyTorch's running statistics follow.
const MOMENTUM: f64 = 0.1;

/// What becomes of batch norm's running statistics after a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Running {
    /// They follow the batch's by so much, as PyTorch's.
    Follow(f64),
    /// They are the batch's own, the variance divided by n.
    Batch,
}

impl Default for Running {
    fn default() -> Self {
        Running::Follow(MOMENTUM)
    }
}

impl Running {
    /// Writes them.
    ///
    /// # Errors
    /// A batch of one value a channel, or statistics of another shape.
    pub fn put(self, moments: &Moments, mean: &Param, var: &Param) -> Result<()> {
        let (mean, var) = (mean.var(), var.var());
        match self {
            Running::Follow(momentum) => moments.follow(mean, var, momentum)?,
            Running::Batch => moments.replace(mean, var)?,
        }
        Ok(())
    }
}

/// How a pass is made.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Dropout is on.
    pub training: bool,
    /// The optimizer step, counted over the run; with `random` it fixes every dropout mask.
    pub step: u64,
    /// The stream of this pass.
    pub random: Stream,
    /// Whether the gradient of the stage's input is wanted (something below it trains). Set by the chain.
    pub input_gradient: bool,
    /// Whether nobody reads more of the stage's output than its first position: `(batch, 1, width)` of `(batch, length, width)`. It may
    /// then give that alone. Set by the chain.
    pub first_only: bool,
    /// Whether somebody may ask for gradients through what [`Stage::forward`] gives. Where a chain only runs, nobody does.
    pub graph: bool,
    /// Batch norm.
    pub norm: NormMode,
    /// What becomes of batch norm's running statistics, where they are not frozen.
    pub running: Running,
    /// What the operands of a stage's large products are rounded to, forward and on the way back. Everything else stays f32.
    pub precision: Precision,
}

impl Pass {
    /// A pass for prediction: no dropout.
    pub fn evaluation() -> Self {
        Pass {
            training: false,
            step: 0,
            random: Stream::new(0),
            input_gradient: false,
            first_only: false,
            graph: true,
            norm: NormMode::Frozen,
            running: Running::default(),
            precision: Precision::F32,
        }
    }

    /// A training pass at one step of a run.
    pub fn training(random: Stream, step: u64) -> Self {
        Pass {
            training: true,
            step,
            random,
            input_gradient: true,
            first_only: false,
            graph: true,
            norm: NormMode::Frozen,
            running: Running::default(),
            precision: Precision::F32,
        }
    }

    /// The key of a dropout mask: a function of the run, the step and the place.
    pub fn counter(&self, place: &str) -> Counter {
        Counter::new(
            self.random.purpose("dropout").key(),
            Stream::new(0).purpose(place).key(),
        )
        .at(self.step as u32)
    }
}

/// One piece of a model, from one activation to the next.
pub trait Stage: Send + Sync {
    /// Its name, unique in the model: `embeddings`, `encoder.3`, `pooler`, `classifier`.
    fn name(&self) -> &str;
    /// Every parameter and statistic it uses.
    fn params(&self) -> Vec<Param>;
    /// Ordinary Candle code; differentiable where a parameter trains or the input is tracked.
    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow>;
    /// Forward, and the way back. The default records Candle's graph over this stage alone. Override it for a hand-written
    /// backward, for recomputation, or for one that crosses a border.
    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        segment(self, x, pass)
    }
    /// Whether it reads only the first position of its input, and takes `(batch, 1, width)` as well as the whole.
    fn reads_first(&self) -> bool {
        false
    }
    /// The linear maps that can be adapted, in their order.
    fn linears(&self) -> Vec<Adaptable> {
        Vec::new()
    }
    /// The shape of one example's output, for the summary; `None` when it depends on the input.
    fn output(&self) -> String {
        String::new()
    }
}

/// The way back through one recorded stage.
pub trait Pullback: Send {
    /// Takes the gradient of the stage's output, adds the gradients of its parameters to `into`, and returns that of its
    /// input where the pass asked for it.
    fn pull(self: Box<Self>, output: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>>;
}

/// The default recording: Candle's graph over one stage, its input cut to a leaf.
pub fn segment<S: Stage + ?Sized>(
    stage: &S,
    x: &Flow,
    pass: &Pass,
) -> Result<(Flow, Box<dyn Pullback>)> {
    let input = match pass.input_gradient && x.hidden.dtype().is_float() {
        true => Some(Var::from_tensor(&x.hidden.detach())?),
        false => None,
    };
    let hidden = input
        .as_ref()
        .map_or_else(|| x.hidden.detach(), |v| v.as_tensor().clone());
    let y = stage.forward(&x.with(hidden), pass)?;
    let params = stage.params().into_iter().filter(Param::trains).collect();
    let out = y.with(y.hidden.detach());
    Ok((
        out,
        Box::new(Segment {
            input,
            output: y.hidden,
            params,
        }),
    ))
}

struct Segment {
    input: Option<Var>,
    output: Tensor,
    params: Vec<Param>,
}

impl Pullback for Segment {
    fn pull(self: Box<Self>, gradient: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let mut grads = (&self.output * gradient.detach())?.backward()?;
        for p in &self.params {
            if let Some(g) = grads.remove(p.var()) {
                into.add(p, g)?;
            }
        }
        match &self.input {
            None => Ok(None),
            Some(v) => Ok(grads.remove(v).map(|g| g.detach())),
        }
    }
}

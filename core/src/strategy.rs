//! How knowledge is carried over: a strategy is a list of phases.
//!
//! A phase says what trains, on which data, by which objective, with which optimizer, and when it ends. One loop
//! (`train`) runs every phase; no strategy has a loop of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use crate::cache::Rows;
use crate::data::{Domain, Feed, From, Labels, Sealed, View};
use crate::model::Model;
use crate::nn::{Batch, NormMode, Scope, Select, Store, Taps};
use crate::outside::Outside;
use crate::random::Stream;
use crate::select::LabelFree;
use crate::task::{Head, SourceTask, TargetTask};
use crate::train::{OptimizerSpec, Schedule};
use crate::{Error, Result};

pub use crate::loss::{Asked, LossTerm, ParamSpec, Valued, Weighted, WithTerms};

/// What a family or a recipe says about training.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// The family, as `explain` names it: `BERT, width 256`.
    pub family: String,
    /// The optimizer.
    pub optimizer: OptimizerSpec,
    /// The encoder's learning rate.
    pub learning_rate: f64,
    /// The head's, as a multiple of the encoder's.
    pub head_multiple: f64,
    /// The schedule's name.
    pub schedule: &'static str,
    /// Share of the steps that warm up.
    pub warmup: f64,
    /// Rows an optimizer step.
    pub batch_size: usize,
    /// Largest gradient norm.
    pub clip: Option<f64>,
}

/// The target's training data, as the kind of transfer allows it to be seen.
pub enum TargetData {
    /// Inductive: labelled.
    Labelled(Domain<Labels>),
    /// Transductive: inputs only; whatever labels the file had are sealed.
    Unlabelled(Domain<Sealed<Labels>>),
    /// None at all.
    None,
}

/// What a strategy works on.
pub struct Transfer<'a> {
    /// What is known.
    pub source: &'a dyn SourceTask,
    /// What is wanted.
    pub target: &'a dyn TargetTask,
    /// Where parameters live.
    pub store: &'a Store,
    /// The model that is trained, saved and evaluated.
    pub model: Model,
    /// Further models by name (a teacher), whose stages [`Step::encode`] can run.
    pub others: BTreeMap<String, Model>,
    /// Further heads on the model's features by name (a second classifier, a discriminator), which [`Step::head`] applies.
    pub heads: BTreeMap<String, Arc<Head>>,
    /// How many classes the target has; 0 where it has none.
    pub classes: usize,
    /// Common training settings of the recipe.
    pub settings: Settings,
}

impl Transfer<'_> {
    /// Builds a second model of the same shape under another scope: the teacher of a mean teacher, say. Call
    /// [`Store::fork`] from `model` to it for equal weights.
    pub fn second(&self, name: &str) -> Result<Model> {
        let scope = self.store.scope(name);
        let encoder = self.source.fresh_encoder(&scope)?;
        let head = self
            .target
            .head(&scope, self.source, encoder.width(), false)?;
        let mut model = Model::new(encoder, head);
        model.norm = self.model.norm;
        Ok(model)
    }

    /// Makes a further head: `make` builds its stages under the scope `name`. The second classifier of MCD is the target's own
    /// head once more; a discriminator, stages of the strategy's own.
    pub fn add_head(
        &mut self,
        name: &str,
        make: impl FnOnce(&Self, &Scope<'_>) -> Result<Head>,
    ) -> Result<Select> {
        let head = make(self, &self.store.scope(name))?;
        let select = Select::stages(head.classifier());
        self.heads.insert(name.to_string(), Arc::new(head));
        Ok(select)
    }
}

/// A `micro_batch` of as many rows as the device's memory holds: `auto`.
pub const AS_MUCH_AS_FITS: usize = usize::MAX;

/// `[train]`, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long.
    pub until: Until,
    /// Transductive: how long the source is learned first; no epochs leave that phase out.
    pub source_until: Until,
    /// Whether the classifier begins as a logistic regression on the features as they are ([`crate::probe`]), not with random weights.
    pub linear_probe: bool,
    /// Rows an optimizer step.
    pub batch_size: usize,
    /// Rows a pass; gradients accumulate to `batch_size`. Or [`AS_MUCH_AS_FITS`].
    pub micro_batch: usize,
    /// The encoder's peak rate.
    pub learning_rate: f64,
    /// The head's peak rate.
    pub head_learning_rate: f64,
    /// Rate of each stage relative to the next one towards the head; 1 = the same for all.
    pub layer_decay: f64,
    /// The optimizer.
    pub optimizer: OptimizerSpec,
    /// The schedule.
    pub schedule: Schedule,
    /// Largest gradient norm.
    pub clip: Option<f64>,
    /// Stop after this many epochs without a better validation score.
    pub patience: Option<u64>,
    /// Group rows of like length.
    pub sampler: crate::data::Sampler,
    /// What decides which epoch is kept.
    pub select: Selection,
    /// Transductive: whether the model that goes on learning from the source alone stands beside the adaptation ([`Phase::Twin`]), and by how much
    /// the adaptation must be better.
    pub twin: Option<f64>,
    /// Rounding of the operands of products while training. Predictions are made in f32.
    pub precision: tlkit_ops::Precision,
}

/// When a phase ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many passes over the longest feed.
    Epochs(u64),
    /// After so many optimizer steps.
    Steps(u64),
}

/// Which epoch of a phase is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The last.
    Last,
    /// The best on labelled validation rows; in a transductive run on those of the source domain.
    Validation,
    /// Transductive: the best on labelled rows of the target, an explicit choice.
    TargetValidation,
    /// Transductive: the best on the test rows themselves. Marked in every table.
    Oracle,
    /// Transductive: the best by a score that looks at no label of the target ([`crate::select`]).
    LabelFree(LabelFree),
}

impl Selection {
    /// As a recipe writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Selection::Last => "last",
            Selection::Validation => "validation",
            Selection::TargetValidation => "target-validation",
            Selection::Oracle => "oracle",
            Selection::LabelFree(score) => score.name(),
        }
    }
}

/// What a strategy asks for, checked before anything is loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// The labelled source domain.
    pub source_data: bool,
    /// A model that knows the task: the labelled source domain to learn it from, or a finished run.
    pub trained: bool,
    /// It learns the source in a phase of its own too, where that is no finished run: `train.source_epochs = 0` leaves it a model that knows the task.
    pub learns_source: bool,
    /// The target's labels: the run is an oracle's, and marked.
    pub target_labels: bool,
    /// Where a label-free score decides, the model that learns on from the source alone is trained beside it (`select.twin`), or is what the method is.
    pub twin: bool,
    /// Batch norm with statistics of its own.
    pub batch_norm: bool,
    /// A further objective of the source's family: `mlm`.
    pub pretext: Option<&'static str>,
    /// Closed form: nothing is chosen between, so no row is set aside to choose by. The registry is told as well
    /// ([`crate::registry::Registry::closed_form`]), for rows are set aside before the strategy is made.
    pub closed_form: bool,
    /// It moves features, so an encoder without a layer has nothing for it.
    pub moves_features: bool,
    /// Label-free scores that it minimises itself, which are no evidence for it.
    pub minimises: Vec<LabelFree>,
    /// The encoder stays as it is, so its pooling need not be one that trains.
    pub frozen: bool,
    /// Only the head trains, though its pooling and its settings are those of a network that does.
    pub head_only: bool,
    /// Fresh weights instead of the checkpoint's.
    pub scratch: bool,
    /// It brings a loss of its own for rows without labels, where the target task has vectors and no classes.
    pub own_loss: bool,
    /// Views of the inputs.
    pub views: Vec<View>,
    /// Every row as it is: it looks at each once, or asks somebody about it once. A recipe that augments is refused.
    pub plain: bool,
    /// Why no class and no row may have a weight of its own, nor labels be smoothed, where that is so.
    pub plain_loss: Option<Why>,
    /// Why the head may have no dense layers, where that is so.
    pub plain_head: Option<Why>,
    /// Why weights decay to nothing else, so that `train.weight_decay` has nothing to say, where that is so.
    pub own_decay: Option<Why>,
    /// Why `train.layer_decay` has nothing to say, where that is so.
    pub own_rates: Option<Why>,
    /// Its keys name parts of the network, or the network may lack what it trains: it is arranged once while the recipe is checked, and what
    /// [`Strategy::arrange`] or [`Strategy::phases`] refuse of a key, in words that begin with its name (`strategy.freeze: ..`), stands at that key.
    pub arranged: bool,
}

/// Why a method has no place for something in a recipe: what follows its name in a sentence, and what to do instead.
pub type Why = (&'static str, &'static str);

/// How knowledge is carried over.
pub trait Strategy: Send + Sync {
    /// What it asks for.
    fn needs(&self) -> Needs;
    /// Changes the model before the phases: adapters, a bottleneck, a second head, a discriminator, copies.
    fn arrange(&self, _transfer: &mut Transfer<'_>) -> Result<()> {
        Ok(())
    }
    /// The phases, in order.
    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>>;
    /// What its outcome depends on besides its keys, the data and the source: a teacher's weights. Part of a run's identity.
    fn digest(&self) -> String {
        String::new()
    }
}

/// One phase.
pub enum Phase {
    /// By gradients.
    Train(Train),
    /// By gradients, and then the model goes back to where it was: what becomes of it without the phase that follows, whose random numbers and
    /// steps it has. Its epochs are candidates beside those of that phase.
    Twin(Train),
    /// In closed form.
    Fit {
        /// For the log.
        name: String,
        /// What is done.
        fit: Box<dyn Fit>,
    },
}

/// A phase by gradients.
pub struct Train {
    /// For the log and the curves.
    pub name: String,
    /// The data; the longest feed sets the epoch.
    pub feeds: Vec<Feed>,
    /// Run in order on the same batches: one for most; MCD has three.
    pub updates: Vec<Update>,
    /// When it ends.
    pub until: Until,
    /// Which epoch is kept.
    pub select: Selection,
    /// Stop after this many epochs without a better one.
    pub patience: Option<u64>,
    /// Rows a pass; gradients accumulate. Or [`AS_MUCH_AS_FITS`].
    pub micro_batch: usize,
    /// Batch norm's mode in this phase, where it is not the model's.
    pub norm: Option<NormMode>,
    /// Whether it carries over to another domain: what the model is before the first such phase is what the source alone makes of it.
    pub adapts: bool,
    /// Whether it is the same whatever the method, objectives and all, so that runs that differ in the method alone may train it once
    /// ([`Shared`](crate::train::Shared)).
    pub shared: bool,
}

/// One optimizer step of a batch: what trains, how, by which objective.
pub struct Update {
    /// For the log.
    pub name: String,
    /// What trains.
    pub trains: Select,
    /// Optimizer groups; a parameter belongs to the first that holds it.
    pub groups: Vec<Group>,
    /// Largest gradient norm.
    pub clip: Option<f64>,
    /// How often in a row.
    pub repeat: u32,
    /// What is minimised.
    pub objective: Box<dyn Objective>,
}

/// Parameters that share an optimizer's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which.
    pub which: Select,
    /// Optimizer and its constants.
    pub optimizer: OptimizerSpec,
    /// Peak learning rate.
    pub rate: f64,
    /// Its course.
    pub schedule: Schedule,
}

/// What an objective may touch in one update.
pub trait Step {
    /// A feed's batch in a view.
    fn batch(&mut self, feed: usize, view: View) -> Result<Arc<Batch>>;
    /// A feed's labels, `(rows,)` u32; an error for an unlabelled feed.
    fn labels(&self, feed: usize) -> Result<Tensor>;
    /// Whether a feed has labels.
    fn labelled(&self, feed: usize) -> bool;
    /// The row numbers of a feed's batch within its domain.
    fn rows(&self, feed: usize) -> &[u32];
    /// The first view that a feed was declared with.
    fn view(&self, feed: usize) -> View;
    /// Runs a model on feeds, together in one forward pass (one set of batch statistics), and returns what each is
    /// mapped to. `model` is `"model"`, or a name in [`Transfer::others`].
    fn encode(&mut self, model: &str, together: &[(usize, View)]) -> Result<Vec<Taps>>;
    /// Logits of a further head ([`Transfer::heads`]) on features, within the loss's own graph.
    fn head(&mut self, name: &str, features: &Tensor) -> Result<Tensor>;
    /// The target task's loss.
    fn task_loss(&mut self, feed: usize, view: View, logits: &Tensor) -> Result<Tensor>;
    /// Share of the phase that is done, `0..1`.
    fn progress(&self) -> f64;
    /// Optimizer steps of the run so far.
    fn number(&self) -> u64;
    /// A stream for one purpose at this step.
    fn random(&self, purpose: &str) -> Stream;
    /// All parameters.
    fn store(&self) -> &Store;
}

/// One term of a loss.
pub struct Term {
    /// For the curves.
    pub name: String,
    /// Its factor.
    pub weight: f64,
    /// A scalar.
    pub value: Tensor,
    /// Whether the liveness check asserts that its gradient reaches the encoder or head.
    pub reaches_model: bool,
}

impl Term {
    /// A term that reaches the model.
    pub fn new(name: &str, weight: f64, value: Tensor) -> Self {
        Term {
            name: name.to_string(),
            weight,
            value,
            reaches_model: true,
        }
    }
}

/// What is minimised.
pub trait Objective: Send {
    /// The terms at one step.
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>>;
    /// Stages whose output it asks for by name, besides features and logits.
    fn taps(&self) -> Vec<String> {
        Vec::new()
    }
    /// Before the first step of a sitting, also of one that goes on from a checkpoint: what can be computed again and is not worth
    /// saving, a teacher's outputs.
    fn begin(&mut self, _infer: &mut dyn Infer) -> Result<()> {
        Ok(())
    }
    /// Before each epoch: a pass in evaluation mode, for centroids and pseudo-labels.
    fn begin_epoch(&mut self, _infer: &mut dyn Infer) -> Result<()> {
        Ok(())
    }
    /// After each epoch, where the target task has no score of its own (vectors): a loss on the validation rows and its name. The epoch
    /// where it is least is kept.
    fn validate(&mut self, _infer: &mut dyn Infer) -> Result<Option<(String, f64)>> {
        Ok(None)
    }
    /// For the curves of an epoch that has ended, besides the terms: a discriminator's accuracy, a coefficient.
    fn curves(&mut self) -> Vec<(String, f64)> {
        Vec::new()
    }
    /// After the optimizer's step: a mean teacher, a queue.
    fn after_step(&mut self, _store: &Store) -> Result<()> {
        Ok(())
    }
    /// What must be saved for a bit-exact resume, besides parameters.
    fn state(&self) -> State {
        State::default()
    }
    /// The inverse of [`Objective::state`].
    fn restore(&mut self, _state: State) -> Result<()> {
        Ok(())
    }
}

/// Numbers to save and load.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// By name.
    pub tensors: Vec<(String, Tensor)>,
    /// Anything small.
    pub json: String,
}

impl State {
    /// A tensor that must be there.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let found = self.tensors.iter().find(|(n, _)| n == name);
        found
            .map(|(_, t)| t.clone())
            .ok_or_else(|| Error::msg(format!("the saved state has no `{name}`")))
    }
}

/// A pass over a whole domain without gradients, rows in their order.
pub trait Infer {
    /// The features of every row, `(rows, width)`.
    fn features(&mut self, from: From) -> Result<Tensor>;
    /// The logits of every row, `(rows, classes)`.
    fn logits(&mut self, from: From) -> Result<Tensor>;
    /// The labels of a domain where they may be seen.
    fn labels(&self, from: From) -> Result<Labels>;
    /// A seeded stream.
    fn random(&self, purpose: &str) -> Stream;
    /// Whether a domain is there.
    fn has(&self, from: From) -> bool;
    /// Puts the statistics of a domain into every batch norm: the mean of the running ones over a pass, after a pass that they follow. How many
    /// tensors of statistics there are; an error where there are none.
    fn renew_statistics(&mut self, from: From, batch: usize) -> Result<usize>;
    /// What a model from outside says of every row of a domain.
    fn outside(&mut self, from: From, model: &Outside) -> Result<Rows>;
    /// Asked now and then by what takes long: an error where somebody wants to stop.
    fn going_on(&self) -> Result<()> {
        Ok(())
    }
}

/// A phase without gradients: CORAL, TCA, logistic regression, kNN, AdaBN, BBSE.
pub trait Fit: Send {
    /// Changes the model: a map ([`Model::add_map`], [`Model::add_adjust`]) or weights in the store. Checkpoints keep both and nothing
    /// else of the model. What is returned goes to the result. `infer` sees the model as it was before.
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        store: &Store,
    ) -> Result<BTreeMap<String, f64>>;

    /// What it depends on besides the model and the rows, where it is the same whatever the method, so that runs that begin alike can make it once.
    fn shared(&self) -> Option<String> {
        None
    }
}

impl Defaults {
    /// For a network without a family of its own.
    pub fn plain() -> Self {
        Defaults {
            family: "no family".into(),
            optimizer: OptimizerSpec::named("adamw"),
            learning_rate: 1e-3,
            head_multiple: 1.0,
            schedule: "constant",
            warmup: 0.0,
            batch_size: 32,
            clip: None,
        }
    }
}

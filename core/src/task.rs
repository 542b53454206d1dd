//! Source task and target task: what is known already, and what is to be learned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;
use crate::audit::Audit;
use crate::data::{Domain, Labels, Prepare, Reader, Reading, RowForm, View};
use crate::metrics::Measure;
use crate::model::Model;
use crate::nn::{Batch, NormMode, Scope, Stage, Store, Weights};
use crate::recipe::Keys;
use crate::strategy::Defaults;

/// The part that is carried over: inputs to features, in ordered stages from input to output.
pub trait Encoder: Send + Sync {
    /// Input to output. The last one's output is what a head pools, or the features themselves.
    fn stages(&self) -> &[Arc<dyn Stage>];
    /// How wide the features are.
    fn width(&self) -> usize;
}

/// The part that is new: features to predictions, in stages. The first `pool` stages make the features `(batch, width)`;
/// the rest make the logits.
pub struct Head {
    /// Pooling first, classifier last.
    pub stages: Vec<Arc<dyn Stage>>,
    /// How many of them belong to the features.
    pub pool: usize,
}

/// What is learned first: a checkpoint loaded, or a network made new.
pub trait SourceTask: Send + Sync {
    /// The family's optimizer, rates and schedule; `explain` names it as their origin.
    fn defaults(&self) -> Defaults;
    /// Told once, after the target task was built and before anything is asked of this one: how wide the target's input
    /// vectors are, `None` where inputs are no vectors. An encoder whose first layer depends on it keeps it; others need not care.
    fn expect_width(&mut self, _width: Option<usize>) -> Result<()> {
        Ok(())
    }
    /// The training defaults where its weights are fresh, by the strategy or since there is no checkpoint.
    fn scratch_defaults(&self) -> Defaults {
        self.defaults()
    }
    /// What an input has to be, as [`crate::data::Input::kind`] says it; `None` where the preparation alone knows.
    fn reads(&self) -> Option<&'static str> {
        None
    }
    /// Whether it takes inputs of a kind, in [`crate::data::Input::kind`]'s words.
    fn takes(&self, kind: &str) -> bool {
        self.reads().is_none_or(|wanted| wanted == kind)
    }
    /// Whether its encoder can train. One that another library computes, whose gradients are cut somewhere, stays as it is.
    fn trains(&self) -> bool {
        true
    }
    /// Whether there is a layer between the inputs and the head.
    fn has_layers(&self) -> bool {
        true
    }
    /// The key of `[source]` that makes layers with fresh weights, where no weights were named that somebody has trained; methods that leave the encoder as it
    /// is refuse these.
    fn untrained(&self) -> Option<&'static str> {
        None
    }
    /// How batch norm behaves in this family where nothing else is said, `fresh` for weights that start from nothing; `None` where the network has
    /// none.
    fn norm_mode(&self, _fresh: bool) -> Option<NormMode> {
        None
    }
    /// The shape of an example's output before pooling, `[7, 7, 512]`; `None` where it differs from input to input.
    fn shape(&self) -> Option<Vec<usize>> {
        None
    }
    /// How wide features pooled this way are, where that is not the encoder's width.
    fn pooled(&self, _pooling: &str) -> Option<usize> {
        None
    }
    /// How inputs are prepared for this encoder.
    fn prepare(&self) -> Result<Arc<dyn Prepare>>;
    /// Builds the encoder under a scope, its weights loaded. May be called again: a teacher, a second copy.
    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>>;
    /// The same network with fresh weights (`from-scratch`).
    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>>;
    /// How this family pools the encoder's output into features when the recipe does not say. `frozen`: the encoder
    /// does not train. `choice` is what the recipe says.
    fn pooling(
        &self,
        scope: &Scope<'_>,
        choice: Option<&str>,
        frozen: bool,
    ) -> Result<Vec<Arc<dyn Stage>>>;
    /// The poolings a recipe may choose; empty where the features are pooled already.
    fn poolings(&self) -> &[&'static str] {
        &[]
    }
    /// The head that the checkpoint brings for its own task, under a scope that holds its encoder, and the names of its classes in order;
    /// `None` where it brings none.
    fn source_head(&self, _scope: &Scope<'_>) -> Result<Option<(Head, Vec<String>)>> {
        Ok(None)
    }
    /// How wide the dropout before a classifier is in this family.
    fn head_dropout(&self) -> f64 {
        0.0
    }
    /// The standard deviation of a new classifier's weights.
    fn head_init(&self) -> f64 {
        0.02
    }
    /// The trained model that this source is, where it is one (`source.run`): its weights are put in by name, head and all.
    fn finished(&self) -> Option<&Finished> {
        None
    }
    /// A further task of this family by name (`mlm`), so that a strategy never names a plugin: its head on the encoder that was made under
    /// the scope `model`, in a scope of its own.
    fn pretext(&self, _name: &str, _scope: &Scope<'_>) -> Result<Option<Pretext>> {
        Ok(None)
    }
    /// Whether the network has batch norm whose statistics mean something: what `adabn` and `tent` change.
    fn batch_norm(&self) -> bool {
        self.norm_mode(false).is_some()
    }
    /// The view of the inputs that such a task is learned on, and its loss; `None` where this family does not have it.
    fn pretext_loss(&self, _name: &str) -> Option<(View, PretextLoss)> {
        None
    }
    /// How batch norm behaves while the network trains.
    fn norm(&self) -> NormMode {
        NormMode::default()
    }
    /// Writes the model in the layout that other libraries of this family read.
    fn export(&self, model: &Model, store: &Store, labels: &[String], to: &Path) -> Result<Export>;
    /// The keys of `[source]` that make this task again from the folder that [`SourceTask::export`] wrote, where `checkpoint = "."`
    /// stands for that folder. `keys` are those of the recipe. The network is made by [`SourceTask::fresh_encoder`] and its
    /// weights are put in by name.
    fn saved(&self, keys: &mut serde_json::Map<String, serde_json::Value>) {
        if keys.contains_key("checkpoint") {
            keys.insert("checkpoint".into(), ".".into());
        }
    }
    /// The parameters in the `model.safetensors` that [`SourceTask::export`] wrote into a folder, under the names of the model (`model.conv1.weight`).
    /// Families whose other libraries have other names or shapes put them back here.
    fn exported(&self, folder: &Path) -> Result<Weights> {
        let file = folder.join("model.safetensors");
        match file.is_file() {
            true => Weights::read(&file, &|n| Some(format!("model.{n}"))),
            false => Ok(Weights::from_tensors(
                &folder.display().to_string(),
                Default::default(),
            )),
        }
    }
    /// What identifies the weights it starts from: a digest, part of a run's identity.
    fn digest(&self) -> String;

    /// What tells its weights from others, where a run of tlkit trained them. A head over them is drawn by another stream than that run's was: a
    /// head's draw is a function of seed and name, and by the same ones it would be the very head that the encoder was fitted to.
    fn ancestor(&self) -> Option<String> {
        None
    }
}

/// A further task of a source's family.
pub struct Pretext {
    /// On the encoder.
    pub head: Head,
}

/// The loss of logits `(targets, ..)` at what a batch brings of its own.
pub type PretextLoss = Arc<dyn Fn(&Tensor, &Batch) -> Result<Tensor> + Send + Sync>;

/// A trained model as a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its folder, `model/` of a run.
    pub folder: PathBuf,
    /// Whether its head was made for an encoder that does not train.
    pub frozen: bool,
    /// Its stages, input to output.
    pub stages: Vec<String>,
    /// The key of `[target]` under which its loss was no plain cross-entropy, where one was.
    pub weighted: Option<String>,
}

/// Whether others can load what was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Export {
    /// By this call.
    Loadable {
        /// `transformers AutoModelForSequenceClassification`.
        by: String,
    },
    /// Only by tlkit, and why.
    Ours {
        /// The reason.
        why: String,
    },
}

/// How outputs are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// One class a row; the classes' names.
    Classes(Vec<String>),
    /// One token a masked position.
    Tokens,
    /// Vectors, with nothing to compare them with: what they are for is the strategy's affair.
    Vectors,
}

/// What is wanted: data, head, loss, metrics.
pub trait TargetTask: Send + Sync {
    /// A split's inputs and labels, by the names of [`crate::data::DataKeys::target`]. Core audits and seals.
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>>;
    /// What a row is made of, so that the trained model can be given others. `None` where rows of a file are not what it takes.
    fn row_form(&self) -> Result<Option<RowForm>> {
        Ok(None)
    }
    /// What opens its files, whatever they are called: in training, and when the trained model is given others. `None` where their endings say it.
    fn reader(&self) -> Option<Arc<dyn Reader>> {
        None
    }
    /// Whether it can stand on this encoder; what does not fit is noted at its place. Called once both are made.
    fn fits(&self, _keys: &Keys, _source: &dyn SourceTask) {}
    /// How wide the inputs are, where they are vectors of numbers.
    fn input_width(&self) -> Option<usize> {
        None
    }
    /// The head on an encoder of this family.
    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head>;
    /// Whether that head is one linear map on the encoder's features, which a closed form can fit.
    fn plain_head(&self) -> bool {
        true
    }
    /// The loss of a batch, a scalar. `labels` are absent where the batch brings its own targets.
    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, batch: &Batch) -> Result<Tensor>;
    /// What the loss of a batch is a mean over: its rows; the sum of their class weights; its hidden tokens. Batches that are cut into
    /// pieces are put together by it, so that the pieces change no number.
    fn mass(&self, _labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        Ok(batch.rows() as f64)
    }
    /// Whether the loss is plain cross-entropy, which closed-form heads minimise.
    fn plain_loss(&self) -> bool {
        true
    }
    /// How it is scored.
    fn scoring(&self) -> Scoring;
    /// What else it is scored by, where it is scored by classes.
    fn metrics(&self) -> Vec<Measure> {
        Vec::new()
    }
    /// A hash of every input and label that the run may use.
    fn digest(&self) -> String;
    /// What was found in the rows before training, where the task looks: [`crate::data::DataKeys::audit`].
    fn audit(&self) -> Option<&Audit> {
        None
    }
    /// The view of the inputs that is trained on.
    fn view(&self) -> View {
        View::Plain
    }
}

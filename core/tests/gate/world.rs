//! A small world: two blobs in four dimensions, a target domain where they are shifted, an MLP, and a way to train on them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{D, DType, Device, Tensor};
use tlkit_core::cache::Cache;
use tlkit_core::data::{
    Domain, Example, Feed, Field, From, Input, Labels, Loaded, Prepare, Reading, Sampler, Samples,
    View,
};
use tlkit_core::metrics::Classification;
use tlkit_core::model::{MapKinds, Model};
use tlkit_core::nn::{
    Activation, Batch, Dense, Linear, NormMode, Scope, Select, Stage, Store, Weights,
};
use tlkit_core::random::Stream;
use tlkit_core::strategy::*;
use tlkit_core::task::{Encoder, Export, Head, Scoring, SourceTask, TargetTask};
use tlkit_core::train::{
    self, Domains, Event, Job, Observer, OptimizerSpec, Outcome, Schedule, Stop,
};
use tlkit_core::{Error, Result};

/// Numbers a point has.
pub const INPUTS: usize = 4;
/// Features an encoder gives.
pub const WIDTH: usize = 8;

/// How the first stage is made.
pub type MakeStage = fn(&Scope<'_>) -> Result<Arc<dyn Stage>>;

/// Source and target task in one.
#[derive(Clone)]
pub struct World {
    /// How far the target domain is from the source, along the axis of the classes and across it.
    pub shift: [f32; 2],
    /// Rows of the target domain; rows of the source are 192.
    pub rows: usize,
    /// Whether training sees the target's labels.
    pub labelled: bool,
    /// Weights to start from.
    pub weights: Option<Arc<Weights>>,
    /// The encoder's first stage.
    pub first: MakeStage,
    /// Kinds of map that checkpoints may hold.
    pub maps: MapKinds,
    /// How batch norm behaves while training, where the first stage has one.
    pub norm: NormMode,
    /// Whether the classes change sides above zero on the second axis, where few rows of the source lie and all of the target.
    pub crossed: bool,
}

impl World {
    /// A transductive one.
    pub fn shifted(along: f32, across: f32) -> Self {
        World {
            shift: [along, across],
            rows: 192,
            labelled: false,
            weights: None,
            first: |scope| dense(scope, "first", INPUTS, 16, Activation::Relu),
            maps: MapKinds::default(),
            norm: NormMode::default(),
            crossed: false,
        }
    }

    fn points(&self, name: &str, rows: usize, shift: [f32; 2]) -> Domain<Labels> {
        let noise = Stream::new(5).purpose(name).normals(rows * INPUTS);
        let classes: Vec<u32> = (0..rows as u32).map(|r| r % 2).collect();
        let rows = noise.chunks(INPUTS).zip(&classes).enumerate();
        let rows = rows.map(|(i, (n, &class))| {
            let above = name == "target" || i % 10 >= 8;
            let (turn, height) = match (self.crossed, above) {
                (false, _) => (1.0, 0.0),
                (true, false) => (1.0, -1.5),
                (true, true) => (-1.0, 1.5),
            };
            let side = if class == 0 { -2.0 } else { 2.0 };
            vec![
                turn * side + 0.4 * n[0] + shift[0],
                height + 0.3 * n[1] + shift[1],
                n[2],
                n[3],
            ]
        });
        Domain {
            name: name.to_string(),
            inputs: Arc::new(Points(rows.collect())),
            labels: Labels {
                classes,
                names: Arc::new(vec!["left".into(), "right".into()]),
            },
        }
    }

    /// The labelled source domain.
    pub fn source(&self) -> Domain<Labels> {
        self.points("source", 192, [0.0; 2])
    }

    /// The target domain.
    pub fn target(&self) -> Domain<Labels> {
        self.points("target", self.rows, self.shift)
    }
}

struct Points(Vec<Vec<f32>>);

impl Samples for Points {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn id(&self, row: usize) -> String {
        row.to_string()
    }
    fn input(&self, row: usize) -> Result<Input<'_>> {
        Ok(Input::Features((&self.0[row]).into()))
    }
}

struct Vectors;

impl Prepare for Vectors {
    fn digest(&self) -> String {
        "vectors".into()
    }
    fn views(&self) -> &[View] {
        &[View::Plain, View::Weak, View::Strong]
    }
    fn example(&self, input: &Input<'_>) -> Result<Example> {
        match input {
            Input::Features(v) => Ok(Example::new(1).with("input", Field::Floats(v.to_vec()))),
            other => Err(Error::msg(other.kind())),
        }
    }
    fn view(&self, plain: &Example, view: View, random: Stream) -> Result<Example> {
        let by = if view == View::Strong { 0.3 } else { 0.1 };
        let noise = random.normals(INPUTS);
        let moved = plain
            .floats("input")
            .iter()
            .zip(noise)
            .map(|(x, n)| x + by * n);
        Ok(Example::new(1).with("input", Field::Floats(moved.collect())))
    }
    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let flat: Vec<f32> = examples
            .iter()
            .flat_map(|e| e.floats("input").to_vec())
            .collect();
        Ok(Batch::new(
            examples.len(),
            Tensor::from_vec(flat, (examples.len(), INPUTS), device)?,
        ))
    }
}

/// A dense stage under its own name.
pub fn dense(
    scope: &Scope<'_>,
    name: &str,
    inputs: usize,
    outputs: usize,
    activation: Activation,
) -> Result<Arc<dyn Stage>> {
    let linear = Linear::new(
        &scope.sub(name),
        inputs,
        outputs,
        (2.0 / inputs as f64).sqrt(),
    )?;
    Ok(Arc::new(Dense::new(name, linear, activation)))
}

struct Mlp(Vec<Arc<dyn Stage>>);

impl Encoder for Mlp {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.0
    }
    fn width(&self) -> usize {
        WIDTH
    }
}

impl SourceTask for World {
    fn defaults(&self) -> Defaults {
        Defaults::plain()
    }
    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(Vectors))
    }
    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        match &self.weights {
            Some(w) => self.fresh_encoder(&scope.clone().with_weights(w.clone())),
            None => self.fresh_encoder(scope),
        }
    }
    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let second = dense(scope, "second", 16, WIDTH, Activation::None)?;
        Ok(Arc::new(Mlp(vec![(self.first)(scope)?, second])))
    }
    fn pooling(&self, _: &Scope<'_>, _: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        Ok(Vec::new())
    }
    /// The classifier of the weights it starts from.
    fn source_head(&self, scope: &Scope<'_>) -> Result<Option<(Head, Vec<String>)>> {
        let Some(weights) = &self.weights else {
            return Ok(None);
        };
        let scope = scope.clone().with_weights(weights.clone());
        let stages = vec![dense(&scope, "classifier", WIDTH, 2, Activation::None)?];
        let names = vec!["left".into(), "right".into()];
        Ok(Some((Head { stages, pool: 0 }, names)))
    }
    fn export(&self, _: &Model, _: &Store, _: &[String], _: &std::path::Path) -> Result<Export> {
        Ok(Export::Ours {
            why: "a test".into(),
        })
    }
    fn digest(&self) -> String {
        "an MLP".into()
    }
}

impl TargetTask for World {
    fn domain(&self, _: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        Ok(Some(self.target()))
    }
    fn head(&self, scope: &Scope<'_>, _: &dyn SourceTask, width: usize, _: bool) -> Result<Head> {
        let stages = vec![dense(scope, "classifier", width, 2, Activation::None)?];
        Ok(Head { stages, pool: 0 })
    }
    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, _: &Batch) -> Result<Tensor> {
        cross_entropy(logits, labels.ok_or_else(|| Error::msg("no labels"))?)
    }
    fn scoring(&self) -> Scoring {
        Scoring::Classes(vec!["left".into(), "right".into()])
    }
    fn digest(&self) -> String {
        format!("{:?}", self.shift)
    }
}

/// Mean cross-entropy.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let right = logits.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
    Ok((logits.log_sum_exp(D::Minus1)? - right)?.mean_all()?)
}

/// Probabilities of logits.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    Ok(logits
        .broadcast_sub(&logits.log_sum_exp(1)?.unsqueeze(1)?)?
        .exp()?)
}

/// A shuffled feed of 32 rows a batch.
pub fn feed(from: From) -> Feed {
    Feed {
        from,
        views: vec![View::Plain],
        batch: 32,
        sampler: Sampler::Shuffled,
        drop_last: true,
        not_alone: false,
    }
}

/// An update by AdamW without weight decay.
pub fn update(
    name: &str,
    trains: Select,
    rate: f64,
    objective: impl Objective + 'static,
) -> Update {
    let adam = OptimizerSpec::named("adamw").with_decay(0.0);
    Update {
        name: name.into(),
        trains,
        groups: vec![Group::all(adam, rate, Schedule::constant())],
        clip: None,
        repeat: 1,
        objective: Box::new(objective),
    }
}

/// A phase of so many steps, its last epoch kept.
pub fn phase(name: &str, feeds: &[From], updates: Vec<Update>, steps: u64) -> Phase {
    Phase::Train(Train {
        name: name.into(),
        feeds: feeds.iter().map(|&f| feed(f)).collect(),
        updates,
        until: Until::Steps(steps),
        select: Selection::Last,
        patience: None,
        micro_batch: 32,
        norm: None,
        adapts: false,
        shared: false,
    })
}

/// The whole model on the labelled source, by the task's loss.
pub fn source_phase(steps: u64) -> Phase {
    let loss = WithTerms {
        feeds: vec![View::Plain],
        terms: Vec::new(),
    };
    phase(
        "source",
        &[From::Source],
        vec![update("task", Select::name("model.*"), 0.01, loss)],
        steps,
    )
}

/// Training on the source alone: what every method is compared with.
pub struct SourceOnly;

impl Strategy for SourceOnly {
    fn needs(&self) -> Needs {
        Needs::default()
    }
    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        Ok(vec![source_phase(150)])
    }
}

/// How a training is run.
#[derive(Default)]
pub struct Setup {
    /// Where checkpoint and metrics go.
    pub dir: Option<PathBuf>,
    /// Ends each phase early.
    pub max_steps: Option<u64>,
    /// Scores each epoch on other rows of the source domain.
    pub validation: bool,
    /// Passes over the training rows, for strategies that ask the recipe; 8 by default.
    pub epochs: Option<u64>,
    /// Where features are kept.
    pub cache: Option<Cache>,
    /// Waits so long at each step, so that there is time to be killed.
    pub slow: Duration,
}

/// What is left of a training.
pub struct Trained {
    pub store: Store,
    /// Accuracy on the target domain.
    pub target: f64,
    pub outcome: Outcome,
}

struct Slow(Duration);

impl Observer for Slow {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Step { .. } | Event::Phase { .. }) {
            std::thread::sleep(self.0);
        }
    }
}

/// What a strategy arranges.
pub fn transfer<'a>(
    world: &'a World,
    store: &'a Store,
    settings: Settings,
) -> Result<Transfer<'a>> {
    let scope = store.scope("model");
    let encoder = world.encoder(&scope)?;
    let head = world.head(&scope, world, WIDTH, false)?;
    let mut model = Model::new(encoder, head);
    model.norm = world.norm;
    Ok(Transfer {
        source: world,
        target: world,
        store,
        model,
        others: Default::default(),
        heads: Default::default(),
        classes: 2,
        settings,
    })
}

/// Trains by a strategy.
pub fn train(world: &World, strategy: &dyn Strategy, setup: &Setup) -> Result<Trained> {
    let store = Store::new(&Device::Cpu, DType::F32, 7);
    let mut transfer = transfer(world, &store, settings(setup.epochs.unwrap_or(8)))?;
    let prepare = SourceTask::prepare(world)?;
    let target = Loaded::labelled(&world.target(), prepare.clone());
    let seen = match world.labelled {
        true => Loaded::labelled(&world.target(), prepare.clone()),
        false => Loaded::unlabelled(&world.target().seal(), prepare.clone()),
    };
    let observer = Slow(setup.slow);
    let job = Job {
        identity: "gate".into(),
        seed: 7,
        domains: Domains::default()
            .with(
                From::Source,
                Loaded::labelled(&world.source(), prepare.clone()),
            )
            .with(From::Target, seen),
        validation: setup.validation.then(|| {
            let rows = world.points("validation", 100, [0.0; 2]);
            Loaded::labelled(&rows, prepare.clone())
        }),
        validated: "validation",
        deciding: None,
        trained: false,
        before: None,
        observer: &observer,
        stop: Stop::default(),
        checkpoint: setup.dir.as_ref().map(|d| d.join("state.safetensors")),
        metrics: setup.dir.as_ref().map(|d| d.join("metrics.jsonl")),
        checkpoint_every: Some(3),
        max_steps: setup.max_steps,
        maps: world.maps.clone(),
        cache: setup.cache.clone(),
        shared: None,
    };
    strategy.arrange(&mut transfer)?;
    let phases = strategy.phases(&transfer)?;
    let outcome = train::run(&mut transfer, phases, &job)?;
    let (_, logits) = train::predict(&transfer.model, &target, &store, "test", &observer)?;
    let p = tlkit_core::metrics::softmax(&logits.to_vec2()?);
    let scores = Classification::of(&p, &world.target().labels.classes, 2);
    drop(transfer);
    Ok(Trained {
        store,
        target: scores.accuracy,
        outcome,
    })
}

pub fn settings(epochs: u64) -> Settings {
    Settings {
        until: Until::Epochs(epochs),
        source_until: Until::Epochs(epochs),
        linear_probe: false,
        batch_size: 32,
        micro_batch: 32,
        learning_rate: 0.01,
        head_learning_rate: 0.01,
        layer_decay: 1.0,
        optimizer: OptimizerSpec::named("adamw"),
        schedule: Schedule::constant(),
        clip: None,
        patience: None,
        sampler: Sampler::Shuffled,
        select: Selection::Last,
        twin: None,
        precision: Default::default(),
    }
}

//! From a recipe as written to one that is checked. Only a checked one can run.

use std::path::Path;
use std::sync::Arc;

use crate::data::{Found, Reading, Resolve, Sampler};
use crate::model::MapKinds;
use crate::recipe::{Auto, Keys, Report, Written};
use crate::registry::{Context, Kind, Registry};
use crate::strategy::{Defaults, Selection, Settings, Strategy, Until};
use crate::task::{SourceTask, TargetTask};
use crate::train::{OptimizerSpec, Schedule};
use tlkit_ops::Precision;

/// A recipe without errors, and what it builds.
pub struct Checked {
    /// The source task.
    pub source: Box<dyn SourceTask>,
    /// The target task.
    pub target: Box<dyn TargetTask>,
    /// The strategy.
    pub strategy: Box<dyn Strategy>,
    /// Inductive or transductive.
    pub kind: Kind,
    /// The strategy's name.
    pub method: String,
    /// `[train]`.
    pub settings: Settings,
    /// Ends each phase early.
    pub max_steps: Option<u64>,
    /// Steps between checkpoints.
    pub checkpoint_every: Option<u64>,
    /// The kinds of map that a checkpoint may hold.
    pub maps: MapKinds,
    /// The run's seed.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda`, `cuda:1`.
    pub device: String,
    /// The complete recipe: every key, defaults and where they come from.
    pub explained: String,
    /// The same with absolute paths: it runs from any folder.
    pub replayable: String,
    /// The values of all keys that are set, defaults included.
    pub values: serde_json::Value,
}

impl Checked {
    /// Checks a recipe: all errors in one report.
    pub fn new(
        written: &Written,
        registry: &Registry,
        resolve: &Arc<dyn Resolve>,
    ) -> Result<Checked, Box<Report>> {
        let root = written.keys();
        let checked = read(&root, written.folder(), registry, resolve);
        let report = written.finish();
        if report.errors() > 0 {
            return Err(Box::new(report));
        }
        match checked {
            Some(mut c) => {
                let record = written.record();
                c.explained = record.explain();
                c.replayable = record.explain_with(&|name| absolute(name, written.folder()));
                c.values = record.to_json();
                Ok(c)
            }
            // A maker that gave nothing and noted nothing.
            None => Err(Box::new(Report::new(vec![
                crate::recipe::Diagnostic::error(
                    written.here(),
                    "this recipe cannot be built, and the part that refused did not say why",
                ),
            ]))),
        }
    }

    /// A hash of every input and label that the run may use.
    pub fn data_sha256(&self) -> String {
        self.target.digest()
    }

    /// What identifies the run: every value of the recipe (seed and all), the data, the weights, the version.
    pub fn identity(&self) -> String {
        use sha2::Digest;
        let text = format!(
            "{}\n{}\n{}\n{}",
            self.values,
            self.data_sha256(),
            self.source.digest(),
            env!("CARGO_PKG_VERSION")
        );
        crate::hex(&sha2::Sha256::digest(text.as_bytes()))
    }
}

fn read(
    root: &Keys,
    folder: &Path,
    registry: &Registry,
    resolve: &Arc<dyn Resolve>,
) -> Option<Checked> {
    root.reserved("tune", "a grid of hyper-parameters comes later");
    root.reserved("plugins", "plugins built elsewhere come later");
    root.reserved("experiment", "`tlkit compare` comes later");
    root.reserved("domains", "`tlkit compare` comes later");
    let (source, target, strategy) = (
        root.table("source"),
        root.table("target"),
        root.table("strategy"),
    );
    source.describe("what is known already");
    target.describe("what is to be learned");
    strategy.describe("how it is carried over");

    let kind = strategy
        .string("kind")
        .one_of(["inductive", "transductive"])
        .help("whether the target's labels may be seen")
        .example("inductive")
        .required();
    let transductive = kind == "transductive";
    let methods = registry.strategies();
    let method = strategy
        .string("method")
        .one_of(methods.keys())
        .help("how knowledge is carried over")
        .example("fine-tune")
        .required();
    let entry = methods.get(&method);
    if let Some(entry) = entry.filter(|e| {
        // A kind that is neither is an error of its own.
        e.kind.name() != kind
            && strategy.has("kind")
            && matches!(kind.as_str(), "inductive" | "transductive")
    }) {
        let this = format!("`{method}` is {}", entry.kind.name());
        strategy
            .conflict(
                &[
                    (strategy.at("method"), &this),
                    (strategy.at("kind"), "and this says otherwise"),
                ],
                "method and kind do not go together",
            )
            .help(format!(
                "write `kind = \"{}\"`, or choose a method of that kind",
                entry.kind.name()
            ));
    }

    source.reserved(
        "run",
        "a finished run as source comes with domain adaptation",
    );
    let mut cx = Context {
        resolve: resolve.clone(),
        readers: registry.readers().to_vec(),
        folder: folder.to_path_buf(),
        transductive,
        checkpoint: None,
    };
    // A data value, so that a copy of the recipe elsewhere still finds it.
    let checkpoint = source
        .data("checkpoint")
        .help("the weights to start from")
        .example("builtin:bert-mini")
        .check(|names| match names.len() {
            1 => Ok(()),
            _ => Err("one checkpoint".into()),
        })
        .unset("none: the source task makes its own network")
        .optional()
        .and_then(|names| Some(names.into_iter().next()?.0));
    if let Some(name) = &checkpoint {
        match resolve.resolve(name, folder) {
            Ok(found) => cx.checkpoint = Some(found),
            Err(e) => drop(source.error(source.at("checkpoint"), e.to_string())),
        }
    }
    let inferred = cx
        .checkpoint
        .as_ref()
        .and_then(model_type)
        .and_then(|t| registry.source_for(&t).map(str::to_string));
    let task = source
        .string("task")
        .one_of(registry.sources().keys())
        .help("what kind of network is carried over");
    let task = match (&inferred, checkpoint.is_some() && cx.checkpoint.is_none()) {
        (Some(name), _) => Some(
            task.default(name.clone(), "from the checkpoint's config.json")
                .read(),
        ),
        (None, true) => task.optional(),
        (None, false) => Some(task.example("bert").required()),
    };
    let mut made_source = task
        .and_then(|t| registry.sources().get(&t).cloned())
        .and_then(|make| make(&source, &cx));

    let wanted = target
        .string("task")
        .one_of(registry.targets().keys())
        .help("what is to be learned")
        .example("text-classification")
        .required();
    let made_target = registry
        .targets()
        .get(&wanted)
        .cloned()
        .and_then(|make| make(&target, &cx));
    // What a task would have read is not unknown because the task is.
    if made_target.is_none() {
        target.excuse_unread();
    }
    if made_source.is_none() {
        source.excuse_unread();
    }
    if let (Some(s), Some(t)) = (&mut made_source, &made_target)
        && let Err(e) = s.expect_width(t.input_width())
    {
        source.error(source.at("task"), e.to_string());
    }
    let made_strategy = entry.and_then(|e| (e.make)(&strategy, &cx));

    let defaults = made_source
        .as_ref()
        .map_or_else(Defaults::plain, |s| s.defaults());
    let rows = made_target.as_ref().and_then(|t| {
        let split = if transductive { "unlabelled" } else { "train" };
        t.domain(split, &Reading::new())
            .ok()
            .flatten()
            .map(|d| d.inputs.len())
    });
    let train = Trainable::read(&root.table("train"), &defaults, rows);
    let select = root.table("select");
    select.describe("which epoch is kept");
    let choices = if transductive {
        ["last"].as_slice()
    } else {
        ["validation", "last"].as_slice()
    };
    let by = select
        .string("by")
        .one_of(choices)
        .default(
            choices[0],
            "the best on rows set aside; the last where there are none",
        )
        .help("what decides which epoch is kept")
        .read();
    let evaluate = root.table("evaluate");
    evaluate.describe("how the result is judged");
    for (key, why) in [
        ("folds", "cross-validation comes later"),
        ("baselines", "baselines come later"),
        ("worth", "verdicts come with `tlkit compare`"),
        ("level", "intervals are at 95 % in this version"),
        ("overlap", "the audit of overlapping rows comes later"),
    ] {
        evaluate.reserved(key, why);
    }
    let settings = Settings {
        select: if by == "validation" {
            Selection::Validation
        } else {
            Selection::Last
        },
        ..train.settings
    };
    Some(Checked {
        source: made_source?,
        target: made_target?,
        strategy: made_strategy?,
        kind: entry?.kind,
        method,
        settings,
        max_steps: train.max_steps,
        checkpoint_every: train.checkpoint_every,
        maps: registry.maps().clone(),
        seed: train.seed,
        device: train.device,
        explained: String::new(),
        replayable: String::new(),
        values: serde_json::Value::Null,
    })
}

struct Trainable {
    settings: Settings,
    max_steps: Option<u64>,
    checkpoint_every: Option<u64>,
    seed: u64,
    device: String,
}

impl Trainable {
    fn read(keys: &Keys, d: &Defaults, rows: Option<usize>) -> Self {
        keys.describe("how it is trained");
        let family = d.family.as_str();
        let seed = keys
            .u64("seed")
            .default(0u64, "always the same unless asked")
            .help("fixes every random choice but the data split")
            .read();
        let batch_size = keys
            .usize("batch_size")
            .range(1..)
            .default(d.batch_size, family)
            .help("rows an optimizer step")
            .read();
        let micro = keys
            .usize_or_auto("micro_batch")
            .default(Auto::Is(batch_size), "the whole batch in one pass")
            .help("rows a pass; gradients accumulate to batch_size")
            .read();
        let micro_batch = match micro {
            Auto::Is(0) => {
                keys.error(keys.at("micro_batch"), "a pass needs at least one row");
                1
            }
            Auto::Is(n) => n.min(batch_size),
            Auto::Auto => {
                keys.error(keys.at("micro_batch"), "`auto` comes with the CUDA backend")
                    .expected("a number of rows");
                batch_size
            }
        };
        let per_epoch = rows.map(|n| n.div_ceil(batch_size).max(1));
        // 400 steps teach a head; fewer than 3 passes or more than 20 help nobody.
        let (epochs, why) = match per_epoch {
            Some(n) => (
                400usize.div_ceil(n).clamp(3, 20),
                format!("about 400 steps; {n} steps an epoch"),
            ),
            None => (3, "three passes".to_string()),
        };
        let epochs = keys
            .usize("epochs")
            .range(1..)
            .default(epochs, why)
            .help("passes over the training rows")
            .known_as(&["epoch", "num_epochs", "num_train_epochs"])
            .read();
        let max_steps = keys
            .u64("max_steps")
            .range(1..)
            .help("ends each phase after so many optimizer steps")
            .unset("by epochs alone")
            .optional();
        let checkpoint_every = keys
            .u64("checkpoint_every")
            .range(1..)
            .help("steps between checkpoints")
            .unset("every half minute")
            .optional();
        let learning_rate = keys
            .f64("learning_rate")
            .above(0.0)
            .default(d.learning_rate, family)
            .help("the encoder's peak rate")
            .known_as(&["lr"])
            .read();
        let head_default = (
            learning_rate * d.head_multiple,
            format!("{} times the encoder's", d.head_multiple),
        );
        let head_learning_rate = keys
            .f64("head_learning_rate")
            .above(0.0)
            .default(head_default.0, head_default.1)
            .help("the head's peak rate")
            .read();
        let layer_decay = keys
            .f64("layer_decay")
            .range(0.1..=1.0)
            .default(1.0, "the same rate for every stage")
            .help("rate of each stage, relative to the next towards the head")
            .read();
        let optimizer = optimizer(keys, d);
        let schedule = keys
            .string("schedule")
            .one_of(Schedule::NAMES)
            .default(d.schedule, family)
            .help("the course of the learning rate")
            .read();
        let warmup = keys
            .f64("warmup")
            .range(0.0..1.0)
            .default(d.warmup, family)
            .help("share of the steps that rise to the peak")
            .read();
        let schedule = Schedule::parse(&schedule, warmup).unwrap_or(Schedule::constant());
        let clip = keys.f64("clip").above(0.0).help("largest gradient norm");
        let clip = match d.clip {
            Some(c) => Some(clip.default(c, family).read()),
            None => clip.unset("no clipping").optional(),
        };
        let patience = keys
            .u64("patience")
            .range(1..)
            .help("stop after so many epochs without a better validation score")
            .unset("never")
            .optional();
        let group = keys
            .bool("group_by_length")
            .default(true, "batches pad to their longest row")
            .help("put rows of like length together")
            .read();
        let device = keys
            .string("device")
            .default("auto", "a GPU where this build has one")
            .help("`cpu`, `cuda`, `cuda:1`, `auto`")
            .read();
        if !matches!(device.as_str(), "auto" | "cpu") {
            keys.error(
                keys.at("device"),
                format!("this build has no device `{device}`"),
            )
            .expected("`cpu` or `auto`");
        }
        let precision = keys
            .string("precision")
            .one_of(Precision::NAMES)
            .default(Precision::F32.name(), "every product as exact as its sums")
            .help("of the operands of products while training; `bf16` takes less time on CPUs that multiply it fast")
            .read();
        let settings = Settings {
            until: Until::Epochs(epochs as u64),
            batch_size,
            micro_batch,
            learning_rate,
            head_learning_rate,
            layer_decay,
            optimizer,
            schedule,
            clip,
            patience,
            sampler: if group {
                Sampler::ByLength
            } else {
                Sampler::Shuffled
            },
            select: Selection::Validation,
            precision: Precision::named(&precision).unwrap_or_default(),
        };
        Trainable {
            settings,
            max_steps,
            checkpoint_every,
            seed,
            device,
        }
    }
}

fn optimizer(keys: &Keys, d: &Defaults) -> OptimizerSpec {
    let family = d.family.as_str();
    let name = keys
        .string("optimizer")
        .one_of(OptimizerSpec::NAMES)
        .default(d.optimizer.name(), family)
        .help("how gradients become steps")
        .read();
    let same = name == d.optimizer.name();
    let base = if same {
        d.optimizer
    } else {
        OptimizerSpec::named(&name)
    };
    let origin = if same {
        family.to_string()
    } else {
        format!("PyTorch's for {name}")
    };
    let decay = keys
        .f64("weight_decay")
        .range(0.0..1.0)
        .default(base.weight_decay(), origin.clone())
        .help("not applied to biases and norms")
        .read();
    let momentum = |default: f64| {
        keys.f64("momentum")
            .range(0.0..1.0)
            .default(default, origin.clone())
            .help("of SGD and RMSprop")
            .read()
    };
    match base {
        OptimizerSpec::AdamW {
            beta1, beta2, eps, ..
        } => {
            let betas = keys
                .numbers("betas")
                .default(vec![beta1, beta2], origin.clone())
                .help("decay of AdamW's two means")
                .check(|b| {
                    if b.len() == 2 && b.iter().all(|v| (0.0..1.0).contains(v)) {
                        Ok(())
                    } else {
                        Err("two numbers from 0 to below 1".into())
                    }
                });
            let betas = betas.read();
            OptimizerSpec::AdamW {
                beta1: betas[0],
                beta2: betas[1],
                eps,
                weight_decay: decay,
            }
        }
        OptimizerSpec::Sgd {
            momentum: m,
            nesterov,
            ..
        } => {
            let momentum = momentum(m);
            let nesterov = keys
                .bool("nesterov")
                .default(nesterov, origin.clone())
                .help("look ahead")
                .read();
            if nesterov && momentum == 0.0 {
                keys.conflict(
                    &[
                        (keys.at("nesterov"), "this needs momentum"),
                        (keys.at("momentum"), "which is 0"),
                    ],
                    "Nesterov's look ahead needs momentum",
                );
            }
            OptimizerSpec::Sgd {
                momentum,
                nesterov,
                weight_decay: decay,
            }
        }
        OptimizerSpec::RmsProp {
            alpha,
            eps,
            momentum: m,
            ..
        } => OptimizerSpec::RmsProp {
            alpha,
            eps,
            momentum: momentum(m),
            weight_decay: decay,
        },
    }
}

/// A path or data value of a recipe in `folder`, for a copy of it elsewhere.
fn absolute(name: &str, folder: &Path) -> String {
    if name.starts_with("builtin:") || name.starts_with("hf:") {
        return name.to_string();
    }
    let path = folder.join(name);
    std::path::absolute(&path)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The `model_type` in a checkpoint's config.json.
fn model_type(found: &Found) -> Option<String> {
    let text = found.file("config.json")?.text("config.json").ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    json["model_type"].as_str().map(str::to_string)
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

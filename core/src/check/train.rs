//! `[train]`: how it is trained, with the family's defaults.

use super::optimizer::optimizer;
use crate::data::Sampler;
use crate::recipe::{Auto, Keys};
use crate::strategy::{AS_MUCH_AS_FITS, Defaults, Selection, Settings, Until};
use crate::train::Schedule;
use tlkit_ops::Precision;

/// What `[train]` says.
pub(super) struct Trainable {
    pub settings: Settings,
    pub max_steps: Option<u64>,
    pub checkpoint_every: Option<u64>,
    pub cache: bool,
    pub seed: u64,
    pub device: String,
}

impl Trainable {
    /// `rows` are those of an epoch; `finished`: the source of a transductive recipe is a run.
    pub fn read(
        keys: &Keys,
        d: &Defaults,
        rows: Option<usize>,
        (transductive, finished): (bool, bool),
    ) -> Self {
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
            .range(1..)
            .default(Auto::Is(batch_size), "the whole batch in one pass")
            .varies("as `batch_size`")
            .help("rows a pass, or `auto`, as many as memory holds; gradients accumulate to batch_size; never in an adaptation")
            .read();
        let micro_batch = match micro {
            Auto::Is(n) => n.clamp(1, batch_size),
            Auto::Auto => AS_MUCH_AS_FITS,
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
            .varies("about 400 steps, in 3 to 20 passes")
            .help("passes over the training rows")
            .known_as(&["epoch", "num_epochs", "num_train_epochs"])
            .read();
        if transductive && finished {
            keys.refuse(
                "source_epochs",
                "the source is a finished run: there is no phase before the adaptation",
            )
            .help("take it out");
        }
        let source_epochs = (transductive && !finished).then(|| {
            keys.usize("source_epochs")
                .default(epochs, "as many as adapt")
                .varies("as `epochs`")
                .help("transductive: passes over the source rows before adaptation; 0 leaves them out")
                .read()
        });
        let linear_probe = keys
            .bool("linear_probe")
            .default(false, "the head begins with random weights")
            .help("begin with a logistic regression on the features as the head, and train from there")
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
        let cache = keys
            .bool("cache")
            .default(true, "found by content, shared by runs")
            .help("keep features of a frozen encoder and a teacher's outputs on disk; the numbers are the same without")
            .read();
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
            .help("share of the steps that rise to the peak; one-cycle rises for three tenths whatever this says")
            .read();
        if schedule == "one-cycle" && keys.differs("warmup") {
            keys.warning(
                keys.at_key("warmup"),
                "`warmup` says nothing here: one-cycle rises for three tenths of the steps (Smith & Topin 2018)",
            )
            .help("take it out, or choose another schedule");
        }
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
            .help("put rows of like length together; never in an adaptation")
            .read();
        let device = keys
            .string("device")
            .default("auto", "a GPU where there is one")
            .help("`cpu`, `cuda`, `cuda:1`, `auto`")
            .read();
        if crate::device::Place::named(&device).is_none() {
            keys.error(keys.at("device"), format!("there is no device `{device}`"))
                .expected("`cpu`, `cuda`, `cuda:1` or `auto`");
        }
        let precision = keys
            .string("precision")
            .one_of(Precision::NAMES)
            .default(Precision::F32.name(), "every product as exact as its sums")
            .help("of the operands of products while training; `bf16` takes less time on CPUs that multiply it fast")
            .read();
        let settings = Settings {
            until: Until::Epochs(epochs as u64),
            source_until: Until::Epochs(source_epochs.unwrap_or_default() as u64),
            linear_probe,
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
            twin: None,
            precision: Precision::named(&precision).unwrap_or_default(),
        };
        Trainable {
            settings,
            max_steps,
            checkpoint_every,
            cache,
            seed,
            device,
        }
    }
}

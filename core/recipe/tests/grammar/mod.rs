//! A reader of the grammar, small but whole enough to be wrong in every way: what tlkit-core and its plugins do.

use std::ops::Bound;

use tlkit_recipe::{Auto, Column, Keys, Record, Report, Written};

pub const INDUCTIVE: [&str; 2] = ["feature-extraction", "fine-tune"];
pub const TRANSDUCTIVE: [&str; 3] = ["coral", "dann", "mcc"];

/// What a recipe reads as; compared before and after `explain`.
#[derive(Debug, PartialEq)]
pub struct Checked {
    pub checkpoint: Option<String>,
    pub epochs: Option<usize>,
    pub batch_size: usize,
    pub micro_batch: Auto<usize>,
    pub learning_rate: f64,
    pub betas: Vec<f64>,
    pub optimizer: String,
    pub nesterov: bool,
    pub seed: u64,
    pub text: Option<Column>,
    pub train: Vec<String>,
    pub split: Option<(f64, u64)>,
    pub method: Method,
    pub phases: Vec<(Vec<String>, usize)>,
    pub overlap: String,
    pub plugins: Vec<std::path::PathBuf>,
}

#[derive(Debug, PartialEq)]
pub enum Method {
    Dann {
        lambda: f64,
    },
    Mcc {
        temperature: f64,
    },
    FineTune {
        dropout: Vec<f64>,
        train_from: Option<String>,
    },
    Other,
}

pub fn read(name: &str, text: &str, sets: &[String]) -> Result<(Checked, Record), Report> {
    let written = Written::parse(name, text, sets)?;
    let checked = check(&written);
    written.finish().into_result()?;
    Ok((checked, written.record()))
}

pub fn check(written: &Written) -> Checked {
    let root = written.keys();
    let (source, target, strategy) = (
        root.table("source"),
        root.table("target"),
        root.table("strategy"),
    );

    let kind = strategy
        .string("kind")
        .one_of(["inductive", "transductive"])
        .help("whether the target has labels to learn from")
        .required();
    let transductive = kind == "transductive";

    source
        .string("task")
        .one_of(["bert", "resnet", "features"])
        .help("what is carried over")
        .optional();
    let checkpoint = source
        .string("checkpoint")
        .known_as(&["model", "pretrained"])
        .example("builtin:bert-mini")
        .help("the weights to start from")
        .optional();
    source
        .string("run")
        .help("a finished run instead of a checkpoint")
        .optional();
    source
        .string("domain")
        .help("a name for reports")
        .optional();
    if source.has("checkpoint") && source.has("run") {
        let places = [
            (source.at("checkpoint"), "a checkpoint"),
            (source.at("run"), "and a finished run"),
        ];
        source
            .conflict(&places, "two things to start from")
            .help("keep one of `checkpoint` and `run`");
    }
    if transductive {
        source
            .data("train")
            .help("labelled rows of the source domain")
            .optional();
    } else {
        source
            .refuse("train", "`source.train` has no use in an inductive recipe")
            .help("remove it");
    }

    target
        .string("task")
        .one_of(["text-classification", "image-classification"])
        .required();
    let mut train = vec![];
    if transductive {
        target
            .refuse(
                "train",
                "the target's labels are sealed in a transductive recipe",
            )
            .label("labelled rows of the target")
            .also(
                strategy.at("kind"),
                "transductive: the target's labels are not seen",
            )
            .help("write `unlabelled`, or `kind = \"inductive\"`");
        if target.has("train") {
            target.forgive("unlabelled");
        }
        target
            .data("unlabelled")
            .example("kitchen.csv")
            .help("target rows whose labels are never read")
            .required();
    } else {
        train = target
            .data("train")
            .example("reviews.csv")
            .help("labelled rows of the target")
            .required();
        let refused = target
            .refuse(
                "unlabelled",
                "an inductive recipe learns from labelled rows",
            )
            .label("rows without labels")
            .help("write `train`, or `kind = \"transductive\"`");
        if refused.is_some() {
            target.forgive("train");
        }
    }
    target
        .data("validation")
        .help("labelled rows, disjoint from the test")
        .optional();
    target.data("test").help("rows to test on").optional();
    let text = target
        .column("text")
        .help("the column of the texts")
        .optional();
    target
        .column("label")
        .help("the column of the labels")
        .optional();
    target
        .usize("limit")
        .range(1..)
        .help("first rows only")
        .unset("all rows")
        .optional();
    let split = target
        .optional_table("split", "validation and test from one file")
        .map(|split| {
            let share = |name: &str, default: f64| {
                split
                    .f64(name)
                    .default(default, "the usual share")
                    .range((Bound::Excluded(0.0), Bound::Excluded(1.0)))
                    .read()
            };
            share("validation", 0.1);
            (
                share("test", 0.2),
                split
                    .u64("seed")
                    .default(0u64, "the split has its own seed")
                    .read(),
            )
        });

    let method = method(&strategy, &kind);
    strategy
        .one_or_more("freeze")
        .help("stages that do not train")
        .optional();
    let phases = strategy.tables("phases");
    let phases = phases.iter().map(|phase| {
        (
            phase.strings("train").required(),
            phase
                .usize("epochs")
                .default(1usize, "one")
                .range(1..)
                .read(),
        )
    });
    let phases: Vec<_> = phases.collect();

    let knobs = root.table("train");
    knobs.describe("how the training goes");
    let checked = Checked {
        checkpoint,
        epochs: knobs
            .usize("epochs")
            .range(1..=1000)
            .help("passes over the data")
            .unset("400 steps, between 3 and 20 epochs")
            .optional(),
        batch_size: knobs
            .usize("batch_size")
            .default(16usize, "the family")
            .range(1..)
            .read(),
        micro_batch: knobs
            .usize_or_auto("micro_batch")
            .default(Auto::Auto, "what fits")
            .range(1..)
            .read(),
        learning_rate: knobs
            .f64("learning_rate")
            .default(1e-4, "width 256 or less")
            .above(0.0)
            .known_as(&["lr"])
            .help("the encoder's learning rate")
            .read(),
        betas: knobs
            .numbers("betas")
            .default(vec![0.9, 0.999], "Kingma & Ba 2015")
            .range(0.0..1.0)
            .read(),
        optimizer: knobs
            .string("optimizer")
            .one_of(["adamw", "sgd", "rmsprop"])
            .default("adamw", "BERT")
            .read(),
        nesterov: knobs
            .bool("nesterov")
            .default(false, "plain momentum")
            .read(),
        seed: knobs.u64("seed").default(0u64, "any will do").read(),
        text,
        train: train.into_iter().map(|(name, _)| name).collect(),
        split,
        method,
        phases,
        overlap: evaluate(&root),
        plugins: root
            .tables("plugins")
            .iter()
            .map(|plugin| plugin.path("path").required())
            .collect(),
    };
    knobs
        .f64("warmup")
        .default(0.06, "share of the steps")
        .range(0.0..=1.0)
        .read();
    knobs.reserved("device_map", "one device a run; `device` chooses it");
    knobs
        .string("device")
        .default("auto", "the fastest there is")
        .read();
    root.reserved("tune", "hyper-parameter search is not in this version; an experiment over `[train]` does it by hand");
    checked
}

fn method(strategy: &Keys, kind: &str) -> Method {
    let all: Vec<&str> = INDUCTIVE.into_iter().chain(TRANSDUCTIVE).collect();
    let name = strategy
        .string("method")
        .one_of(&all)
        .help("how it is carried over")
        .required();
    let right: &[&str] = if kind == "transductive" {
        &TRANSDUCTIVE
    } else {
        &INDUCTIVE
    };
    if !all.contains(&name.as_str()) {
        strategy.excuse_unread();
    } else if !kind.is_empty() && !right.contains(&name.as_str()) {
        let other = if kind == "inductive" {
            "transductive"
        } else {
            "inductive"
        };
        let places = [(strategy.at("method"), other), (strategy.at("kind"), kind)];
        strategy
            .conflict(
                &places,
                format!(
                    "`{name}` is not {} {kind} method",
                    if kind == "inductive" { "an" } else { "a" }
                ),
            )
            .help(format!(
                "write `kind = \"{other}\"`, or a method of this kind: {}",
                right.join(", ")
            ));
    }
    if name != "dann" {
        strategy.elsewhere("lambda", "it is a key of `method = \"dann\"`");
    }
    match name.as_str() {
        "dann" => dann(strategy),
        "mcc" => Method::Mcc {
            temperature: strategy
                .f64("temperature")
                .default(2.5, "Jin et al. 2020")
                .above(0.0)
                .read(),
        },
        "fine-tune" => {
            let head = strategy
                .values("head")
                .help("the layers of the head")
                .optional()
                .unwrap_or_default();
            let train_from = strategy
                .string("train_from")
                .help("first stage that trains")
                .optional();
            let dropout = head
                .iter()
                .filter_map(|layer| match (layer.as_str(), layer.as_keys()) {
                    (Some(_), _) => None,
                    (_, Some(keys)) => Some(keys.f64("dropout").range(0.0..1.0).required()),
                    _ => {
                        layer
                            .error("a layer of the head is a name or a table")
                            .expected("a string or a table");
                        None
                    }
                });
            Method::FineTune {
                dropout: dropout.collect(),
                train_from,
            }
        }
        _ => Method::Other,
    }
}

pub fn dann(strategy: &Keys) -> Method {
    let lambda = strategy
        .f64("lambda")
        .default(1.0, "Ganin et al. 2016")
        .range(0.0..)
        .help("weight of the adversary");
    let lambda = lambda.read();
    strategy
        .usize("hidden")
        .default(1024usize, "Ganin et al. 2016")
        .check(|n| {
            if n % 8 == 0 {
                Ok(())
            } else {
                Err("a multiple of 8".into())
            }
        })
        .read();
    Method::Dann { lambda }
}

fn evaluate(root: &Keys) -> String {
    let evaluate = root.table("evaluate");
    evaluate
        .f64("level")
        .default(0.95, "the usual confidence")
        .range(0.5..1.0)
        .read();
    evaluate
        .usize("folds")
        .range(2..=20)
        .help("cross-validation")
        .unset("one split")
        .optional();
    evaluate
        .strings("baselines")
        .one_of(["majority", "tf-idf", "source-only"])
        .optional();
    let select = root.table("select");
    select
        .string("by")
        .help("how the epoch is chosen")
        .unset("`validation` or `auto`, by kind")
        .optional();
    evaluate
        .string("overlap")
        .one_of(["drop", "keep", "stop"])
        .default("stop", "no test row was trained on")
        .read()
}

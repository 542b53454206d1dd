//! From tables to the parts of a checked recipe, in one pass that notes every error.

use std::path::Path;
use std::sync::Arc;

use super::measured::Measured;
use super::train::Trainable;
use super::{Checked, arranged, elsewhere, evaluate, plain, probe, select, transductive, views};
use crate::Error;
use crate::data::{DEALT, Found, Reading, Resolve, View, note_unresolved};
use crate::nn::NormMode;
use crate::recipe::Keys;
use crate::registry::{Context, Registry};
use crate::strategy::{Defaults, Needs, Settings};
use crate::task::{Scoring, SourceTask};

/// Reads every table. `None` after an error was noted.
pub(super) fn read(
    root: &Keys,
    folder: &Path,
    registry: &Registry,
    resolve: &Arc<dyn Resolve>,
) -> Option<Checked> {
    let before = root.has_errors();
    let registry = &registry.with_plugins(root, folder);
    // A method that only a plugin knows is not unknown because the plugin was not loaded: one error is enough.
    let not_loaded = !before && root.has_errors();
    for name in ["experiment", "domains"] {
        root.refuse(
            name,
            format!("`[{name}]` stands in an experiment, not in a recipe"),
        )
        .label("this file is an experiment")
        .help("`tlkit compare FILE` runs experiments");
    }
    // What a recipe would have is not missing in one.
    if root.has("experiment") && !root.has("source") && !root.has("target") {
        root.leave_unread();
        return None;
    }
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
    let method = strategy.string("method");
    let method = match not_loaded {
        true => method,
        false => method.one_of(methods.keys()),
    };
    let method = method
        .help("how knowledge is carried over")
        .example("fine-tune")
        .required();
    let entry = methods.get(&method);
    if entry.is_none() {
        strategy.excuse_unread();
    }
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

    let mut cx = Context {
        transductive,
        frozen: entry.is_some_and(|e| e.closed_form.is_some() || e.frozen),
        closed_form: entry.is_some_and(|e| e.closed_form.is_some()),
        ..Context::new(registry, resolve, folder)
    };
    // Entered in the order of the grammar, which errors list them in; what the data is depends on the folds.
    root.table("train");
    root.table("select");
    let folds = evaluate::folds(root, transductive);
    cx.fold = folds.and_then(evaluate::Folds::fold);
    cx.folds = folds.filter(|f| f.only.is_none()).map(|f| f.of);
    cx.overlap = evaluate::overlap(root);
    let run = transductive::run(&source, &mut cx);
    match transductive || root.is_blank() {
        true => cx.source_keys = Some(source.clone()),
        false => transductive::refuse(&source),
    }
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
    if checkpoint.is_some() && source.has("run") {
        source.conflict(
            &[
                (source.at("checkpoint"), "the weights to start from"),
                (source.at("run"), "and a whole model"),
            ],
            "a source is a checkpoint or a finished run",
        );
    }
    let mut unchecked = false;
    if let Some(name) = &checkpoint {
        match resolve.resolve(name, folder) {
            Ok(Found::Folder(dir)) if dir.join("identity.json").is_file() => {
                source
                    .error(
                        source.at("checkpoint"),
                        "this is the folder of a run, and no checkpoint",
                    )
                    .help(format!(
                        "write `checkpoint = \"{}/model\"` for its weights, or `run = \"{name}\"` for the whole model",
                        name.trim_end_matches('/')
                    ));
            }
            Ok(found) => match found.broken_config() {
                None => cx.checkpoint = Some(found),
                Some(why) => {
                    unchecked = true;
                    source
                        .error(
                            source.at("checkpoint"),
                            "the config.json of this checkpoint cannot be read",
                        )
                        .note(why);
                }
            },
            Err(e) => {
                unchecked = matches!(e, Error::NotHere(_));
                note_unresolved(&source, source.at("checkpoint"), &e);
            }
        }
    }
    let inferred = cx
        .checkpoint
        .as_ref()
        .and_then(Found::model_type)
        .and_then(|t| registry.source_for(&t).map(str::to_string));
    let task = source
        .string("task")
        .one_of(registry.sources().keys())
        .help("what kind of network is carried over");
    let of_run = run.as_ref().map(|r| r.task().to_string());
    let task = match (
        &inferred,
        checkpoint.is_some() && cx.checkpoint.is_none() || source.has("run"),
    ) {
        _ if of_run.is_some() => Some(
            task.default(of_run.unwrap_or_default(), "from the run")
                .read(),
        ),
        (Some(name), _) => Some(
            task.default(name.clone(), "from the checkpoint's config.json")
                .read(),
        ),
        (None, true) => task.optional(),
        // For the schema: a checkpoint or a run may say it.
        (None, false) if source.is_blank() => task
            .unset("what the checkpoint's config.json says, or the run; with neither it must be written")
            .optional(),
        (None, false) => {
            // The one whose keys stand there.
            let example = match () {
                () if source.has("architecture") => "image-network",
                () if source.has("hidden") || source.has("scale") => "features",
                () => "bert",
            };
            Some(task.example(example).required())
        }
    };
    let mut made_source = match run {
        Some(run) => Some(Box::new(run) as Box<dyn SourceTask>),
        None => task
            .and_then(|t| registry.sources().get(&t).cloned())
            .and_then(|make| make(&source, &cx)),
    };

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
    // Only the checkpoint can say which task would read these.
    if unchecked && !source.has("task") {
        source.leave_unread();
    }
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
    let input = made_target.as_ref().and_then(|t| {
        let split = if transductive { "unlabelled" } else { "train" };
        let domain = t.domain(split, &Reading::new()).ok().flatten()?;
        let input = domain.inputs.input(0).ok()?;
        Some(input.kind().to_string())
    });
    if let (Some(s), Some(t)) = (&made_source, &made_target) {
        match &input {
            Some(kind) if !s.takes(kind) => {
                let title = match s.reads() {
                    Some(wanted) => {
                        format!("this source reads {wanted}, and a row of the target is {kind}")
                    }
                    None => {
                        format!("this source does not read {kind}, which a row of the target is")
                    }
                };
                source
                    .error(source.at("task"), title)
                    .also(target.at("task"), "what the rows are");
            }
            _ => t.fits(&target, s.as_ref()),
        }
    }
    let made_strategy = entry.and_then(|e| (e.make)(&strategy, &cx));
    let needs = made_strategy
        .as_ref()
        .map(|s| s.needs())
        .unwrap_or_default();
    if let (Some(s), Some(_)) = (&made_source, &made_strategy)
        && !s.trains()
        && !(needs.frozen || needs.head_only || needs.closed_form)
    {
        strategy
            .error(
                strategy.at("method"),
                format!("`{method}` trains the encoder, and this one stays as it is"),
            )
            .help("write `method = \"feature-extraction\"`, or `method = \"fine-tune\"` with `train_from = \"head\"` for a head of several layers");
    }
    if let (Some(s), Some(_)) = (&made_source, &made_strategy)
        && (needs.frozen || needs.closed_form)
        && let Some(key) = s.untrained()
    {
        strategy
            .error(
                strategy.at("method"),
                format!("`{method}` leaves the encoder as it is, and nobody has trained this one"),
            )
            .also(source.at(key), "fresh weights")
            .help(match key {
                "hidden" if !transductive => "take `hidden` out: the method works on the vectors as they are",
                "hidden" => "take `hidden` out: the method works on the vectors as they are; or name a finished run, `run = \"FOLDER\"`",
                _ => "name weights, `checkpoint = \"..\"` under [source], or a method that trains, `fine-tune` or `from-scratch`",
            });
    }
    if let (Some(t), Some(_)) = (&made_target, &made_strategy)
        && t.scoring() == Scoring::Vectors
        && !needs.own_loss
    {
        strategy
            .error(
                strategy.at("method"),
                format!("`{method}` learns from labels, and `{wanted}` has none"),
            )
            .also(target.at("task"), "rows without labels")
            .help("`method = \"distill\"` with `of = \"features\"` and a `teacher` learns vectors");
    }
    if made_strategy.is_some() {
        elsewhere::of_methods(&strategy, &method, registry, resolve);
    }
    if made_target.is_some() {
        elsewhere::of_tasks(&target, &wanted, registry, resolve);
    }
    let norm = batch_norm(&strategy, made_source.as_deref(), &needs);

    let mut defaults = match &made_source {
        Some(s) if needs.scratch => s.scratch_defaults(),
        Some(s) => s.defaults(),
        None => Defaults::plain(),
    };
    if needs.own_decay.is_some() {
        defaults.optimizer = defaults.optimizer.with_decay(0.0);
    }
    let rows = made_target.as_ref().and_then(|t| {
        let rows = |split: &str| {
            let domain = t.domain(split, &Reading::new()).ok().flatten();
            domain.map(|d| d.inputs.len())
        };
        match transductive {
            true => rows("source").max(rows("unlabelled")),
            false => rows("train"),
        }
    });
    let finished = made_source.as_ref().is_some_and(|s| s.finished().is_some());
    let train = Trainable::read(
        &root.table("train"),
        &defaults,
        rows,
        (transductive || root.is_blank(), finished),
    );
    let chosen = train.settings.optimizer.name();
    elsewhere::of_training(&root.table("train"), chosen, transductive);
    let (by, twin) = select::read(
        &root.table("select"),
        transductive,
        made_strategy.as_ref().map(|_| &needs),
        made_target.as_deref(),
        finished,
    );
    if let (Some(_), Some(t), Some(_)) = (&made_strategy, &made_target, train.settings.patience) {
        select::waits(&root.table("train"), &by, transductive, t.as_ref());
    }
    if let (true, Some(_), Some(s), Some(t)) =
        (transductive, &made_strategy, &made_source, &made_target)
    {
        transductive::meet(&strategy, &source, &method, &needs, s.as_ref(), t.as_ref());
        let (keys, settings) = (root.table("train"), &train.settings);
        transductive::taught(&keys, &method, &needs, settings, s.as_ref());
    }
    if train.settings.linear_probe && made_strategy.is_some() {
        let (source, target) = (made_source.as_deref(), made_target.as_deref());
        probe::check(&root.table("train"), &method, &needs, source, target);
    }
    if let (Some(_), Some(t)) = (&made_strategy, &made_target) {
        views::check(&target, transductive, &method, &needs, t.as_ref());
        if let Some(s) = &made_source {
            plain::check(
                (&strategy, &target),
                &method,
                &needs,
                t.as_ref(),
                s.as_ref(),
            );
        }
    }
    if made_strategy.is_some() {
        plain::rates(&root.table("train"), &method, &needs, &train.settings);
    }
    let first = made_target.as_ref().and_then(|t| {
        let classes = matches!(t.scoring(), Scoring::Classes(_));
        let train = t.domain("train", &Reading::new()).ok().flatten();
        train.filter(|d| classes && !transductive && !d.inputs.is_empty())
    });
    let classes = made_target
        .as_ref()
        .is_none_or(|t| matches!(t.scoring(), Scoring::Classes(_)));
    if folds.is_some() && !classes {
        let evaluate = root.table("evaluate");
        evaluate.error(
            evaluate.at("folds"),
            format!("folds are of labelled rows, and `{wanted}` has none"),
        );
    }
    let input = first.as_ref().and_then(|d| d.inputs.input(0).ok());
    let none = if transductive {
        Some("a baseline learns from labelled target rows, and these are sealed")
    } else if !classes {
        Some("a baseline says classes, and this task has none")
    } else {
        None
    };
    // Where there is no source, its own error says so.
    let cuts = !needs.closed_form
        && made_source
            .as_ref()
            .is_none_or(|s| s.prepare().is_ok_and(|p| p.views().contains(&View::Cut(0))));
    let rows_beside = evaluate::Rows {
        cuts,
        first: input.as_ref(),
        none,
        classes,
        own: made_target.as_ref().map_or_else(Vec::new, |t| t.metrics()),
    };
    let judged = evaluate::read(root, registry, &rows_beside);
    if let (Some(f), Some(t), Some(d)) = (folds, &made_target, &first)
        && f.only.is_none()
    {
        let dealt = t.domain(DEALT, &Reading::new()).ok().flatten();
        let n = dealt.as_ref().unwrap_or(d).inputs.len();
        if n < f.of {
            let evaluate = root.table("evaluate");
            evaluate
                .error(
                    evaluate.at("folds"),
                    format!("{n} rows are too few for {} folds", f.of),
                )
                .help("a fold needs a row at least");
        }
    }
    let settings = Settings {
        select: by,
        twin,
        ..train.settings
    };
    let checked = Checked {
        source: made_source?,
        target: match judged.metrics.is_empty() {
            true => made_target?,
            false => Box::new(Measured {
                task: made_target?,
                metrics: judged.metrics,
            }),
        },
        strategy: made_strategy?,
        kind: entry?.kind,
        method,
        norm,
        settings,
        max_steps: train.max_steps,
        checkpoint_every: train.checkpoint_every,
        cache: train.cache,
        maps: registry.maps().clone(),
        pictures: registry.pictures().cloned(),
        judge: judged.judge,
        baselines: judged.baselines,
        folds,
        points: Vec::new(),
        seed: train.seed,
        device: train.device,
        libraries: registry.libraries().to_vec(),
        explained: String::new(),
        replayable: String::new(),
        values: serde_json::Value::Null,
        located: serde_json::Value::Null,
        tuned_on: Vec::new(),
        audited: Default::default(),
        small: None,
    };
    if needs.arranged && !root.has_errors() {
        arranged::check(root, &checked);
    }
    Some(checked)
}

/// `strategy.batch_norm`, where the network has any.
fn batch_norm(strategy: &Keys, source: Option<&dyn SourceTask>, needs: &Needs) -> NormMode {
    let usual = match source {
        // What was not built cannot be asked; the key is known all the same.
        None => Some(NormMode::Frozen),
        Some(source) => source.norm_mode(needs.scratch),
    };
    let Some(usual) = usual else {
        strategy
            .refuse("batch_norm", "this network has no batch norm")
            .help("leave it out");
        return NormMode::Frozen;
    };
    let (usual, why) = match (needs.frozen, usual) {
        (true, _) => (NormMode::Frozen, "the encoder is frozen"),
        (_, NormMode::Frozen) => (usual, "the statistics belong to the weights"),
        _ => (usual, "fresh weights have no statistics yet"),
    };
    let name = strategy
        .string("batch_norm")
        .one_of(NormMode::NAMES)
        .default(usual.name(), why)
        .varies("`frozen`; on fresh weights `train`")
        .help("statistics of batch norms: `frozen`, the stored ones, which stay; `train`, the batch's while training, but not in frozen stages; `adapt`, the batch's at prediction too")
        .read();
    let norm = NormMode::named(&name).unwrap_or(usual);
    // By its architecture it has norms; by its tensors they divide by nothing any more.
    let folded = source.is_some_and(|s| !s.batch_norm()) && !needs.scratch;
    if folded && norm != NormMode::Frozen {
        strategy
            .warning(
                strategy.at("batch_norm"),
                "the batch norms of this checkpoint were folded into its weights, so their statistics are no longer there",
            )
            .note(format!("`{}` would divide by the batch's a second time: the features become others than those that the checkpoint learned", norm.name()))
            .help("write `batch_norm = \"frozen\"`, or leave it out");
    }
    norm
}

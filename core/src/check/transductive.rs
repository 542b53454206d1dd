//! What a transductive recipe has besides: a finished run as its source, a labelled source domain, and what a method asks for.

use super::super::run::FinishedRun;
use crate::data::{Domain, Found, Labels, Reading, note_unresolved};
use crate::recipe::Keys;
use crate::registry::Context;
use crate::strategy::{Needs, Settings, Until};
use crate::task::{Scoring, SourceTask, TargetTask};

/// `source.run`: the model of a finished run, whose classes are the recipe's.
pub(super) fn run(source: &Keys, cx: &mut Context) -> Option<FinishedRun> {
    let (name, at) = source
        .data("run")
        .help("a finished run instead of a checkpoint: its folder")
        .example("runs/films/20261129-183615-s0")
        .check(|names| match names.len() {
            1 => Ok(()),
            _ => Err("one run".into()),
        })
        .unset("none")
        .optional()
        .and_then(|names| names.into_iter().next())?;
    if source.is_blank() {
        return None;
    }
    if !cx.transductive {
        source
            .error(
                source.at_key("run"),
                "a finished run is a source for `kind = \"transductive\"`",
            )
            .help(
                "an inductive recipe starts from its `model/`: write `checkpoint = \"RUN/model\"`",
            );
        return None;
    }
    let found = cx.resolve.resolve(&name, &cx.folder);
    let made = found.and_then(|found| match found {
        Found::Folder(folder) => FinishedRun::open(&folder, &cx.registry),
        _ => Err(crate::Error::msg(format!(
            "{name} is not the folder of a run"
        ))),
    });
    match made {
        Ok(run) => {
            cx.classes = Some(run.classes());
            Some(run)
        }
        Err(e) => {
            note_unresolved(source, at, &e);
            None
        }
    }
}

/// An inductive recipe has no source domain.
pub(super) fn refuse(source: &Keys) {
    for key in ["train", "validation"] {
        source
            .refuse(
                key,
                "an inductive recipe learns from the target's rows alone",
            )
            .help("write `kind = \"transductive\"` to learn from labelled rows of another domain");
    }
}

/// An error for each thing that the method asks for and the recipe does not have.
pub(super) fn meet(
    strategy: &Keys,
    source_keys: &Keys,
    method: &str,
    needs: &Needs,
    source: &dyn SourceTask,
    target: &dyn TargetTask,
) {
    let at = || strategy.at("method");
    let has = |split: &str| -> Option<Domain<Labels>> {
        target.domain(split, &Reading::new()).ok().flatten()
    };
    if !matches!(target.scoring(), Scoring::Classes(_)) {
        strategy.error(
            at(),
            format!("`{method}` carries classes over, and this target task has none"),
        );
        return;
    }
    let labelled = has("source").is_some();
    if needs.source_data && !labelled {
        strategy
            .error(
                at(),
                format!("`{method}` learns from labelled source rows, and there are none"),
            )
            .also(source_keys.here(), "no `train` here")
            .help("name them: `train = \"FILE\"` under [source]");
    } else if needs.trained && !labelled && source.finished().is_none() && !source_keys.has("run") {
        strategy
            .error(at(), format!("`{method}` adapts a model that knows the task, and there is none"))
            .also(source_keys.here(), "neither `train` nor `run` here")
            .help("under [source] write `train = \"FILE\"`, labelled rows to learn the task from first, or `run = \"FOLDER\"`, a finished run");
    }
    if needs.batch_norm && !source.batch_norm() {
        strategy
            .error(at(), format!("`{method}` adapts the statistics of batch norm, and this network has none"))
            .help("a network without batch norm, or with one that is folded into its weights, has nothing that it could change; `shot` needs no batch norm");
    }
    if needs.moves_features && !source.has_layers() {
        strategy
            .error(at(), format!("`{method}` moves features, and here the features are the inputs"))
            .also(source_keys.at("hidden"), "no layer")
            .help("give the network layers, as `hidden = [64]` under [source], or take a method that works on the vectors as they are: `coral`, `tca`, `mcc`");
    }
    if let Some(name) = needs.pretext
        && source.pretext_loss(name).is_none()
    {
        strategy.error(
            at(),
            format!(
                "`{method}` needs a source with the pretext task `{name}`, and this one has none"
            ),
        );
    }
    if needs.target_labels {
        if let Err(e) = target.domain("target-labels", &Reading::new()) {
            strategy
                .error(at(), format!("`{method}` learns from the target's labels"))
                .note(e.to_string());
            return;
        }
        match (has("target-labels"), has("test")) {
            (None, _) => {
                strategy
                    .error(
                        at(),
                        format!(
                            "`{method}` learns from the target's labels, and the rows have none"
                        ),
                    )
                    .help("`target.label` names the column of `target.unlabelled` that holds them");
            }
            (Some(rows), Some(test)) if same(&rows, &test) => {
                strategy
                    .error(at(), format!("`{method}` would learn from the labels that it is tested on"))
                    .help("give the test rows of their own, or set them aside: `split = { test = 0.5 }` under [target]");
            }
            _ => {}
        }
    }
    if let Ok(prepare) = source.prepare()
        && let Some(view) = needs.views.iter().find(|v| !prepare.views().contains(v))
    {
        strategy.error(
            at(),
            format!("`{method}` needs {view:?} views of the inputs, and this source makes none"),
        );
    }
}

/// An error where the method adapts a model that knows the task, and the phase that would teach it is left out.
pub(super) fn taught(
    train: &Keys,
    method: &str,
    needs: &Needs,
    settings: &Settings,
    source: &dyn SourceTask,
) {
    let left_out = matches!(settings.source_until, Until::Epochs(0) | Until::Steps(0));
    let learns = needs.source_data || needs.learns_source || settings.linear_probe;
    if !left_out || !needs.trained || learns || source.finished().is_some() {
        return;
    }
    train
        .error(
            train.at("source_epochs"),
            format!("`{method}` adapts a model that knows the task, and without a pass over the source rows there is none"),
        )
        .help("leave `source_epochs` out, or write `linear_probe = true` beside it, a head that is fitted on the source's features; or name a finished run, `run = \"FOLDER\"` under [source]");
}

/// Whether a row of one domain is a row of the other: its name and its input are the same.
fn same(a: &Domain<Labels>, b: &Domain<Labels>) -> bool {
    let ids = |d: &Domain<Labels>| -> Vec<(String, usize)> {
        let mut ids: Vec<_> = (0..d.inputs.len()).map(|r| (d.inputs.id(r), r)).collect();
        ids.sort_unstable();
        ids
    };
    let ours = ids(a);
    ids(b).into_iter().any(|(id, row)| {
        let found = ours.binary_search_by(|(other, _)| other.cmp(&id));
        let inputs = found.map(|at| (a.inputs.input(ours[at].1), b.inputs.input(row)));
        matches!(inputs, Ok((Ok(one), Ok(other))) if one == other)
    })
}

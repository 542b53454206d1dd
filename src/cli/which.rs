//! Which run a person means: a recipe's name (its newest run), `latest`, the beginning of an id, or a path.

use std::path::{Path, PathBuf};

use tlkit_core::run::Saved;
use tlkit_report::{Run, Status};

use super::exit::Failure;
use super::place::ROOT;

/// Where a trained model is.
pub struct Place {
    /// The folder `model/`.
    pub model: PathBuf,
    /// The run directory around it, where there is one.
    pub run: Option<PathBuf>,
}

/// The model of a finished run, or of a folder `model/` that was carried elsewhere.
pub fn model(name: &str) -> Result<Place, Failure> {
    let path = Path::new(name);
    if Saved::is_in(path) {
        let around = std::path::absolute(path)
            .ok()
            .and_then(|p| Some(p.parent()?.to_path_buf()));
        return Ok(Place {
            model: path.to_path_buf(),
            run: around.filter(|p| Run::read(p).status == Status::Done),
        });
    }
    let run = find(name)?;
    let at = run.path.display();
    let how = match run.status {
        Status::Done if run.result["folds"].is_object() => {
            "is a cross-validation, which leaves a model a fold: name one, its folder with `/folds/1` behind it, or run the recipe without `evaluate.folds`"
        }
        Status::Done if !Saved::is_in(&run.path.join("model")) && inside(&run.path, "tune") => {
            "is a point of a grid: the model of the best of them is in the run around it"
        }
        Status::Done => {
            return Ok(Place {
                model: run.path.join("model"),
                run: Some(run.path),
            });
        }
        Status::Failed => "failed, so there is no model; `tlkit runs show` says why",
        Status::Running => "is still running; its model is there when it is done",
        Status::Unfinished | Status::None => {
            "is not finished; `tlkit run RECIPE --resume` goes on with it"
        }
    };
    Err(Failure::Wrong(format!("the run in {at} {how}")))
}

/// Whether a run is a part of another: in its folder of this name.
fn inside(run: &Path, folder: &str) -> bool {
    let around = std::path::absolute(run).ok();
    let around = around.as_deref().and_then(Path::parent);
    around
        .and_then(Path::file_name)
        .is_some_and(|n| n == folder)
}

/// The run of that name, or what to do when there is none or there are several.
pub fn find(name: &str) -> Result<Run, Failure> {
    let there = Run::read(Path::new(name));
    if there.status != Status::None {
        return Ok(there);
    }
    let mut all = Run::all(Path::new(ROOT));
    if name == "latest" && !all.is_empty() {
        return Ok(all.swap_remove(0));
    }
    if let Some(i) = all.iter().position(|r| r.recipe() == name) {
        return Ok(all.swap_remove(i));
    }
    let begins: Vec<usize> = (0..all.len())
        .filter(|&i| all[i].id().starts_with(name))
        .collect();
    // An id in full, even where another begins with it.
    let exact = begins.iter().copied().find(|&i| all[i].id() == name);
    match (exact, begins.as_slice()) {
        (Some(i), _) | (None, &[i]) => Ok(all.swap_remove(i)),
        (None, []) => Err(Failure::Wrong(format!(
            "there is no run `{name}`\n  `tlkit runs list` lists what is under runs/"
        ))),
        (None, several) => {
            let list: String = several
                .iter()
                .map(|&i| format!("\n  {}", all[i].path.display()))
                .collect();
            Err(Failure::Wrong(format!(
                "`{name}` begins several ids:{list}"
            )))
        }
    }
}

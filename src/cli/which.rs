//! Which run a person means: a recipe's name (its newest run), `latest`, the beginning of an id, or a path.

use std::path::Path;

use tlkit_report::{Run, Status};

use super::exit::Failure;
use super::place::ROOT;

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

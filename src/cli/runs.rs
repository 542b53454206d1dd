//! `tlkit runs`: what was run here.

use std::path::Path;

use tlkit_report::{Run, Status, list_table, result_table};

use super::arguments::Runs;
use super::exit::Failure;
use super::output;
use super::place::ROOT;

/// Lists, or shows one.
pub fn runs(verb: &Runs) -> Result<(), Failure> {
    let colour = output::colour(&std::io::stdout());
    match verb {
        Runs::List => {
            let all = Run::all(Path::new(ROOT));
            if all.is_empty() {
                output::err("no runs under runs/ in this folder\n");
            } else {
                output::out(&list_table(&all, colour));
            }
            Ok(())
        }
        Runs::Show { run } => {
            output::out(&result_table(&find(run)?, colour));
            Ok(())
        }
    }
}

fn find(name: &str) -> Result<Run, Failure> {
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

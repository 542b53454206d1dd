//! `tlkit runs`: what was run here.

use std::path::Path;

use tlkit_report::{Run, list_table, result_table};

use super::arguments::Runs;
use super::exit::Failure;
use super::output;
use super::place::ROOT;
use super::which::find;

/// Lists, or shows one.
pub fn runs(verb: &Runs) -> Result<(), Failure> {
    let colour = output::colour_of_out();
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

//! `tlkit report`: a run as a page.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use tlkit_core::run::write_whole;
use tlkit_report::{Run, page};

use super::arguments::Report;
use super::exit::Failure;
use super::output;
use super::spared::spare;
use super::which::find;

/// The page's name in a run directory.
const NAME: &str = "report.html";

/// Writes the page anew.
pub fn report(arguments: &Report) -> Result<(), Failure> {
    let run = find(&arguments.run)?;
    let to = match &arguments.out {
        Some(file) => {
            spare("--out", file, [])?;
            let page = file.extension().is_some_and(|e| e == "html" || e == "htm");
            if file.is_file() && !page {
                return Err(Failure::Wrong(format!(
                    "--out {}: this is there already and is no page; name another file",
                    file.display()
                )));
            }
            file.clone()
        }
        None => run.path.join(NAME),
    };
    write_whole(&to, page(&run).as_bytes())?;
    output::out(&format!("{}\n", to.display()));
    if arguments.open {
        open(&to)?;
    }
    Ok(())
}

/// Writes the page of a run that has just ended into its directory.
pub fn write(run: &Path) -> anyhow::Result<PathBuf> {
    let to = run.join(NAME);
    write_whole(&to, page(&Run::read(run)).as_bytes())?;
    Ok(to)
}

/// Hands a file to the browser of whoever sits there: `BROWSER` where it is set, or else what the system opens pages with.
fn open(page: &Path) -> anyhow::Result<()> {
    let page = std::path::absolute(page).with_context(|| page.display().to_string())?;
    let chosen = std::env::var_os("BROWSER").filter(|b| !b.is_empty());
    let program = chosen.unwrap_or_else(|| {
        let usual = match std::env::consts::OS {
            "macos" => "open",
            "windows" => "explorer",
            _ => "xdg-open",
        };
        usual.into()
    });
    Command::new(&program)
        .arg(&page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
        .with_context(|| {
            format!(
                "{} cannot be started to show the page; set BROWSER to a browser, or open {} yourself",
                program.to_string_lossy(),
                page.display()
            )
        })
}

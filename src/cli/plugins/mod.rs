//! `tlkit plugins`: libraries that were built elsewhere.

mod arguments;
mod check;
mod ended;
mod new;
#[cfg(test)]
mod origin;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tlkit_core::registry::Registry;
use tlkit_host::{EntryKind, Host, Manifest, ManifestEntry, Named, Settings};
use tlkit_report::{Align, Table};

use super::exit::Failure;
use super::output;

pub use arguments::Plugins;
pub use ended::ours;

/// Adds what lies in the user's folder; recipes name the others. What cannot be loaded is a remark here, and an error where a
/// recipe needs it.
pub fn register(registry: &mut Registry) {
    tlkit_host::before_loading(|| {
        output::keep();
        ended::watch();
    });
    for failed in host().register(registry) {
        output::err(&format!("warning: not loaded: {failed}\n"));
    }
}

/// This program is what probes: in a process of its own.
fn host() -> Host {
    let this = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tlkit"));
    let command: Vec<OsString> = vec![this.into(), "plugins".into(), "probe".into()];
    Host::new(Settings::from_env(command))
}

/// Lists, shows, checks, begins.
pub fn plugins(verb: &Plugins) -> Result<(), Failure> {
    match verb {
        Plugins::List => list(),
        Plugins::Info {
            library,
            allow_writable,
        } => info(library, *allow_writable),
        Plugins::New(arguments) => new::new(arguments),
        Plugins::Check(arguments) => check::check(&host(), arguments),
        Plugins::Probe { library, to } => {
            // What it prints is nobody's business, and where it ends nobody's bug report.
            std::panic::set_hook(Box::new(|_| {}));
            tlkit_host::answer_probe(library, to);
            // A thread that it left running does not keep the probe.
            std::process::exit(0);
        }
        Plugins::Inside { check, ended } => check::inside(check, ended),
    }
}

fn list() -> Result<(), Failure> {
    let host = host();
    let all = host.all();
    if all.is_empty() {
        let own = host.own().map_or_else(
            || "the user's data folder".to_string(),
            |f| f.display().to_string(),
        );
        output::err(&format!(
            "no plugins in {own}, nor in TLKIT_PLUGIN_PATH; a recipe names one by `[[plugins]] path = \"...\"`\n"
        ));
        return Ok(());
    }
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Left, Align::Left]);
    for named in &all {
        let file = named.path.display().to_string();
        match &named.found {
            Ok(m) => table.row([m.name.clone(), m.version.clone(), brings(m), file]),
            Err(e) => table.row(["-".to_string(), "-".to_string(), e.words.clone(), file]),
        };
    }
    output::out(&(table.lines("").join("\n") + "\n"));
    Ok(())
}

/// `strategy centroid, reader of .tsv.zip`.
fn brings(m: &Manifest) -> String {
    let words = |e: &ManifestEntry| match e.kind {
        EntryKind::Reader => format!("reader of .{}", e.extensions.join(", .")),
        kind => format!("{} {}", kind.words(), e.name),
    };
    m.entries.iter().map(words).collect::<Vec<_>>().join(", ")
}

fn info(library: &Path, allow_writable: bool) -> Result<(), Failure> {
    let Named {
        path,
        sha256,
        found,
    } = find(&host(), library, allow_writable)?;
    let m = found.map_err(|e| Failure::Wrong(e.to_string()))?;
    let mut text = format!(
        "{} {}\n{}\nfile    {}\nsha256  {sha256}\nspeaks  tlkit.h {}.{}\n",
        m.name,
        m.version,
        m.about,
        path.display(),
        m.speaks.0,
        m.speaks.1
    );
    for e in &m.entries {
        text.push_str(&format!("\n{} `{}`: {}\n", e.kind.words(), e.name, e.about));
        if e.kind == EntryKind::Strategy {
            let kind = if e.transductive {
                "transductive"
            } else {
                "inductive"
            };
            text.push_str(&format!("  kind = \"{kind}\"\n"));
        }
        if !e.extensions.is_empty() {
            text.push_str(&format!("  reads .{}\n", e.extensions.join(", .")));
        }
        for (name, key) in e.keys["properties"].as_object().into_iter().flatten() {
            let default = key
                .get("default")
                .map_or(String::new(), |d| format!(" = {d}"));
            let words = key["description"].as_str().unwrap_or_default();
            text.push_str(&format!("  {name}{default}  {words}\n"));
        }
    }
    output::out(&text);
    Ok(())
}

/// The library that is meant: a path, or a name in the user's folder or `TLKIT_PLUGIN_PATH`.
fn find(host: &Host, library: &Path, allow_writable: bool) -> Result<Named, Failure> {
    let path = host
        .find(library)
        .map_err(|e| Failure::Wrong(e.to_string()))?;
    Ok(host.look(&path, allow_writable))
}

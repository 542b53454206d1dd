//! `[[plugins]]`, `TLKIT_PLUGIN_PATH` and the user's folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tlkit_core::recipe::Keys;
use tlkit_core::registry::{Library, Plugins, Registry, Wanted};

use crate::error::{Cause, LoadError};
use crate::file::Stamp;
use crate::find::{find, lying_in};
use crate::library::Plugin;
use crate::manifest::Manifest;
use crate::probe::Prober;
use crate::register::{self, Brought, register};

/// Where plugins come from, and how they are probed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program and arguments that answer a probe ([`crate::answer_probe`]), before the library and the file to write to.
    pub probe: Vec<OsString>,
    /// How long a probe may take.
    pub limit: Duration,
    /// Folders where names without a folder are looked for.
    pub path: Vec<PathBuf>,
    /// What lies here is loaded without being named.
    pub own: Option<PathBuf>,
    /// Where findings are kept.
    pub cache: Option<PathBuf>,
}

impl Settings {
    /// By the environment: `TLKIT_PLUGIN_PATH`, the user's data folder, the cache, `TLKIT_PROBE_SECONDS` (10).
    pub fn from_env(probe: Vec<OsString>) -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let path = var("TLKIT_PLUGIN_PATH");
        let path = path.map_or_else(Vec::new, |p| std::env::split_paths(&p).collect());
        let home = || var("HOME").map(PathBuf::from);
        let data = match var("XDG_DATA_HOME") {
            Some(folder) => Some(PathBuf::from(folder)),
            None if cfg!(windows) => var("APPDATA").map(PathBuf::from),
            None if cfg!(target_os = "macos") => {
                home().map(|h| h.join("Library/Application Support"))
            }
            None => home().map(|h| h.join(".local/share")),
        };
        let cache = var("TLKIT_CACHE").map(PathBuf::from);
        let cache = cache
            .or_else(|| Some(PathBuf::from(var("XDG_CACHE_HOME")?).join("tlkit")))
            .or_else(|| Some(home()?.join(".cache/tlkit")))
            .or_else(|| Some(PathBuf::from(var("LOCALAPPDATA")?).join("tlkit")));
        let seconds = var("TLKIT_PROBE_SECONDS").and_then(|v| v.to_str()?.parse().ok());
        Settings {
            probe,
            limit: Duration::from_secs(seconds.unwrap_or(10).max(1)),
            path,
            own: data.map(|d| d.join("tlkit").join("plugins")),
            cache: cache.map(|c| c.join("plugins")),
        }
    }
}

/// A plugin as `list` and `info` show it.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its file.
    pub path: PathBuf,
    /// Of the file.
    pub sha256: String,
    /// What it brings, or why it is not loaded.
    pub found: Result<Manifest, LoadError>,
}

/// Loads what recipes name.
pub struct Host {
    settings: Settings,
}

impl Host {
    /// With these settings.
    pub fn new(settings: Settings) -> Self {
        Host { settings }
    }

    /// Adds what lies in the user's folder, and says to load what recipes name. What of the former cannot be loaded is handed back.
    pub fn register(self, registry: &mut Registry) -> Vec<LoadError> {
        let mut brought = Brought::new();
        let mut failed = Vec::new();
        for path in self.settings.own.iter().flat_map(|folder| lying_in(folder)) {
            let added = self.known(&path, None, false).and_then(|plugin| {
                register(&plugin, registry, &mut brought)?;
                registry.library(register::library(&plugin, false));
                Ok(())
            });
            failed.extend(added.err());
        }
        registry.plugins(Arc::new(Loader {
            host: self,
            brought,
        }));
        failed
    }

    /// The file that a name means.
    pub fn find(&self, path: &Path) -> Result<PathBuf, LoadError> {
        let own = self.settings.own.iter().cloned();
        let elsewhere: Vec<PathBuf> = self.settings.path.iter().cloned().chain(own).collect();
        find(path, &elsewhere)
    }

    /// One library, for a person to look at.
    pub fn look(&self, path: &Path, allow_writable: bool) -> Named {
        match self.known(path, None, allow_writable) {
            Ok(plugin) => Named {
                path: path.to_path_buf(),
                sha256: plugin.stamp.sha256.clone(),
                found: Ok(plugin.manifest.as_ref().clone()),
            },
            Err(e) => Named {
                path: path.to_path_buf(),
                sha256: String::new(),
                found: Err(e),
            },
        }
    }

    /// Every library in the user's folder and in `TLKIT_PLUGIN_PATH`.
    pub fn all(&self) -> Vec<Named> {
        let folders = self.settings.own.iter().chain(&self.settings.path);
        let files = folders.flat_map(|folder| lying_in(folder));
        files.map(|path| self.look(&path, false)).collect()
    }

    /// The user's folder.
    pub fn own(&self) -> Option<&Path> {
        self.settings.own.as_deref()
    }

    /// Probes one, unless it was before.
    pub(crate) fn known(
        &self,
        path: &Path,
        sha256: Option<&str>,
        allow_writable: bool,
    ) -> Result<Plugin, LoadError> {
        let stamp = Stamp::of(path, allow_writable)?;
        if let Some(wanted) = sha256
            && !stamp.sha256.eq_ignore_ascii_case(wanted)
        {
            let error = LoadError::new(
                Cause::Digest,
                format!(
                    "{} is not the file that `sha256` pins: it is {}",
                    path.display(),
                    stamp.sha256
                ),
            );
            return Err(error);
        }
        let prober = Prober {
            command: self.settings.probe.clone(),
            limit: self.settings.limit,
            cache: self.settings.cache.clone(),
        };
        let manifest = prober.probe(&stamp)?;
        Ok(Plugin {
            stamp: Arc::new(stamp),
            manifest: Arc::new(manifest),
        })
    }
}

struct Loader {
    host: Host,
    /// By the user's folder.
    brought: Brought,
}

impl Plugins for Loader {
    fn restore(&self, wanted: &Wanted, registry: &mut Registry) -> tlkit_core::Result<Library> {
        let file = self.host.find(&wanted.path)?;
        let sha256 = wanted.sha256.as_deref();
        let plugin = self.host.known(&file, sha256, wanted.allow_writable)?;
        register::restore(&plugin, registry)?;
        let library = register::library(&plugin, true);
        registry.library(library.clone());
        Ok(library)
    }

    fn add(&self, root: &Keys, _: &Path, registry: &mut Registry) {
        let mut brought = self.brought.clone();
        for p in root.tables("plugins") {
            p.describe("libraries that were built elsewhere, loaded for this recipe");
            let path = p
                .path("path")
                .help("a library; prefix and suffix of the platform may be left out")
                .example("target/release/mine")
                .required();
            let sha256 = p
                .string("sha256")
                .help("loads this very file and no other")
                .unset("any")
                .check(|s: &String| {
                    match s.len() == 64 && s.chars().all(|c| c.is_ascii_hexdigit()) {
                        true => Ok(()),
                        false => Err("64 hexadecimal digits".into()),
                    }
                })
                .optional();
            let allow_writable = p
                .bool("allow_writable")
                .default(false, "whoever may write it runs code as you")
                .help("load a file that everybody may write")
                .read();
            if p.is_blank() || path.as_os_str().is_empty() {
                continue;
            }
            let added = self
                .host
                .find(&path)
                .and_then(|file| self.host.known(&file, sha256.as_deref(), allow_writable))
                .and_then(|plugin| {
                    register(&plugin, registry, &mut brought)?;
                    registry.library(register::library(&plugin, true));
                    Ok(())
                });
            if let Err(e) = added {
                let at = match e.cause {
                    Cause::Digest => p.at("sha256"),
                    _ => p.at("path"),
                };
                let noted = p.error(at, e.words);
                if !e.help.is_empty() {
                    noted.help(e.help);
                }
            }
        }
    }
}

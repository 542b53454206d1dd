//! A library in this process: loaded once, and never unloaded (there is no sound way to unload one whose threads and statics are
//! unknown).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use tlkit_abi::{self as abi, Head};

use crate::error::{Cause, LoadError};
use crate::file::Stamp;
use crate::manifest::{Manifest, ManifestEntry};
use crate::tables;

/// The plugin's own table, for the life of the process.
#[derive(Clone, Copy)]
pub(crate) struct Loaded(pub &'static abi::Plugin);

// SAFETY: tables are constants of a library that is never unloaded, and tlkit.h allows calls from any thread.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

static LOADED: Mutex<BTreeMap<PathBuf, (String, Loaded)>> = Mutex::new(BTreeMap::new());

/// Loads a library, or finds that it is loaded. `sha256` is of the file.
pub(crate) fn load(path: &Path, sha256: &str) -> Result<Loaded, LoadError> {
    // A panic while it was held leaves the map whole: it is only ever inserted into.
    let mut all = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((was, loaded)) = all.get(path) {
        if was != sha256 {
            return Err(LoadError::new(
                Cause::System,
                format!("{} changed since it was loaded", path.display()),
            )
            .help("run again"));
        }
        return Ok(*loaded);
    }
    let loaded = Loaded(open(path)?);
    // What was pinned, and stands in the run's identity, is the file that was loaded and not one that took its place meanwhile.
    let now = crate::file::sha256(path)?;
    if now != sha256 {
        return Err(LoadError::new(
            Cause::System,
            format!("{} changed while it was loaded", path.display()),
        )
        .help("run again"));
    }
    all.insert(path.to_path_buf(), (sha256.to_string(), loaded));
    Ok(loaded)
}

static BEFORE: OnceLock<fn()> = OnceLock::new();

/// Says what is to be done before the first library comes into this process.
pub fn before_loading(f: fn()) {
    // The first to say so is who is asked.
    let _ = BEFORE.set(f);
}

/// Opens the file and asks it for its table.
pub(crate) fn open(path: &Path) -> Result<&'static abi::Plugin, LoadError> {
    static ONCE: Once = Once::new();
    if let Some(before) = BEFORE.get() {
        ONCE.call_once(before);
    }
    let _floats = Floats::kept();
    let name = path.display();
    // SAFETY: loading runs the library's initialisers. That is why it was named by a person and probed in another process first.
    let library = unsafe { libloading::Library::new(path) }.map_err(|e| {
        let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), |s| s.to_string());
        LoadError::new(
            Cause::NotAPlugin,
            format!("{name} cannot be loaded: {cause}"),
        )
    })?;
    // Never unloaded.
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: this is the symbol's type in tlkit.h; whether it is a function at all is found out by the probe.
    let ask = unsafe { library.get::<abi::Ask>(abi::SYMBOL.as_bytes()) };
    let Ok(ask) = ask else {
        return Err(without_symbol(library, path));
    };
    let version = env!("CARGO_PKG_VERSION");
    // The plugin may keep the pointer: it stays.
    let host: &'static abi::Host = Box::leak(Box::new(abi::Host {
        head: Head::of::<abi::Host>(),
        version: abi::Text::of(version),
    }));
    // SAFETY: as tlkit.h says.
    let plugin = unsafe { ask(host) };
    if plugin.is_null() {
        return Err(LoadError::new(
            Cause::Version,
            format!("{name} will not work with tlkit {version}: it handed over no table"),
        ));
    }
    let plugin = tables::table(plugin, "the plugin's table")?;
    Ok(plugin)
}

/// How this thread computes, put back at the end. gcc links `-ffast-math` libraries with an initialiser that has denormals taken for 0 from then on, in the thread that
/// loads them: there and not in the others, so that the bits of a run would depend on which thread did what.
struct Floats(#[cfg(target_arch = "x86_64")] u32);

impl Floats {
    #[cfg(target_arch = "x86_64")]
    fn kept() -> Floats {
        let mut mode = 0u32;
        // SAFETY: writes the register to the place it is given.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mode, options(nostack)) };
        Floats(mode)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn kept() -> Floats {
        Floats()
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a mode that this thread had before.
        unsafe {
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const self.0, options(nostack, readonly))
        };
    }
}

/// Another major version has another symbol.
fn without_symbol(library: &libloading::Library, path: &Path) -> LoadError {
    for major in 2..=9 {
        let symbol = format!("tlkit_plugin_v{major}");
        // SAFETY: only asked for, not called.
        if unsafe { library.get::<abi::Ask>(symbol.as_bytes()) }.is_ok() {
            let words = format!(
                "{} was built for tlkit.h {major}, and this tlkit speaks {}.{}",
                path.display(),
                abi::MAJOR,
                abi::MINOR
            );
            return LoadError::new(Cause::Version, words)
                .help("a newer tlkit loads it, or build it with this version's header");
        }
    }
    LoadError::new(
        Cause::NotAPlugin,
        format!(
            "{} is a library, but no plugin: it has no `{}`",
            path.display(),
            abi::SYMBOL
        ),
    )
}

/// A plugin that is known, and loaded when something of it is first used.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub stamp: Arc<Stamp>,
    pub manifest: Arc<Manifest>,
}

impl Plugin {
    /// How it is called in messages.
    pub fn name(&self) -> String {
        let file = self.stamp.path.file_name().unwrap_or_default();
        format!("plugin {} ({})", self.manifest.name, file.display())
    }

    /// The table of an entry.
    pub fn table<T: tables::Grown>(&self, of: &ManifestEntry) -> Result<&'static T, LoadError> {
        let loaded = load(&self.stamp.path, &self.stamp.sha256)?;
        let wrong = || {
            LoadError::new(
                Cause::NotAPlugin,
                format!(
                    "{} hands over other tables than when it was probed",
                    self.name()
                ),
            )
        };
        let at = *tables::entries(loaded.0)?.get(of.index).ok_or_else(wrong)?;
        let entry = tables::table(at, "an entry")?;
        // A table of another kind would be read as what it is not.
        if entry.kind != of.kind.number() || tables::text(entry.name, "a name")? != of.name {
            return Err(wrong());
        }
        tables::table(entry.table.cast::<T>(), "an entry's table")
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn how_this_thread_computes_is_put_back() {
        let tiny = std::hint::black_box(f32::MIN_POSITIVE);
        let halved = |x: f32| std::hint::black_box(x) * std::hint::black_box(0.5);
        {
            let kept = super::Floats::kept();
            let off = kept.0 | 0x8040;
            // SAFETY: denormals are 0 until the mode is put back below.
            unsafe {
                std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const off, options(nostack, readonly))
            };
            assert_eq!(halved(tiny), 0.0);
        }
        assert!(halved(tiny) > 0.0);
    }
}

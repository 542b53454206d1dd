//! The list of what a library brings, and the tables made of it.

use std::ffi::c_void;
use std::panic::catch_unwind;
use std::sync::OnceLock;

use tlkit_abi::{self as abi, Head};

use crate::border::schema;
use crate::metric::{self, Measures};
use crate::reader::{self, Reads};
use crate::source::{self, Source};
use crate::strategy::{self, Strategist};
use crate::target::{self, Targets};
use crate::term::{self, Term};

/// What a library brings.
pub struct Plugin {
    name: String,
    version: String,
    about: String,
    entries: Vec<Entry>,
}

struct Entry {
    kind: u32,
    name: String,
    about: String,
    keys: String,
    table: *const c_void,
}

/// As long as the process: a library is never unloaded.
fn keep<T: 'static>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn text(text: String) -> abi::Text {
    abi::Text::of(Box::leak(text.into_boxed_str()))
}

impl Plugin {
    /// Nothing yet. `about` is one line.
    pub fn new(name: &str, version: &str, about: &str) -> Self {
        Plugin {
            name: name.into(),
            version: version.into(),
            about: about.into(),
            entries: Vec::new(),
        }
    }

    fn with<T: 'static>(
        mut self,
        kind: u32,
        name: &str,
        about: &str,
        keys: String,
        table: T,
    ) -> Self {
        self.entries.push(Entry {
            kind,
            name: name.into(),
            about: about.into(),
            keys,
            table: (&raw const *keep(table)).cast(),
        });
        self
    }

    /// Brings a loss term, for the strategies of this plugin.
    pub fn loss_term<T: Term>(self, name: &str, about: &str) -> Self {
        let keys = schema(T::make);
        self.with(abi::LOSS_TERM, name, about, keys, term::table::<T>())
    }

    /// Brings a strategy: `method = "name"`.
    pub fn strategy<T: Strategist>(self, name: &str, about: &str) -> Self {
        let keys = schema(T::make);
        self.with(abi::STRATEGY, name, about, keys, strategy::table::<T>())
    }

    /// Brings a data reader.
    pub fn reader<T: Reads>(self, name: &str, about: &str) -> Self {
        let extensions = T::default().extensions().join(" ");
        let extensions: &'static str = Box::leak(extensions.into_boxed_str());
        let table = reader::table::<T>(extensions, T::default().reads_folders());
        self.with(abi::READER, name, about, String::new(), table)
    }

    /// Brings a source task: `[source] task = "name"`.
    pub fn source_task<T: Source>(self, name: &str, about: &str) -> Self {
        let keys = schema(T::make);
        self.with(abi::SOURCE_TASK, name, about, keys, source::table::<T>())
    }

    /// Brings a target task: `[target] task = "name"`.
    pub fn target_task<T: Targets>(self, name: &str, about: &str) -> Self {
        let keys = schema(T::make);
        self.with(abi::TARGET_TASK, name, about, keys, target::table::<T>())
    }

    /// Brings a metric, for `evaluate.metrics` and for the target tasks of this plugin.
    pub fn metric<T: Measures>(self, name: &str, about: &str) -> Self {
        let keys = schema(T::make);
        self.with(abi::METRIC, name, about, keys, metric::table::<T>())
    }

    fn table(self) -> &'static abi::Plugin {
        let entry = |e: Entry| -> *const abi::Entry {
            keep(abi::Entry {
                head: Head::of::<abi::Entry>(),
                kind: e.kind,
                reserved: 0,
                name: text(e.name),
                about: text(e.about),
                keys: text(e.keys),
                table: e.table,
            })
        };
        let entries: Vec<*const abi::Entry> = self.entries.into_iter().map(entry).collect();
        let entries: &'static [*const abi::Entry] = Box::leak(entries.into_boxed_slice());
        keep(abi::Plugin {
            head: Head::of::<abi::Plugin>(),
            name: text(self.name),
            version: text(self.version),
            about: text(self.about),
            entries: entries.len() as u64,
            entry: entries.as_ptr(),
        })
    }
}

/// What [`crate::export_plugin!`] calls. Null where the plugin could not be made: a panic does not leave it.
pub fn export(_: *const abi::Host, make: fn() -> Plugin) -> *const abi::Plugin {
    static MADE: OnceLock<Option<&'static abi::Plugin>> = OnceLock::new();
    let made = MADE.get_or_init(|| match catch_unwind(|| make().table()) {
        Ok(table) => Some(table),
        Err(panic) => {
            // What it holds may panic again when it is dropped.
            std::mem::forget(panic);
            None
        }
    });
    made.map_or(std::ptr::null(), |table| &raw const *table)
}

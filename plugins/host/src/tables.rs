//! Reading what a plugin hands over. Each pointer is looked at once, here: is it there, does it stand where a table may stand, is the
//! table's version ours, is it large enough. A pointer that leads elsewhere cannot be seen to.

use tlkit_abi::{self as abi, Head};

use crate::error::{Cause, LoadError};
use crate::keys;
use crate::manifest::{EntryKind, Manifest, ManifestEntry};

/// Longest text that is taken in from a table.
const LONGEST: u64 = 1 << 20;
/// Most entries of a library.
const MOST: u64 = 10_000;

fn wrong(words: impl Into<String>) -> LoadError {
    LoadError::new(Cause::NotAPlugin, words)
}

/// A table of tlkit.h, as Rust has it.
///
/// # Safety
/// `T` begins with a [`Head`], and zeros are a value of every field that was appended later than [`Grown::FIRST`].
pub(crate) unsafe trait Grown: Sized {
    /// How long it was when it first came; what lies beyond may not be there.
    const FIRST: usize = size_of::<Self>();
}

// SAFETY: pointers, functions that may be null, and numbers; nothing was appended yet.
unsafe impl Grown for abi::Plugin {}
// SAFETY: as above.
unsafe impl Grown for abi::Entry {}
// SAFETY: as above.
unsafe impl Grown for abi::LossTerm {}
// SAFETY: as above.
unsafe impl Grown for abi::Strategy {}
// SAFETY: what was appended are two numbers, and a function that may be null.
unsafe impl Grown for abi::SourceTask {
    const FIRST: usize = std::mem::offset_of!(abi::SourceTask, gives);
}
// SAFETY: as above.
unsafe impl Grown for abi::TargetTask {}
// SAFETY: as above.
unsafe impl Grown for abi::Metric {}
// SAFETY: what was appended are two numbers.
unsafe impl Grown for abi::Reader {
    const FIRST: usize = std::mem::offset_of!(abi::Reader, folders);
}

/// A table that begins with a head. One that is older, and so shorter, comes as a copy whose later fields are zero.
pub(crate) fn table<T: Grown>(at: *const T, what: &str) -> Result<&'static T, LoadError> {
    if at.is_null() {
        return Err(wrong(format!("{what} is null")));
    }
    if !at.is_aligned() {
        return Err(wrong(format!(
            "{what} is a pointer to no table: {at:p} is not aligned"
        )));
    }
    // SAFETY: every table begins with a head, aligned as the table is; that the pointer leads to a table that stays is the header's rule.
    let head = unsafe { &*at.cast::<Head>() };
    let ours = size_of::<T>() as u64;
    // A size first: a head that was never written says nothing of versions.
    if head.size == 0 {
        return Err(wrong(format!("{what} has no head: its size is 0")));
    }
    if head.major != abi::MAJOR {
        let error = LoadError::new(
            Cause::Version,
            format!(
                "{what} was built for tlkit.h {}.{}, and this tlkit speaks {}.{}",
                head.major,
                head.minor,
                abi::MAJOR,
                abi::MINOR
            ),
        );
        return Err(error.help("build the plugin anew with this version's header"));
    }
    let first = T::FIRST as u64;
    if head.size < first {
        return Err(wrong(format!(
            "{what} is {} bytes long, and in tlkit.h {}.0 it has {first}",
            head.size,
            abi::MAJOR
        )));
    }
    // Half a pointer is none.
    if !head.size.is_multiple_of(8) {
        return Err(wrong(format!(
            "{what} is {} bytes long, which ends within one of its fields",
            head.size
        )));
    }
    if head.size < ours {
        let mut whole = Box::new(std::mem::MaybeUninit::<T>::zeroed());
        // SAFETY: the table says that it is `head.size` bytes long, which is less than a `T`; zeros stand for the rest (`Grown`).
        // As long as the process, as the library itself.
        return Ok(unsafe {
            let to = whole.as_mut_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(at.cast::<u8>(), to, head.size as usize);
            Box::leak(whole).assume_init_ref()
        });
    }
    // SAFETY: as above; the table says that it is at least as large as `T`.
    Ok(unsafe { &*at })
}

/// A text of a table.
pub(crate) fn text(at: abi::Text, what: &str) -> Result<String, LoadError> {
    if at.size == 0 {
        return Ok(String::new());
    }
    if at.data.is_null() || at.size > LONGEST {
        return Err(wrong(format!(
            "{what} is {} bytes of text at {:p}",
            at.size, at.data
        )));
    }
    // SAFETY: tlkit.h: a text in a table is `size` bytes that stay; it is not null and not absurdly long.
    let bytes = unsafe { std::slice::from_raw_parts(at.data, at.size as usize) };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(e) => Err(wrong(format!(
            "{what} is not UTF-8 at byte {}",
            e.valid_up_to()
        ))),
    }
}

/// The pointers to a library's entries.
pub(crate) fn entries(plugin: &abi::Plugin) -> Result<&'static [*const abi::Entry], LoadError> {
    if plugin.entries == 0 {
        return Ok(&[]);
    }
    if plugin.entry.is_null() || !plugin.entry.is_aligned() || plugin.entries > MOST {
        return Err(wrong(format!(
            "the plugin says it has {} entries at {:p}",
            plugin.entries, plugin.entry
        )));
    }
    // SAFETY: tlkit.h: `entries` pointers that stay.
    Ok(unsafe { std::slice::from_raw_parts(plugin.entry, plugin.entries as usize) })
}

/// What the tables say, every text and pointer of them looked at once.
pub(crate) fn manifest(plugin: &abi::Plugin) -> Result<Manifest, LoadError> {
    let mut all = Vec::new();
    for (index, &at) in entries(plugin)?.iter().enumerate() {
        let e = table(at, &format!("entry {index}"))?;
        let name = text(e.name, &format!("the name of entry {index}"))?;
        if !is_entry_name(&name) {
            return Err(wrong(format!(
                "the name of entry {index} is `{}`: lower case, digits and `-`",
                name.escape_debug()
            )));
        }
        let what = format!("the table of `{name}`");
        let mut folders = false;
        let (kind, extensions, transductive) = match e.kind {
            abi::READER => {
                let reader = table(e.table.cast::<abi::Reader>(), &what)?;
                let all = text(reader.extensions, &format!("the extensions of `{name}`"))?;
                let all: Vec<String> = all.split_whitespace().map(str::to_lowercase).collect();
                if all.is_empty() {
                    return Err(wrong(format!("the reader `{name}` names no extension")));
                }
                if let Some(bad) = all.iter().find(|e| !is_extension(e)) {
                    return Err(wrong(format!(
                        "the reader `{name}` names the extension `{}`: letters, digits, `-`, `_`, and `.` between them; spaces separate several",
                        bad.escape_debug()
                    )));
                }
                for (f, there) in [
                    ("open", reader.open.is_some()),
                    ("close", reader.close.is_some()),
                    ("rows", reader.rows.is_some()),
                    ("columns", reader.columns.is_some()),
                    ("cell", reader.cell.is_some()),
                    ("place", reader.place.is_some()),
                ] {
                    needed(there, f, &name)?;
                }
                folders = reader.folders == 1;
                (EntryKind::Reader, all, false)
            }
            abi::LOSS_TERM => {
                let term = table(e.table.cast::<abi::LossTerm>(), &what)?;
                for (f, there) in [
                    ("make", term.make.is_some()),
                    ("drop", term.drop.is_some()),
                    ("describe", term.describe.is_some()),
                    ("forward", term.forward.is_some()),
                    ("vjp", term.vjp.is_some()),
                    ("release", term.release.is_some()),
                ] {
                    needed(there, f, &name)?;
                }
                (EntryKind::LossTerm, Vec::new(), false)
            }
            abi::STRATEGY => {
                let strategy = table(e.table.cast::<abi::Strategy>(), &what)?;
                needed(strategy.phases.is_some(), "phases", &name)?;
                let transductive = match strategy.transfer {
                    abi::INDUCTIVE => false,
                    abi::TRANSDUCTIVE => true,
                    other => {
                        return Err(wrong(format!(
                            "the strategy `{name}` is of the kind of transfer {other}, which there is not"
                        )));
                    }
                };
                (EntryKind::Strategy, Vec::new(), transductive)
            }
            abi::SOURCE_TASK => {
                let source = table(e.table.cast::<abi::SourceTask>(), &what)?;
                for (f, there) in [
                    ("make", source.make.is_some()),
                    ("drop", source.drop.is_some()),
                    ("describe", source.describe.is_some()),
                    ("prepare", source.prepare.is_some()),
                    ("forward", source.forward.is_some()),
                    ("vjp", source.vjp.is_some()),
                    ("release", source.release.is_some()),
                ] {
                    needed(there, f, &name)?;
                }
                (EntryKind::SourceTask, Vec::new(), false)
            }
            abi::TARGET_TASK => {
                let target = table(e.table.cast::<abi::TargetTask>(), &what)?;
                needed(target.describe.is_some(), "describe", &name)?;
                (EntryKind::TargetTask, Vec::new(), false)
            }
            abi::METRIC => {
                let metric = table(e.table.cast::<abi::Metric>(), &what)?;
                for (f, there) in [
                    ("make", metric.make.is_some()),
                    ("drop", metric.drop.is_some()),
                    ("score", metric.score.is_some()),
                ] {
                    needed(there, f, &name)?;
                }
                (EntryKind::Metric, Vec::new(), false)
            }
            // From a later minor version: left alone.
            _ => continue,
        };
        let schema = text(e.keys, &format!("the keys of `{name}`"))?;
        let schema = match schema.as_str() {
            "" => serde_json::Value::Null,
            json => serde_json::from_str(json)
                .map_err(|e| wrong(format!("the keys of `{name}` are no JSON: {e}")))?,
        };
        if kind == EntryKind::Reader && !schema.is_null() {
            return Err(wrong(format!(
                "the reader `{name}` has keys, and a recipe has no place for them"
            )));
        }
        keys::understood(&schema, kind).map_err(|e| wrong(format!("the keys of `{name}`: {e}")))?;
        all.push(ManifestEntry {
            index,
            kind,
            about: line(&text(e.about, &format!("the line about `{name}`"))?),
            name,
            keys: schema,
            extensions,
            folders,
            transductive,
        });
    }
    Ok(Manifest {
        name: line(&text(plugin.name, "the plugin's name")?),
        version: line(&text(plugin.version, "the plugin's version")?),
        about: line(&text(plugin.about, "the line about the plugin")?),
        speaks: (plugin.head.major, plugin.head.minor),
        entries: all,
    })
}

/// Lower case, digits and `-`.
pub(crate) fn is_entry_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(plain)
}

/// What a name can end with behind a dot: anything else would be no name's ending, or that of one that nobody means.
fn is_extension(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.chars().all(plain) && !text.starts_with('.') && !text.ends_with('.')
}

fn needed(there: bool, function: &str, of: &str) -> Result<(), LoadError> {
    match there {
        true => Ok(()),
        false => Err(wrong(format!(
            "`{of}` has no function `{function}`: it is null"
        ))),
    }
}

/// One line that a terminal can show.
fn line(text: &str) -> String {
    let short = text.chars().take(300);
    short
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_written_without_the_first_dot_and_without_commas() {
        for good in ["tsv", "tsv.zip", "rows-1_2"] {
            assert!(is_extension(good), "{good}");
        }
        for bad in [".tsv", "tsv.", "tsv,", "*.tsv", "tsv,wav", "."] {
            assert!(!is_extension(bad), "{bad}");
        }
    }
}

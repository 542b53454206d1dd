//! What nothing read, and what nobody wrote.

use crate::diagnostic::{Diagnostic, Severity};
use crate::nearest::{listed, nearest, normal};
use crate::record::{KeyRecord, Path, Presence, Segment, TableKind, TableRecord};
use crate::shared::{Notes, Shared};
use crate::source::At;
use crate::tree::{Data, Entry, quote_key};

/// Unknown keys and tables, then missing ones that no slip explains.
pub(crate) fn unread(shared: &Shared, notes: &Notes) -> Vec<Diagnostic> {
    let look = Look { shared, notes };
    let mut diagnostics = Vec::new();
    let failed = notes
        .diagnostics
        .iter()
        .any(|d| d.severity() == Severity::Error);
    // A key that was misspelt is not also missing.
    let mut meant: Vec<(Path, String)> = Vec::new();
    for table in &notes.tables {
        let Some(node) = table.node else { continue };
        // Without the key that says what would have read the others, nobody knows them: only a slip of that one is told.
        let lacks = match table.excused {
            true => lacking(table),
            false => Vec::new(),
        };
        let lost = table.excused && (failed || !lacks.is_empty());
        if table.unchecked || lost && lacks.is_empty() {
            continue;
        }
        let slip = |name: &str| {
            let alias = lacks.iter().any(|key| is_called(key, name));
            alias || nearest(name, lacks.iter().map(|key| key.name.as_str())).is_some()
        };
        for entry in shared
            .tree
            .entries_of(node)
            .iter()
            .filter(|e| !notes.read[e.node] && (!lost || slip(&e.name)))
        {
            diagnostics.push(look.unknown(table, entry, &mut meant));
        }
    }
    for table in notes.tables.iter().filter(|t| !t.broken) {
        diagnostics.extend(look.missing(table, &meant));
    }
    diagnostics
}

struct Look<'a> {
    shared: &'a Shared,
    notes: &'a Notes,
}

impl Look<'_> {
    fn unknown(
        &self,
        table: &TableRecord,
        entry: &Entry,
        meant: &mut Vec<(Path, String)>,
    ) -> Diagnostic {
        let name = entry.name.as_str();
        let data = &self.shared.tree.nodes[entry.node].data;
        let is_list = self.shared.tree.kind(entry.node) == "a list of tables";
        let is_table = is_list || matches!(data, Data::Table(_));
        let what = if is_table { "table" } else { "key" };
        let title = match (is_table, table.path.is_root()) {
            (true, true) if is_list => format!("unknown table `[[{name}]]`"),
            (true, true) => format!("unknown table `[{name}]`"),
            (false, true) => format!("unknown key `{name}` at the top level"),
            (_, false) => format!("unknown {what} `{name}` in {}", table.quoted()),
        };
        let diagnostic =
            Diagnostic::error(entry.key.clone(), title).label(format!("nothing reads this {what}"));
        if let Some((_, help)) = table.elsewhere.iter().find(|(other, _)| other == name) {
            return diagnostic.help(help.clone());
        }
        let here = self.names_in(table);
        let near = nearest(name, here.iter().copied());
        // The same words, spelt otherwise, in this table; then the very name in another; then a slip of the pen.
        let alias = table.keys.iter().find(|key| is_called(key, name));
        let same = near
            .filter(|near| normal(near) == normal(name))
            .or(alias.map(|key| key.name.as_str()));
        if same.is_none()
            && let Some(help) = self.belongs(name, table, near.is_some(), meant)
        {
            return diagnostic.help(help);
        }
        if let Some(near) = same.or(near) {
            meant.push((table.path.clone(), near.to_string()));
            let is_child = self.child_names(&table.path).contains(&near);
            return diagnostic.help(match is_child && table.path.is_root() {
                _ if table.lists.iter().any(|list| list == near) => {
                    format!("did you mean `[[{near}]]`?")
                }
                true => format!("did you mean `[{near}]`?"),
                false => format!("did you mean `{near}`?"),
            });
        }
        if is_table && let Some(other) = self.table_called(name) {
            return diagnostic.help(format!("did you mean {}?", other.quoted()));
        }
        let mut others = self.others(table);
        let far = others.find_map(|t| nearest(name, t.names()).map(|near| (t, near)));
        if let (Some((other, near)), false) = (far, is_table) {
            return diagnostic.help(format!("did you mean `{near}` in {}?", other.quoted()));
        }
        if here.is_empty() {
            return diagnostic;
        }
        let owner = if table.path.is_root() {
            "a recipe".into()
        } else {
            table.quoted()
        };
        diagnostic.help(format!("{owner} has {}", listed(&here, "and")))
    }

    /// Which other tables have this key (or another spelling of it), in words. `near_here`: this table has one much like it.
    fn belongs(
        &self,
        name: &str,
        not: &TableRecord,
        near_here: bool,
        meant: &mut Vec<(Path, String)>,
    ) -> Option<String> {
        let mut headers: Vec<String> = Vec::new();
        let mut found = None;
        for table in self.others(not) {
            let known = |key: &&KeyRecord| !matches!(key.presence, Presence::Reserved);
            let mut keys = table.keys.iter().filter(known);
            // What another tool calls a key elsewhere is further than a slip of the pen here.
            let called = |key: &&KeyRecord| match near_here {
                true => normal(&key.name) == normal(name),
                false => is_called(key, name),
            };
            if let Some(key) = keys.find(called) {
                // What stands in the wrong table is not also missing in the right one.
                meant.push((table.path.clone(), key.name.clone()));
                found = found.or(Some(key.name.as_str()));
                if !headers.contains(&table.path.header()) {
                    headers.push(table.path.header());
                }
            }
        }
        let moved = match found? {
            same if same == name => "it".to_string(),
            other => format!("`{other}`"),
        };
        Some(format!("{moved} belongs in {}", listed(&headers, "or")))
    }

    /// The tables of the recipe, but for one.
    fn others<'a>(&'a self, not: &'a TableRecord) -> impl Iterator<Item = &'a TableRecord> {
        let tables = self.notes.tables.iter();
        tables.filter(move |t| t.path != not.path && t.kind != TableKind::Inline)
    }

    /// A table of this name, anywhere.
    fn table_called(&self, name: &str) -> Option<&TableRecord> {
        let tables = self
            .notes
            .tables
            .iter()
            .filter(|t| t.kind != TableKind::Inline);
        let mut tables = tables.filter_map(|t| match t.path.0.last() {
            Some(Segment::Key(last)) => Some((t, last)),
            _ => None,
        });
        tables
            .find(|(_, last)| normal(last) == normal(name))
            .map(|(table, _)| table)
    }

    /// Keys and tables that can stand in a table.
    fn names_in<'a>(&'a self, table: &'a TableRecord) -> Vec<&'a str> {
        let mut names = self.child_names(&table.path);
        for name in table.lists.iter().map(String::as_str).chain(table.names()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn child_names(&self, path: &Path) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for table in &self.notes.tables {
            if path.is_parent_of(&table.path)
                && let Segment::Key(name) = &table.path.0[path.0.len()]
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
        names
    }

    fn missing(&self, table: &TableRecord, meant: &[(Path, String)]) -> Vec<Diagnostic> {
        let is_meant = |path: &Path, name: &str| meant.iter().any(|(p, n)| p == path && n == name);
        let missing: Vec<&KeyRecord> = lacking(table)
            .into_iter()
            .filter(|key| !is_meant(&table.path, &key.name) && !table.forgiven.contains(&key.name))
            .collect();
        let header = table.path.header();
        let names: Vec<&str> = missing.iter().map(|key| key.name.as_str()).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        match table.node {
            _ if missing.is_empty()
                || table.kind == TableKind::Optional && table.node.is_none() =>
            {
                vec![]
            }
            None => {
                // Where `[trian]` was meant to be it, that is said there.
                if let Some((Segment::Key(name), parent)) = table.path.0.split_last()
                    && is_meant(&Path(parent.to_vec()), name)
                {
                    return vec![];
                }
                let title = format!("missing table `{header}`");
                let lines: Vec<String> = missing.iter().map(|key| what_to_write(key)).collect();
                let diagnostic = Diagnostic::error(At::end_of(&self.shared.file), title)
                    .label(format!("{} {verb} required", listed(&names, "and")))
                    .help(format!("add\n{header}\n{}", lines.join("\n")));
                vec![diagnostic]
            }
            Some(node) => missing
                .iter()
                .map(|key| {
                    let at = self.shared.tree.nodes[node].at.clone();
                    let place = if table.path.is_root() {
                        String::new()
                    } else {
                        format!(" in `{header}`")
                    };
                    let diagnostic =
                        Diagnostic::error(at, format!("missing key `{}`{place}", key.name));
                    let line = what_to_write(key);
                    let diagnostic = match key.help.as_str() {
                        "" => diagnostic,
                        help => diagnostic.label(format!("`{}`: {help}", key.name)),
                    };
                    let diagnostic = diagnostic.help(format!("write `{line}`"));
                    match key.choices.len() {
                        0 | 1 => diagnostic,
                        _ => diagnostic.note(format!(
                            "`{}` is one of {}",
                            key.name,
                            listed(&key.choices, "or")
                        )),
                    }
                })
                .collect(),
        }
    }
}

/// Required keys that nobody wrote.
fn lacking(table: &TableRecord) -> Vec<&KeyRecord> {
    let required = |key: &&KeyRecord| matches!(key.presence, Presence::Required { .. });
    let absent = table.keys.iter().filter(|key| key.written.is_none());
    absent.filter(required).collect()
}

/// True when this is the key's name, in any spelling, or one that another tool has for it.
fn is_called(key: &KeyRecord, name: &str) -> bool {
    let names = key.known_as.iter().chain([&key.name]);
    names.map(|n| normal(n)).any(|n| n == normal(name))
}

fn what_to_write(key: &KeyRecord) -> String {
    format!("{} = {}", quote_key(&key.name), key.example())
}

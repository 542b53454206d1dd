//! What nothing read, and what nobody wrote.

use crate::diagnostic::Diagnostic;
use crate::nearest::{listed, nearest, normal};
use crate::record::{KeyRecord, Path, Presence, Segment, TableKind, TableRecord};
use crate::shared::{Notes, Shared};
use crate::source::At;
use crate::tree::{Data, Entry};

/// Unknown keys and tables, then missing ones that no slip explains.
pub(crate) fn unread(shared: &Shared, notes: &Notes) -> Vec<Diagnostic> {
    let look = Look { shared, notes };
    let mut diagnostics = Vec::new();
    // A key that was misspelt is not also missing.
    let mut meant: Vec<(Path, String)> = Vec::new();
    for table in &notes.tables {
        let Some(node) = table.node else { continue };
        if table.excused && !notes.diagnostics.is_empty() {
            continue;
        }
        for entry in shared
            .tree
            .entries_of(node)
            .iter()
            .filter(|e| !notes.read[e.node])
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
        let is_table = match &self.shared.tree.nodes[entry.node].data {
            Data::Table(_) => true,
            Data::List(items) => {
                !items.is_empty() && self.shared.tree.kind(entry.node) == "a list of tables"
            }
            _ => false,
        };
        let what = if is_table { "table" } else { "key" };
        let place = if table.path.is_root() {
            " at the top level".into()
        } else {
            format!(" in `{}`", table.path.header())
        };
        let title = match is_table && table.path.is_root() {
            true => format!("unknown table `[{name}]`"),
            false => format!("unknown {what} `{name}`{place}"),
        };
        let diagnostic =
            Diagnostic::error(entry.key.clone(), title).label(format!("nothing reads this {what}"));
        if let Some((_, help)) = table.elsewhere.iter().find(|(other, _)| other == name) {
            return diagnostic.help(help.clone());
        }
        let here: Vec<&str> = self.names_in(table);
        let near = nearest(name, here.iter().copied());
        // The same words, spelt otherwise, in this table; then the very name in another; then a slip of the pen.
        let same = near.filter(|near| normal(near) == normal(name));
        let alias = table.keys.iter().find(|key| {
            key.known_as
                .iter()
                .any(|other| normal(other) == normal(name))
        });
        let same = same.or(alias.map(|key| key.name.as_str()));
        let elsewhere = self.tables_with(name, table);
        if let (None, [first, ..]) = (same, elsewhere.as_slice()) {
            let headers: Vec<String> = elsewhere.iter().map(|t| t.path.header()).collect();
            let found = &first.0;
            let moved = if found == name {
                "it".to_string()
            } else {
                format!("`{found}`")
            };
            return diagnostic.help(format!("{moved} belongs in {}", listed(&headers, "or")));
        }
        if let Some(near) = same.or(near) {
            meant.push((table.path.clone(), near.to_string()));
            let is_child = self.child_names(&table.path).contains(&near);
            return match is_child && table.path.is_root() {
                true => diagnostic.help(format!("did you mean `[{near}]`?")),
                false => diagnostic.help(format!("did you mean `{near}`?")),
            };
        }
        let others = self
            .notes
            .tables
            .iter()
            .filter(|t| t.path != table.path && t.kind != TableKind::Inline);
        let far = others
            .filter_map(|t| nearest(name, t.names()).map(|near| (t, near)))
            .next();
        if let (Some((other, near)), false) = (far, is_table) {
            return diagnostic.help(format!("did you mean `{near}` in {}?", other.path.quoted()));
        }
        if here.is_empty() {
            return diagnostic;
        }
        let owner = if table.path.is_root() {
            "a recipe has".into()
        } else {
            format!("`{}` has", table.path.header())
        };
        diagnostic.help(format!("{owner} {}", listed(&here, "and")))
    }

    /// Keys and tables that can stand in a table.
    fn names_in<'a>(&'a self, table: &'a TableRecord) -> Vec<&'a str> {
        let mut names = self.child_names(&table.path);
        names.extend(table.names());
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

    /// The tables, other than this one, that have this key (or another spelling of it).
    fn tables_with(&self, name: &str, not: &TableRecord) -> Vec<Found<'_>> {
        let mut found: Vec<Found<'_>> = Vec::new();
        for table in self
            .notes
            .tables
            .iter()
            .filter(|t| t.path != not.path && t.kind != TableKind::Inline)
        {
            let same = |key: &&KeyRecord| {
                let known = key
                    .known_as
                    .iter()
                    .any(|other| normal(other) == normal(name));
                !matches!(key.presence, Presence::Reserved)
                    && (normal(&key.name) == normal(name) || known)
            };
            if let Some(key) = table.keys.iter().find(same)
                && !found.iter().any(|f| f.path.header() == table.path.header())
            {
                found.push(Found(key.name.clone(), table));
            }
        }
        found
    }

    fn missing(&self, table: &TableRecord, meant: &[(Path, String)]) -> Vec<Diagnostic> {
        let is_meant = |path: &Path, name: &str| meant.iter().any(|(p, n)| p == path && n == name);
        let missing: Vec<&KeyRecord> = table
            .keys
            .iter()
            .filter(|key| {
                key.written.is_none() && matches!(key.presence, Presence::Required { .. })
            })
            .filter(|key| !is_meant(&table.path, &key.name))
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
                        help => diagnostic.label(format!("`{}` is {help}", key.name)),
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

struct Found<'a>(String, &'a TableRecord);

impl std::ops::Deref for Found<'_> {
    type Target = TableRecord;
    fn deref(&self) -> &TableRecord {
        self.1
    }
}

fn what_to_write(key: &KeyRecord) -> String {
    let Presence::Required { example } = &key.presence else {
        return key.name.clone();
    };
    let quotes = key.kind.example().starts_with('"');
    let value = match (example, key.choices.first()) {
        (Some(example), _) if quotes => format!("\"{example}\""),
        (Some(example), _) => example.clone(),
        (None, Some(choice)) => format!("\"{choice}\""),
        (None, None) => key.kind.example().into(),
    };
    format!("{} = {value}", key.name)
}

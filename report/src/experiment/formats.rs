//! A comparison as text, Markdown, CSV, JSON, LaTeX.

use super::compare::Comparison;
use super::grid::{Column, Grid};
use super::notes::signed;
use crate::statistics::Verdict;
use crate::style::Style;
use crate::table::{Align, Table};

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for a terminal.
    #[default]
    Text,
    /// A table for a README.
    Markdown,
    /// All numbers, a line a row.
    Csv,
    /// All numbers, as JSON.
    Json,
    /// A `tabular` for a paper.
    Latex,
    /// A page, one file.
    Html,
}

/// A terminal is this wide, at least.
const WIDTH: usize = 100;

impl Comparison {
    /// The whole comparison in a format; `colour` for text alone.
    pub fn print(&self, format: Format, colour: bool) -> String {
        match format {
            Format::Text => self.text(colour),
            Format::Markdown => self.markdown(),
            Format::Csv => self.csv(),
            Format::Json => format!("{:#}\n", serde_json::to_value(self).unwrap_or_default()),
            Format::Latex => self.latex(),
            Format::Html => self.html(),
        }
    }

    fn text(&self, colour: bool) -> String {
        let style = Style::new(colour);
        let mut columns = self.columns();
        if self.selected_alike() {
            columns.retain(|c| *c != Column::Selector);
        }
        let mut dropped = Vec::new();
        let table = loop {
            let table = lines(&self.grid(&columns), Style::new(false));
            let wide = table.iter().any(|l| l.chars().count() > WIDTH);
            // What costs least to lose goes first.
            let last = [Column::Memory, Column::Seconds, Column::Selector]
                .iter()
                .find_map(|c| columns.iter().position(|own| own == c));
            match last.filter(|_| wide) {
                Some(i) => dropped.push(columns.remove(i)),
                None => break lines(&self.grid(&columns), style),
            }
        };
        let mut text: Vec<String> = Vec::new();
        for (i, line) in self.head_lines().into_iter().enumerate() {
            for part in wrapped(&line, WIDTH) {
                text.push(if i == 0 {
                    style.strong(&part)
                } else {
                    style.faint(&part)
                });
            }
        }
        text.push(String::new());
        text.extend(table);
        if !dropped.is_empty() {
            let names = self.grid(&dropped).head.join(", ");
            let note = format!("(no room for {names}: --format md has all columns)");
            text.push(style.faint(&note));
        }
        let pairs = self.pair_lines();
        if !pairs.is_empty() {
            text.push(String::new());
            text.extend(pairs);
        }
        if !self.notes.is_empty() {
            text.push(String::new());
        }
        for note in &self.notes {
            text.extend(wrapped(note, WIDTH));
        }
        text.join("\n") + "\n"
    }

    /// Differences by pair, a line a pair.
    fn pair_lines(&self) -> Vec<String> {
        let rows: Vec<_> = self
            .rows
            .iter()
            .filter(|r| r.pairs.iter().any(|p| p.difference.is_some()))
            .collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let mut align = vec![Align::Left];
        align.extend(rows.iter().map(|_| Align::Right));
        let mut table = Table::new(&align);
        let name = |r: &super::compare::Row| {
            let mut parts = vec![r.method.clone()];
            parts.extend(r.values.iter().cloned());
            parts.join(" ")
        };
        let mut head = vec!["difference by pair".to_string()];
        head.extend(rows.iter().map(|r| name(r)));
        table.row(head);
        for (p, (source, target)) in self.pairs.iter().enumerate() {
            let mut cells = vec![format!("{source} to {target}")];
            for row in &rows {
                let d = row.pairs.get(p).and_then(|c| c.difference.as_ref());
                cells.push(d.map_or_else(
                    || "-".to_string(),
                    |d| {
                        let told = d.p_adjusted.is_some_and(|p| p < 1.0 - self.level);
                        format!("{}{}", signed(d.mean), if told { "*" } else { " " })
                    },
                ));
            }
            table.row(cells);
        }
        let mut lines = table.lines("");
        lines.push("* told from 0 after correction over all pairs and methods".into());
        lines
    }

    fn markdown(&self) -> String {
        let grid = self.grid(&self.columns());
        let grouped = grid.groups.iter().any(|g| !g.title.is_empty());
        let mut text = String::new();
        for line in self.head_lines() {
            text.push_str(&format!("{line}\n\n"));
        }
        let mut head = grid.head.clone();
        let mut rule: Vec<&str> = grid
            .columns
            .iter()
            .map(|c| if c.is_number() { "--:" } else { "---" })
            .collect();
        if grouped {
            head.insert(0, self.axes.join(", "));
            rule.insert(0, "---");
        }
        let row = |cells: &[String]| {
            let safe: Vec<String> = cells.iter().map(|c| escape_markdown(c)).collect();
            format!("| {} |\n", safe.join(" | "))
        };
        text.push_str(&row(&head));
        text.push_str(&format!("|{}|\n", rule.join("|")));
        for group in &grid.groups {
            for line in &group.lines {
                let mut cells = line.cells.clone();
                if grouped {
                    cells.insert(0, group.values.join(", "));
                }
                text.push_str(&row(&cells));
            }
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("- {note}\n"));
        }
        text
    }

    fn csv(&self) -> String {
        let mut head: Vec<String> = vec!["method".into()];
        head.extend(self.axes.iter().cloned());
        head.extend(
            [
                "source",
                "target",
                "runs",
                "done",
                "failed",
                "mean",
                "low",
                "high",
                "difference",
                "difference_low",
                "difference_high",
                "p",
                "p_adjusted",
                "least",
                "verdict",
                "wins",
                "ties",
                "losses",
                "gap_closed",
                "seconds",
                "memory_mb",
                "selector",
                "selector_kind",
                "marks",
                "given_up",
                "diverged",
            ]
            .map(String::from),
        );
        let mut text = line(&head);
        let number = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v}"));
        for row in &self.rows {
            let mut start = vec![row.method.clone()];
            let mut values = row.values.clone();
            values.resize(self.axes.len(), String::new());
            start.extend(values);
            let mut write = |pair: [String; 2],
                             counts: [usize; 3],
                             mean,
                             interval: Option<(f64, f64)>,
                             d: Option<&super::Difference>,
                             whole: bool| {
                let mut cells = start.clone();
                cells.extend(pair);
                cells.extend(counts.map(|n| n.to_string()));
                cells.extend([
                    number(mean),
                    number(interval.map(|i| i.0)),
                    number(interval.map(|i| i.1)),
                ]);
                let of = |get: &dyn Fn(&super::Difference) -> Option<f64>| number(d.and_then(get));
                cells.extend([
                    of(&|d| Some(d.mean)),
                    of(&|d| d.interval.map(|i| i.0)),
                    of(&|d| d.interval.map(|i| i.1)),
                    of(&|d| d.p),
                    of(&|d| d.p_adjusted),
                    of(&|d| d.least),
                    d.map_or_else(String::new, |d| d.words.clone()),
                ]);
                let only = |v: String| if whole { v } else { String::new() };
                let tally = |k: usize| row.tally.map_or_else(String::new, |t| t[k].to_string());
                cells.extend([0, 1, 2].map(|k| only(tally(k))));
                cells.extend([
                    only(number(row.gap_closed)),
                    only(number(row.seconds)),
                    only(row.memory_mb.map_or_else(String::new, |m| m.to_string())),
                    only(row.selector.clone()),
                    only(row.selector_kind.clone()),
                    only(row.marks.join("; ")),
                    only(row.given_up.to_string()),
                    only(row.diverged.to_string()),
                ]);
                text.push_str(&line(&cells));
            };
            let pair = match self.pairs.as_slice() {
                [(s, t)] => [s.clone(), t.clone()],
                _ => Default::default(),
            };
            let counts = [row.runs, row.done, row.failed];
            let d = row.difference.as_ref();
            write(pair, counts, row.mean, row.interval, d, true);
            for cell in &row.pairs {
                let pair = [cell.source.clone(), cell.target.clone()];
                let counts = [cell.runs, cell.done, cell.failed];
                write(
                    pair,
                    counts,
                    cell.mean,
                    None,
                    cell.difference.as_ref(),
                    false,
                );
            }
        }
        text
    }

    fn latex(&self) -> String {
        let columns = self.columns();
        let grid = self.grid(&columns);
        let align: String = grid
            .columns
            .iter()
            .map(|c| if c.is_number() { 'r' } else { 'l' })
            .collect();
        let row = |cells: &[String]| {
            let safe: Vec<String> = cells.iter().map(|c| escape_latex(c)).collect();
            format!("{} \\\\\n", safe.join(" & "))
        };
        let mut text =
            format!("% needs \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{align}}}\n\\toprule\n");
        text.push_str(&row(&grid.head));
        for group in &grid.groups {
            text.push_str("\\midrule\n");
            if !group.title.is_empty() {
                text.push_str(&format!(
                    "\\multicolumn{{{}}}{{l}}{{\\emph{{{}}}}} \\\\\n",
                    columns.len(),
                    escape_latex(&group.title)
                ));
            }
            for line in &group.lines {
                text.push_str(&row(&line.cells));
            }
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        for line in self.head_lines().iter().chain(&self.notes) {
            text.push_str(&format!("% {line}\n"));
        }
        text
    }
}

/// The aligned lines of a grid.
fn lines(grid: &Grid, style: Style) -> Vec<String> {
    let align: Vec<Align> = grid
        .columns
        .iter()
        .map(|c| match c.is_number() {
            true => Align::Right,
            false => Align::Left,
        })
        .collect();
    // One table for all groups, so that columns stand below each other; the titles go between afterwards.
    let mut table = Table::new(&align);
    table.row(grid.head.iter().map(|h| style.faint(h)));
    for line in grid.groups.iter().flat_map(|g| &g.lines) {
        let cells = line.cells.iter().zip(&grid.columns).map(|(cell, column)| {
            match (column, line.verdict, line.failed) {
                (Column::Verdict, _, true) => style.bad(cell),
                (Column::Verdict, Some(Verdict::Better), _) => style.good(cell),
                (Column::Verdict, Some(Verdict::Worse), _) => style.bad(cell),
                (Column::Verdict, Some(Verdict::Undecided), _) => style.open(cell),
                (Column::Difference, ..) if line.reference && line.verdict.is_none() => {
                    style.faint(cell)
                }
                _ => cell.clone(),
            }
        });
        table.row(cells);
    }
    let grouped = grid.groups.iter().any(|g| !g.title.is_empty());
    let all = table.lines(if grouped { "  " } else { "" });
    let mut out = Vec::new();
    let mut rest = all.into_iter();
    out.extend(rest.next());
    for group in &grid.groups {
        if grouped {
            out.push(match group.title.is_empty() {
                true => "(all)".to_string(),
                false => group.title.clone(),
            });
        }
        out.extend(rest.by_ref().take(group.lines.len()));
    }
    out
}

/// A text in lines of at most this many characters, cut at blanks.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(l) if l.chars().count() + 1 + word.chars().count() <= width => {
                l.push(' ');
                l.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// A line of CSV (RFC 4180).
fn line(cells: &[String]) -> String {
    let quoted = |c: &String| match c.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", c.replace('"', "\"\"")),
        false => c.clone(),
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

/// A cell of a Markdown table. A `<` that begins what Markdown would take for a tag is written out; in `< .001` it is itself.
fn escape_markdown(cell: &str) -> String {
    let mut out = String::new();
    let mut rest = cell.chars().peekable();
    while let Some(c) = rest.next() {
        let tag = |c: &char| c.is_alphabetic() || "/!?".contains(*c);
        match c {
            '|' => out.push_str("\\|"),
            '<' if rest.peek().is_some_and(tag) => out.push_str("&lt;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_latex(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            // In the old font encoding that LaTeX begins with, these four are other characters.
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '|' => out.push_str("$|$"),
            '"' => out.push_str("''"),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '[' => out.push_str("{[}"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
    }

    #[test]
    fn what_other_formats_read_otherwise_is_quoted() {
        assert_eq!(
            line(&["a,b".into(), "c\"d".into(), "e".into()]),
            "\"a,b\",\"c\"\"d\",e\n"
        );
        assert_eq!(escape_latex("50 % [a_b]"), "50 \\% {[}a\\_b]");
        assert_eq!(escape_latex("a>b|c\"d<e"), "a$>$b$|$c''d$<$e");
        assert_eq!(escape_markdown("a|b<i>c</i>"), "a\\|b&lt;i>c&lt;/i>");
        assert_eq!(escape_markdown("< .001"), "< .001");
    }
}

//! The table as cells of text: what Markdown, LaTeX, the terminal and the page have in common.

use super::compare::{Comparison, Row};
use super::notes::{p_value, points, signed};
use crate::statistics::Verdict;

/// A column, widest first to go where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Score,
    Difference,
    P,
    Verdict,
    Gap,
    Tally,
    Seconds,
    Memory,
    Selector,
}

/// Rows of cells in groups: one for each value of what varies.
pub(super) struct Grid {
    pub columns: Vec<Column>,
    pub head: Vec<String>,
    pub groups: Vec<Group>,
}

pub(super) struct Group {
    /// `target.per_class = 20`; empty where there is one group.
    pub title: String,
    /// `20`, of each key that varies.
    pub values: Vec<String>,
    pub lines: Vec<Line>,
}

pub(super) struct Line {
    pub cells: Vec<String>,
    pub verdict: Option<Verdict>,
    pub reference: bool,
    pub failed: bool,
}

impl Column {
    pub fn is_number(self) -> bool {
        !matches!(self, Column::Name | Column::Verdict | Column::Selector)
    }
}

impl Comparison {
    pub(super) fn grid(&self, columns: &[Column]) -> Grid {
        let several = self
            .rows
            .iter()
            .any(|r| !r.baseline && r.method != self.rows[0].method);
        let percent = self.metric != "mcc";
        let head = columns
            .iter()
            .map(|c| match c {
                Column::Name if several || self.axes.is_empty() => "method".to_string(),
                Column::Name => self.axes.join(", "),
                Column::Score if percent => format!("{} %", self.score),
                Column::Score => format!("{} x 100", self.score),
                Column::Difference => "difference".to_string(),
                Column::P => "p".to_string(),
                Column::Verdict => "verdict".to_string(),
                Column::Gap => "gap".to_string(),
                Column::Tally => "w/t/l".to_string(),
                Column::Seconds => "s".to_string(),
                Column::Memory => "MiB".to_string(),
                Column::Selector => "kept by".to_string(),
            })
            .collect();
        let mut groups: Vec<(Vec<String>, Group)> = Vec::new();
        // In the order of the values, whatever the order of the rows.
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        if several {
            rows.sort_by(|a, b| a.points.cmp(&b.points));
        }
        for row in rows {
            let values = match several {
                true => row.values.clone(),
                false => Vec::new(),
            };
            let line = Line {
                cells: columns
                    .iter()
                    .map(|c| self.cell(*c, row, several))
                    .collect(),
                verdict: row.difference.as_ref().and_then(|d| d.verdict),
                reference: row.reference,
                failed: row.failed > 0,
            };
            match groups.iter_mut().find(|(v, _)| *v == values) {
                Some((_, group)) => group.lines.push(line),
                None => {
                    let title: Vec<String> = values
                        .iter()
                        .zip(&self.axes)
                        .map(|(v, k)| format!("{k} = {v}"))
                        .collect();
                    let title = title.join(", ");
                    groups.push((
                        values,
                        Group {
                            title,
                            values: row.values.iter().filter(|_| several).cloned().collect(),
                            lines: vec![line],
                        },
                    ));
                }
            }
        }
        Grid {
            columns: columns.to_vec(),
            head,
            groups: groups.into_iter().map(|(_, g)| g).collect(),
        }
    }

    /// The columns that have something in them.
    pub(super) fn columns(&self) -> Vec<Column> {
        let any = |has: fn(&Row) -> bool| self.rows.iter().any(has);
        let mut columns = vec![Column::Name, Column::Score];
        if any(|r| r.difference.is_some() || r.unsaid.is_some() || r.failed > 0) {
            columns.extend([Column::Difference, Column::P, Column::Verdict]);
        }
        if any(|r| r.gap_closed.is_some()) {
            columns.push(Column::Gap);
        }
        if any(|r| r.tally.is_some()) {
            columns.push(Column::Tally);
        }
        if any(|r| r.seconds.is_some()) {
            columns.push(Column::Seconds);
        }
        if any(|r| r.memory_mb.is_some()) {
            columns.push(Column::Memory);
        }
        if any(|r| !r.selector.is_empty()) {
            columns.push(Column::Selector);
        }
        columns
    }

    fn cell(&self, column: Column, row: &Row, several: bool) -> String {
        match column {
            Column::Name if !several && row.baseline && !row.values.is_empty() => {
                format!("{} at {}", row.method, row.values.join(", "))
            }
            Column::Name if several || row.values.is_empty() => {
                let marked = row.marks.iter().any(|m| m == "oracle");
                format!("{}{}", row.method, if marked { " (oracle)" } else { "" })
            }
            Column::Name => row.values.join(", "),
            Column::Score => self.score_cell(row),
            Column::Difference => match (&row.difference, row.reference) {
                (Some(d), _) => match d.interval {
                    Some((low, high)) => {
                        format!("{} [{}, {}]", signed(d.mean), signed(low), signed(high))
                    }
                    None => signed(d.mean),
                },
                (None, true) => "reference".into(),
                (None, false) => String::new(),
            },
            Column::P => row
                .difference
                .as_ref()
                .and_then(|d| d.p_adjusted.filter(|_| d.interval.is_some()))
                .map_or_else(String::new, p_value),
            Column::Verdict if row.failed > 0 => format!("failed {}/{}", row.failed, row.runs),
            Column::Verdict if row.done < row.runs => format!("{} of {} runs", row.done, row.runs),
            Column::Verdict if row.baseline => "baseline".into(),
            Column::Verdict if row.mean.is_none() && !row.pairs.is_empty() => {
                let there = row.pairs.iter().filter(|c| c.mean.is_some()).count();
                format!("{there} of {} pairs", row.pairs.len())
            }
            Column::Verdict => match (&row.difference, row.unsaid) {
                (Some(d), _) => d.words.clone(),
                (None, why) => why.unwrap_or_default().to_string(),
            },
            Column::Gap => row
                .gap_closed
                .map_or_else(String::new, |g| format!("{:.0} %", 100.0 * g)),
            Column::Tally => row
                .tally
                .map_or_else(String::new, |[w, t, l]| format!("{w}/{t}/{l}")),
            Column::Seconds => row.seconds.map_or_else(String::new, |s| match s {
                s if s < 10.0 => format!("{s:.1}"),
                s => format!("{s:.0}"),
            }),
            Column::Memory => row.memory_mb.map_or_else(String::new, |mb| mb.to_string()),
            Column::Selector => self.selector_cell(row),
        }
    }

    /// `label-free: auto`, and the marks that not every row has.
    fn selector_cell(&self, row: &Row) -> String {
        let kept = match (row.selector_kind.as_str(), row.selector.as_str()) {
            ("", by) => by.to_string(),
            (kind, by) if by.starts_with(kind) => by.to_string(),
            (kind, by) => format!("{kind}: {by}"),
        };
        let mut parts = vec![kept];
        let shared = |mark: &String| self.arms().all(|r| r.marks.contains(mark));
        let told = |mark: &&String| !matches!(mark.as_str(), "oracle" | "baseline");
        let own = row.marks.iter().filter(told);
        parts.extend(own.filter(|m| !shared(m)).cloned());
        parts.retain(|p| !p.is_empty());
        parts.join("; ")
    }

    /// Rows that are arms: no yardsticks.
    fn arms(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|r| !r.baseline)
    }

    /// Whether all rows were selected alike, so that a line beneath the table says it for all.
    pub(super) fn selected_alike(&self) -> bool {
        let mut cells = self.arms().map(|r| self.selector_cell(r));
        let first = cells.next();
        cells.all(|c| Some(&c) == first.as_ref())
    }

    fn score_cell(&self, row: &Row) -> String {
        let Some(mean) = row.mean else {
            return "-".into();
        };
        match row.interval {
            Some((low, high)) => format!("{} [{}, {}]", points(mean), points(low), points(high)),
            None => points(mean),
        }
    }

    /// What the difference is to, and what the interval is of.
    pub(super) fn head_lines(&self) -> Vec<String> {
        let plural = |n: usize, one: &str| match n {
            1 => format!("1 {one}"),
            n => format!("{n} {one}s"),
        };
        let mut first = format!("{}: {}", self.name, self.score);
        if self.rows_tested > 0 {
            first.push_str(&format!(" on {}", plural(self.rows_tested, "test row")));
        }
        if self.pairs.len() > 1 {
            first.push_str(&format!(" of {} pairs", self.pairs.len()));
        } else if let [(source, target)] = self.pairs.as_slice() {
            first.push_str(&format!(", {source} to {target}"));
        }
        first.push_str(&format!(", {}", plural(self.seeds, "seed")));
        let references: Vec<&Row> = self.rows.iter().filter(|r| r.reference).collect();
        let several = self
            .rows
            .iter()
            .any(|r| !r.baseline && r.method != self.rows[0].method);
        let e = &self.experiment;
        let others = e.arms.iter().filter_map(|a| Some((a, a.reference?)));
        let apart = others
            .into_iter()
            .any(|(a, r)| e.arms[r].values != a.values);
        let mut names: Vec<String> = match several && apart {
            // A method alone is compared with its first value, whatever was imported beside it.
            true => {
                let of = e.arms.iter().filter_map(|a| a.reference);
                let of: std::collections::BTreeSet<usize> = of.collect();
                of.into_iter().map(|r| e.arm_words(r)).collect()
            }
            false => references
                .iter()
                .map(|r| match several {
                    true => format!("`{}`", r.method),
                    false => format!("`{}`", r.values.join(", ")),
                })
                .collect(),
        };
        names.dedup();
        if names.is_empty() {
            return vec![first];
        }
        let at = if several && !apart && !self.axes.is_empty() {
            " at the same value"
        } else {
            ""
        };
        vec![
            first,
            format!(
                "differences in points to {}{at}; {} % intervals; p by Holm over {}; worth having: {}",
                names.join(" and "),
                // Of 0.999 the digits, not those of its double.
                (self.level * 1e8).round() / 1e6,
                plural((0..e.arms.len()).filter(|&i| e.asks(i)).count(), "row"),
                if self.worth == 0.01 {
                    "1 point".to_string()
                } else {
                    format!("{} points", points(self.worth))
                }
            ),
        ]
    }
}

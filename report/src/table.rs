//! Aligned columns.

/// Which side a column leans to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells, printed as wide as the widest of each column.
#[derive(Clone, Debug)]
pub struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(align: &[Align]) -> Self {
        Table {
            align: align.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. A class may be called anything: a line break within its name is shown as `\n` and breaks no line.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cell = |text: S| one_line(text.into());
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// The lines, each behind `indent`, two blanks between columns, none at the end.
    pub fn lines(&self, indent: &str) -> Vec<String> {
        let width = |c: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(c));
            cells.map(|cell| visible(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.align.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let mut text = indent.to_string();
            for (c, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths.get(c).map_or(0, |w| w.saturating_sub(visible(cell))));
                match self.align.get(c) {
                    Some(Align::Right) => text.push_str(&format!("{pad}{cell}  ")),
                    _ => text.push_str(&format!("{cell}{pad}  ")),
                }
            }
            text.trim_end().to_string()
        };
        self.rows.iter().map(line).collect()
    }
}

/// The same with control characters as they are written in a string; the codes of colours stay.
fn one_line(text: String) -> String {
    let shown = |c: char| c.is_control() && c != '\x1b';
    if !text.contains(shown) {
        return text;
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match shown(c) {
            true => line.extend(c.escape_debug()),
            false => line.push(c),
        }
    }
    line
}

/// Characters that are seen: those outside ANSI codes.
fn visible(text: &str) -> usize {
    let mut count = 0;
    let mut inside = false;
    for c in text.chars() {
        match (inside, c) {
            (false, '\x1b') => inside = true,
            (true, 'm') => inside = false,
            (false, _) => count += 1,
            (true, _) => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_codes_take_no_room() {
        let mut table = Table::new(&[Align::Left, Align::Right]);
        table.row(["a", "1"]);
        table.row(["\x1b[1mbbb\x1b[0m", "23"]);
        assert_eq!(table.lines("> "), ["> a     1", "> \x1b[1mbbb\x1b[0m  23"]);
    }

    #[test]
    fn a_name_with_a_line_break_takes_one_line() {
        let mut table = Table::new(&[Align::Left, Align::Right]);
        table.row(["a\nb\tc\u{7}", "1"]);
        table.row(["d", "2"]);
        assert_eq!(table.lines(""), ["a\\nb\\tc\\u{7}  1", "d             2"]);
    }
}

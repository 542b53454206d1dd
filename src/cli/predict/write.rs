//! Predictions as a table, JSON Lines or CSV, to standard output or a file that appears whole or not at all.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};
use tlkit_core::data::{Input, Samples};
use tlkit_report::{Align, Table};

use crate::cli::arguments::Format;
use crate::cli::exit::Failure;
use crate::cli::output;

/// How much of a row's text a table shows.
const PREVIEW: usize = 60;

/// How many classes of a row a table shows where nobody says.
const SHOWN: usize = 3;

/// Rows of numbers as a file of NumPy's format 1.0: `<f4`, `(rows, width)`, row after row.
pub fn npy(rows: &[Vec<f32>]) -> Vec<u8> {
    let width = rows.first().map_or(0, Vec::len);
    let mut head = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {width}), }}",
        rows.len()
    );
    // Magic, version, length and header together are a multiple of 64 bytes; the header ends with a line break.
    let filled = (10 + head.len() + 1).next_multiple_of(64) - 11;
    head.push_str(&" ".repeat(filled - head.len()));
    head.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((head.len() as u16).to_le_bytes());
    bytes.extend(head.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// Where it goes.
pub enum Target {
    /// Standard output.
    Standard,
    /// A file beside the one that is wanted, renamed when all is written.
    Beside {
        file: BufWriter<File>,
        beside: PathBuf,
        to: PathBuf,
    },
    /// A device or a pipe, which no file takes the place of.
    Direct { file: BufWriter<File>, to: PathBuf },
}

impl Target {
    /// Standard output, or a file.
    pub fn open(out: Option<&Path>) -> Result<Self, Failure> {
        let Some(to) = out else {
            return Ok(Target::Standard);
        };
        // What a link leads to is what is meant.
        let to = &std::fs::canonicalize(to).unwrap_or_else(|_| to.to_path_buf());
        if to.exists() && !to.is_file() && !to.is_dir() {
            let file = File::options().write(true).open(to);
            let file = file
                .with_context(|| to.display().to_string())
                .map_err(|e| Failure::Wrong(format!("{e:#}")))?;
            return Ok(Target::Direct {
                file: BufWriter::new(file),
                to: to.clone(),
            });
        }
        let mut name = to.file_name().unwrap_or_default().to_os_string();
        name.push(".part");
        let beside = to.with_file_name(name);
        let folder = to.parent().filter(|f| !f.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|f| !f.exists()) {
            return Err(Failure::Wrong(format!(
                "{}: the folder {} is not there",
                to.display(),
                folder.display()
            )));
        }
        let file = File::create(&beside)
            .with_context(|| beside.display().to_string())
            .map_err(|e| Failure::Wrong(format!("{e:#}")))?;
        Ok(Target::Beside {
            file: BufWriter::new(file),
            beside,
            to: to.to_path_buf(),
        })
    }
}

impl Drop for Target {
    /// What was not finished leaves nothing.
    fn drop(&mut self) {
        if let Target::Beside { beside, .. } = self {
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// Writes blocks of predictions.
pub struct Writer {
    format: Format,
    top: Option<usize>,
    classes: Vec<String>,
    target: Target,
    begun: bool,
}

impl Writer {
    /// `top`: only so many classes a row, the likeliest first.
    pub fn new(format: Format, top: Option<usize>, classes: Vec<String>, target: Target) -> Self {
        Writer {
            format,
            top: top.map(|k| k.min(classes.len())),
            classes,
            target,
            begun: false,
        }
    }

    /// Writes a block; `false` when nobody reads any more.
    pub fn block(
        &mut self,
        rows: &dyn Samples,
        probabilities: &[Vec<f32>],
    ) -> Result<bool, Failure> {
        let mut text = String::new();
        if !self.begun && self.format == Format::Csv {
            text.push_str(&self.heading());
        }
        self.begun = true;
        match self.format {
            Format::Table => self.table(rows, probabilities, &mut text)?,
            Format::Jsonl | Format::Csv => {
                for (row, p) in probabilities.iter().enumerate() {
                    let id = rows.id(row);
                    text.push_str(&match self.format {
                        Format::Csv => self.csv(&id, p),
                        _ => format!("{}\n", self.json(&id, p)),
                    });
                }
            }
        }
        self.put(text.as_bytes())
    }

    /// Gives a file its name.
    pub fn finish(mut self) -> Result<(), Failure> {
        let (file, beside, to) = match &mut self.target {
            Target::Standard => return Ok(()),
            Target::Direct { file, to } => {
                file.flush().with_context(|| to.display().to_string())?;
                return Ok(());
            }
            Target::Beside { file, beside, to } => (file, beside, to),
        };
        file.flush().with_context(|| beside.display().to_string())?;
        let file = file.get_ref();
        file.sync_all()
            .with_context(|| beside.display().to_string())?;
        std::fs::rename(&*beside, &*to).with_context(|| to.display().to_string())?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        match &mut self.target {
            Target::Standard => match output::write(bytes) {
                Ok(()) => Ok(true),
                Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
                Err(e) => Err(Failure::Failed(format!("standard output: {e}"))),
            },
            Target::Beside {
                file, beside: to, ..
            }
            | Target::Direct { file, to } => {
                file.write_all(bytes)
                    .with_context(|| to.display().to_string())?;
                Ok(true)
            }
        }
    }

    /// Classes and probabilities, the likeliest first; among equals the first class, as scores have it.
    fn sorted(&self, p: &[f32]) -> Vec<(&str, f32)> {
        let mut all: Vec<(&str, f32)> = self
            .classes
            .iter()
            .map(String::as_str)
            .zip(p.iter().copied())
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }

    fn json(&self, id: &str, p: &[f32]) -> Value {
        let sorted = self.sorted(p);
        let (label, probability) = sorted[0];
        let listed: Map<String, Value> = match self.top {
            Some(k) => sorted[..k]
                .iter()
                .map(|(c, p)| (c.to_string(), json!(shortest(*p))))
                .collect(),
            None => self
                .classes
                .iter()
                .cloned()
                .zip(p.iter().map(|&p| json!(shortest(p))))
                .collect(),
        };
        json!({ "id": id, "prediction": label, "probability": shortest(probability), "probabilities": listed })
    }

    fn heading(&self) -> String {
        let mut cells = vec!["id".to_string(), "prediction".to_string()];
        match self.top {
            Some(k) => {
                for i in 1..=k {
                    cells.extend([format!("label_{i}"), format!("probability_{i}")]);
                }
            }
            None => cells.extend(self.classes.iter().cloned()),
        }
        line(cells)
    }

    fn csv(&self, id: &str, p: &[f32]) -> String {
        let sorted = self.sorted(p);
        let mut cells = vec![id.to_string(), sorted[0].0.to_string()];
        match self.top {
            Some(k) => {
                for (label, p) in &sorted[..k] {
                    cells.extend([label.to_string(), p.to_string()]);
                }
            }
            None => cells.extend(p.iter().map(f32::to_string)),
        }
        line(cells)
    }

    fn table(
        &self,
        rows: &dyn Samples,
        probabilities: &[Vec<f32>],
        text: &mut String,
    ) -> Result<(), Failure> {
        let shown = self.top.unwrap_or(SHOWN.min(self.classes.len()));
        let mut align = vec![Align::Right];
        align.extend((0..shown).flat_map(|_| [Align::Left, Align::Right]));
        align.push(Align::Left);
        let mut table = Table::new(&align);
        for (row, p) in probabilities.iter().enumerate() {
            let mut cells = vec![rows.id(row)];
            for (label, p) in &self.sorted(p)[..shown] {
                cells.extend([label.to_string(), format!("{p:.4}")]);
            }
            cells.push(preview(&rows.input(row)?));
            table.row(cells);
        }
        text.push_str(&table.lines("").join("\n"));
        text.push('\n');
        Ok(())
    }
}

/// The f64 that is written with the digits that the f32 needs: predictions.jsonl has those too.
fn shortest(p: f32) -> f64 {
    // By what writes those: between two of as many digits another rule would take the other.
    let digits = serde_json::to_string(&p).unwrap_or_default();
    digits.parse().unwrap_or(f64::from(p))
}

/// Cells as RFC 4180 has them.
fn line(cells: Vec<String>) -> String {
    let cell = |c: &String| match c.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", c.replace('"', "\"\"")),
        false => c.clone(),
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}

/// The beginning of an input, on one line.
fn preview(input: &Input<'_>) -> String {
    let cut = |text: &str| {
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        match text.char_indices().nth(PREVIEW) {
            Some((at, _)) => format!("{}...", &text[..at]),
            None => text,
        }
    };
    match input {
        Input::Text(t) => cut(t),
        Input::Pair(a, b) => cut(&format!("{a} | {b}")),
        Input::Features(_) | Input::Image(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = ["a", "b,c", "say \"no\""].map(str::to_string).to_vec();
        assert_eq!(line(cells), "a,\"b,c\",\"say \"\"no\"\"\"\n");
    }
}

//! Sparse vectors in the format of SVM-light and LIBSVM: `label index:value index:value ... # comment`.
//!
//! The format says neither whether indices count from 0 or from 1 nor how wide the vectors are. Both are decided over all files of a
//! recipe: core asks each file for [`SvmLight::index_range`] and passes the outcome in [`ReadOptions`]. A leading `+` of a
//! label is dropped, so that `+1` and `1` are one class.

use std::borrow::Cow;
use std::sync::Arc;

use tlkit_core::data::{Blob, Input, ReadOptions, Reader, Table};
use tlkit_core::{Error, Result};

use crate::source::Source;

/// A larger index is taken for a slip: rows are handed out as dense vectors.
const WIDEST: u32 = 10_000_000;

/// Reads `.svmlight`, `.libsvm`, `.svm`.
pub struct SvmLight;

/// What a file holds, indices as written.
struct Parsed {
    /// Labels, end to end, and where each ends.
    labels: String,
    label_ends: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    /// Where each row's values end.
    ends: Vec<usize>,
    lines: Vec<usize>,
    /// The lowest and the highest index.
    range: Option<(u32, u32)>,
}

struct Vectors {
    name: String,
    columns: [String; 2],
    parsed: Parsed,
    base: u32,
    width: usize,
}

impl Reader for SvmLight {
    fn extensions(&self) -> &[&str] {
        &[
            "svmlight",
            "svmlight.gz",
            "svmlight.xz",
            "libsvm",
            "libsvm.gz",
            "libsvm.xz",
            "svm",
            "svm.gz",
            "svm.xz",
        ]
    }

    fn open(&self, name: &str, blob: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>> {
        let parsed = parse(&Source::read(name, blob)?)?;
        let (low, high) = parsed.range.unwrap_or((1, 0));
        let base = options.index_base.unwrap_or(low.min(1));
        if base > low {
            return Err(Error::msg(format!(
                "{name}: it has the index {low}, and the indices were to count from {base}; renumber them"
            )));
        }
        let own = if parsed.range.is_some() {
            (high - base) as usize + 1
        } else {
            0
        };
        Ok(Arc::new(Vectors {
            name: name.to_string(),
            columns: ["label".into(), "features".into()],
            parsed,
            base,
            width: own.max(options.min_width),
        }))
    }

    fn index_range(&self, name: &str, blob: &Blob) -> Result<Option<(u32, u32)>> {
        Ok(parse(&Source::read(name, blob)?)?.range)
    }
}

impl Table for Vectors {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.parsed.lines.len()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let p = &self.parsed;
        if column == 0 {
            return Ok(Input::Text(Cow::Borrowed(
                &p.labels[span(&p.label_ends, row)],
            )));
        }
        let mut dense = vec![0.0; self.width];
        let at = span(&p.ends, row);
        for (&i, &v) in p.indices[at.clone()].iter().zip(&p.values[at]) {
            dense[(i - self.base) as usize] = v;
        }
        Ok(Input::Features(Cow::Owned(dense)))
    }

    fn place(&self, row: usize) -> String {
        format!("{}:{}", self.name, self.parsed.lines[row])
    }
}

fn span(ends: &[usize], i: usize) -> std::ops::Range<usize> {
    (if i == 0 { 0 } else { ends[i - 1] })..ends[i]
}

fn parse(source: &Source) -> Result<Parsed> {
    let mut p = Parsed {
        labels: String::new(),
        label_ends: Vec::new(),
        indices: Vec::new(),
        values: Vec::new(),
        ends: Vec::new(),
        lines: Vec::new(),
        range: None,
    };
    let start = source.text().as_ptr() as usize;
    for (number, line) in source.lines() {
        let line = line.split_once('#').map_or(line, |(data, _)| data);
        // Where a token stands is only worked out for an error.
        let wrong =
            |token: &str, what: String| source.error_at(token.as_ptr() as usize - start, what);
        let mut tokens = line.split_ascii_whitespace();
        let Some(label) = tokens.next() else { continue };
        if label.contains(':') {
            return Err(wrong(
                label,
                format!("`{label}` stands where the label should"),
            ));
        }
        p.labels.push_str(label.strip_prefix('+').unwrap_or(label));
        let mut last = None;
        for token in tokens {
            let Some((index, value)) = token.split_once(':') else {
                return Err(wrong(token, format!("`{token}` is not `index:value`")));
            };
            if index == "qid" {
                return Err(wrong(
                    token,
                    "`qid` is for ranking, which is not read; remove it".into(),
                ));
            }
            let i: u32 = index.parse().map_err(|_| {
                wrong(
                    token,
                    format!("the index `{index}` is not a whole number from 0"),
                )
            })?;
            if i > WIDEST {
                return Err(wrong(
                    token,
                    format!("the index {i} is larger than {WIDEST}, the widest that is read"),
                ));
            }
            if let Some(last) = last.filter(|&l| l >= i) {
                return Err(wrong(
                    token,
                    format!("index {i} after index {last}; sort the indices of a line, each once"),
                ));
            }
            let number = value.parse::<f32>().ok().filter(|v| v.is_finite());
            let number = number
                .ok_or_else(|| wrong(value, format!("`{value}` is not a number that is finite")))?;
            p.indices.push(i);
            p.values.push(number);
            p.range = Some(
                p.range
                    .map_or((i, i), |(low, high)| (low.min(i), high.max(i))),
            );
            last = Some(i);
        }
        p.label_ends.push(p.labels.len());
        p.ends.push(p.indices.len());
        p.lines.push(number);
    }
    if p.lines.is_empty() {
        return Err(Error::msg(format!(
            "{}: no rows; every line is a comment",
            source.name()
        )));
    }
    Ok(p)
}

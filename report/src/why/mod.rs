//! Evidence of what went wrong in a run, or could have gone better: each with its numbers from the run directory, no advice.
//!
//! A *look* reads some fields and finds something, finds nothing, or says which fields are not there. What "stands out" means is a
//! number written beside each look.

mod curves;
mod ended;
mod rows;
mod tensors;

pub(crate) use rows::matrix;

use serde_json::{Value, json};

use crate::record::Record;
use crate::run::Run;
use crate::style::Style;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The result is not what it seems, or there is none.
    Warning,
    /// Worth knowing.
    Note,
}

impl Level {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Note => "note",
        }
    }
}

/// Something that stands out.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// For scripts: `over-fitting`.
    pub kind: String,
    /// How much it matters.
    pub level: Level,
    /// One sentence with its numbers.
    pub words: String,
    /// More numbers, a line each.
    pub lines: Vec<String>,
    /// The file that it stands in.
    pub from: &'static str,
}

/// What came of a look.
enum Look {
    /// The fields are there; what stands out, if anything.
    Seen(Vec<Finding>),
    /// Why nothing could be said.
    Absent(String),
}

/// What the looks read.
struct Evidence<'a> {
    run: &'a Run,
    record: Record,
    /// `liveness.json`.
    liveness: Value,
}

/// What stands out in a run, what was looked at, and what was not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Why {
    /// Warnings first.
    pub findings: Vec<Finding>,
    /// Looks that had their fields.
    pub looked: Vec<&'static str>,
    /// Looks that had not, and why.
    pub not_looked: Vec<(&'static str, String)>,
}

const LOOKS: [(&str, fn(&Evidence<'_>) -> Look); 8] = [
    ("how the run ended", ended::ended),
    ("tensors that never moved", tensors::unmoved),
    ("the training loss", curves::training),
    ("over-fitting", curves::over_fitting),
    ("labels never predicted", rows::never_predicted),
    ("the length limit", rows::cut),
    ("the data audit", rows::audit),
    ("the baselines", rows::baselines),
];

/// Looks at a run.
pub fn why(run: &Run) -> Why {
    let liveness = run.json("liveness.json");
    let evidence = Evidence {
        record: Record::read(&run.path),
        run,
        liveness,
    };
    let mut why = Why::default();
    for (name, look) in LOOKS {
        match look(&evidence) {
            Look::Seen(findings) => {
                why.looked.push(name);
                why.findings.extend(findings);
            }
            Look::Absent(reason) => why.not_looked.push((name, reason)),
        }
    }
    why.findings.sort_by_key(|f| f.level);
    why
}

impl Why {
    /// For a terminal.
    pub fn text(&self, run: &Run, colour: bool) -> String {
        let style = Style::new(colour);
        let mut text = format!("{}  {}\n", style.strong(run.recipe()), run.status.word());
        if self.findings.is_empty() {
            text.push_str("  nothing stands out\n");
        }
        for f in &self.findings {
            let word = match f.level {
                Level::Warning => style.bad(f.level.word()),
                Level::Note => style.open(f.level.word()),
            };
            text.push_str(&format!("\n  {word}  {}\n", f.words));
            for line in &f.lines {
                text.push_str(&format!("    {line}\n"));
            }
            text.push_str(&format!("    {}\n", style.faint(f.from)));
        }
        let mut faint = |line: String| text.push_str(&format!("{}\n", style.faint(&line)));
        faint(format!("\n  looked at: {}", self.looked.join(", ")));
        for (name, reason) in &self.not_looked {
            faint(format!("  not looked at: {name} ({reason})"));
        }
        text
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        let finding = |f: &Finding| {
            json!({
                "kind": f.kind, "level": f.level.word(), "words": f.words, "lines": f.lines, "from": f.from
            })
        };
        let absent = |(name, reason): &(&str, String)| json!({ "look": name, "reason": reason });
        json!({
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "looked_at": self.looked,
            "not_looked_at": self.not_looked.iter().map(absent).collect::<Vec<_>>(),
        })
    }
}

/// At most eight of many names.
fn some(names: &[String]) -> String {
    match names {
        names if names.len() > 8 => {
            format!("{} and {} more", names[..8].join(", "), names.len() - 8)
        }
        names => names.join(", "),
    }
}

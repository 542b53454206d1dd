//! The domains of a checked recipe, and what a header says of them.

use serde::Serialize;

use crate::Result;
use crate::check::Checked;
use crate::data::{Domain, Input, Labels, Reading, Sealed};
use crate::registry::Kind;
use crate::strategy::TargetData;
use crate::task::Scoring;

/// What a checked recipe works on, for a header.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Split, domain, rows: `train`, `films`, 300.
    pub rows: Vec<(&'static str, String, usize)>,
    /// Class names; none where tokens are predicted.
    pub classes: Vec<String>,
}

/// The rows by split, and the classes.
pub fn overview(c: &Checked) -> Result<Overview> {
    let given = Given::read(c)?;
    let mut rows = Vec::new();
    if let Some(d) = &given.source {
        rows.push(("source", d.name.clone(), d.inputs.len()));
    }
    match &given.target {
        TargetData::Labelled(d) => rows.push(("train", d.name.clone(), d.inputs.len())),
        TargetData::Unlabelled(d) => rows.push(("unlabelled", d.name.clone(), d.inputs.len())),
        TargetData::None => {}
    }
    if let Some(d) = &given.validation {
        rows.push(("validation", d.name.clone(), d.inputs.len()));
    }
    if let Some(d) = &given.test {
        rows.push(("test", d.name.clone(), d.inputs.len()));
    }
    let classes = match c.target.scoring() {
        Scoring::Classes(names) => names,
        Scoring::Tokens | Scoring::Vectors => Vec::new(),
    };
    Ok(Overview { rows, classes })
}

/// The rows that a checked recipe is tested on, in order: the name of each, and last a hash of all inputs. None where nothing is
/// tested. Two runs can be compared row by row only where these are equal; labels are not looked at.
pub fn test_rows(c: &Checked) -> Result<Option<Vec<String>>> {
    use sha2::Digest;
    let Some(test) = c.target.domain("test", &Reading::new())?.map(Domain::seal) else {
        return Ok(None);
    };
    let mut sha = sha2::Sha256::new();
    let mut rows = Vec::new();
    for row in 0..test.inputs.len() {
        rows.push(test.inputs.id(row));
        match test.inputs.input(row)? {
            Input::Text(t) => sha.update(t.as_bytes()),
            Input::Pair(a, b) => {
                sha.update(a.as_bytes());
                sha.update([1]);
                sha.update(b.as_bytes());
            }
            Input::Image(bytes) => sha.update(&bytes),
            Input::Features(f) => f.iter().for_each(|v| sha.update(v.to_le_bytes())),
        }
        sha.update([0]);
    }
    rows.push(crate::hex(&sha.finalize()));
    Ok(Some(rows))
}

/// Domains of a checked recipe, sealed where they must be.
pub(super) struct Given {
    pub target: TargetData,
    pub source: Option<Domain<Labels>>,
    pub validation: Option<Domain<Labels>>,
    pub test: Option<Domain<Sealed<Labels>>>,
}

impl Given {
    pub fn read(c: &Checked) -> Result<Self> {
        let reading = Reading::new();
        let target = match c.kind {
            Kind::Inductive => c
                .target
                .domain("train", &reading)?
                .map_or(TargetData::None, TargetData::Labelled),
            Kind::Transductive => c
                .target
                .domain("unlabelled", &reading)?
                .map_or(TargetData::None, |d| TargetData::Unlabelled(d.seal())),
        };
        Ok(Given {
            target,
            source: c.source.domain(&reading)?,
            validation: c.target.domain("validation", &reading)?,
            test: c.target.domain("test", &reading)?.map(Domain::seal),
        })
    }
}

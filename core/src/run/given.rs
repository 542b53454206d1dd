//! The domains of a checked recipe, and what a header says of them.

use std::sync::Arc;

use serde::Serialize;

use crate::Result;
use crate::audit::Audit;
use crate::check::Checked;
use crate::data::{Domain, Input, Labels, Reading, Samples, Sealed};
use crate::registry::Kind;
use crate::run::Picks;
use crate::strategy::TargetData;
use crate::task::Scoring;

/// What a checked recipe works on, for a header.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Split, domain, rows: `train`, `films`, 300.
    pub rows: Vec<(&'static str, String, usize)>,
    /// Class names; none where tokens are predicted.
    pub classes: Vec<String>,
    /// What was found in the rows.
    pub audit: Audit,
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
    let audit = c.audit()?.clone();
    Ok(Overview {
        rows,
        classes,
        audit,
    })
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
pub(crate) struct Given {
    pub target: TargetData,
    pub source: Option<Domain<Labels>>,
    pub validation: Option<Domain<Labels>>,
    pub test: Option<Domain<Sealed<Labels>>>,
}

impl Given {
    /// The inputs of every domain that weights are learned from.
    pub fn learned_from(&self) -> Vec<&dyn Samples> {
        let source = self.source.as_ref().map(|d| d.inputs.as_ref());
        let target = match &self.target {
            TargetData::Labelled(d) => Some(d.inputs.as_ref()),
            TargetData::Unlabelled(d) => Some(d.inputs.as_ref()),
            TargetData::None => None,
        };
        source.into_iter().chain(target).collect()
    }

    /// A few rows without labels, to see whether two models answer alike.
    pub fn probe(&self) -> Option<Domain<()>> {
        let all = match (&self.test, &self.target) {
            (Some(d), _) => d.unlabelled(),
            (None, TargetData::Labelled(d)) => d.unlabelled(),
            (None, TargetData::Unlabelled(d)) => d.unlabelled(),
            (None, TargetData::None) => return None,
        };
        let first = First(all.inputs.clone());
        Some(Domain {
            inputs: Arc::new(first),
            ..all
        })
    }

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
        let all = Given {
            target,
            source: c.source.domain(&reading)?,
            validation: c.target.domain("validation", &reading)?,
            test: c.target.domain("test", &reading)?.map(Domain::seal),
        };
        Ok(match &c.small {
            Some(picks) => all.small(picks),
            None => all,
        })
    }

    fn small(self, picks: &Picks) -> Self {
        let labelled = |rows, domain: Option<_>| domain.map(|d| Picks::labelled(rows, d));
        Given {
            target: match self.target {
                TargetData::Labelled(d) => TargetData::Labelled(Picks::labelled(&picks.target, d)),
                TargetData::Unlabelled(d) => {
                    TargetData::Unlabelled(Picks::sealed(&picks.target, d))
                }
                TargetData::None => TargetData::None,
            },
            source: labelled(&picks.source, self.source),
            validation: labelled(&picks.validation, self.validation),
            test: self.test.map(|d| Picks::sealed(&picks.test, d)),
        }
    }

    /// The target's inputs by split.
    pub fn inputs(&self) -> Vec<(&'static str, Arc<dyn Samples>)> {
        let mut all = Vec::new();
        match &self.target {
            TargetData::Labelled(d) => all.push(("train", d.inputs.clone())),
            TargetData::Unlabelled(d) => all.push(("unlabelled", d.inputs.clone())),
            TargetData::None => {}
        }
        all.extend(
            self.validation
                .iter()
                .map(|d| ("validation", d.inputs.clone())),
        );
        all.extend(self.test.iter().map(|d| ("test", d.inputs.clone())));
        all
    }
}

/// The first rows of a domain.
struct First(Arc<dyn Samples>);

impl Samples for First {
    fn len(&self) -> usize {
        self.0.len().min(8)
    }

    fn id(&self, row: usize) -> String {
        self.0.id(row)
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        self.0.input(row)
    }
}

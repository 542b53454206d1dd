//! The domains of a checked recipe, and what a header says of them.

use std::sync::Arc;

use serde::Serialize;

use crate::Result;
use crate::audit::Audit;
use crate::check::Checked;
use crate::data::{Domain, Labels, Reading, Samples, Sealed};
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
        Scoring::Tokens => Vec::new(),
    };
    let audit = c.audit()?.clone();
    Ok(Overview {
        rows,
        classes,
        audit,
    })
}

/// Domains of a checked recipe, sealed where they must be.
pub(crate) struct Given {
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

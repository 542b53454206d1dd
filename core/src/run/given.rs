//! The domains of a checked recipe, and what a header says of them.

use std::sync::Arc;

use serde::Serialize;

use crate::Result;
use crate::audit::Audit;
use crate::check::Checked;
use crate::data::{DEALT, Domain, Input, Labels, Pick, Prepare, Reading, Samples, Sealed};
use crate::random::Stream;
use crate::registry::Kind;
use crate::run::Picks;
use crate::strategy::{Selection, TargetData};
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
    if let Some(d) = &given.dealt {
        return Ok(Overview {
            rows: vec![(DEALT, d.name.clone(), d.inputs.len())],
            classes: d.labels.names.to_vec(),
            audit: c.audit()?.clone(),
        });
    }
    if let Some(d) = &given.source {
        rows.push(("source", d.name.clone(), d.inputs.len()));
    }
    if let Some(d) = &given.source_validation {
        rows.push(("source-validation", d.name.clone(), d.inputs.len()));
    }
    match &given.target {
        TargetData::Labelled(d) => rows.push(("train", d.name.clone(), d.inputs.len())),
        TargetData::Unlabelled(d) => rows.push(("unlabelled", d.name.clone(), d.inputs.len())),
        TargetData::None => {}
    }
    if let Some(d) = &given.watched {
        rows.push(("held out", d.name.clone(), d.inputs.len()));
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
/// tested; of a cross-validation all rows that it deals. Two runs can be compared row by row only where these are equal; labels are not looked at.
pub fn test_rows(c: &Checked) -> Result<Option<Vec<String>>> {
    use sha2::Digest;
    let reading = Reading::new();
    let test = match deals(c) {
        true => c.target.domain(DEALT, &reading).ok().flatten(),
        false => c.target.domain("test", &reading)?,
    };
    let Some(test) = test.map(Domain::seal) else {
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

/// Whether a recipe runs every fold of a cross-validation.
fn deals(c: &Checked) -> bool {
    c.folds.is_some_and(|f| f.only.is_none())
}

/// Domains of a checked recipe, sealed where they must be.
pub(crate) struct Given {
    pub target: TargetData,
    pub source: Option<Domain<Labels>>,
    /// Labelled rows of the source that are not learned from.
    pub source_validation: Option<Domain<Labels>>,
    /// Target rows that are not adapted on, for a selector to look at; none where there are too few rows to set some aside.
    pub watched: Option<Domain<()>>,
    pub validation: Option<Domain<Labels>>,
    pub test: Option<Domain<Sealed<Labels>>>,
    /// Of a cross-validation that runs every fold: the rows that these deal among them.
    pub dealt: Option<Domain<Labels>>,
}

impl Given {
    /// The inputs of every domain that weights are learned from.
    pub fn learned_from(&self) -> Vec<&dyn Samples> {
        let source = self.source.as_ref().map(|d| d.inputs.as_ref());
        // (What is held out for the selector has decided the epoch and no weight.)
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
        Some(all.first(PROBE))
    }

    pub fn read(c: &Checked) -> Result<Self> {
        let reading = Reading::new();
        let needs = c.strategy.needs();
        let transductive = c.kind == Kind::Transductive;
        let mut watched = None;
        let target = match c.kind {
            Kind::Inductive => c
                .target
                .domain("train", &reading)?
                .map_or(TargetData::None, TargetData::Labelled),
            // An oracle's ceiling, marked as one.
            Kind::Transductive if needs.target_labels => c
                .target
                .domain("target-labels", &reading)?
                .map_or(TargetData::None, TargetData::Labelled),
            Kind::Transductive => match c.target.domain("unlabelled", &reading)? {
                None => TargetData::None,
                Some(all) => {
                    let rows = all.inputs.len();
                    let aside = rows / HELD_OUT;
                    // An oracle adapts on the same rows, so that what lies between the two is the choice alone.
                    let chooses = matches!(
                        c.settings.select,
                        Selection::LabelFree(_) | Selection::Oracle
                    );
                    match chooses && aside >= LEAST_HELD_OUT {
                        false => TargetData::Unlabelled(all.seal()),
                        true => {
                            // Not by the run's seed: all seeds of an experiment adapt on the same rows.
                            let order = Stream::new(0).purpose("held out").permutation(rows);
                            let (out, kept) = order.split_at(aside);
                            let sorted = |rows: &[u32]| {
                                let mut rows = rows.to_vec();
                                rows.sort_unstable();
                                rows
                            };
                            watched = Some(all.unlabelled().picked(&sorted(out)));
                            TargetData::Unlabelled(all.seal().picked(&sorted(kept)))
                        }
                    }
                }
            },
        };
        let of_source = |split: &str| match transductive {
            true => c.target.domain(split, &reading),
            false => Ok(None),
        };
        let source = of_source("source")?;
        // Named rows that a closed form has no use for.
        let source_validation = match needs.closed_form {
            true => None,
            false => of_source("source-validation")?,
        };
        let all = Given {
            target,
            source,
            source_validation,
            watched,
            validation: c.target.domain("validation", &reading)?,
            test: c.target.domain("test", &reading)?.map(Domain::seal),
            dealt: match deals(c) {
                // A task that reads its own rows may know of no such part.
                true => c.target.domain(DEALT, &reading).ok().flatten(),
                false => None,
            },
        };
        Ok(match &c.small {
            Some(picks) => all.small(picks),
            None => all,
        })
    }

    /// How each domain is prepared.
    pub fn prepares(&self, plain: Arc<dyn Prepare>) -> Result<Prepares> {
        let source = self.source.as_ref().map(|d| d.inputs.as_ref());
        let target = match &self.target {
            TargetData::Labelled(d) => Some(d.inputs.as_ref()),
            TargetData::Unlabelled(d) => Some(d.inputs.as_ref()),
            TargetData::None => None,
        };
        let fitted = |own: Option<&dyn Samples>, source| -> Result<Arc<dyn Prepare>> {
            let fitted = own.map_or(Ok(None), |own| plain.fitted(own, source))?;
            Ok(fitted.unwrap_or_else(|| plain.clone()))
        };
        Ok(Prepares {
            source: fitted(source, None)?,
            target: fitted(target, source)?,
        })
    }

    /// Few rows of everything: what is not picked from is cut short.
    fn small(self, picks: &Picks) -> Self {
        fn few<L: Pick>(rows: &Option<Vec<u32>>, domain: Domain<L>) -> Domain<L> {
            match rows {
                Some(rows) => domain.picked(rows),
                None => domain.first(Picks::OTHERS),
            }
        }
        Given {
            target: match self.target {
                TargetData::Labelled(d) => TargetData::Labelled(few(&picks.target, d)),
                TargetData::Unlabelled(d) => TargetData::Unlabelled(few(&picks.target, d)),
                TargetData::None => TargetData::None,
            },
            source: self.source.map(|d| few(&picks.source, d)),
            source_validation: (self.source_validation).map(|d| few(&picks.source_validation, d)),
            watched: self.watched.map(|d| few(&picks.watched, d)),
            validation: self.validation.map(|d| few(&picks.validation, d)),
            dealt: None,
            test: self.test.map(|d| few(&picks.test, d)),
        }
    }

    /// The target's inputs by split.
    pub fn inputs(&self) -> Vec<(&'static str, Arc<dyn Samples>)> {
        // Of a split that no fold has nobody wants to know.
        if let Some(d) = &self.dealt {
            return vec![("train", d.inputs.clone())];
        }
        let mut all = Vec::new();
        all.extend(self.source.iter().map(|d| ("source", d.inputs.clone())));
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

/// How each domain is prepared: alike, unless the preparation looks at a domain's own rows.
pub(crate) struct Prepares {
    pub source: Arc<dyn Prepare>,
    pub target: Arc<dyn Prepare>,
}

/// Rows of a probe: a network that is another answers each row otherwise.
const PROBE: usize = 3;
/// One row of so many is held out of the adaptation, for the selector.
const HELD_OUT: usize = 10;
/// Where that gives fewer rows, the selector looks at those that are adapted on: a score of a handful of rows is noise.
const LEAST_HELD_OUT: usize = 50;

//! From a recipe as written to one that is checked. Only a checked one can run.

mod evaluate;
mod optimizer;
mod read;
mod train;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::Result;
use crate::audit::{self, Audit};
use crate::data::Resolve;
use crate::model::MapKinds;
use crate::recipe::{Report, Written};
use crate::registry::{Kind, Registry};
use crate::run::Given;
use crate::strategy::{Settings, Strategy};
use crate::task::{SourceTask, TargetTask};

/// A recipe without errors, and what it builds.
pub struct Checked {
    /// The source task.
    pub source: Box<dyn SourceTask>,
    /// The target task.
    pub target: Box<dyn TargetTask>,
    /// The strategy.
    pub strategy: Box<dyn Strategy>,
    /// Inductive or transductive.
    pub kind: Kind,
    /// The strategy's name.
    pub method: String,
    /// `[train]`.
    pub settings: Settings,
    /// Ends each phase early.
    pub max_steps: Option<u64>,
    /// Steps between checkpoints.
    pub checkpoint_every: Option<u64>,
    /// The kinds of map that a checkpoint may hold.
    pub maps: MapKinds,
    /// The run's seed.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda`, `cuda:1`.
    pub device: String,
    /// The complete recipe: every key, defaults and where they come from.
    pub explained: String,
    /// The same with absolute paths: it runs from any folder.
    pub replayable: String,
    /// The values of all keys that are set, defaults included.
    pub values: serde_json::Value,
    audited: OnceLock<Audit>,
}

impl Checked {
    /// Checks a recipe: all errors in one report.
    pub fn new(
        written: &Written,
        registry: &Registry,
        resolve: &Arc<dyn Resolve>,
    ) -> std::result::Result<Checked, Box<Report>> {
        let root = written.keys();
        let checked = read::read(&root, written.folder(), registry, resolve);
        let report = written.finish();
        if report.errors() > 0 {
            return Err(Box::new(report));
        }
        match checked {
            Some(mut c) => {
                let record = written.record();
                c.explained = record.explain();
                c.replayable = record.explain_with(&|name| absolute(name, written.folder()));
                c.values = record.to_json();
                Ok(c)
            }
            // A maker that gave nothing and noted nothing.
            None => Err(Box::new(Report::new(vec![
                crate::recipe::Diagnostic::error(
                    written.here(),
                    "this recipe cannot be built, and the part that refused did not say why",
                ),
            ]))),
        }
    }

    /// A hash of every input and label that the run may use.
    pub fn data_sha256(&self) -> String {
        self.target.digest()
    }

    /// What was found in the rows, texts that the length limit cuts included. Worked out once.
    pub fn audit(&self) -> Result<&Audit> {
        if let Some(audit) = self.audited.get() {
            return Ok(audit);
        }
        let mut audit = self.target.audit().cloned().unwrap_or_default();
        let given = Given::read(self)?;
        let prepare = self.source.prepare()?;
        for (split, inputs) in given.inputs() {
            let cut = audit::truncated(split, inputs.as_ref(), prepare.as_ref())?;
            if let Some((share, finding)) = cut {
                audit.truncated.insert(split, share);
                audit.add(finding);
            }
        }
        Ok(self.audited.get_or_init(|| audit))
    }

    /// What identifies the run: every value of the recipe (seed and all), the data, the weights, the version.
    pub fn identity(&self) -> String {
        use sha2::Digest;
        let text = format!(
            "{}\n{}\n{}\n{}",
            self.values,
            self.data_sha256(),
            self.source.digest(),
            env!("CARGO_PKG_VERSION")
        );
        crate::hex(&sha2::Sha256::digest(text.as_bytes()))
    }
}

/// A path or data value of a recipe in `folder`, for a copy of it elsewhere.
fn absolute(name: &str, folder: &Path) -> String {
    if name.starts_with("builtin:") || name.starts_with("hf:") {
        return name.to_string();
    }
    let path = folder.join(name);
    std::path::absolute(&path)
        .unwrap_or(path)
        .display()
        .to_string()
}

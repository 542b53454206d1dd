//! From a recipe as written to one that is checked. Only a checked one can run.

mod arranged;
mod elsewhere;
mod evaluate;
mod measured;
mod metrics;
mod optimizer;
mod plain;
mod probe;
mod read;
mod select;
mod train;
mod transductive;
mod tune;
mod views;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::Result;
use crate::audit::{self, Audit};
use crate::baseline::Baseline;
use crate::data::{Pictures, Resolve};
use crate::metrics::Judge;
use crate::model::MapKinds;
use crate::nn::NormMode;
use crate::recipe::{Report, Unwritten, Written};
use crate::registry::{Kind, Library, Registry};
use crate::run::{Given, Picks};
use crate::strategy::{Settings, Strategy};
use crate::task::{SourceTask, TargetTask};

pub use evaluate::Folds;
pub(crate) use measured::Measured;
pub(crate) use metrics::read as read_metrics;
pub use tune::{MOST as MOST_POINTS, Point};

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
    /// How batch norm behaves.
    pub norm: NormMode,
    /// `[train]`.
    pub settings: Settings,
    /// Ends each phase early.
    pub max_steps: Option<u64>,
    /// Steps between checkpoints.
    pub checkpoint_every: Option<u64>,
    /// Whether features and a teacher's outputs are kept on disk.
    pub cache: bool,
    /// The kinds of map that a checkpoint may hold.
    pub maps: MapKinds,
    /// Who opens images.
    pub pictures: Option<Arc<dyn Pictures>>,
    /// How the result is judged.
    pub judge: Judge,
    /// What stands beside it, by name.
    pub baselines: Vec<(String, Arc<dyn Baseline>)>,
    /// Cross-validation, where it is asked for.
    pub folds: Option<Folds>,
    /// The grid that the run is chosen from; empty without `[tune]`.
    pub points: Vec<Point>,
    /// The run's seed.
    pub seed: u64,
    /// Where the run computes: `auto`, `cpu`, `cuda`, `cuda:1` ([`crate::device::Place`]).
    pub device: String,
    /// The libraries of plugins that the recipe names, or has something of.
    pub libraries: Vec<Library>,
    /// The complete recipe: every key, defaults and where they come from.
    pub explained: String,
    /// The same with absolute paths: it runs from any folder.
    pub replayable: String,
    /// The values of all keys that are set, defaults included.
    pub values: serde_json::Value,
    /// The same of [`Checked::replayable`].
    pub located: serde_json::Value,
    /// Keys whose value was chosen on data sets, and these.
    pub(crate) tuned_on: Vec<(String, &'static [&'static str])>,
    audited: OnceLock<Audit>,
    /// Only these rows are there: a run in small, to know what the whole takes.
    pub(crate) small: Option<Arc<Picks>>,
}

impl Checked {
    /// Checks a recipe: all errors in one report. A report without errors says that nothing wrong was found, but that something
    /// was not looked into, so that nothing is built (a resolver that does not download).
    pub fn new(
        written: &Written,
        registry: &Registry,
        resolve: &Arc<dyn Resolve>,
    ) -> std::result::Result<Checked, Box<Report>> {
        let root = written.keys();
        let checked = read::read(&root, written.folder(), registry, resolve);
        let grid = tune::read(&root);
        if let (Some(c), true) = (&checked, grid.is_some()) {
            tune_needs_validation(&root, c);
        }
        let report = written.finish();
        if report.errors() > 0 || checked.is_none() && written.is_unchecked() {
            return Err(Box::new(report));
        }
        match checked {
            Some(mut c) => {
                let record = written.record();
                // What a default is may hang on what the grid decides: a recipe that said the base's would make other points.
                let (here, mut open) = (record.defaults(), Unwritten::default());
                if let Some(axes) = grid {
                    c.points = tune::points(written, &axes, |point| {
                        read::read(&point.keys(), point.folder(), registry, resolve);
                        open.open(&here, &point.record().defaults());
                        point.finish()
                    })
                    .map_err(Box::new)?;
                }
                // A branch moves on; the run is of the commit that it found.
                let pinned = |name: &str| resolve.pinned(name).unwrap_or_else(|| name.to_string());
                c.tuned_on = record.tuned_on();
                c.explained = record.explain_open(&pinned, &open);
                let moved = |name: &str| pinned(&absolute(name, written.folder()));
                c.replayable = record.explain_open(&moved, &open);
                c.values = pin(record.to_json(), &pinned);
                let located = |name: &str| pinned(&absolute(name, written.folder()));
                c.located = pin(record.to_json_with(&located), &pinned);
                let values = &c.values;
                c.libraries.retain(|l| l.named || l.serves(values));
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

    /// What was found in the rows, what becomes of texts as tokens included. Worked out once.
    pub fn audit(&self) -> Result<&Audit> {
        if let Some(audit) = self.audited.get() {
            return Ok(audit);
        }
        let mut audit = self.target.audit().cloned().unwrap_or_default();
        let given = Given::read(self)?;
        let prepare = self.source.prepare()?;
        for (split, inputs) in given.inputs() {
            if let Some(seen) = audit::tokens(split, inputs.as_ref(), prepare.as_ref())? {
                audit.truncated.insert(split, seen.truncated);
                if seen.unknown > 0.0 {
                    audit.unknown.insert(split, seen.unknown);
                }
                audit.add(seen.findings);
            }
        }
        Ok(self.audited.get_or_init(|| audit))
    }

    /// What identifies the run: every value of the recipe (seed and all), the data, the weights, the version.
    pub fn identity(&self) -> String {
        self.identity_with(&self.values)
    }

    /// What identifies the run of [`Checked::replayable`], which is the same recipe in another place.
    pub fn located_identity(&self) -> String {
        self.identity_with(&self.located)
    }

    /// What the beginnings of runs with other methods depend on too: the recipe without its method, the data, the source. (`evaluate.overlap` says which rows are learned from.)
    pub(crate) fn beginning(&self) -> String {
        let mut values = self.values.clone();
        if let Some(all) = values.as_object_mut() {
            all.remove("strategy");
        }
        format!("{values}\n{}\n{}", self.data_sha256(), self.source.digest())
    }

    fn identity_with(&self, values: &serde_json::Value) -> String {
        use sha2::Digest;
        let mut text = format!(
            "{}\n{}\n{}\n{}{}",
            values,
            self.data_sha256(),
            self.source.digest(),
            self.strategy.digest(),
            env!("CARGO_PKG_VERSION")
        );
        // Sealed labels are in no hash of the data; whoever learns from them depends on them.
        let open = || {
            self.target
                .domain("target-labels", &crate::data::Reading::new())
        };
        if self.strategy.needs().target_labels
            && let Ok(Some(domain)) = open()
        {
            let classes = domain.labels.classes.iter();
            let bytes: Vec<u8> = classes.flat_map(|c| c.to_le_bytes()).collect();
            text.push_str(&format!("\n{}\n", domain.labels.names.join("\n")));
            text.push_str(&crate::hex(&sha2::Sha256::digest(&bytes)));
        }
        // A metric that is built anew gives other numbers. Runs without a plugin's have nothing here.
        let metrics = self.target.metrics();
        let digests: BTreeSet<String> = metrics.iter().map(|m| m.metric.digest()).collect();
        for digest in digests.iter().filter(|d| !d.is_empty()) {
            text.push('\n');
            text.push_str(digest);
        }
        crate::hex(&sha2::Sha256::digest(text.as_bytes()))
    }
}

/// Points of a grid are compared on validation rows.
fn tune_needs_validation(root: &crate::recipe::Keys, c: &Checked) {
    let reading = crate::data::Reading::new();
    if c.target.scoring() == crate::task::Scoring::Vectors {
        root.error(
            root.at_key("tune"),
            "a grid is chosen from by a score, and this task has none",
        );
    } else if let Ok(None) = c.target.domain("validation", &reading) {
        root.error(root.at_key("tune"), "a grid is chosen from on validation rows, and there are none")
            .help(match c.kind {
                Kind::Transductive => "name labelled rows of the target: `target.validation = \"...\"`",
                Kind::Inductive => "name a file, `target.validation = \"...\"`, or set rows aside: `split = { validation = 0.1 }`",
            });
    }
}

/// A path or data value of a recipe in `folder`, for a copy of it elsewhere.
fn absolute(name: &str, folder: &Path) -> String {
    // `target.test = "unlabelled"` is no path.
    if name.starts_with("builtin:") || name.starts_with("hf:") || name == "unlabelled" {
        return name.to_string();
    }
    let path = folder.join(name);
    std::path::absolute(&path)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The values with every name of the hub at its commit.
fn pin(value: serde_json::Value, pinned: &dyn Fn(&str) -> String) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(name) if name.starts_with("hf:") => Value::String(pinned(&name)),
        Value::Array(items) => items.into_iter().map(|item| pin(item, pinned)).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, pin(value, pinned)))
            .collect(),
        other => other,
    }
}

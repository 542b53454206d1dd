//! A stranger's target task: what it is made of is data, and the parts that are named in it are its library's.

use std::sync::Arc;

use candle_core::Tensor;
use serde_json::{Map, Value};
use tlkit_abi as abi;
use tlkit_core::audit::Audit;
use tlkit_core::data::{
    Blob, DataKeys, Domain, Form, Labels, ReadOptions, Reader, Reading, RowForm, Table,
};
use tlkit_core::head::{self, HeadLayers, Layer};
use tlkit_core::metrics::{Measure, name_taken};
use tlkit_core::nn::{Batch, Scope, with_gradients};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Asked, LossTerm};
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_core::{ClassLoss, ClassLossKeys, Error, Result};

use crate::call::{call, one_text};
use crate::describe::is_later;
use crate::keys::{self, leave};
use crate::library::Plugin;
use crate::manifest::{EntryKind, ManifestEntry};
use crate::metric::CMetric;
use crate::reader::CReader;
use crate::term::CTerm;

/// What the plugin answered.
pub(crate) struct Said {
    form: Form,
    reader: Option<CReader>,
    layers: Option<HeadLayers>,
    term: Option<CTerm>,
    metrics: Vec<Measure>,
}

/// The taps that a loss takes.
const TAPS: [&str; 2] = ["logits:0", "labels:0"];

impl Said {
    /// Asks the plugin, and makes what it names.
    pub fn ask(
        plugin: &Plugin,
        entry: &ManifestEntry,
        values: &Map<String, Value>,
    ) -> Result<Self> {
        let who = format!("{}: the target task `{}`", plugin.name(), entry.name);
        let table: &'static abi::TargetTask = plugin.table(entry)?;
        let describe = table
            .describe
            .ok_or_else(|| Error::msg(format!("{who} has no function `describe`")))?;
        // SAFETY: as tlkit.h says: what is lent lives for the call.
        let said = call(&who, Some(values), |c| unsafe { describe(c) })?;
        let said: Value = serde_json::from_str(&one_text(&who, said)?)
            .map_err(|e| Error::msg(format!("{who} describes itself in no JSON: {e}")))?;
        if !said.is_object() {
            return Err(Error::msg(format!(
                "{who} describes itself in no JSON object"
            )));
        }
        let what = format!("what {who} says of itself");
        let later = is_later(&table.head);
        let read = keys::data(&said, &what, |root| read(root, later))?;
        let part = |kind, name: &str| {
            let mut all = plugin.manifest.entries.iter();
            all.find(|e| e.kind == kind && e.name == name)
                .ok_or_else(|| missing(plugin, kind, name, &who))
        };
        let given = |entry: &ManifestEntry, keys: &Value| {
            let what = format!("the keys that {who} gives to `{}`", entry.name);
            keys::given(keys, &entry.keys, &what)
        };
        let reader = match &read.reader {
            Some(name) => Some(CReader::new(plugin, part(EntryKind::Reader, name)?)),
            None => None,
        };
        let term = match &read.loss {
            Some((name, keys)) => {
                let entry = part(EntryKind::LossTerm, name)?;
                let of = format!("{}: the loss term `{name}`", plugin.name());
                let term = CTerm::make(plugin.table(entry)?, &of, &given(entry, keys)?)?;
                if term.taps() != TAPS || !term.params().is_empty() {
                    return Err(Error::msg(format!(
                        "{who}: the loss of a task takes {} and no parameters, and `{name}` takes {}",
                        TAPS.join(" and "),
                        term.input_names().join(", ")
                    )));
                }
                Some(term)
            }
            None => None,
        };
        let mut metrics: Vec<Measure> = Vec::new();
        for (name, keys) in &read.metrics {
            let entry = part(EntryKind::Metric, name)?;
            if let Some(why) = name_taken(name, &metrics) {
                return Err(Error::msg(format!(
                    "{who} names the metric `{name}`: {why}"
                )));
            }
            let made = CMetric::make(plugin, entry, &given(entry, keys)?)?;
            metrics.push(Measure::new(name, Arc::new(made)));
        }
        Ok(Said {
            form: read.form,
            reader,
            layers: read.layers,
            term,
            metrics,
        })
    }
}

fn missing(plugin: &Plugin, kind: EntryKind, name: &str, who: &str) -> Error {
    let all = plugin.manifest.entries.iter();
    let known: Vec<&str> = all
        .filter(|e| e.kind == kind)
        .map(|e| e.name.as_str())
        .collect();
    Error::msg(format!(
        "{who} names the {} `{name}`, which its library does not bring; it brings {}",
        kind.words(),
        if known.is_empty() {
            "none".into()
        } else {
            known.join(", ")
        }
    ))
}

/// The description as read: names and their keys.
struct Read {
    form: Form,
    reader: Option<String>,
    layers: Option<HeadLayers>,
    loss: Option<(String, Value)>,
    metrics: Vec<(String, Value)>,
}

fn read(root: &Keys, later: bool) -> Read {
    leave(root, later);
    let form = root
        .string("form")
        .one_of(["text", "features", "images"])
        .required();
    let with_keys = |k: &Keys, name: &str| {
        leave(k, later);
        let named = k.string(name).required();
        let keys = k.value("keys").optional();
        let keys = keys.map_or(Value::Object(Map::new()), |v| v.to_json());
        (named, keys)
    };
    let list = root.values("head").optional();
    let layers = list.and_then(|list| HeadLayers::read(root, &list, &[]));
    Read {
        form: match form.as_str() {
            "text" => Form::Text,
            "images" => Form::Images,
            _ => Form::Features,
        },
        reader: root.string("reader").optional(),
        layers,
        loss: root
            .optional_table("loss", "a loss term")
            .map(|k| with_keys(&k, "term")),
        metrics: root
            .tables("metrics")
            .iter()
            .filter(|k| !k.is_blank())
            .map(|k| with_keys(k, "metric"))
            .collect(),
    }
}

/// A reader that is named, and so opens whatever it is given.
struct Named(CReader);

impl Reader for Named {
    fn extensions(&self) -> &[&str] {
        self.0.extensions()
    }

    fn reads(&self, _: &str) -> bool {
        true
    }

    fn reads_folders_of(&self, form: Form) -> bool {
        self.0.reads_folders_of(form)
    }

    fn open(&self, name: &str, blob: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>> {
        self.0.open(name, blob, options)
    }
}

/// A target task whose parts a library brings.
pub(crate) struct CTarget {
    data: DataKeys,
    width: Option<usize>,
    layers: Option<HeadLayers>,
    loss: Loss,
    metrics: Vec<Measure>,
    reader: Option<Arc<dyn Reader>>,
    digest: String,
}

enum Loss {
    Ours(ClassLoss),
    Term(CTerm),
}

impl CTarget {
    /// From what the plugin said and the keys of `[target]`. `None` after an error was noted, or on a blank recipe.
    pub fn make(keys: &Keys, cx: &Context, said: Option<Said>, sha256: &str) -> Option<Self> {
        let form = said.as_ref().map_or(Form::Features, |s| s.form);
        let mut cx = cx.clone();
        let mut reader: Option<Arc<dyn Reader>> = None;
        let said = match said {
            Some(mut said) => {
                reader = (said.reader.take()).map(|r| Arc::new(Named(r)) as Arc<dyn Reader>);
                cx.readers.splice(0..0, reader.clone());
                Some(said)
            }
            None => None,
        };
        let data = DataKeys::target(keys, &cx, form);
        let own_loss = said.as_ref().is_some_and(|s| s.term.is_some());
        let loss = match own_loss {
            true => {
                for name in ["label_smoothing", "class_weights"] {
                    keys.refuse(name, "this task has a loss of its own")
                        .help("its keys are the plugin's");
                }
                None
            }
            false => Some(ClassLossKeys::read(keys)),
        };
        let (said, data) = (said?, data?);
        let loss = match (said.term, loss) {
            (Some(term), _) => Loss::Term(term),
            (None, loss) => Loss::Ours(loss?.check(keys, &data)?),
        };
        let width = match form {
            Form::Features => Some(
                data.width()
                    .map_err(|e| keys.error(keys.here(), e.to_string()))
                    .ok()?,
            ),
            _ => None,
        };
        // Where the plugin brings no more than a reader, the data says all that it changes.
        let own = said.layers.is_some() || !said.metrics.is_empty();
        let digest = match &loss {
            Loss::Ours(_) if !own => data.digest().to_string(),
            Loss::Ours(_) | Loss::Term(_) => format!("{} plugin {sha256}", data.digest()),
        };
        Some(CTarget {
            data,
            width,
            layers: said.layers,
            loss,
            metrics: said.metrics,
            reader,
            digest,
        })
    }
}

impl TargetTask for CTarget {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        self.data.domain(split)
    }

    fn row_form(&self) -> Result<Option<RowForm>> {
        self.data.row_form().map(Some)
    }

    fn reader(&self) -> Option<Arc<dyn Reader>> {
        self.reader.clone()
    }

    fn fits(&self, keys: &Keys, source: &dyn SourceTask) {
        if let (Some(layers), Some(shape)) = (&self.layers, source.shape()) {
            layers.fits(keys, source, &shape);
        }
    }

    fn input_width(&self) -> Option<usize> {
        self.width
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head> {
        let pooling = source.pooling(scope, None, frozen)?;
        let classes = self.data.classes().len();
        let dropout = source.head_dropout();
        let plain = match dropout > 0.0 {
            true => vec![Layer::Dropout(dropout), Layer::Classifier],
            false => vec![Layer::Classifier],
        };
        match &self.layers {
            Some(l) => head::build(scope, source, pooling, l.layers(), width, classes),
            None => head::build(scope, source, pooling, plain.iter(), width, classes),
        }
    }

    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, batch: &Batch) -> Result<Tensor> {
        let term = match &self.loss {
            Loss::Ours(loss) => return loss.of(logits, labels, batch),
            Loss::Term(term) => term,
        };
        let labels = labels.ok_or_else(|| {
            Error::msg("classification learns from labels, and these rows have none")
        })?;
        let asked = Asked {
            seed: 0,
            step: 0,
            progress: 0.0,
            wanted: vec![true, false],
        };
        let classes = labels.to_dtype(candle_core::DType::F32)?;
        let (value, gradients) = term.at(&[logits.detach(), classes], &asked, 1.0)?;
        with_gradients(value, &[(logits, &gradients[0])])
    }

    fn mass(&self, labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        match &self.loss {
            Loss::Ours(loss) => loss.mass_of(labels, batch),
            Loss::Term(_) => Ok(batch.rows() as f64),
        }
    }

    fn plain_head(&self) -> bool {
        self.layers.as_ref().is_none_or(HeadLayers::plain)
    }

    fn plain_loss(&self) -> bool {
        matches!(&self.loss, Loss::Ours(loss) if loss.is_plain())
    }

    fn scoring(&self) -> Scoring {
        Scoring::Classes(self.data.classes().to_vec())
    }

    fn metrics(&self) -> Vec<Measure> {
        self.metrics.clone()
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn audit(&self) -> Option<&Audit> {
        Some(self.data.audit())
    }
}

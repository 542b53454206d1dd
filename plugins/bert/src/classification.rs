//! Text classification as a target task.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::audit::Audit;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading, RowForm};
use tlkit_core::nn::{Activation, Batch, Dense, Dropout, Linear, Scope, Stage};
use tlkit_core::recipe::{Keys, Value};
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_core::{ClassLoss, ClassLossKeys, Result};

use crate::source::POOLINGS;

/// Texts, or pairs of them, to classes.
pub struct TextClassification {
    data: DataKeys,
    pooling: Option<String>,
    layers: Option<Vec<Part>>,
    loss: ClassLoss,
}

/// A layer of a head that a recipe lists.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Dense {
        width: usize,
        activation: Activation,
    },
    Dropout(f64),
    Classifier,
}

impl TextClassification {
    /// From the keys of `[target]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn TargetTask>> {
        let data = DataKeys::target(keys, cx, Form::Text);
        let pooling = keys
            .string("pooling")
            .one_of(POOLINGS)
            .help("from token states to one vector")
            .unset("the pooler; frozen: the mean, or what 1_Pooling/config.json says")
            .optional();
        let layers = keys.values("head").help("the layers behind the pooling: {dense = 128, activation = \"relu\"}, {dropout = 0.1}, \"classifier\"").unset("dropout, classifier").optional();
        let layers = match layers {
            None => None,
            Some(list) => Some(parts(keys, &list)?),
        };
        let loss = ClassLossKeys::read(keys);
        let data = data?;
        let loss = loss.check(keys, &data)?;
        Some(Box::new(TextClassification {
            data,
            pooling,
            layers,
            loss,
        }))
    }
}

fn parts(keys: &Keys, list: &[Value]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for value in list {
        if value.as_str() == Some("classifier") {
            parts.push(Part::Classifier);
            continue;
        }
        let Some(table) = value.as_keys() else {
            value
                .error("not a layer")
                .expected("\"classifier\", {dense = n} or {dropout = p}");
            return None;
        };
        if table.has("dense") {
            let width = table.usize("dense").range(1..).required();
            let activation = table
                .string("activation")
                .one_of(Activation::NAMES)
                .default("relu", "the usual one")
                .read();
            parts.push(Part::Dense {
                width,
                activation: Activation::parse(&activation)?,
            });
        } else {
            parts.push(Part::Dropout(
                table.f64("dropout").range(0.0..1.0).required(),
            ));
        }
    }
    let classifiers = parts.iter().filter(|p| **p == Part::Classifier).count();
    if classifiers != 1 || parts.last() != Some(&Part::Classifier) {
        keys.error(keys.at("head"), "a head ends in exactly one \"classifier\"");
        return None;
    }
    Some(parts)
}

impl TargetTask for TextClassification {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        Ok(self.data.domain(split))
    }

    fn row_form(&self) -> Result<Option<RowForm>> {
        self.data.row_form().map(Some)
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head> {
        let mut stages = source.pooling(scope, self.pooling.as_deref(), frozen)?;
        let pool = stages.len();
        let classes = self.data.classes().len();
        let usual = [Part::Dropout(source.head_dropout()), Part::Classifier];
        let mut width = width;
        for (i, part) in self.layers.as_deref().unwrap_or(&usual).iter().enumerate() {
            let stage: Arc<dyn Stage> = match part {
                Part::Dropout(p) => Arc::new(Dropout::new(&format!("head.dropout.{i}"), *p)),
                Part::Dense {
                    width: out,
                    activation,
                } => {
                    let name = format!("head.dense.{i}");
                    let linear = Linear::new(
                        &scope.fresh().sub(&name),
                        width,
                        *out,
                        (1.0 / width as f64).sqrt(),
                    )?;
                    width = *out;
                    Arc::new(Dense::new(&name, linear, *activation))
                }
                Part::Classifier => {
                    let linear = Linear::new(
                        &scope.fresh().sub("classifier"),
                        width,
                        classes,
                        source.head_init(),
                    )?;
                    Arc::new(Dense::new("classifier", linear, Activation::None))
                }
            };
            stages.push(stage);
        }
        Ok(Head { stages, pool })
    }

    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, _: &Batch) -> Result<Tensor> {
        self.loss.loss(logits, labels)
    }

    fn mass(&self, labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        self.loss.mass(labels, batch.rows())
    }

    fn plain_loss(&self) -> bool {
        self.loss.is_plain()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Classes(self.data.classes().to_vec())
    }

    fn digest(&self) -> String {
        self.data.digest().to_string()
    }

    fn audit(&self) -> Option<&Audit> {
        Some(self.data.audit())
    }
}

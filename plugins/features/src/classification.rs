//! The target task `classification`: feature vectors to classes, by a linear classifier.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading};
use tlkit_core::nn::{Activation, Batch, Dense, Dropout, Linear, Scope, Stage};
use tlkit_core::recipe::{Keys, Value};
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_core::{Error, Result};
use tlkit_ops::cross_entropy::{CrossEntropy, cross_entropy};

/// Feature vectors to classes.
pub struct Classification {
    data: DataKeys,
    width: usize,
    loss: CrossEntropy,
}

impl Classification {
    /// From the keys of `[target]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn TargetTask>> {
        let data = DataKeys::target(keys, cx, Form::Features);
        let label_smoothing = keys
            .f64("label_smoothing")
            .range(0.0..1.0)
            .default(0.0, "none")
            .help("share of each label that is spread over all classes")
            .read();
        let weights = keys
            .value("class_weights")
            .help("`\"balanced\"`, or a number for each class in their order")
            .unset("every row counts alike")
            .optional();
        let data = data?;
        let weights = match weights {
            Some(value) => Some(class_weights(keys, &value, &data)?),
            None => None,
        };
        let width = data
            .width()
            .map_err(|e| keys.error(keys.here(), e.to_string()))
            .ok()?;
        let loss = CrossEntropy {
            label_smoothing,
            weights,
            ..CrossEntropy::default()
        };
        Some(Box::new(Classification { data, width, loss }))
    }
}

/// One weight a class. `balanced` is rows / (classes x rows of the class), as scikit-learn has it.
fn class_weights(keys: &Keys, value: &Value, data: &DataKeys) -> Option<Vec<f32>> {
    let classes = data.classes();
    if value.as_str() == Some("balanced") {
        let Some(train) = data.domain("train") else {
            value
                .error("`balanced` needs the labels of the training rows, and they are sealed")
                .help("write a number for each class");
            return None;
        };
        let (rows, counts) = (train.labels.classes.len(), train.labels.counts());
        let weight = |&n: &usize| rows as f32 / (classes.len() * n.max(1)) as f32;
        return Some(counts.iter().map(weight).collect());
    }
    let numbers: Option<Vec<f64>> = value
        .as_list()
        .and_then(|list| list.iter().map(Value::as_f64).collect());
    match numbers {
        Some(n) if n.len() == classes.len() && n.iter().all(|w| *w > 0.0 && w.is_finite()) => {
            Some(n.into_iter().map(|w| w as f32).collect())
        }
        other => {
            let found = match other {
                Some(n) if n.len() != classes.len() => format!("these are {} numbers", n.len()),
                _ => "these are not class weights".to_string(),
            };
            keys.error(value.at(), found)
                .expected(format!(
                    "`\"balanced\"`, or {} positive numbers",
                    classes.len()
                ))
                .note(format!("the classes are {}", classes.join(", ")));
            None
        }
    }
}

impl TargetTask for Classification {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        Ok(self.data.domain(split))
    }

    fn input_width(&self) -> Option<usize> {
        Some(self.width)
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head> {
        let mut stages = source.pooling(scope, None, frozen)?;
        let pool = stages.len();
        let dropout = source.head_dropout();
        if dropout > 0.0 {
            let stage: Arc<dyn Stage> = Arc::new(Dropout::new("head.dropout", dropout));
            stages.push(stage);
        }
        let classes = self.data.classes().len();
        let scope = scope.fresh().sub("classifier");
        let linear = Linear::new(&scope, width, classes, source.head_init())?;
        stages.push(Arc::new(Dense::new("classifier", linear, Activation::None)));
        Ok(Head { stages, pool })
    }

    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, _: &Batch) -> Result<Tensor> {
        let labels = labels.ok_or_else(|| {
            Error::msg("classification learns from labels, and these rows have none")
        })?;
        Ok(cross_entropy(logits, labels, &self.loss)?)
    }

    fn scoring(&self) -> Scoring {
        Scoring::Classes(self.data.classes().to_vec())
    }

    fn digest(&self) -> String {
        self.data.digest().to_string()
    }
}

//! Cross-entropy over classes, with the keys by which a recipe changes it. Every task whose answers are classes has this one.

use candle_core::{DType, Tensor};
use tlkit_ops::cross_entropy::{CrossEntropy, cross_entropy};

use crate::data::DataKeys;
use crate::recipe::{Keys, Value};
use crate::{Error, Result};

/// Cross-entropy with label smoothing and class weights, by PyTorch's meaning of both.
pub struct ClassLoss(CrossEntropy);

/// The keys as written, before the classes are known.
pub struct ClassLossKeys {
    label_smoothing: f64,
    weights: Option<Value>,
}

impl ClassLossKeys {
    /// Reads `label_smoothing` and `class_weights` of `[target]`.
    pub fn read(keys: &Keys) -> Self {
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
        ClassLossKeys {
            label_smoothing,
            weights,
        }
    }

    /// Checks them against the classes; `None` after an error was noted.
    pub fn check(self, keys: &Keys, data: &DataKeys) -> Option<ClassLoss> {
        let weights = match self.weights {
            Some(value) => Some(class_weights(keys, &value, data)?),
            None => None,
        };
        let label_smoothing = self.label_smoothing;
        Some(ClassLoss(CrossEntropy {
            label_smoothing,
            weights,
            ..CrossEntropy::default()
        }))
    }
}

impl ClassLoss {
    /// The mean over `logits` `(rows, classes)` and `labels` `(rows,)`.
    pub fn loss(&self, logits: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        let labels = labels.ok_or_else(|| {
            Error::msg("classification learns from labels, and these rows have none")
        })?;
        Ok(cross_entropy(logits, labels, &self.0)?)
    }

    /// What that mean is over: rows, or the sum of their class weights.
    pub fn mass(&self, labels: Option<&Tensor>, rows: usize) -> Result<f64> {
        let (Some(weights), Some(labels)) = (&self.0.weights, labels) else {
            return Ok(rows as f64);
        };
        let labels = labels.to_dtype(DType::U32)?.to_vec1::<u32>()?;
        Ok(labels.iter().map(|&c| f64::from(weights[c as usize])).sum())
    }

    /// Whether it is plain cross-entropy, as closed-form heads minimise it.
    pub fn is_plain(&self) -> bool {
        self.0.label_smoothing == 0.0 && self.0.weights.is_none()
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
    let list = value.as_list();
    let numbers: Option<Vec<f64>> = list.and_then(|list| list.iter().map(Value::as_f64).collect());
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

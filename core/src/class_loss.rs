//! Cross-entropy over classes, with the keys by which a recipe changes it. Every task whose answers are classes has this one.

use candle_core::{DType, Tensor};
use tlkit_ops::cross_entropy::{CrossEntropy, Reduction, cross_entropy};

use crate::data::{DataKeys, OTHER, SHARE};
use crate::nn::Batch;
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

    /// The same of a batch whose rows may be mixed: each row's loss is its share of its own label's and the rest of the other's
    /// (mixup, Zhang et al. 2017).
    pub fn of(&self, logits: &Tensor, labels: Option<&Tensor>, batch: &Batch) -> Result<Tensor> {
        let (Some(labels), Some(other), Some(share)) = (labels, batch.get(OTHER), batch.get(SHARE))
        else {
            return self.loss(logits, labels);
        };
        let each = CrossEntropy {
            reduction: Reduction::None,
            ..self.0.clone()
        };
        let own = cross_entropy(logits, labels, &each)?;
        let theirs = cross_entropy(logits, other, &each)?;
        let share = share.to_dtype(own.dtype())?;
        let rest = share.affine(-1.0, 1.0)?;
        let sum = ((own * &share)? + (theirs * rest)?)?.sum_all()?;
        let mass = self.mass_of(Some(labels), batch)?;
        Ok((sum / mass.max(f64::MIN_POSITIVE))?)
    }

    /// What the mean of [`ClassLoss::of`] is over.
    pub fn mass_of(&self, labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        let (Some(weights), Some(labels), Some(other), Some(share)) =
            (&self.0.weights, labels, batch.get(OTHER), batch.get(SHARE))
        else {
            return self.mass(labels, batch.rows());
        };
        let classes =
            |t: &Tensor| -> Result<Vec<u32>> { Ok(t.to_dtype(DType::U32)?.to_vec1::<u32>()?) };
        let (own, theirs) = (classes(labels)?, classes(other)?);
        let share = share.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let weight = |c: u32| f64::from(weights[c as usize]);
        let rows = own.iter().zip(&theirs).zip(&share);
        Ok(rows
            .map(|((&a, &b), &s)| s * weight(a) + (1.0 - s) * weight(b))
            .sum())
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

/// rows / (classes x rows of the class), as scikit-learn has it.
fn balanced(counts: &[usize]) -> Vec<f32> {
    let rows: usize = counts.iter().sum();
    let weight = |&n: &usize| rows as f32 / (counts.len() * n.max(1)) as f32;
    counts.iter().map(weight).collect()
}

/// One weight a class.
fn class_weights(keys: &Keys, value: &Value, data: &DataKeys) -> Option<Vec<f32>> {
    let classes = data.classes();
    if value.as_str() == Some("balanced") {
        let Ok(Some(train)) = data.domain("train") else {
            value
                .error("`balanced` counts labelled training rows of the target, and there are none: a transductive recipe has its labels in the source")
                .help("write a number for each class");
            return None;
        };
        return Some(balanced(&train.labels.counts()));
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// scikit-learn: `compute_class_weight("balanced", ..)` of 30 rows of one class and 10 of the other.
    #[test]
    fn the_rarer_class_weighs_more() {
        assert_eq!(balanced(&[30, 10]), [2.0 / 3.0, 2.0]);
    }

    #[test]
    fn mixed_rows_lose_by_their_shares() -> Result<()> {
        let device = Device::Cpu;
        let logits = Tensor::new(&[[2.0f64, -1.0, 0.5], [0.1, 0.2, 0.3]], &device)?;
        let (own, other) = ([0u32, 2], [1u32, 2]);
        let shares = [0.7f32, 0.4];
        let batch = Batch::new(2, logits.clone())
            .with(OTHER, Tensor::new(&other, &device)?)
            .with(SHARE, Tensor::new(&shares, &device)?);
        let own = Tensor::new(&own, &device)?;
        // ln of the softmax by hand.
        let lost = |row: &[f64], class: usize| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            sum.ln() - row[class]
        };
        let (a, b) = ([2.0, -1.0, 0.5], [0.1, 0.2, 0.3]);
        let share = f64::from(shares[0]);
        let first = |wa: f64, wb: f64| share * wa * lost(&a, 0) + (1.0 - share) * wb * lost(&a, 1);
        let plain = ClassLoss(CrossEntropy::default());
        let value = plain.of(&logits, Some(&own), &batch)?.to_scalar::<f64>()?;
        assert!(
            (value - (first(1.0, 1.0) + lost(&b, 2)) / 2.0).abs() < 1e-9,
            "{value}"
        );
        let weights = Some(vec![2.0, 0.5, 3.0]);
        let weighed = ClassLoss(CrossEntropy {
            weights,
            ..CrossEntropy::default()
        });
        let mass = weighed.mass_of(Some(&own), &batch)?;
        let expected = share * 2.0 + (1.0 - share) * 0.5 + 3.0;
        assert!((mass - expected).abs() < 1e-6, "{mass}");
        let value = weighed
            .of(&logits, Some(&own), &batch)?
            .to_scalar::<f64>()?;
        let by_hand = (first(2.0, 0.5) + 3.0 * lost(&b, 2)) / expected;
        assert!((value - by_hand).abs() < 1e-6, "{value} {by_hand}");
        // Rows that are not mixed have the plain loss.
        let batch = Batch::new(2, logits.clone());
        let one = plain.of(&logits, Some(&own), &batch)?.to_scalar::<f64>()?;
        let same = plain.loss(&logits, Some(&own))?.to_scalar::<f64>()?;
        assert_eq!(one, same);
        Ok(())
    }

    #[test]
    fn the_mixed_loss_has_a_gradient_of_both_labels() -> Result<()> {
        let device = Device::Cpu;
        let start = [0.3f64, -0.2, 0.9];
        let at = |values: [f64; 3]| -> Result<(f64, Vec<f64>)> {
            let logits = candle_core::Var::from_tensor(&Tensor::new(&[values], &device)?)?;
            let batch = Batch::new(1, logits.as_tensor().clone())
                .with(OTHER, Tensor::new(&[1u32], &device)?)
                .with(SHARE, Tensor::new(&[0.25f32], &device)?);
            let labels = Tensor::new(&[0u32], &device)?;
            let loss = ClassLoss(CrossEntropy::default()).of(&logits, Some(&labels), &batch)?;
            let gradients = loss.backward()?;
            let gradient = gradients
                .get(&logits)
                .expect("a gradient")
                .to_vec2::<f64>()?;
            Ok((loss.to_scalar::<f64>()?, gradient[0].clone()))
        };
        let (_, gradient) = at(start)?;
        for i in 0..3 {
            let moved = |by: f64| {
                let mut values = start;
                values[i] += by;
                at(values).map(|(loss, _)| loss)
            };
            let slope = (moved(1e-5)? - moved(-1e-5)?) / 2e-5;
            assert!(
                (slope - gradient[i]).abs() < 1e-8,
                "{i}: {slope} {}",
                gradient[i]
            );
        }
        Ok(())
    }
}

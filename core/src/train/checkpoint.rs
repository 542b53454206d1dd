//! A checkpoint: one file that holds everything a run needs to go on with the same bits.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::run::write_whole;
use crate::select::{LabelFree, Reference};
use crate::sum::Sum;
use crate::{Error, Result};

/// Where a run stands; with the tensors, all of its state. (Samplers, dropout and augmentation are functions of seed, epoch and
/// row, so there is nothing else.)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// What the run is, so that another recipe's checkpoint is refused.
    pub identity: String,
    /// Phases finished.
    pub phase: usize,
    /// Optimizer steps of the current phase.
    pub step: u64,
    /// Optimizer steps of all phases.
    pub total_steps: u64,
    /// Sums over the current epoch, for its means.
    pub sums: BTreeMap<String, f64>,
    /// Rows behind each of those sums.
    pub seen: BTreeMap<String, f64>,
    /// Epoch, accuracy and loss of the best so far.
    pub best: Option<Best>,
    /// Epochs since the best.
    pub waited: u64,
    /// Lines of `metrics.jsonl` that belong to this position.
    pub lines: usize,
    /// Optimizer steps of each update.
    pub updates: Vec<u64>,
    /// Fingerprints at the start of the phase, until the movement check is done.
    pub fingerprints: Option<BTreeMap<String, u64>>,
    /// Objectives' own small state.
    pub objectives: Vec<String>,
    /// Seconds spent so far.
    pub seconds: f64,
    /// Of those, seconds that another run spent on a beginning that was taken up.
    #[serde(default)]
    pub taken_up: f64,
    /// What closed-form phases reported.
    pub fits: BTreeMap<String, f64>,
    /// The model's maps: those of features, then those of logits.
    #[serde(default)]
    pub maps: Vec<SavedMap>,
    /// The selections of finished phases.
    pub chosen: Option<Best>,
    /// The best of the twin, while the adaptation that it stands beside is under way.
    #[serde(default)]
    pub twin: Option<Twin>,
    /// Optimizer steps of twins, which are not among those of the phases.
    #[serde(default)]
    pub beside: u64,
    /// The scores behind `best`, where label-free scores decide.
    #[serde(default)]
    pub scores: BTreeMap<LabelFree, f64>,
    /// The model before this phase, which a collapse is measured by.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// Epochs that had collapsed.
    #[serde(default)]
    pub collapsed: Vec<u64>,
    /// Where its numbers ended, of an adaptation that did not come to its end.
    #[serde(default)]
    pub diverged: Option<String>,
    /// What can be said of the adaptation without labels of the target.
    #[serde(default)]
    pub signs: Option<String>,
    /// Terms whose gradient has been other than zero, until the movement check is done.
    #[serde(default)]
    pub alive: Vec<String>,
    /// Rows a pass, once the device's memory was too small for more.
    #[serde(default)]
    pub micro_batch: Option<usize>,
    /// With what the numbers were computed: goes on with another one, and the run ends with the bits of neither.
    #[serde(default)]
    pub arithmetic: String,
}

/// The candidate of a twin that stands beside an adaptation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Twin {
    /// Which.
    pub best: Best,
    /// The scores behind it.
    pub scores: BTreeMap<LabelFree, f64>,
}

/// A map that a closed-form phase made; its tensors stand in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedMap {
    /// Where it applies.
    pub place: Place,
    /// Its kind.
    pub kind: String,
    /// Its small state.
    pub json: String,
}

/// Where a map applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Between encoder and classifier.
    Features,
    /// After the classifier.
    Logits,
}

/// The best epoch so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: u64,
    /// What is compared first; larger is better.
    pub score: f64,
    /// What decides between equals; smaller is better.
    pub loss: f64,
    /// Whether it is an epoch of the twin, which was not adapted.
    #[serde(default)]
    pub twin: bool,
}

impl Best {
    /// Whether a new epoch beats it.
    pub fn beaten_by(&self, score: f64, loss: f64) -> bool {
        score > self.score || (score == self.score && loss < self.loss)
    }
}

/// Writes the file whole or not at all.
pub(crate) fn write(
    path: &Path,
    position: &Position,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<()> {
    let position = serde_json::to_string(position).map_err(json)?;
    let meta: HashMap<String, String> = [
        ("sum".to_string(), sum(&position, tensors)),
        ("position".to_string(), position),
    ]
    .into();
    let bytes = safetensors::serialize(tensors, Some(meta))
        .map_err(|e| Error::msg(format!("{}: {e}", path.display())))?;
    write_whole(path, &bytes)
}

/// Reads a checkpoint; `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<(Position, BTreeMap<String, Tensor>)>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let broken = |e: &dyn std::fmt::Display| {
        Error::msg(format!(
            "{}: not a checkpoint of tlkit ({e}); delete it to start anew",
            path.display()
        ))
    };
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| broken(&e))?;
    let meta = |key: &str| header.metadata().as_ref().and_then(|m| m.get(key));
    let text = meta("position").ok_or_else(|| broken(&"no position in it"))?;
    let position = serde_json::from_str(text).map_err(|e| broken(&e))?;
    let tensors =
        candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|e| broken(&e))?;
    let tensors = tensors.into_iter().collect();
    // A bit that was turned on a disk would end in other weights, and nobody would know why.
    if meta("sum") != Some(&sum(text, &tensors)) {
        return Err(broken(&"its contents are not those that were written"));
    }
    Ok(Some((position, tensors)))
}

/// Of a position and of tensors, by name in order.
fn sum(position: &str, tensors: &BTreeMap<String, Tensor>) -> String {
    let mut sum = Sum::default();
    sum.add(position.as_bytes());
    for (name, tensor) in tensors {
        sum.add(format!("{name} {:?} {:?}", tensor.dtype(), tensor.dims()).as_bytes());
        sum.add(&safetensors::View::data(&tensor));
    }
    format!("{:016x}", sum.value())
}

fn json(e: serde_json::Error) -> Error {
    Error::msg(e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_that_was_turned_is_found_wherever_it_stands() -> Result<()> {
        let dir = tempfile::tempdir().map_err(Error::io(Path::new("a folder")))?;
        let path = dir.path().join("state.safetensors");
        let values: Vec<f32> = (0..200).map(|i| i as f32 / 7.0).collect();
        let tensors: BTreeMap<String, Tensor> = [
            (
                "a".to_string(),
                Tensor::from_vec(values.clone(), (20, 10), &Device::Cpu)?,
            ),
            (
                "b".to_string(),
                Tensor::from_vec(values, 200, &Device::Cpu)?,
            ),
        ]
        .into();
        let position = Position {
            step: 7,
            ..Position::default()
        };
        write(&path, &position, &tensors)?;
        let (again, read_again) = read(&path)?.expect("a checkpoint");
        assert_eq!(again, position);
        assert_eq!(read_again.len(), 2);
        let whole = std::fs::read(&path).map_err(Error::io(&path))?;
        // Of the position (its step), and of the first, a middle and the last number.
        let step = whole
            .windows(8)
            .position(|w| w == b"step\\\":7")
            .expect("the step")
            + 7;
        let body = whole.len() - 1600;
        for (at, bit) in [(step, 0), (body, 3), (body + 801, 6), (whole.len() - 1, 1)] {
            let mut turned = whole.clone();
            turned[at] ^= 1 << bit;
            std::fs::write(&path, &turned).map_err(Error::io(&path))?;
            let why = read(&path).expect_err("it is refused").to_string();
            assert!(why.contains("not those that were written"), "{at}: {why}");
        }
        Ok(())
    }
}

//! `metrics.jsonl` as curves, and `predictions.jsonl`.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The record of a run's training, phase by phase.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The training phases, in order; one that left no line is not there.
    pub phases: Vec<Phase>,
}

/// One training phase.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Steps of the phases before it.
    pub before: u64,
    /// Lines about single steps.
    pub steps: Vec<Value>,
    /// Lines about epochs.
    pub epochs: Vec<Value>,
}

impl Record {
    /// Of a run directory; empty where it has none. A line that is cut off is left out.
    pub fn read(run: &Path) -> Record {
        Record::of(lines(&run.join("metrics.jsonl")))
    }

    /// Of lines.
    pub fn of(lines: impl IntoIterator<Item = Value>) -> Record {
        let mut phases: Vec<Phase> = Vec::new();
        let (mut at, mut epoch) = (0, 0);
        for line in lines {
            let Some(step) = line["step"].as_u64() else {
                continue;
            };
            let name = line["phase"].as_str().unwrap_or_default();
            let of_epoch = line["epoch"].as_u64();
            // Two phases of one name follow each other: steps and epochs count from 1 again.
            let again = step < at || of_epoch.is_some_and(|e| e <= epoch);
            if phases.last().is_none_or(|p| p.name != name) || again {
                let before = phases.last().map_or(0, |p| p.before + at);
                phases.push(Phase {
                    name: name.to_string(),
                    before,
                    ..Phase::default()
                });
                epoch = 0;
            }
            at = step;
            epoch = of_epoch.unwrap_or(epoch);
            let Some(phase) = phases.last_mut() else {
                continue;
            };
            match of_epoch {
                Some(_) => phase.epochs.push(line),
                None => phase.steps.push(line),
            }
        }
        Record { phases }
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }
}

impl Phase {
    /// `(step, value)` of the step lines, the phase's steps counted from 1; numbers that are not finite are left out.
    pub fn steps(&self, key: &str) -> Vec<(f64, f64)> {
        points(&self.steps, key)
    }

    /// `(step, value)` of the epoch lines.
    pub fn epochs(&self, key: &str) -> Vec<(f64, f64)> {
        points(&self.epochs, key)
    }

    /// The names of the loss terms that epochs have means of.
    pub fn terms(&self) -> Vec<String> {
        // Neither scores, nor what an adversary and a selector say besides.
        let known = [
            "phase",
            "epoch",
            "step",
            "learning_rate",
            "seconds",
            "discriminator_accuracy",
            "adversary_agrees",
            "reversal",
            "effective_classes",
            "effective_rows",
        ];
        let of = ["validation_", "source_", "target_", "score_"];
        // Before the first step nothing has a loss: that line has scores alone.
        let trained = self.epochs.iter().find(|l| l["epoch"] != 0);
        let Some(line) = trained.and_then(Value::as_object) else {
            return Vec::new();
        };
        line.iter()
            .filter(|(k, v)| {
                let score = of.iter().any(|prefix| k.starts_with(prefix));
                v.is_number() && !score && !known.contains(&k.as_str())
            })
            .map(|(k, _)| k.clone())
            .collect()
    }

    /// Means of the training loss by epoch: of the term `loss`, or of the only one.
    pub fn epoch_loss(&self) -> Vec<(f64, f64)> {
        match self.terms().as_slice() {
            terms if terms.iter().any(|t| t == "loss") => self.epochs("loss"),
            [only] => self.epochs(only),
            _ => Vec::new(),
        }
    }
}

fn points(lines: &[Value], key: &str) -> Vec<(f64, f64)> {
    let point = |line: &Value| Some((line["step"].as_f64()?, line[key].as_f64()?));
    lines
        .iter()
        .filter_map(point)
        .filter(|(_, y)| y.is_finite())
        .collect()
}

/// The rows of a file of JSON lines; none where it is not there, and without lines that are no JSON.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn phases_are_told_apart_also_when_they_have_one_name() {
        let epoch = |phase: &str, epoch: u64, step: u64| json!({"phase": phase, "epoch": epoch, "step": step, "loss": 0.5, "validation_loss": 1});
        let step = |phase: &str, step: u64| json!({"phase": phase, "step": step, "loss": 1.0});
        let record = Record::of([
            step("head", 1),
            epoch("head", 1, 4),
            step("all", 1),
            step("all", 3),
            epoch("all", 1, 3),
            epoch("all", 2, 6),
            epoch("all", 1, 3),
            json!({"no": "step"}),
        ]);
        let told: Vec<_> = record
            .phases
            .iter()
            .map(|p| (p.name.as_str(), p.before, p.steps.len(), p.epochs.len()))
            .collect();
        assert_eq!(
            told,
            [("head", 0, 1, 1), ("all", 4, 2, 2), ("all", 10, 0, 1)]
        );
        assert_eq!(record.phases[1].epoch_loss(), [(3.0, 0.5), (6.0, 0.5)]);
        assert_eq!(record.phases[1].terms(), ["loss"]);
    }

    /// Under a selector the first line of an adaptation has scores alone.
    #[test]
    fn terms_are_those_of_the_epochs_that_trained() {
        let record = Record::of([
            json!({"phase": "mcc", "epoch": 0, "step": 0, "effective_classes": 1.9, "score_auto": 0.4}),
            json!({"phase": "mcc", "epoch": 1, "step": 5, "loss": 0.7, "confusion": 0.2, "score_auto": 0.5}),
            json!({"phase": "mcc", "epoch": 2, "step": 10, "loss": 0.6, "confusion": 0.1, "score_auto": 0.6}),
        ]);
        let phase = &record.phases[0];
        assert_eq!(phase.terms(), ["loss", "confusion"]);
        assert_eq!(phase.epoch_loss(), [(5.0, 0.7), (10.0, 0.6)]);
    }
}

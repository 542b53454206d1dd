//! One run in full.

use serde_json::Value;

use crate::run::{Run, Status};
use crate::scores::{self, score};
use crate::style::Style;
use crate::table::{Align, Table};

/// The result table: scores on the test rows with their interval, how the epoch was chosen, what it cost, where the model
/// is. A run that did not end well says what is known.
pub fn result_table(run: &Run, colour: bool) -> String {
    let style = Style::new(colour);
    let result = &run.result;
    let word = run.status.word();
    let word = match run.status {
        Status::Done => style.good(word),
        Status::Failed => style.bad(word),
        _ => style.open(word),
    };
    let mut title = style.strong(run.recipe());
    if let Some(method) = result["strategy"]["method"].as_str() {
        let kind = result["strategy"]["kind"].as_str().unwrap_or("?");
        title.push_str(&format!("  {method} ({kind})"));
    }
    if let Some(seed) = result["seed"].as_u64() {
        title.push_str(&format!("  seed {seed}"));
    }
    let mut table = Table::new(&[Align::Left, Align::Left]);
    let mut row = |name: &str, value: String| table.row([style.faint(name), value]);
    if let Some(error) = result["error"].as_str() {
        for (i, line) in error.lines().enumerate() {
            row(if i == 0 { "error" } else { "" }, line.to_string());
        }
    }
    scores::test(&result["metrics"]["test"], style, &mut row);
    scores::beside(result, &mut row);
    if let Some(text) = opened(run) {
        row("test rows", text);
    }
    if let Some(text) = validation(result) {
        let none = result["metrics"]["validation"].is_null();
        row(if none { "selection" } else { "validation" }, text);
    }
    scores::parts(result, &mut row);
    let fits: Vec<String> = fits(result)
        .map(|(k, v)| format!("{k} {}", number(v)))
        .collect();
    if !fits.is_empty() {
        row("fit", fits.join(", "));
    }
    if let Some(text) = cost(result) {
        row("cost", text);
    }
    if !result["folds"].is_null() {
        row("model", "one a fold: folds/<n>/model".into());
    } else if !result["model"].is_null() {
        row("model", run.path.join("model").display().to_string());
        let model = run.path.join("model");
        match result["labels"].as_array().is_some_and(Vec::is_empty) {
            true => row(
                "",
                checkpoint(&result["model"], &model.display().to_string()),
            ),
            false => row("", loadable(&result["model"])),
        }
    }
    row("run", run.path.display().to_string());
    format!("{title}  {word}\n{}\n", table.lines("  ").join("\n"))
}

/// Scores of a model on other rows: a title, and the rows that [`result_table`] has for the test.
pub fn scores_table(title: &str, metrics: &Value, colour: bool) -> String {
    let style = Style::new(colour);
    let mut table = Table::new(&[Align::Left, Align::Left]);
    let mut row = |name: &str, value: String| {
        let name = name.strip_prefix("test ").unwrap_or(name);
        table.row([style.faint(name), value]);
    };
    scores::test(metrics, style, &mut row);
    format!(
        "{}\n{}\n",
        style.strong(title),
        table.lines("  ").join("\n")
    )
}

/// What closed-form phases reported. That adapters were merged into the weights is no fit.
pub(crate) fn fits(result: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = result["fits"].as_object().into_iter().flatten();
    all.filter(|(name, _)| name.as_str() != "merged")
}

/// Whether the weights are those of one training: a closed form takes no step, a cross-validation leaves a model a fold.
pub(crate) fn trained_once(result: &Value) -> bool {
    result["steps"] != 0 && result["folds"].is_null()
}

/// What makes a score on the test rows say less than it seems to: others that opened them, defaults that were chosen on them.
fn opened(run: &Run) -> Option<String> {
    let rows = &run.result["test_rows"];
    let mut parts = Vec::new();
    if run.tested_as_adapted() {
        parts.push("those that were adapted on".to_string());
    }
    if let Some(n) = rows["opened_by"].as_u64().filter(|n| *n > 1) {
        let folder = run.path.parent().filter(|f| !f.as_os_str().is_empty());
        let folder = folder.map_or_else(|| "this folder".into(), |f| f.display().to_string());
        parts.push(format!("opened by {n} runs in {folder}"));
    }
    for (set, keys) in rows["tuned_on"].as_object().into_iter().flatten() {
        let keys: Vec<&str> = (keys.as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        parts.push(format!("of {set}, on which {} was chosen", keys.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn validation(result: &Value) -> Option<String> {
    let scores = &result["metrics"]["validation"];
    let selection = &result["selection"];
    let mut parts = Vec::new();
    if !scores.is_null() {
        let n = scores["n"].as_u64().unwrap_or(0);
        parts.push(format!("accuracy {}  n = {n}", score(&scores["accuracy"])));
    }
    match (selection["by"].as_str(), selection["epoch"].as_u64()) {
        (Some(by), Some(epoch)) => {
            let of = match selection["of"].as_str() {
                Some(of) => format!(" of {of}"),
                None => String::new(),
            };
            parts.push(format!("epoch {epoch}{of} kept, by {by}"));
        }
        (Some("last"), None) if trained_once(result) => parts.push("the last epoch kept".into()),
        _ => {}
    }
    if let Some(signs) = selection["without_labels"].as_str() {
        parts.push(format!("without labels: {signs}"));
    }
    if let Some(words) = selection["diverged"].as_str() {
        parts.push(format!("the adaptation diverged: {words}"));
    }
    if selection["oracle"] == true {
        parts.push(format!("oracle: {}", oracle(selection)));
    }
    Some(parts.join("; ")).filter(|t| !t.is_empty())
}

/// What an oracle's run had of the target's labels.
pub(crate) fn oracle(selection: &Value) -> &'static str {
    match selection["by"] == "oracle" {
        true => "chosen with target labels",
        false => "learned from target labels",
    }
}

fn cost(result: &Value) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(seconds) = result["seconds"].as_f64() {
        parts.push(format!("{seconds:.1} s"));
    }
    if let Some(steps) = result["steps"].as_u64() {
        parts.push(match steps {
            1 => "1 step".into(),
            n => format!("{n} steps"),
        });
    }
    if let Some(mb) = result["peak_rss_mb"].as_u64().filter(|&mb| mb > 0) {
        parts.push(format!("{mb} MiB at most"));
    }
    if let (Some(device), Some(threads)) = (result["device"].as_str(), result["threads"].as_u64()) {
        let threads = match threads {
            1 => "1 thread".to_string(),
            n => format!("{n} threads"),
        };
        parts.push(format!("{device}, {threads}"));
    }
    Some(parts.join(", ")).filter(|t| !t.is_empty())
}

/// Who loads the model of a task without classes (vectors, hidden words): it is there to start from.
fn checkpoint(model: &Value, path: &str) -> String {
    let theirs = match (model["loadable_by"].as_str(), model["why"].as_str()) {
        (Some(by), _) => format!("loads with {by}; "),
        (None, Some(why)) => format!("{why}; "),
        (None, None) => String::new(),
    };
    format!(
        "a checkpoint to start from: `source.checkpoint = \"{path}\"`; {theirs}`predict` has no classes to answer with"
    )
}

fn loadable(model: &Value) -> String {
    match (model["loadable_by"].as_str(), model["why"].as_str()) {
        (Some(by), _) => format!("loads with {by}"),
        (None, Some(why)) if model["reloads"] == false => {
            let ours = model["reloads_why"]
                .as_str()
                .unwrap_or("it is not said why");
            format!("nothing loads it: {why}; tlkit neither: {ours}")
        }
        (None, Some(why)) => format!("only tlkit loads it: {why}"),
        (None, None) => String::new(),
    }
}

fn number(value: &Value) -> String {
    match value.as_f64() {
        Some(v) if v != 0.0 && !(1e-3..1e5).contains(&v.abs()) => format!("{v:e}"),
        Some(v) => {
            let text = format!("{v:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        }
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_finished_run_in_full() {
        let run = Run {
            path: "runs/sentiment/1".into(),
            status: Status::Done,
            result: json!({
                "recipe": "sentiment", "seed": 0, "status": "done", "device": "cpu", "threads": 2,
                "seconds": 61.24, "peak_rss_mb": 312, "steps": 90,
                "strategy": {"kind": "inductive", "method": "fine-tune"},
                "selection": {"by": "validation", "epoch": 4, "oracle": false},
                "metrics": {
                    "validation": {"n": 30, "accuracy": 0.9},
                    "test": {"n": 300, "accuracy": 0.84, "accuracy_interval": [0.794, 0.877],
                             "macro_f1": 0.8399, "mcc": 0.68, "ece": 0.05, "loss": 0.4},
                },
                "model": {"loadable_by": "transformers AutoModelForSequenceClassification"},
            }),
            identity: Value::Null,
            touched: None,
        };
        let expected = "\
sentiment  fine-tune (inductive)  seed 0  done
  test accuracy  0.8400  95 % interval 0.7940 to 0.8770  n = 300
  macro F1       0.8399
  MCC            0.6800
  ECE            0.0500
  loss           0.4000
  validation     accuracy 0.9000  n = 30; epoch 4 kept, by validation
  cost           61.2 s, 90 steps, 312 MiB at most, cpu, 2 threads
  model          runs/sentiment/1/model
                 loads with transformers AutoModelForSequenceClassification
  run            runs/sentiment/1
";
        assert_eq!(result_table(&run, false), expected);
        assert!(result_table(&run, true).contains("\x1b[1m0.8400\x1b[0m"));
    }

    #[test]
    fn a_model_without_classes_is_a_checkpoint() {
        let said = |model: Value| {
            let run = Run {
                path: "runs/vectors/1".into(),
                status: Status::Done,
                result: json!({"recipe": "vectors", "status": "done", "labels": [], "model": model}),
                identity: Value::Null,
                touched: None,
            };
            result_table(&run, false)
        };
        let none = json!({"loadable_by": null, "reloads": false, "reloads_why": "the run makes vectors, and not classes of rows",
            "why": "transformers has no BERT with the head mean; the encoder loads with AutoModel.from_pretrained"});
        let text = said(none);
        assert!(!text.contains("nothing loads it"), "{text}");
        for part in [
            "a checkpoint to start from: `source.checkpoint = \"runs/vectors/1/model\"`; transformers has no BERT",
            "the encoder loads with AutoModel.from_pretrained; `predict` has no classes to answer with",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let text = said(
            json!({"loadable_by": "transformers AutoModelForMaskedLM.from_pretrained", "reloads": false}),
        );
        assert!(
            text.contains(
                "/model\"`; loads with transformers AutoModelForMaskedLM.from_pretrained; `predict`"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_failed_run_says_why() {
        let run = Run {
            path: "r".into(),
            status: Status::Failed,
            result: json!({"recipe": "a", "status": "failed", "error": "the loss is inf"}),
            identity: Value::Null,
            touched: None,
        };
        assert_eq!(
            result_table(&run, false),
            "a  failed\n  error  the loss is inf\n  run    r\n"
        );
        let run = Run {
            result: json!({"recipe": "a", "status": "failed", "error": "no memory\n  take `train.batch_size` = 8"}),
            ..run
        };
        assert_eq!(
            result_table(&run, false),
            "a  failed\n  error  no memory\n           take `train.batch_size` = 8\n  run    r\n"
        );
    }
}

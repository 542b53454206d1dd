//! `model/` of the default head in transformers: the same labels, token ids and logits. Needs a Python with transformers, by the
//! environment variable TLKIT_PYTHON or as `python3`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tlkit_bert::Tokens;
use tlkit_core::data::Found;

/// A Python that can import transformers and torch.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("TLKIT_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| "python3".into());
    let able = Command::new(&python)
        .args(["-c", "import torch, transformers"])
        .output();
    able.is_ok_and(|o| o.status.success()).then_some(python)
}

fn tlkit(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tlkit"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Texts of all kinds, one longer than the limit.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "A fine film, and a long one.",
        "Dull.",
        "It's not bad, isn't it? -- 9/10 (would watch again)...",
        "caf\u{e9} na\u{ef}ve \u{4e2d}\u{6587} \u{1f3ac} resum\u{e9}",
        "UPPER lower MiXeD 1234567 unbelievablyunlikelyword",
        "[MASK] is no mask here, nor is [CLS]",
    ]
    .map(str::to_string)
    .to_vec();
    texts.push("the seats were hard and the film was very long ".repeat(40));
    texts
}

#[test]
fn the_default_head_loads_in_transformers_with_the_same_logits() {
    let Some(python) = python() else {
        println!("skipped: no Python with transformers (TLKIT_PYTHON names one)");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    // Three classes, so that an order of them that is wrong is seen; weights that have moved.
    let rows: String = (0..60)
        .map(|i| {
            let (label, word) = [
                ("zinc", "grey"),
                ("amber", "yellow"),
                ("moss & fern", "green"),
            ][i % 3];
            format!("the {word} one, number {i}\t{label}\n")
        })
        .collect();
    std::fs::write(dir.path().join("rows.tsv"), format!("text\tlabel\n{rows}")).expect("written");
    let mut checkpoints = vec!["builtin:bert-mini".to_string()];
    let minilm =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/checkpoints/all-MiniLM-L6-v2");
    if minilm.is_dir() {
        checkpoints.push(minilm.display().to_string());
    } else {
        println!("skipped: no ../shared/data/checkpoints/all-MiniLM-L6-v2");
    }
    for (i, checkpoint) in checkpoints.iter().enumerate() {
        let recipe = format!(
            "[source]\ncheckpoint = {}\nmax_length = 64\n[target]\ntask = \"text-classification\"\ntrain = \"rows.tsv\"\n\
             [strategy]\nkind = \"inductive\"\nmethod = \"fine-tune\"\n[train]\nmax_steps = 8\n",
            json!(checkpoint)
        );
        std::fs::write(dir.path().join("recipe.toml"), recipe).expect("written");
        let out = format!("run-{i}");
        tlkit(
            &["run", "recipe.toml", "--quiet", "--out", &out],
            dir.path(),
        );
        let model = dir.path().join(&out).join("model");
        compare(&python, dir.path(), &model);
    }
}

/// One network in every format that checkpoints come in trains to the same bits.
#[test]
fn every_format_of_a_checkpoint_is_the_same_network() {
    let Some(python) = python() else {
        println!("skipped: no Python with transformers (TLKIT_PYTHON names one)");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/formats.py");
    let written = Command::new(&python)
        .arg(script)
        .arg(dir.path())
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("Python starts");
    let err = String::from_utf8_lossy(&written.stderr);
    assert!(written.status.success(), "{err}");
    let rows: String = (0..40)
        .map(|i| format!("a {0} film number {i}\t{0}\n", ["good", "bad"][i % 2]))
        .collect();
    std::fs::write(dir.path().join("rows.tsv"), format!("text\tlabel\n{rows}")).expect("written");
    let weights = |format: &str| {
        let recipe = format!(
            "[source]\ncheckpoint = {format:?}\n[target]\ntask = \"text-classification\"\ntrain = \"rows.tsv\"\n\
             [strategy]\nkind = \"inductive\"\nmethod = \"fine-tune\"\n[train]\nmax_steps = 2\n"
        );
        std::fs::write(dir.path().join("recipe.toml"), recipe).expect("written");
        let out = format!("run-{format}");
        tlkit(
            &["run", "recipe.toml", "--quiet", "--out", &out],
            dir.path(),
        );
        let result = dir.path().join(out).join("result.json");
        let result = std::fs::read(result).expect("a result");
        let result: Value = serde_json::from_slice(&result).expect("JSON");
        result["weights_sha256"].clone()
    };
    let whole = weights("whole");
    assert!(whole.is_string());
    for format in ["sharded", "zip", "old", "python2"] {
        assert_eq!(weights(format), whole, "{format}");
    }
}

fn compare(python: &Path, folder: &Path, model: &Path) {
    let name = model.display().to_string();
    let mut arguments = vec![
        "predict".to_string(),
        name.clone(),
        "--format".into(),
        "jsonl".into(),
    ];
    for text in texts() {
        arguments.extend(["--text".to_string(), text]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = tlkit(&arguments, folder);
    let tokens = Tokens::of(&Found::Folder(model.to_path_buf()), 64).expect("a tokenizer");
    let mut lines = String::new();
    for (text, line) in texts().iter().zip(said.lines()) {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let by_class = row["probabilities"].as_object().expect("by class");
        let probabilities: Vec<&Value> = by_class.values().collect();
        let (ids, _, _) = tokens.encode(text, None).expect("ids");
        let row = json!({ "text": text, "ids": ids, "max_length": 64, "probabilities": probabilities, "label": row["prediction"] });
        lines.push_str(&format!("{row}\n"));
    }
    let rows = folder.join("rows.jsonl");
    std::fs::write(&rows, lines).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/transformers.py");
    let output = Command::new(python)
        .arg(script)
        .arg(model)
        .arg(&rows)
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("Python starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{name}: {out}{err}");
    let said: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    println!("{name}: {said}");
    assert_eq!(said["labels"], json!(["amber", "moss & fern", "zinc"]));
    assert_eq!(said["rows"], texts().len());
}

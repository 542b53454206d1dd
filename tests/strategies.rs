//! Whole runs of strategies that a small world cannot try: a teacher that is a run, LoRA's export, the cache between processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use assert_cmd::Command;
use serde_json::Value;
use tlkit_core::data::{Input, Resolve, Samples};
use tlkit_core::outside::{Output, Outside};
use tlkit_core::registry::{Context, Registry};
use tlkit_core::train::Silent;

/// A recipe on the built-in reviews, shortened.
fn recipe(dir: &Path, strategy: &str) -> PathBuf {
    let text = format!(
        "[source]\ncheckpoint = \"builtin:bert-mini\"\n\
         [target]\ntask = \"text-classification\"\ntrain = \"builtin:reviews/films/train\"\n\
         validation = \"builtin:reviews/films/validation\"\ntest = \"builtin:reviews/films/test\"\nper_class = 40\n\
         [strategy]\nkind = \"inductive\"\n{strategy}\n[train]\nmax_steps = 6\nbatch_size = 8\n"
    );
    let path = dir.join("recipe.toml");
    std::fs::write(&path, text).expect("written");
    path
}

fn run(recipe: &Path, out: &Path, cache: &Path, sets: &[&str]) -> Value {
    let mut command = Command::cargo_bin("tlkit").expect("the binary");
    command
        .arg("run")
        .arg(recipe)
        .arg("--quiet")
        .arg("--out")
        .arg(out);
    for set in sets {
        command.args(["--set", set]);
    }
    let output = command.env("TLKIT_CACHE", cache).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    result(out)
}

fn result(out: &Path) -> Value {
    let text = std::fs::read_to_string(out.join("result.json")).expect("result.json");
    serde_json::from_str(&text).expect("JSON")
}

fn entries(cache: &Path) -> usize {
    let files = std::fs::read_dir(cache.join("rows")).into_iter().flatten();
    files
        .map(|f| f.expect("a file").path())
        .inspect(|p| {
            assert_eq!(
                p.extension().and_then(|e| e.to_str()),
                Some("rows"),
                "{p:?}"
            )
        })
        .count()
}

struct Texts(Vec<String>);

impl Samples for Texts {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn id(&self, row: usize) -> String {
        row.to_string()
    }
    fn input(&self, row: usize) -> tlkit_core::Result<Input<'_>> {
        Ok(Input::Text(self.0[row].as_str().into()))
    }
}

/// The head in a run's `model/` answers as the run did, and a student hears it.
#[test]
fn a_finished_run_is_a_teacher() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cache, large) = (dir.path().join("cache"), dir.path().join("large"));
    let plain = recipe(dir.path(), "method = \"fine-tune\"");
    run(&plain, &large, &cache, &[]);

    let mut registry = Registry::new();
    tlkit_bert::register(&mut registry).expect("registered");
    let resolve: Arc<dyn Resolve> = Arc::new(tlkit_hub::Hub::from_env());
    let cx = Context::new(&registry, &resolve, dir.path());
    let source = cx.source("large", "").expect("a source");
    let teacher = Outside::new("large", source, Output::Logits).expect("a teacher");
    assert_eq!(teacher.classes(), ["negative", "positive"]);
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/reviews/films/test.tsv");
    let test = std::fs::read_to_string(test).expect("reviews");
    let texts = test
        .lines()
        .skip(1)
        .map(|l| l.split('\t').next().unwrap_or_default());
    let texts = Texts(texts.map(str::to_string).collect());
    let said = teacher.rows(&texts, None, &Silent).expect("answers");
    let predictions = std::fs::read_to_string(large.join("predictions.jsonl")).expect("rows");
    assert_eq!(predictions.lines().count(), said.len());
    let mut widest = 0f64;
    for (row, line) in predictions.lines().enumerate() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let p = line["probabilities"][1].as_f64().expect("a number");
        let logits = said.row(row);
        let ours = 1.0 / (1.0 + f64::from(logits[0] - logits[1]).exp());
        widest = widest.max((p - ours).abs());
    }
    println!("largest difference {widest:e}");
    assert!(widest < 1e-5, "{widest}");

    let taught = "method = \"distill\"\nteacher = \"large\"";
    let small = recipe(dir.path(), taught);
    let one = run(&small, &dir.path().join("small"), &cache, &[]);
    assert_eq!(entries(&cache), 1);
    let off = ["train.cache=false"];
    let two = run(&small, &dir.path().join("again"), &cache, &off);
    assert_eq!(one["weights_sha256"], two["weights_sha256"]);
}

/// A run reads its texts as long as it did when it was evaluated, and one whose answers are not its network's own says so.
#[test]
fn a_run_is_the_teacher_that_was_evaluated() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    let short = ["source.max_length=12"];
    let plain = recipe(dir.path(), "method = \"feature-extraction\"");
    run(&plain, &dir.path().join("short"), &cache, &short);
    let votes = recipe(dir.path(), "method = \"knn\"");
    run(&votes, &dir.path().join("votes"), &cache, &short);
    let mut registry = Registry::new();
    tlkit_bert::register(&mut registry).expect("registered");
    let resolve: Arc<dyn Resolve> = Arc::new(tlkit_hub::Hub::from_env());
    let cx = Context::new(&registry, &resolve, dir.path());
    let read = |more: &str| {
        let source = cx.source("short", more).expect("a source");
        source.prepare().expect("a preparation").digest()
    };
    assert_eq!(read(""), read("max_length = 12\n"));
    assert_ne!(read(""), read("max_length = 128\n"));
    assert_eq!(cx.changed("short").expect("a run"), None);
    let why = cx.changed("votes").expect("a run").expect("votes");
    assert!(why.contains("`knn`"), "{why}");
}

#[test]
fn a_run_that_has_not_finished_is_no_teacher_and_classes_must_agree() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    std::fs::create_dir(dir.path().join("begun")).expect("made");
    std::fs::write(dir.path().join("begun/recipe.toml"), "").expect("written");
    let refused = |strategy: &str, sets: &[&str]| {
        let recipe = recipe(dir.path(), strategy);
        let mut command = Command::cargo_bin("tlkit").expect("the binary");
        command
            .arg("run")
            .arg(recipe)
            .arg("--out")
            .arg(dir.path().join("refused"));
        for set in sets {
            command.args(["--set", set]);
        }
        let output = command
            .env("TLKIT_CACHE", &cache)
            .output()
            .expect("it runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused("method = \"distill\"\nteacher = \"begun\"", &[]);
    assert!(said.contains("a run that has not finished"), "{said}");
    assert!(said.contains("teacher = \"begun\""), "{said}");
    for method in ["lora", "bitfit", "gradual-unfreeze"] {
        let strategy = format!("method = \"{method}\"");
        let said = refused(&strategy, &["train.layer_decay=0.9"]);
        for part in [
            "train.layer_decay=0.9",
            "layer_decay` out",
            "strategy.decay",
        ] {
            let meant = part == "train.layer_decay=0.9"
                || (part == "strategy.decay") == (method == "gradual-unfreeze");
            assert_eq!(said.contains(part), meant, "{method}: {said}");
        }
    }
    let said = refused("method = \"distill\"\nteacher = \"builtin:bert-mini\"", &[]);
    assert!(
        said.contains("has no classification head to learn from"),
        "{said}"
    );

    for what in ["film", "play", "book"] {
        let rows: String = (0..40)
            .map(|i| format!("{what} number {i}\t{}\n", ["good", "bad"][i % 2]))
            .collect();
        let file = dir.path().join(format!("{what}.tsv"));
        std::fs::write(file, format!("text\tlabel\n{rows}")).expect("written");
    }
    let plain = recipe(dir.path(), "method = \"fine-tune\"");
    run(&plain, &dir.path().join("large"), &cache, &[]);
    let other = format!("target.train={}", dir.path().join("film.tsv").display());
    let taught = "method = \"distill\"\nteacher = \"large\"";
    let said = refused(
        taught,
        &[
            &other,
            "target.per_class=10",
            "target.validation=play.tsv",
            "target.test=book.tsv",
        ],
    );
    assert!(
        said.contains("tells negative, positive apart, and the target bad, good"),
        "{said}"
    );
    let weights = ["target.class_weights=[1.0, 4.0]", "train.micro_batch=2"];
    let said = refused(taught, &weights);
    assert!(said.contains("a batch of distill is not cut"), "{said}");
}

/// Vectors need no labels: plain text, one passage a line.
#[test]
fn vectors_are_learned_from_plain_text() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    let lines: String = (0..60)
        .map(|i| format!("passage number {i} says that film {} was long\n", i % 7))
        .collect();
    std::fs::write(dir.path().join("plain.txt"), lines).expect("written");
    let text = "[source]\ntask = \"bert\"\nvocabulary = \"builtin:bert-mini\"\nlayers = 1\nwidth = 32\nheads = 2\n\
         [target]\ntask = \"text-vectors\"\ntrain = \"plain.txt\"\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"distill\"\nof = \"features\"\nteacher = \"builtin:bert-mini\"\n\
         [train]\nepochs = 12\nbatch_size = 8\nlearning_rate = 3e-3\n";
    let recipe = dir.path().join("vectors.toml");
    std::fs::write(&recipe, text).expect("written");
    let out = dir.path().join("out");
    let result = run(&recipe, &out, &cache, &[]);
    assert_eq!(result["status"], "done");
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    let distance: Vec<f64> = metrics
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).expect("JSON"))
        .filter(|l| l["epoch"].is_u64())
        .map(|l| l["teacher"].as_f64().expect("a distance"))
        .collect();
    let (first, last) = (distance[0], distance[distance.len() - 1]);
    println!("{first:.3} to {last:.3}");
    assert!(last < 0.5 * first, "{first} to {last}");
    // The map to the teacher's width is left behind.
    let bytes = std::fs::read(out.join("model/model.safetensors")).expect("weights");
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(20_000)]).into_owned();
    assert!(text.contains("encoder.layer.0") && !text.contains("distill"));
}

/// A share of 0 leaves the labels alone: nothing is mapped to the teacher's width, which would be a layer that never learns.
#[test]
fn a_share_of_nothing_is_no_map_that_cannot_learn() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cache, out) = (dir.path().join("cache"), dir.path().join("out"));
    let taught =
        "method = \"distill\"\nof = \"features\"\nalpha = 0.0\nteacher = \"builtin:bert-mini\"";
    let result = run(&recipe(dir.path(), taught), &out, &cache, &[]);
    assert_eq!(result["status"], "done");
}

/// Two processes at once, on one cache: both end, alike, and each set of features was kept once.
#[test]
fn two_processes_share_the_cache() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    let recipe = recipe(dir.path(), "method = \"feature-extraction\"");
    let start = |out: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_tlkit"))
            .arg("run")
            .arg(&recipe)
            .arg("--quiet")
            .arg("--out")
            .arg(dir.path().join(out))
            .env("TLKIT_CACHE", &cache)
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts")
    };
    let mut both = [start("a"), start("b")];
    for run in &mut both {
        assert!(run.wait().expect("it ends").success());
    }
    // Training, validation and test rows.
    assert_eq!(entries(&cache), 3);
    let off = ["train.cache=false"];
    let without = run(
        &recipe,
        &dir.path().join("c"),
        &dir.path().join("none"),
        &off,
    );
    assert_eq!(entries(&dir.path().join("none")), 0);
    for out in ["a", "b"] {
        let with = result(&dir.path().join(out));
        assert_eq!(with["weights_sha256"], without["weights_sha256"]);
        assert_eq!(with["metrics"], without["metrics"]);
        let read = |out: &str| std::fs::read(dir.path().join(out).join("predictions.jsonl"));
        assert_eq!(read(out).expect("rows"), read("c").expect("rows"));
    }
}

/// A recipe of masked language modelling on the built-in reviews, shortened.
fn masked(dir: &Path, checkpoint: &str, strategy: &str) -> PathBuf {
    let text = format!(
        "[source]\ncheckpoint = {checkpoint:?}\nmax_length = 24\n\
         [target]\ntask = \"masked-language-modelling\"\ntrain = \"builtin:reviews/kitchen/train\"\nlimit = 64\n\
         validation = \"builtin:reviews/kitchen/validation\"\n\
         [strategy]\nkind = \"inductive\"\n{strategy}\n[train]\nepochs = 1\nbatch_size = 8\n"
    );
    let path = dir.join("recipe.toml");
    std::fs::write(&path, text).expect("written");
    path
}

/// The head is in the checkpoint: who goes on from `model/` begins with the loss that the run ended with.
#[test]
fn masked_language_modelling_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cache, out) = (dir.path().join("cache"), dir.path().join("out"));
    let first = masked(dir.path(), "builtin:bert-mini", "method = \"fine-tune\"");
    let ended = run(&first, &out, &cache, &["train.learning_rate=1e-3"]);
    let on = masked(dir.path(), "out/model", "method = \"fine-tune\"");
    let still = ["train.learning_rate=1e-30"];
    let on = run(&on, &dir.path().join("on"), &cache, &still);
    let loss = |result: &Value| result["metrics"]["validation"]["loss"].as_f64();
    let (ended, on) = (loss(&ended).expect("a loss"), loss(&on).expect("a loss"));
    assert!((ended - on).abs() < 1e-6, "{ended} and {on}");
}

/// The output of masked language modelling is tied to the word embeddings, which are the encoder's, and stay where that stays.
#[test]
fn word_embeddings_stay_where_only_a_few_weights_train() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    let words = |file: &Path| {
        let bytes = std::fs::read(file).expect("weights");
        let n = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + n]).expect("JSON");
        let at = &header["bert.embeddings.word_embeddings.weight"]["data_offsets"];
        let at = |i: usize| 8 + n + at[i].as_u64().expect("a place") as usize;
        bytes[at(0)..at(1)].to_vec()
    };
    // Embeddings that are frozen by name say how they lie in the file.
    let mut before = None;
    for (method, moves) in [
        ("method = \"fine-tune\"\nfreeze = \"embeddings\"", false),
        ("method = \"lora\"", false),
        ("method = \"bitfit\"", false),
        ("method = \"fine-tune\"", true),
    ] {
        let recipe = masked(dir.path(), "builtin:bert-mini", method);
        let out = dir.path().join(method.len().to_string());
        run(&recipe, &out, &cache, &["train.max_steps=2"]);
        let now = words(&out.join("model/model.safetensors"));
        let before = before.get_or_insert_with(|| now.clone());
        assert_eq!(*before != now, moves, "{method}");
    }
}

/// After LoRA `model/` is a BERT like any other: read back as a teacher it answers as the run did, and its tensors have the usual names.
#[test]
fn a_lora_run_leaves_a_plain_model() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cache, out) = (dir.path().join("cache"), dir.path().join("out"));
    let adapted = recipe(
        dir.path(),
        "method = \"lora\"\nadapter_learning_rate = 1e-2",
    );
    let lora = run(&adapted, &out, &cache, &[]);
    assert_eq!(lora["fits"]["merged"], 8.0);
    assert!(
        lora["model"]["loadable_by"].is_string(),
        "{}",
        lora["model"]
    );
    let names = |path: PathBuf| {
        let bytes = std::fs::read(path).expect("weights");
        let n = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + n]).expect("JSON");
        let mut names: Vec<String> = header.as_object().expect("names").keys().cloned().collect();
        names.sort();
        names
    };
    let plain = dir.path().join("plain");
    let usual = recipe(dir.path(), "method = \"fine-tune\"");
    run(&usual, &plain, &cache, &[]);
    assert_eq!(
        names(out.join("model/model.safetensors")),
        names(plain.join("model/model.safetensors"))
    );
}

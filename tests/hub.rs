//! The whole program and a hub on loopback: validate, run, explain, offline, and errors at the recipe's line.

#[path = "../hub/tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::Server;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

const RECIPE: &str = "\
[source]
checkpoint = \"hf:acme/mini\"
[target]
task = \"text-classification\"
train = \"hf:datasets/acme/films#train\"
test = \"hf:datasets/acme/films@main#test\"
[strategy]
kind = \"inductive\"
method = \"fine-tune\"
[train]
max_steps = 2
";

struct Bench {
    server: Server,
    dir: tempfile::TempDir,
}

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Bench {
    /// The small BERT, and two files of reviews that together are the training split.
    fn new() -> Bench {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let read = |name: &str| fs::read(assets.join(name)).expect(name);
        let server = Server::start();
        let names = [
            "config.json",
            "tokenizer.json",
            "vocab.txt",
            "model.safetensors",
        ];
        let files = names.map(|n| (n, read(&format!("bert-mini/{n}"))));
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
        server.add("models/acme/mini", COMMIT, &files);
        let rows = |split: &str| read(&format!("reviews/films/{split}.tsv"));
        let (train, more, test) = (rows("train"), rows("validation"), rows("test"));
        server.add(
            "datasets/acme/films",
            COMMIT,
            &[
                ("data/train-00000-of-00002.tsv", &train),
                ("data/train-00001-of-00002.tsv", &more),
                ("data/test-00000-of-00001.tsv", &test),
            ],
        );
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("recipe.toml"), RECIPE).expect("written");
        Bench { server, dir }
    }

    fn tlkit(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = Command::cargo_bin("tlkit").expect("the binary is built");
        for name in [
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HF_DATASETS_OFFLINE",
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_TOKEN_PATH",
            "HUGGING_FACE_HUB_TOKEN",
        ] {
            command.env_remove(name);
        }
        let output = command
            .current_dir(self.dir.path())
            .env("HF_ENDPOINT", &self.server.address)
            .env("HF_HOME", self.dir.path().join("hf"))
            .envs(variables.iter().copied())
            .args(arguments)
            .output()
            .expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Ended {
    #[track_caller]
    fn code(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

#[test]
fn a_run_downloads_pins_and_then_needs_no_network() {
    let bench = Bench::new();
    let looked = bench.tlkit(&["validate", "recipe.toml"], &[]).code(0);
    assert_eq!(
        looked.out,
        "recipe.toml: ok, as far as it can be checked before the download\n"
    );
    assert!(
        looked
            .err
            .contains("warning: not checked: `hf:acme/mini` needs the download"),
        "{}",
        looked.err
    );
    assert!(
        looked.err.contains("--> recipe.toml:2:14"),
        "{}",
        looked.err
    );
    assert_eq!(bench.server.asked(), [] as [&str; 0]);

    let ran = bench
        .tlkit(&["run", "recipe.toml", "--out", "run"], &[])
        .code(0);
    for said in [
        &format!("`hf:acme/mini` is at commit {COMMIT}"),
        "downloading acme/mini/model.safetensors, ",
        "downloading acme/films/data/train-00001-of-00002.tsv, ",
        &format!("bert, hf:acme/mini@{COMMIT}"),
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    let recipe = fs::read_to_string(bench.dir.path().join("run/recipe.toml")).expect("written");
    for pinned in [
        format!("checkpoint = \"hf:acme/mini@{COMMIT}\""),
        format!("train = \"hf:datasets/acme/films@{COMMIT}#train\""),
        format!("test = \"hf:datasets/acme/films@{COMMIT}#test\""),
    ] {
        assert!(recipe.contains(&pinned), "{pinned}: {recipe}");
    }
    let rows = |name: &str| {
        let path = format!("assets/reviews/films/{name}.tsv");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        text.expect("reviews").lines().count() - 1
    };
    let predictions =
        fs::read_to_string(bench.dir.path().join("run/predictions.jsonl")).expect("predictions");
    assert_eq!(predictions.lines().count(), rows("test"));

    // The written recipe is the same run, and neither it nor the branch needs the network any more.
    let offline = [("HF_HUB_OFFLINE", "1")];
    bench.server.asked();
    let again = bench
        .tlkit(&["validate", "run/recipe.toml", "recipe.toml"], &offline)
        .code(0);
    assert_eq!(again.out, "run/recipe.toml: ok\nrecipe.toml: ok\n");
    bench
        .tlkit(
            &["run", "run/recipe.toml", "--out", "second", "--quiet"],
            &offline,
        )
        .code(0);
    let identity = |run: &str| {
        let text =
            fs::read_to_string(bench.dir.path().join(run).join("result.json")).expect("a result");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["identity"].clone()
    };
    assert_eq!(identity("run"), identity("second"));
    assert_eq!(bench.server.asked(), [] as [&str; 0]);
    let explained = bench
        .tlkit(&["explain", "recipe.toml"], &offline)
        .code(0)
        .out;
    assert!(
        explained.contains(&format!("\"hf:acme/mini@{COMMIT}\"")),
        "{explained}"
    );
}

#[test]
fn quiet_is_quiet_and_an_error_stands_at_its_line() {
    let bench = Bench::new();
    let ran = bench
        .tlkit(&["run", "recipe.toml", "--out", "run", "--json"], &[])
        .code(0);
    assert_eq!(ran.err, "");
    let wrong = [
        "validate",
        "recipe.toml",
        "--set",
        "source.checkpoint=hf:acme/mini#train",
    ];
    let wrong = bench.tlkit(&wrong, &[]).code(2);
    assert!(wrong.err.contains("a model has no splits"), "{}", wrong.err);
    fs::write(
        bench.dir.path().join("no.toml"),
        RECIPE.replace("acme/mini", "acme/maxi"),
    )
    .expect("written");
    let refused = bench.tlkit(&["run", "no.toml"], &[]).code(2);
    assert!(
        refused.err.contains("has no model `acme/maxi`"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("--> no.toml:2:14"), "{}", refused.err);
    fs::write(
        bench.dir.path().join("off.toml"),
        RECIPE.replace("acme/films#", "acme/books#"),
    )
    .expect("written");
    let offline = bench
        .tlkit(&["run", "off.toml"], &[("TRANSFORMERS_OFFLINE", "1")])
        .code(2);
    assert!(
        offline.err.contains("TRANSFORMERS_OFFLINE is set"),
        "{}",
        offline.err
    );
    assert!(offline.err.contains("--> off.toml:5:9"), "{}", offline.err);
}

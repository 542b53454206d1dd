//! Examples and new plugins in Rust: crates of their own, built outside the workspace.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::Bench;
use crate::compile::{ROOT, tlkit};
use crate::examples::{clean, inside, of_the_guide, shifted};

/// Builds a crate by itself, in one target folder for all of them, that is kept between runs of this test: Candle takes minutes, and is
/// compiled once.
fn cargo(folder: &Path, arguments: &[&str]) {
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        // The versions that are on this machine.
        fs::copy(Path::new(ROOT).join("Cargo.lock"), &lock).expect("copied");
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    let (verb, rest) = arguments.split_first().expect("a verb");
    let built = Command::new(env!("CARGO"))
        .args([verb, "--release", "--offline", "--target-dir"])
        .arg(&target)
        .args(rest)
        .current_dir(folder)
        .status();
    assert!(built.expect("cargo runs").success(), "{}", folder.display());
    if *verb != "build" {
        return;
    }
    let name = folder
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .replace('-', "_");
    let library = format!(
        "{}{name}{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    fs::create_dir_all(folder.join("target/release")).expect("a folder");
    fs::copy(
        target.join("release").join(&library),
        folder.join("target/release").join(&library),
    )
    .expect("copied");
}

/// An example in Rust from a clean folder: tested, built, checked. What the check said.
fn in_rust(bench: &Bench, name: &str) -> String {
    in_rust_with(bench, name, &[])
}

/// The same with keys to check with.
fn in_rust_with(bench: &Bench, name: &str, keys: &[&str]) -> String {
    let folder = clean(bench, name);
    let sdk = Path::new(ROOT).join("plugins/sdk");
    let file = format!("{name}/Cargo.toml");
    let manifest = bench.read(&file);
    bench.write(
        &file,
        &manifest.replace("\"../..\"", &format!("{:?}", sdk.display().to_string())),
    );
    cargo(&folder, &["test"]);
    cargo(&folder, &["build"]);
    let library = format!("target/release/{}", name.replace('-', "_"));
    let mut words = vec!["plugins", "check", library.as_str()];
    words.extend(keys.iter().flat_map(|key| ["--key", *key]));
    let ended = inside(bench, name, &words).code(0);
    assert!(!ended.out.contains("FAILED"), "{}", ended.out);
    ended.out
}

#[test]
fn mlp_mixer_in_rust() {
    let bench = Bench::new();
    let checked = in_rust(&bench, "mlp-mixer");
    assert!(
        checked.contains(
            "source task mlp-mixer: the gradients of every stage are those of finite differences"
        ),
        "{checked}"
    );
    let run = ["run", "mlp-mixer.toml", "-q", "--out", "done"];
    let short = ["--set", "train.epochs=10"];
    inside(&bench, "mlp-mixer", &[&run[..], &short].concat()).code(0);
    let result = bench.json("mlp-mixer/done/result.json");
    let accuracy = result["metrics"]["test"]["accuracy"].as_f64();
    // Ten kinds: by chance a tenth.
    assert!(accuracy.expect("a number") > 0.15, "{}", result["metrics"]);
    assert_eq!(result["model"]["reloads"], true);
    // A mistake in one of its keys is at its place.
    let set = ["validate", "mlp-mixer.toml", "--set", "source.patch=5"];
    let ended = inside(&bench, "mlp-mixer", &set).code(2);
    assert!(
        ended
            .err
            .contains("patches of 5 pixels do not fill a side of 32"),
        "{}",
        ended.err
    );
}

#[test]
fn wav_folder_in_rust() {
    let bench = Bench::new();
    let checked = in_rust(&bench, "wav-folder");
    for entry in [
        "source task mel-spectrogram: the gradients",
        "metric worst-recall: the order of rows",
        "target task wav-folder: what it is made of",
        "reader wav-folder: a file of noise",
    ] {
        assert!(checked.contains(entry), "{entry}: {checked}");
    }
    let folder = bench.path("wav-folder");
    cargo(&folder, &["run", "--example", "tones"]);
    let run = ["run", "wav-folder.toml", "-q", "--out", "done"];
    inside(&bench, "wav-folder", &run).code(0);
    let result = bench.json("wav-folder/done/result.json");
    let test = &result["metrics"]["test"];
    // Three kinds, which a rising pitch tells apart.
    assert!(test["accuracy"].as_f64().expect("a number") > 0.8, "{test}");
    let worst = test["worst_recall"].as_f64().expect("its own metric");
    assert!(worst > 0.5 && worst <= 1.0, "{test}");
    // The folder is opened by the plugin, which the model brings along.
    let predict = ["predict", "done", "tones/test"];
    let ended = inside(&bench, "wav-folder", &predict).code(0);
    assert_eq!(ended.out.lines().count(), 60, "{}", ended.out);
}

/// The same losses, step by step, as the strategy that tlkit brings itself.
#[test]
fn dann_outside_is_dann_inside() {
    let bench = Bench::new();
    // Without hidden layers, whose kinks no difference sees. What goes back to the features is turned around, by as much as at this progress.
    let checked = in_rust_with(&bench, "outside-dann", &["discriminator=[]"]);
    let ok = "ok      loss term discriminator: its gradients are those of finite differences";
    let line = checked.lines().find(|l| l.starts_with(ok));
    let line = line.unwrap_or_else(|| panic!("{checked}"));
    // 2 / (1 + exp(-10 * 0.25)) - 1
    assert!(
        line.contains("turned: features:0 times -0.848, features:1 times -0.848"),
        "{line}"
    );
    let rows = crate::bench::rows(200);
    bench.write("shifted.csv", &shifted(&rows));
    let trajectory = |method: &str, more: &str| -> Vec<serde_json::Value> {
        let recipe = format!(
            "[source]\ntask = \"features\"\ntrain = \"rows.csv\"\n[target]\ntask = \"classification\"\nunlabelled = \"shifted.csv\"\ntest = \"unlabelled\"\n\
             [strategy]\nkind = \"transductive\"\nmethod = \"{method}\"\n{more}\
             [train]\nepochs = 12\nbatch_size = 32\nlearning_rate = 3e-3\n[[plugins]]\npath = \"outside-dann/target/release/outside_dann\"\n"
        );
        bench.write("dann.toml", &recipe);
        // The plugin's own folder has its name.
        let out = format!("run-{method}");
        tlkit(&bench, &["run", "dann.toml", "-q", "--out", &out]).code(0);
        let lines = bench.read(&format!("{out}/metrics.jsonl"));
        let lines = lines
            .lines()
            .map(|l| serde_json::from_str(l).expect("JSON"));
        lines.collect()
    };
    let inside = trajectory("dann", "");
    let outside = trajectory("outside-dann", "width = 64\n");
    assert_eq!(inside.len(), outside.len());
    let mut compared = 0;
    for (ours, theirs) in inside.iter().zip(&outside) {
        assert_eq!(ours["step"], theirs["step"]);
        for (own, other) in [("loss", "loss"), ("domain", "discriminator")] {
            let (Some(a), Some(b)) = (ours[own].as_f64(), theirs[other].as_f64()) else {
                continue;
            };
            assert!((a - b).abs() < 1e-5, "{ours}\n{theirs}");
            compared += 1;
        }
    }
    // Every step of both phases, and both terms of the second.
    assert!(compared > 150, "{compared}");
}

#[test]
fn huber_alignment_and_new_plugins_in_rust() {
    let bench = Bench::new();
    let checked = in_rust(&bench, "huber-alignment");
    assert!(
        checked.contains("ok      loss term gap: its gradients are those of finite differences"),
        "{checked}"
    );
    let run = [
        "run",
        "huber-alignment.toml",
        "-q",
        "--set",
        "train.max_steps=2",
    ];
    inside(&bench, "huber-alignment", &run).code(0);
    let ended = inside(
        &bench,
        "huber-alignment",
        &["explain", "huber-alignment.toml"],
    )
    .code(0);
    assert!(
        ended.out.contains("delta = 1.0  # default: "),
        "{}",
        ended.out
    );

    for (name, kind) in [
        ("my-strategy", "strategy"),
        ("my-reader", "reader"),
        ("my-encoder", "source-task"),
        ("my-task", "target-task"),
        ("my-metric", "metric"),
    ] {
        tlkit(&bench, &["plugins", "new", name, "--kind", kind]).code(0);
        let folder = bench.path(name);
        cargo(&folder, &["test"]);
        cargo(&folder, &["build"]);
        let library = format!("target/release/{}", name.replace('-', "_"));
        let ended = inside(&bench, name, &["plugins", "check", &library]).code(0);
        assert!(!ended.out.contains("FAILED"), "{}", ended.out);
        inside(
            &bench,
            name,
            &[
                "run",
                &format!("{name}.toml"),
                "-q",
                "--set",
                "train.max_steps=2",
            ],
        )
        .code(0);
    }
}

/// The guide's second list of commands, word for word; but what `cargo` builds lies in the folder that these tests share, and is copied.
#[test]
fn the_guide_in_rust_as_it_stands() {
    let bench = Bench::new();
    let commands = of_the_guide(1);
    assert_eq!(commands.len(), 5, "{commands:?}");
    for command in commands.iter().flat_map(|line| line.split(" && ")) {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["cd", "mine"] => {}
            ["cargo", verb, "--release"] => cargo(&bench.path("mine"), &[verb]),
            ["tlkit", "plugins", "new", ..] => drop(tlkit(&bench, &words[1..]).code(0)),
            ["tlkit", ..] => {
                let ended = inside(&bench, "mine", &words[1..]).code(0);
                assert!(!ended.out.contains("FAILED"), "{}", ended.out);
            }
            _ => panic!("what is `{command}`?"),
        }
    }
}

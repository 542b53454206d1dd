//! Examples and new plugins in Rust: crates of their own, built outside the workspace.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::Bench;
use crate::compile::{ROOT, compiler, library, tlkit};
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
    lives_where_it_may(&bench);
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

/// The mixer as a library of tlkit.h 1.2, whose parameters lie in the host, trains and goes on from a checkpoint with the same bits.
fn lives_where_it_may(bench: &Bench) {
    let Some(compiler) = compiler() else { return };
    let built = bench.path("mlp-mixer/target/release").join(format!(
        "{}mlp_mixer{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    let inner = format!("INNER=\"{}\"", built.display());
    let source = Path::new(ROOT).join("tests/plugins/older.c");
    let older = bench.path("mlp-mixer/libolder.so");
    library(&compiler, &source, &[&inner], &older);
    let recipe = bench.read("mlp-mixer/mlp-mixer.toml");
    let path = "path = \"target/release/mlp_mixer\"";
    assert!(recipe.contains(path), "{recipe}");
    bench.write(
        "mlp-mixer/older.toml",
        &recipe.replace(path, "path = \"libolder.so\""),
    );
    let ended = inside(bench, "mlp-mixer", &["plugins", "check", "libolder.so"]).code(0);
    assert!(!ended.out.contains("FAILED"), "{}", ended.out);
    assert!(
        ended.out.contains("they lie in the host's"),
        "{}",
        ended.out
    );
    for (name, more) in [
        ("fresh", &[][..]),
        (
            "on",
            &[
                "source.checkpoint=\"fresh-mlp-mixer/model\"",
                "strategy.method=fine-tune",
            ],
        ),
    ] {
        let sums = ["mlp-mixer", "older"].map(|recipe| {
            let (file, out) = (format!("{recipe}.toml"), format!("{name}-{recipe}"));
            let run = ["run", &file, "-q", "--out", &out];
            let mut run = [&run[..], &["--set", "train.max_steps=12"]].concat();
            run.extend(more.iter().flat_map(|more| ["--set", *more]));
            inside(bench, "mlp-mixer", &run).code(0);
            let result = bench.json(&format!("mlp-mixer/{out}/result.json"));
            assert_eq!(result["model"]["reloads"], true, "{result}");
            result["weights_sha256"].to_string()
        });
        assert_eq!(sums[0], sums[1], "{name}");
    }
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

/// Where there is no source tree, a new plugin names the SDK by the tag of its version in a repository: one that is made here, of this checkout.
#[test]
fn a_new_plugin_finds_the_sdk_by_a_git_tag() {
    let bench = Bench::new();
    let version = env!("CARGO_PKG_VERSION");
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        let ended = git.args(arguments).current_dir(bench.path(".")).output();
        ended.is_ok_and(|e| e.status.success())
    };
    if !cfg!(unix) || !git(&["clone", "-q", "--bare", ROOT, "tlkit.git"]) {
        println!("skipped: no git checkout");
        return;
    }
    let tag = format!("v{version}");
    assert!(git(&["-C", "tlkit.git", "tag", "-f", &tag]));
    let address = format!("file://{}", bench.path("tlkit.git").display());
    let new = ["plugins", "new", "mine", "--kind", "metric"];
    tlkit(&bench, &[&new[..], &["--sdk", &address]].concat()).code(0);
    let written = bench.read("mine/Cargo.toml");
    let line = format!("tlkit-plugin = {{ git = \"{address}\", tag = \"{tag}\" }}");
    assert!(written.lines().any(|l| l == line), "{written}");

    // A home of Cargo's own, so that nothing of this stays, with the crates of the other.
    let home = bench.path("cargo");
    fs::create_dir_all(&home).expect("a folder");
    let other = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let other = other.or_else(|| std::env::home_dir().map(|h| h.join(".cargo")));
    let other = other.expect("a home of Cargo's");
    for name in ["registry", "config.toml"] {
        #[cfg(unix)]
        std::os::unix::fs::symlink(other.join(name), home.join(name)).expect("a link");
    }
    let cargo = |folder: &str, arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).env("CARGO_HOME", &home);
        let ended = cargo.current_dir(bench.path(folder)).output();
        let ended = ended.expect("cargo runs");
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{arguments:?}: {err}");
        String::from_utf8(ended.stdout).expect("text")
    };
    // Cargo fetches no repository offline. The crate of it that needs no other brings it in.
    fs::create_dir_all(bench.path("first/src")).expect("a folder");
    bench.write(
        "first/Cargo.toml",
        &format!(
            "[package]\nname = \"first\"\nversion = \"0.1.0\"\n[workspace]\n[dependencies]\n{}\n",
            line.replace("plugin", "abi")
        ),
    );
    bench.write("first/src/lib.rs", "");
    cargo("first", &["fetch", "-q"]);
    fs::copy(
        Path::new(ROOT).join("Cargo.lock"),
        bench.path("mine/Cargo.lock"),
    )
    .expect("copied");
    // What other platforms need may never have been fetched.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let about = String::from_utf8(about.stdout).expect("text");
    let host = about.lines().find_map(|l| l.strip_prefix("host: "));
    let mut metadata = vec!["metadata", "-q", "--offline", "--format-version", "1"];
    metadata.extend(["--filter-platform", host.expect("the host's triple")]);
    let said = cargo("mine", &metadata);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let packages = said["packages"].as_array().expect("packages");
    let found = packages.iter().find(|p| p["name"] == "tlkit-plugin");
    let found = found.expect("the SDK");
    let source = found["source"].as_str().unwrap_or_default();
    assert!(
        source.starts_with(&format!("git+{address}?tag={tag}#")),
        "{source}"
    );
    assert_eq!(found["version"], version);
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

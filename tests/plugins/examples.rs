//! The examples of the SDK, each built from a clean folder as its README says, checked, and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::Bench;
use crate::compile::{ROOT, compiler, tlkit};

/// The files of an example that are in the repository, in a folder of a bench.
pub fn clean(bench: &Bench, name: &str) -> PathBuf {
    let to = bench.path(name);
    copy(
        &Path::new(ROOT).join("plugins/sdk/examples").join(name),
        &to,
    );
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the example") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        let built = path
            .extension()
            .is_some_and(|e| ["so", "dylib", "dll"].iter().any(|b| e == *b));
        if built || name == "target" || name == "runs" {
            continue;
        }
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).expect("copied")),
        }
    }
}

/// `make`, where there is one.
fn make(folder: &Path) -> bool {
    let include = Path::new(ROOT).join("plugins/sdk/include");
    let made = Command::new("make")
        .arg(format!("TLKIT_INCLUDE={}", include.display()))
        .current_dir(folder)
        .status();
    match made {
        Ok(status) => {
            assert!(status.success(), "{}", folder.display());
            true
        }
        Err(_) => {
            println!("skipped: no make");
            false
        }
    }
}

#[test]
fn centroid_in_c() {
    if compiler().is_none() {
        return;
    }
    let bench = Bench::new();
    if !make(&clean(&bench, "centroid")) {
        return;
    }
    let ended = tlkit(&bench, &["plugins", "check", "centroid/centroid"]).code(0);
    assert!(
        ended
            .out
            .contains("ok      loss term centroid: its gradients are those of finite differences"),
        "{}",
        ended.out
    );
    let ended = tlkit(
        &bench,
        &[
            "run",
            "centroid/centroid.toml",
            "-q",
            "--set",
            "train.max_steps=2",
        ],
    )
    .code(0);
    assert!(
        ended.out.contains("centroid (transductive)"),
        "{}",
        ended.out
    );
    // Its keys are checked as ours are.
    let ended = tlkit(
        &bench,
        &[
            "validate",
            "centroid/centroid.toml",
            "--set",
            "strategy.weight=-1",
        ],
    )
    .code(2);
    assert!(
        ended.err.contains("`weight` is out of range"),
        "{}",
        ended.err
    );
    let ended = tlkit(
        &bench,
        &[
            "explain",
            "centroid/centroid.toml",
            "--set",
            "strategy.wieght=1",
        ],
    )
    .code(2);
    assert!(ended.err.contains("did you mean `weight`"), "{}", ended.err);
    let text = bench
        .read("centroid/centroid.toml")
        .replace("weight = 1.0\n", "");
    bench.write("centroid/centroid.toml", &text);
    let ended = tlkit(&bench, &["explain", "centroid/centroid.toml"]).code(0);
    assert!(
        ended
            .out
            .contains("weight = 1.0  # default: as much as the loss of the task"),
        "{}",
        ended.out
    );
}

/// The distance between the features' means is what the term measures, and what it makes smaller.
#[test]
fn centroid_draws_two_domains_together() {
    let Some(_) = compiler() else { return };
    let bench = Bench::new();
    if !make(&clean(&bench, "centroid")) {
        return;
    }
    let rows = crate::bench::rows(100);
    bench.write("shifted.csv", &shifted(&rows));
    let last = |weight: &str| -> f64 {
        let recipe = format!(
            "[source]\ntask = \"features\"\ntrain = \"rows.csv\"\n[target]\ntask = \"classification\"\nunlabelled = \"shifted.csv\"\ntest = \"unlabelled\"\n\
             [strategy]\nkind = \"transductive\"\nmethod = \"centroid\"\nweight = {weight}\n\
             [select]\nby = \"last\"\n[train]\nepochs = 60\nbatch_size = 32\nlearning_rate = 1e-2\n[[plugins]]\npath = \"centroid/centroid\"\n"
        );
        bench.write("shift.toml", &recipe);
        tlkit(
            &bench,
            &["run", "shift.toml", "-q", "--out", &format!("w{weight}")],
        )
        .code(0);
        let result = bench.json(&format!("w{weight}/result.json"));
        result["metrics"]["test"]["accuracy"]
            .as_f64()
            .expect("a number")
    };
    let (without, with) = (last("0.0"), last("3.0"));
    assert!(with > without + 0.1, "{without} without, {with} with");
}

/// A stranger's loss term sees the rows of both domains as the recipe asks for them.
#[test]
fn centroid_trains_on_the_views_that_the_recipe_asks_for() {
    let Some(_) = compiler() else { return };
    let bench = Bench::new();
    if !make(&clean(&bench, "centroid")) {
        return;
    }
    bench.write(
        "night.toml",
        "[source]\ntask = \"image-network\"\narchitecture = \"lenet\"\nimage_size = 28\ntrain = \"builtin:scenes/day/train#24\"\n\
         [target]\ntask = \"image-classification\"\nunlabelled = \"builtin:scenes/night/train#24\"\ntest = \"builtin:scenes/night/test#8\"\n\
         [strategy]\nkind = \"transductive\"\nmethod = \"centroid\"\n[select]\nby = \"last\"\n\
         [train]\nsource_epochs = 0\nepochs = 1\nbatch_size = 8\nmax_steps = 1\n[[plugins]]\npath = \"centroid/centroid\"\n",
    );
    let curves = |augment: &str, times: usize| -> Vec<serde_json::Value> {
        let (out, set) = (
            format!("{augment}-{times}"),
            format!("target.augment=\"{augment}\""),
        );
        tlkit(
            &bench,
            &["run", "night.toml", "-q", "--out", &out, "--set", &set],
        )
        .code(0);
        let text = bench.read(&format!("{out}/metrics.jsonl"));
        let line = |line: &str| {
            let mut row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            row["seconds"] = serde_json::Value::Null;
            row
        };
        text.lines().map(line).collect()
    };
    let (plain, shifted) = (curves("none", 1), curves("shift", 1));
    assert_ne!(plain, shifted);
    assert_eq!(shifted, curves("shift", 2));
    // The stranger's own term, not only the loss of the task.
    let term = |rows: &[serde_json::Value]| -> Vec<f64> {
        let of = |row: &serde_json::Value| row["centroid"].as_f64();
        rows.iter().filter_map(of).collect()
    };
    assert!(!term(&plain).is_empty() && term(&plain) != term(&shifted));
}

#[test]
fn tsv_zip_in_c() {
    if compiler().is_none() {
        return;
    }
    let bench = Bench::new();
    let folder = clean(&bench, "tsv-zip");
    if !make(&folder) {
        return;
    }
    let check = [
        "plugins",
        "check",
        "tsv-zip/tsv_zip",
        "--file",
        "tsv-zip/films.tsv.zip",
    ];
    let ended = tlkit(&bench, &check).code(0);
    assert!(
        ended
            .out
            .contains("the file reads the same twice: 100 rows, 2 columns"),
        "{}",
        ended.out
    );
    tlkit(&bench, &["run", "tsv-zip/tsv-zip.toml", "-q"]).code(0);
    // Every byte that is flipped is an error or a table, and never a crash.
    let whole = fs::read(folder.join("films.tsv.zip")).expect("the archive");
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut broken = whole.clone();
        broken[at] ^= 0x5a;
        fs::write(folder.join("films.tsv.zip"), &broken).expect("written");
        let ended = tlkit(&bench, &check);
        assert!(!ended.out.contains("crashed"), "byte {at}: {}", ended.out);
    }
    fs::write(folder.join("films.tsv.zip"), &whole[..whole.len() / 2]).expect("written");
    let ended = tlkit(&bench, &["validate", "tsv-zip/tsv-zip.toml"]).code(2);
    assert!(
        ended
            .err
            .contains("the reader `tsv-zip`: this is no zip archive"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("tsv-zip.toml:8"), "{}", ended.err);
}

#[test]
fn new_plugins_in_c_build_check_and_run_as_the_guide_says() {
    if compiler().is_none() {
        return;
    }
    let bench = Bench::new();
    let commands = of_the_guide(0);
    assert_eq!(commands.len(), 5, "{commands:?}");
    for command in &commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["cd", "mine"] => {}
            ["make"] => {
                if !make(&bench.path("mine")) {
                    return;
                }
            }
            ["tlkit", "plugins", "new", ..] => drop(tlkit(&bench, &words[1..]).code(0)),
            ["tlkit", ..] => {
                let ended = inside(&bench, "mine", &words[1..]).code(0);
                assert!(!ended.out.contains("FAILED"), "{}", ended.out);
            }
            _ => panic!("what is `{command}`?"),
        }
    }
    tlkit(
        &bench,
        &["plugins", "new", "mine", "--kind", "reader", "--lang", "c"],
    )
    .code(2);
    tlkit(
        &bench,
        &["plugins", "new", "My", "--kind", "reader", "--lang", "c"],
    )
    .code(2);
    tlkit(
        &bench,
        &[
            "plugins",
            "new",
            "my-format",
            "--kind",
            "reader",
            "--lang",
            "c",
        ],
    )
    .code(0);
    make(&bench.path("my-format"));
    let check = [
        "plugins",
        "check",
        "./libmy_format.so",
        "--file",
        "data.my_format",
    ];
    let ended = inside(&bench, "my-format", &check).code(0);
    assert!(ended.out.contains("16 rows, 2 columns"), "{}", ended.out);
    inside(&bench, "my-format", &["run", "my-format.toml", "-q"]).code(0);
}

/// The commands of the guide, by the number of their block.
pub fn of_the_guide(block: usize) -> Vec<String> {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/src/plugins.md")).expect("the guide");
    let commands = page.split("```sh\n").nth(1 + block);
    let commands = commands.and_then(|rest| rest.split("```").next());
    let lines = commands.expect("commands").lines();
    lines.map(str::to_string).collect()
}

/// The rows moved to another place, class by class alike.
pub fn shifted(rows: &str) -> String {
    let lines = rows.lines().enumerate().map(|(i, line)| {
        let mut cells: Vec<String> = line.split(',').map(str::to_string).collect();
        for (cell, by) in cells.iter_mut().zip([1.0, -1.0, 0.5]).filter(|_| i > 0) {
            let value: f64 = cell.parse().expect("a number");
            *cell = format!("{:.5}", value + by);
        }
        cells.join(",") + "\n"
    });
    lines.collect()
}

/// The binary in a folder of a bench.
pub fn inside(bench: &Bench, folder: &str, arguments: &[&str]) -> crate::bench::Ended {
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_tlkit"))
        .args(arguments)
        .env("TLKIT_CACHE", bench.path("cache"))
        .env("XDG_DATA_HOME", bench.path("data"))
        .current_dir(bench.path(folder))
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    crate::bench::Ended {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

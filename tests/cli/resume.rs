//! A run that was stopped or killed and resumed ends with the same bits as one that was not.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Command;

use crate::bench::{Bench, ended, rows, steps, timeless, wait_for};

/// 240 steps of a network that is wide enough to take a moment, a checkpoint every other step.
const RECIPE: &str = "\
[source]
task = \"features\"
hidden = [128, 128]
dropout = 0.1

[target]
task = \"classification\"
train = \"rows.csv\"
split = { validation = 0.1, test = 0.2 }

[strategy]
kind = \"inductive\"
method = \"from-scratch\"

[train]
epochs = 12
batch_size = 35
checkpoint_every = 2
";

const STEPS: u64 = 240;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("rows.csv", &rows(1000));
    bench.write("long.toml", RECIPE);
    bench
}

/// What must be equal, to the last bit.
fn bits(bench: &Bench, run: &str) -> (String, Vec<serde_json::Value>, String) {
    let weights = bench.json(&format!("{run}/result.json"))["weights_sha256"].to_string();
    let text = |name: &str| bench.read(&format!("{run}/{name}"));
    let metrics = timeless(&text("metrics.jsonl"));
    (weights, metrics, text("predictions.jsonl"))
}

/// Three steps, others each time, in order; in the first half, so that a slow machine does not kill too late.
fn random_steps() -> [u64; 3] {
    let hasher = RandomState::new();
    let mut draw = [1u64, 2, 3].map(|i| {
        let mut h = hasher.build_hasher();
        h.write_u64(i);
        2 + h.finish() % (STEPS / 2)
    });
    draw.sort_unstable();
    draw
}

fn signal(name: &str, child: &std::process::Child) {
    let kill = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(kill.expect("`kill` is there").success());
}

#[test]
fn killed_at_three_random_steps_it_ends_with_the_same_bits() {
    let bench = bench();
    bench.tlkit(&["run", "long.toml", "--out", "whole"]).code(0);
    assert_eq!(steps(&bench.path("whole")), Some(STEPS));
    let at = random_steps();
    for (i, step) in at.into_iter().enumerate() {
        let mut arguments = vec!["run", "long.toml", "--out", "killed"];
        if i > 0 {
            arguments.push("--resume");
        }
        let mut child = bench.start(&arguments);
        wait_for(&bench.path("killed"), step);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        assert!(
            !bench.path("killed/result.json").exists(),
            "killed too late: {at:?}"
        );
    }
    let last = bench
        .tlkit(&["run", "long.toml", "--out", "killed", "--resume"])
        .code(0);
    assert!(
        last.err.contains("going on after step"),
        "{at:?}\n{}",
        last.err
    );
    assert_eq!(
        bits(&bench, "whole"),
        bits(&bench, "killed"),
        "killed at {at:?}"
    );
}

#[test]
fn ctrl_c_writes_a_checkpoint_says_how_to_go_on_and_exits_130() {
    let bench = bench();
    bench.tlkit(&["run", "long.toml", "--out", "whole"]).code(0);
    for name in ["-INT", "-TERM"] {
        let out = format!("stopped{name}");
        let child = bench.start(&["run", "long.toml", "--out", &out]);
        wait_for(&bench.path(&out), 10);
        signal(name, &child);
        let stopped = ended(child).code(130);
        assert!(
            stopped.err.contains("a checkpoint is being written"),
            "{}",
            stopped.err
        );
        let again = format!("tlkit run long.toml --out {out} --resume");
        assert!(stopped.err.contains(&again), "{}", stopped.err);
        assert!(!bench.path(&out).join("result.json").exists());
        bench
            .tlkit(&["run", "long.toml", "--out", &out, "--resume"])
            .code(0);
        assert_eq!(bits(&bench, "whole"), bits(&bench, &out));
    }
}

/// A terminal that is closed says so, twice where the shell says it too; under `nohup` nobody minds.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_writes_a_checkpoint_but_under_nohup_nothing_stops() {
    // Whoever ignores it hands that on.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    if mask.is_some_and(|m| u64::from_str_radix(m.trim(), 16).is_ok_and(|m| m & 1 == 1)) {
        println!("skipped: SIGHUP is ignored here");
        return;
    }
    let bench = bench();
    let child = bench.start(&["run", "long.toml", "--out", "hung"]);
    wait_for(&bench.path("hung"), 10);
    signal("-HUP", &child);
    signal("-HUP", &child);
    let hung = ended(child).code(130);
    assert!(
        hung.err.contains("a checkpoint is being written"),
        "{}",
        hung.err
    );
    let resumed = bench
        .tlkit(&["run", "long.toml", "--out", "hung", "--resume"])
        .code(0);
    assert!(
        resumed.err.contains("going on after step"),
        "{}",
        resumed.err
    );

    let child = Command::new("nohup")
        .args([
            env!("CARGO_BIN_EXE_tlkit"),
            "run",
            "long.toml",
            "--out",
            "nohup",
        ])
        .current_dir(bench.path(""))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("`nohup` is there");
    wait_for(&bench.path("nohup"), 10);
    signal("-HUP", &child);
    ended(child).code(0);
    assert_eq!(bits(&bench, "hung"), bits(&bench, "nohup"));
}

/// Killed before its first checkpoint, a run has nothing to go on from, and says so.
#[test]
fn a_run_without_a_checkpoint_begins_again_and_says_so() {
    let bench = bench();
    let never = [
        "--set",
        "train.checkpoint_every=1000000",
        "--set",
        "train.epochs=2",
    ];
    let run =
        |more: &[&'static str]| [&["run", "long.toml", "--out", "r"], &never[..], more].concat();
    let mut child = bench.start(&run(&[]));
    while !bench.path("r/metrics.jsonl").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    std::fs::remove_dir_all(bench.path("r/checkpoint")).ok();
    let said = bench.tlkit(&run(&["--resume"])).code(0).err;
    assert!(
        said.contains("no checkpoint is there, so from the beginning"),
        "{said}"
    );
}

/// A dry run says what the run would.
#[test]
fn a_dry_run_looks_at_what_it_would_go_on_with() {
    let bench = bench();
    let child = bench.start(&["run", "long.toml", "--out", "begun"]);
    wait_for(&bench.path("begun"), 10);
    signal("-INT", &child);
    ended(child).code(130);
    let dry = &[
        "run",
        "long.toml",
        "--out",
        "begun",
        "--resume",
        "--dry-run",
    ];
    bench.tlkit(dry).code(0);
    let other = bench.tlkit(&[dry, &["--seed", "9"][..]].concat()).code(2);
    assert!(
        other.err.contains("train.seed was 0, is 9"),
        "{}",
        other.err
    );
    assert!(
        other.err.contains("start a new run in another directory"),
        "{}",
        other.err
    );
}

/// Other instructions add in another order: the run would end with the bits of neither.
#[test]
fn a_run_goes_on_by_the_instructions_that_it_began_with() {
    let bench = bench();
    let plain = &[("TLKIT_CPU", "plain")];
    let child = bench.start_with(&["run", "long.toml", "--out", "begun"], plain);
    wait_for(&bench.path("begun"), 10);
    signal("-INT", &child);
    ended(child).code(130);
    let resume = &["run", "long.toml", "--out", "begun", "--resume"];
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        let refused = bench.tlkit_with(resume, &[("TLKIT_CPU", "avx2")]).code(1);
        assert!(
            refused.err.contains("the run was begun with plain"),
            "{}",
            refused.err
        );
    }
    bench.tlkit_with(resume, plain).code(0);
    let whole = &["run", "long.toml", "--out", "whole"];
    bench.tlkit_with(whole, plain).code(0);
    assert_eq!(bits(&bench, "whole"), bits(&bench, "begun"));
}

#[test]
fn without_out_the_newest_unfinished_run_goes_on() {
    let bench = bench();
    let child = bench.start(&["run", "long.toml"]);
    let run = loop {
        if let [run] = bench.runs("long").as_slice() {
            break run.clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    wait_for(&run, 4);
    signal("-INT", &child);
    ended(child).code(130);
    let listed = bench.tlkit(&["runs", "list"]).code(0);
    assert!(listed.out.contains("unfinished"), "{}", listed.out);
    bench.tlkit(&["run", "long.toml", "--resume"]).code(0);
    assert_eq!(bench.runs("long").len(), 1);
    assert!(run.join("result.json").exists());
}

/// Of several runs the one that was asked for, though it is finished and another is not.
#[test]
fn without_out_the_finished_run_that_was_asked_for_is_found() {
    let bench = bench();
    let child = bench.start(&["run", "long.toml", "--seed", "7"]);
    let begun = loop {
        if let [run] = bench.runs("long").as_slice() {
            break run.clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    wait_for(&begun, 4);
    signal("-INT", &child);
    ended(child).code(130);
    bench.tlkit(&["run", "long.toml", "--quiet"]).code(0);
    let said = bench.tlkit(&["run", "long.toml", "--resume"]).code(0);
    assert!(said.err.contains("nothing is left to do"), "{}", said.err);
}

#[test]
fn a_run_that_another_process_works_on_is_left_alone() {
    let bench = bench();
    let mut child = bench.start(&[
        "run",
        "long.toml",
        "--out",
        "r",
        "--set",
        "train.epochs=1000",
    ]);
    wait_for(&bench.path("r"), 2);
    for more in [&[][..], &["--resume", "--set", "train.epochs=1000"]] {
        let refused = bench
            .tlkit(&[&["run", "long.toml", "--out", "r"], more].concat())
            .code(2);
        assert!(refused.err.contains("another process"), "{}", refused.err);
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

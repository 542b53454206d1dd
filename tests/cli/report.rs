//! `tlkit report` and `tlkit why`, on runs made here.

use serde_json::Value;

use crate::bench::Bench;

/// Few rows, a network that is wide enough to know them by heart, and time to.
const OVER: [&str; 10] = [
    "--set",
    "source.hidden=[128, 128]",
    "--set",
    "target.limit=120",
    "--set",
    "target.split.validation=0.3",
    "--set",
    "train.epochs=60",
    "--set",
    "train.learning_rate=1e-2",
];

/// The findings of a run by kind.
fn findings(bench: &Bench, run: &str) -> Vec<(String, String)> {
    let json = bench.tlkit(&["why", run, "--json"]).code(0).out;
    let why: Value = serde_json::from_str(&json).expect("JSON");
    let list = why["findings"].as_array().expect("a list").iter();
    let text = |v: &Value| v.as_str().expect("a text").to_string();
    list.map(|f| (text(&f["kind"]), text(&f["words"])))
        .collect()
}

#[track_caller]
fn words(bench: &Bench, run: &str, kind: &str) -> String {
    let all = findings(bench, run);
    let one = all.iter().find(|f| f.0 == kind);
    one.unwrap_or_else(|| panic!("no {kind} in {all:?}"))
        .1
        .clone()
}

fn run(bench: &Bench, out: &str, more: &[&str], code: i32) {
    let arguments = [&["run", "small.toml", "--quiet", "--out", out], more].concat();
    bench.tlkit(&arguments).code(code);
}

#[test]
fn a_run_leaves_a_page_and_the_verb_writes_it_anew() {
    let bench = Bench::new();
    run(&bench, "r", &[], 0);
    let page = bench.read("r/report.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    for part in [
        "result",
        "curves",
        "confusion",
        "errors",
        "model",
        "recipe",
        "cost",
    ] {
        assert!(page.contains(&format!("<section id=\"{part}\"")), "{part}");
    }
    assert!(bench.read("r/log.txt").contains("report r/report.html"));

    std::fs::remove_file(bench.path("r/report.html")).expect("a page");
    let anew = bench.tlkit(&["report", "r"]).code(0);
    assert_eq!(anew.out, "r/report.html\n");
    assert_eq!(bench.read("r/report.html"), page);
    bench
        .tlkit(&["report", "r", "--out", "elsewhere.html"])
        .code(0);
    assert_eq!(bench.read("elsewhere.html"), page);

    bench.tlkit(&["report", "nothing"]).code(2);
    bench.tlkit(&["why", "nothing"]).code(2);
    bench
        .tlkit(&["report", "r", "--out", "no/such/folder.html"])
        .code(1);
}

#[test]
fn opening_hands_the_page_to_the_browser() {
    let bench = Bench::new();
    run(&bench, "r", &[], 0);
    let none = bench
        .tlkit_with(
            &["report", "r", "--open"],
            &[("BROWSER", "no-such-browser")],
        )
        .code(1);
    assert!(none.err.contains("set BROWSER"), "{}", none.err);
    bench
        .tlkit_with(&["report", "r", "--open"], &[("BROWSER", "true")])
        .code(0);
}

#[test]
fn a_run_that_diverges_leaves_a_page_and_names_step_and_tensor() {
    let bench = Bench::new();
    run(&bench, "nan", &["--set", "train.learning_rate=1e30"], 1);
    let failure = bench.json("nan/result.json")["failure"].clone();
    assert_eq!(failure["kind"], "non-finite");
    assert_eq!(failure["step"], 2);
    let said = words(&bench, "nan", "non-finite");
    let first = failure["first"].as_str().expect("a tensor");
    assert!(
        said.contains("at step 2") && said.ends_with(first),
        "{said}"
    );
    assert!(bench.read("nan/report.html").contains("The run failed."));

    let sgd = ["--set", "train.learning_rate=3", "--set", "train.clip=1e9"];
    run(&bench, "high", &sgd, 0);
    let said = words(&bench, "high", "learning-rate-high");
    assert!(said.contains("shot up from 0."), "{said}");
}

#[test]
fn a_run_that_over_fits_says_since_when() {
    let bench = Bench::new();
    run(&bench, "over", &OVER, 0);
    let said = words(&bench, "over", "over-fitting");
    assert!(
        said.contains("validation loss has risen since epoch"),
        "{said}"
    );
    let shown = bench.tlkit(&["why", "over"]).code(0).out;
    assert!(shown.contains(&said), "{shown}");
    assert!(
        bench
            .read("over/report.html")
            .contains("validation loss has risen since epoch")
    );
}

#[test]
fn a_rate_of_nearly_nothing_and_no_rate_at_all_are_seen() {
    let bench = Bench::new();
    run(&bench, "low", &["--set", "train.learning_rate=1e-7"], 0);
    assert!(words(&bench, "low", "learning-rate-low").contains("hardly fell"));
    // The first step of a warm-up has the rate 0, if it is not the only one.
    let first = ["--set", "train.max_steps=1", "--set", "train.warmup=0.5"];
    run(&bench, "once", &first, 0);
    let all = findings(&bench, "once");
    assert!(all.iter().all(|(kind, _)| kind != "never-moved"), "{all:?}");
}

#[test]
fn a_run_with_nothing_to_say_says_so() {
    let bench = Bench::new();
    bench.write("rows.csv", &crate::bench::rows(2000));
    // Points in two clouds are a task for a logistic regression, and that would be something to say.
    let sets = [
        "--set",
        "train.epochs=6",
        "--set",
        "evaluate.baselines=false",
    ];
    run(&bench, "r", &sets, 0);
    let shown = bench.tlkit(&["why", "r"]).code(0).out;
    assert!(shown.contains("nothing stands out"), "{shown}");
    assert!(
        shown.contains("looked at: how the run ended, tensors that never moved"),
        "{shown}"
    );
}

//! What a run says of its rows before it trains on them.

use crate::bench::Bench;

const TEXTS: &str = "\
[source]
checkpoint = \"builtin:bert-mini\"
max_length = 12

[target]
task = \"text-classification\"
train = \"train.csv\"
test = \"test.csv\"
split = { validation = 0.2 }

[strategy]
kind = \"inductive\"
method = \"fine-tune\"

[train]
epochs = 1
max_steps = 1
";

fn bench() -> Bench {
    let bench = Bench::new();
    let row = |i: usize, what: &str| {
        let label = if i.is_multiple_of(2) { "good" } else { "bad" };
        format!("{what} number {i},{label}\n")
    };
    let rows = |n: usize, what: &str| (0..n).map(|i| row(i, what)).collect::<String>();
    let long = "a text that goes on and on and on until it is longer than twelve tokens are,good\n";
    let train = format!(
        "text,label\n{}{long} ,bad\nTEST  number 3,bad\n",
        rows(20, "lid")
    );
    bench.write("train.csv", &train);
    bench.write("test.csv", &format!("text,label\n{}", rows(8, "test")));
    bench.write("texts.toml", TEXTS);
    bench
}

#[test]
fn findings_stand_in_the_header_the_result_and_the_warnings_of_validate() {
    let bench = bench();
    let empty = "1 row of train has no text and is left out";
    let overlap = "1 row of train also stands in test and is left out of train";
    let validate = bench.tlkit(&["validate", "texts.toml"]).code(0);
    assert_eq!(validate.out, "texts.toml: ok\n");
    for words in [
        format!("warning: {empty}\n --> texts.toml:7:9"),
        format!("warning: {overlap}\n --> texts.toml:7:9"),
        "note: train.csv:24: TEST number 3".to_string(),
        "2 warnings in texts.toml".to_string(),
    ] {
        assert!(validate.err.contains(&words), "{words}\n{}", validate.err);
    }
    let run = bench.tlkit(&["run", "texts.toml", "--out", "r"]).code(0);
    assert!(
        run.err
            .contains(&format!("audit     warning: {empty} (train.csv:23)\n")),
        "{}",
        run.err
    );
    assert!(
        run.err
            .contains(&format!("          warning: {overlap} (train.csv:24)\n")),
        "{}",
        run.err
    );
    // Said once.
    assert_eq!(run.err.matches(overlap).count(), 1, "{}", run.err);
    assert!(
        run.err
            .contains("of train is longer than 12 tokens and is cut there"),
        "{}",
        run.err
    );
    let audit = &bench.json("r/result.json")["audit"];
    assert_eq!(
        audit["dropped"],
        serde_json::json!({ "empty": 1, "overlap": 1 })
    );
    assert_eq!(
        audit["rows"],
        serde_json::json!({ "test": 8, "train": 17, "validation": 4 })
    );
    assert_eq!(
        audit["classes"]["test"],
        serde_json::json!({ "bad": 4, "good": 4 })
    );
    assert_eq!(audit["truncated"]["test"], 0.0);
    let cut = audit["truncated"]["train"].as_f64().expect("a number");
    let in_validation = audit["truncated"]["validation"].as_f64().expect("a number");
    assert!(
        (cut * 17.0 + in_validation * 4.0 - 1.0).abs() < 1e-9,
        "{audit}"
    );
    let kinds: Vec<&str> = audit["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|f| f["kind"].as_str())
        .collect();
    assert!(
        kinds.contains(&"empty") && kinds.contains(&"overlap"),
        "{kinds:?}"
    );
}

#[test]
fn overlap_belongs_to_what_a_run_is() {
    let bench = bench();
    let stop = bench
        .tlkit(&["run", "texts.toml", "--set", "evaluate.overlap=stop"])
        .code(2);
    assert!(
        stop.err.contains("1 row of `train` also stands in test"),
        "{}",
        stop.err
    );
    bench.tlkit(&["run", "texts.toml", "--out", "drop"]).code(0);
    let keep = [
        "run",
        "texts.toml",
        "--set",
        "evaluate.overlap=keep",
        "--out",
        "keep",
    ];
    bench.tlkit(&keep).code(0);
    let of = |run: &str, key: &str| bench.json(&format!("{run}/result.json"))[key].clone();
    assert_ne!(of("drop", "identity"), of("keep", "identity"));
    assert_ne!(of("drop", "data_sha256"), of("keep", "data_sha256"));
    assert_eq!(
        of("keep", "audit")["dropped"],
        serde_json::json!({ "empty": 1 })
    );
    let other = bench.tlkit(&[
        "run",
        "texts.toml",
        "--out",
        "drop",
        "--resume",
        "--set",
        "evaluate.overlap=keep",
    ]);
    assert!(other.err.contains("overlap"), "{}", other.err);
    assert_ne!(other.code, Some(0));
}

/// The page for a person with a CSV, followed to the letter.
#[test]
fn the_page_on_your_own_csv_works() {
    let bench = Bench::new();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/your-own-data.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let recipe = page
        .split("```toml\n")
        .nth(1)
        .and_then(|r| r.split("```").next());
    bench.write("reviews.toml", recipe.expect("a recipe"));
    let shown: Vec<&str> = page
        .lines()
        .skip_while(|l| !l.starts_with("    review,sentiment"))
        .take_while(|l| l.starts_with("    "))
        .map(str::trim)
        .collect();
    let more = |i: usize| {
        let (word, label) = if i.is_multiple_of(2) {
            ("broke", "negative")
        } else {
            ("works", "positive")
        };
        format!("\"It {word} on day {i}, to the hour.\",{label}\n")
    };
    let rows: String = (0..40).map(more).collect();
    bench.write("reviews.csv", &format!("{}\n{rows}", shown.join("\n")));
    bench
        .tlkit(&["init", "reviews.csv", "--out", "guessed.toml"])
        .code(0);
    bench.tlkit(&["validate", "guessed.toml"]).code(0);
    bench.tlkit(&["validate", "reviews.toml"]).code(0);
    let dry = bench.tlkit(&["run", "reviews.toml", "--dry-run"]).code(0);
    assert!(dry.err.contains("2: negative, positive"), "{}", dry.err);
    let run = [
        "run",
        "reviews.toml",
        "--set",
        "train.max_steps=1",
        "--out",
        "r",
    ];
    bench.tlkit(&run).code(0);
    assert_eq!(
        bench.json("r/result.json")["labels"],
        serde_json::json!(["negative", "positive"])
    );
    let commands = page.lines().filter(|l| l.starts_with("    tlkit ")).count();
    assert_eq!(commands, 4);
}

/// To an English vocabulary words of another script are all the same word.
#[test]
fn texts_that_the_tokenizer_does_not_know_are_told() {
    let bench = bench();
    let foreign = [
        "\u{43a}\u{43e}\u{442}",
        "\u{6f22}\u{5b57}",
        "\u{5d0}\u{5d1}",
        "\u{c704}",
    ];
    let row = |i: usize| {
        let words = format!("{} {}", foreign[i % 4], foreign[(i / 4) % 4]);
        format!("{words} a{i},{}\n", ["good", "bad"][i % 2])
    };
    let rows: String = (0..16).map(row).collect();
    bench.write("train.csv", &format!("text,label\n{rows}"));
    let said = bench.tlkit(&["validate", "texts.toml"]).code(0).err;
    let run = bench
        .tlkit(&["run", "texts.toml", "--out", "r"])
        .code(0)
        .err;
    let words = "of the tokens of train are unknown to the checkpoint's tokenizer";
    assert!(run.contains(words), "{said}\n{run}");
    let audit = &bench.json("r/result.json")["audit"];
    let share = audit["unknown"]["train"].as_f64().expect("a number");
    assert!(share > 0.1, "{audit}");
    // Of the test, which is English, nothing is said.
    assert!(audit["unknown"]["test"].is_null(), "{audit}");
    let finding = (audit["findings"].as_array().expect("a list").iter())
        .find(|f| f["kind"] == "unknown" && f["split"] == "train")
        .expect("a finding");
    assert_eq!(finding["level"], "warning");
    assert!(
        finding["examples"][0]["row"]
            .as_str()
            .is_some_and(|r| r.starts_with("train.csv:"))
    );
}

//! `tlkit evaluate`: the run's scores from its model alone, and other rows refused where they must be.

use std::fs;

use serde_json::Value;

use crate::bench::{Bench, rows};

/// The rows that the run tested on, as a file of their own.
fn test_rows(bench: &Bench, run: &std::path::Path) -> String {
    let text = bench.read("rows.csv");
    let lines: Vec<&str> = text.lines().collect();
    let said = fs::read_to_string(run.join("predictions.jsonl")).expect("predictions");
    let ids = said.lines().map(|l| {
        let row: Value = serde_json::from_str(l).expect("JSON");
        let id = row["id"].as_str().expect("an id");
        id.parse::<usize>().expect("a number")
    });
    let mut out = format!("{}\n", lines[0]);
    for id in ids {
        out.push_str(lines[id + 1]);
        out.push('\n');
    }
    out
}

#[test]
fn the_test_rows_again_have_the_scores_of_the_run() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let run = bench.runs("small").remove(0);
    bench.write("held-out.csv", &test_rows(&bench, &run));
    let ended = bench
        .tlkit(&["evaluate", "small", "held-out.csv", "--json"])
        .code(0);
    let again: Value = serde_json::from_str(&ended.out).expect("JSON");
    let result: Value =
        serde_json::from_str(&fs::read_to_string(run.join("result.json")).expect("a result"))
            .expect("JSON");
    let (again_said, said) = (&again["metrics"], &result["metrics"]["test"]);
    assert_eq!(again_said, said);
    for detail in ["macro_f1_interval", "per_class", "ece_calibrated"] {
        assert!(!said[detail].is_null(), "{detail}");
    }
    assert_eq!(again["learned_from"], 0);
    assert_eq!(ended.err, "");
    let table = bench
        .tlkit(&["evaluate", "small", "held-out.csv"])
        .code(0)
        .out;
    let accuracy = format!(
        "{:.4}",
        result["metrics"]["test"]["accuracy"]
            .as_f64()
            .expect("a score")
    );
    assert!(
        table.starts_with("small on held-out.csv\n  accuracy") && table.contains(&accuracy),
        "{table}"
    );
}

#[test]
fn rows_that_the_run_learned_from_are_counted() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let run = bench.runs("small").remove(0);
    let ended = bench
        .tlkit(&["evaluate", "small", "rows.csv", "--json"])
        .code(0);
    let json: Value = serde_json::from_str(&ended.out).expect("JSON");
    // 200 rows, three tenths tested and one decides.
    assert_eq!(json["learned_from"], 120);
    assert!(
        ended
            .err
            .contains("120 of the 200 rows are among those that the run learned from"),
        "{}",
        ended.err
    );
    // A model that was carried away does not know.
    fs::rename(run.join("model"), bench.path("away")).expect("moved");
    let away = bench
        .tlkit(&["evaluate", "away", "rows.csv", "--json"])
        .code(0);
    let json: Value = serde_json::from_str(&away.out).expect("JSON");
    assert_eq!(json["learned_from"], Value::Null);
    assert!(away.err.contains("is not known here"), "{}", away.err);
}

#[test]
fn labels_must_be_classes_of_the_run() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    bench.write("other.csv", &rows(10).replacen(",yes", ",perhaps", 1));
    let ended = bench.tlkit(&["evaluate", "small", "other.csv"]).code(2);
    assert!(
        ended.err.contains(
            "other.csv:3:25: the label `perhaps` is no class of this run; its classes are no, yes"
        ),
        "{}",
        ended.err
    );
    bench.write("named.csv", &rows(10).replacen("label", "answer", 1));
    let none = bench.tlkit(&["evaluate", "small", "named.csv"]).code(2);
    assert!(
        none.err.contains("which column is the label?"),
        "{}",
        none.err
    );
    bench
        .tlkit(&["evaluate", "small", "named.csv", "--label", "answer"])
        .code(0);
    bench
        .tlkit(&["evaluate", "small", "named.csv", "--label", "4"])
        .code(0);
}

/// As a recipe has it: text and label are two columns.
#[test]
fn the_label_is_no_text() {
    let bench = Bench::new();
    let words = ["a fine pan it is", "the handle broke off"];
    let text: String = (0..40).fold("text,label\n".into(), |all, i| {
        all + &format!("{} {i},{}\n", words[i % 2], ["good", "bad"][i % 2])
    });
    bench.write("texts.csv", &text);
    bench.write(
        "texts.toml",
        "[source]\ncheckpoint = \"builtin:bert-mini\"\n\n[target]\ntask = \"text-classification\"\ntrain = \"texts.csv\"\n\
         split = { validation = 0.1, test = 0.2 }\n\n[strategy]\nkind = \"inductive\"\nmethod = \"feature-extraction\"\n",
    );
    let done = bench.tlkit(&["run", "texts.toml", "--out", "t"]).code(0);
    // A closed form has neither epochs nor a last one.
    assert!(!done.err.contains("epoch"), "{}", done.err);
    assert!(!done.out.contains("epoch"), "{}", done.out);
    for verb in ["evaluate", "predict"] {
        let said = bench
            .tlkit(&[verb, "t", "texts.csv", "--column", "label"])
            .code(2);
        let wanted = "text and label are the same column, `label`";
        assert!(said.err.contains(wanted), "{}", said.err);
    }
}

/// Where columns are numbers, they are taken in their order, wherever the label stands.
#[test]
fn a_label_elsewhere_is_no_feature() {
    let bench = Bench::new();
    let text = bench.read("rows.csv");
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let turned = |label_first: bool| -> String {
        let line = |l: &&str| {
            let (values, label) = l.rsplit_once(',').expect("a label");
            match label_first {
                true => format!("{label},{values}\n"),
                false => format!("{values},{label}\n"),
            }
        };
        rows.iter().map(line).collect()
    };
    bench.write("last.csv", &turned(false));
    bench.write("first.csv", &turned(true));
    let bare: String = rows
        .iter()
        .map(|l| format!("{}\n", l.rsplit_once(',').expect("a label").0))
        .collect();
    bench.write("bare.csv", &bare);
    for (name, label) in [("last", "4"), ("first", "1")] {
        let recipe = bench.read("small.toml").replace(
            "train = \"rows.csv\"",
            &format!("train = \"{name}.csv\"\nheader = false\nlabel = {label}"),
        );
        bench.write(&format!("{name}.toml"), &recipe);
        bench
            .tlkit(&["run", &format!("{name}.toml"), "--quiet"])
            .code(0);
    }
    let score = |model: &str, file: &str, label: &str| {
        let ended = bench
            .tlkit(&["evaluate", model, file, "--label", label, "--json"])
            .code(0);
        let said: Value = serde_json::from_str(&ended.out).expect("JSON");
        said["metrics"]["accuracy"].as_f64().expect("a score")
    };
    for model in ["last", "first"] {
        assert_eq!(
            score(model, "last.csv", "4"),
            score(model, "first.csv", "1"),
            "{model}"
        );
        let answered = |file: &str| bench.tlkit(&["predict", model, file]).code(0).out;
        let labels = |out: &str| -> Vec<String> {
            out.lines()
                .map(|l| serde_json::from_str::<Value>(l).expect("JSON")["prediction"].to_string())
                .collect()
        };
        assert_eq!(
            labels(&answered("bare.csv")),
            labels(&answered(&format!("{model}.csv"))),
            "{model}"
        );
    }
}

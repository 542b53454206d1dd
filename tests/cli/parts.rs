//! What only the network can say of a recipe (which stages it has), and what a method has no place for: said before anything runs, at its place.

use crate::bench::Bench;

const TEXT: &str = "\
[source]
checkpoint = \"builtin:bert-mini\"

[target]
task = \"text-classification\"
train = \"builtin:reviews/films/train\"
test = \"builtin:reviews/films/test\"
per_class = 10

[strategy]
kind = \"inductive\"
method = \"fine-tune\"
";

/// `text.toml`, and the words of `validate` and of a dry run, which are the same.
struct Refusals(Bench);

impl Refusals {
    fn new() -> Self {
        let bench = Bench::new();
        bench.write("text.toml", TEXT);
        Refusals(bench)
    }

    #[track_caller]
    fn says(&self, recipe: &str, sets: &[&str], parts: &[&str]) {
        for verb in [&["validate"][..], &["run", "--dry-run"]] {
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let all: Vec<&str> = verb.iter().copied().chain([recipe]).chain(sets).collect();
            let said = self.0.tlkit(&all).code(2);
            assert!(!said.out.contains(": ok"), "{}", said.out);
            for part in parts {
                assert!(
                    said.err.contains(part),
                    "{all:?}: {}\nhas no {part}",
                    said.err
                );
            }
        }
    }
}

#[test]
fn a_stage_that_is_not_there_is_an_error_at_its_key() {
    let all = Refusals::new();
    let there = "= help: there are embeddings, encoder.0, encoder.1, encoder.2, encoder.3";
    all.says(
        "text.toml",
        &["strategy.train_from=encoder.9"],
        &[
            "no stage is called `encoder.9`",
            "1 | strategy.train_from=encoder.9",
            "^^^^^^^^^",
            there,
        ],
    );
    all.says(
        "text.toml",
        &["strategy.freeze=[\"embeddings\", \"encoder.2-7\"]"],
        &["no stage is called `encoder.2-7`", there],
    );
    let lora = ["strategy.method=lora", "strategy.targets=nope"];
    let parts = [
        "no linear map of the encoder is called `nope`",
        "1 | strategy.targets=nope",
        "encoder.0.query",
    ];
    all.says("text.toml", &lora, &parts);
    let phases = TEXT.replace("fine-tune", "phases");
    let phases = format!(
        "{phases}\n[[strategy.phases]]\ntrain_from = \"head\"\n\n[[strategy.phases]]\nfreeze = \"nope\"\n"
    );
    all.0.write("phases.toml", &phases);
    all.says(
        "phases.toml",
        &[],
        &["no stage is called `nope`", "--> phases.toml:18:10"],
    );
    for right in ["encoder.3", "embeddings", "head"] {
        let set = format!("strategy.train_from={right}");
        all.0
            .tlkit(&["validate", "text.toml", "--set", &set])
            .code(0);
    }
}

#[test]
fn no_cell_and_no_point_runs_where_another_names_a_stage_that_is_not_there() {
    let all = Refusals::new();
    let bench = &all.0;
    bench.write(
        "cells.toml",
        "[experiment]\nbase = \"text.toml\"\nseeds = 3\nvary.\"strategy.train_from\" = [\"head\", \"encoder.9\"]\n",
    );
    for command in [
        &["compare", "cells.toml"][..],
        &["compare", "cells.toml", "--dry-run"],
        &["validate", "cells.toml"],
    ] {
        let said = bench.tlkit(command).code(2).err;
        for part in ["no stage is called `encoder.9`", "--> cells.toml:4:39"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!bench.path("experiments").exists(), "{said}");
    }
    let grid = format!("{TEXT}\n[tune]\n\"strategy.train_from\" = [\"head\", \"encoder.9\"]\n");
    bench.write("grid.toml", &grid);
    for command in [&["run", "grid.toml"][..], &["validate", "grid.toml"]] {
        let said = bench.tlkit(command).code(2).err;
        for part in ["no stage is called `encoder.9`", "--> grid.toml:15:34"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!bench.path("runs").exists(), "{said}");
    }
}

#[test]
fn what_a_method_has_no_place_for_is_an_error_at_its_key() {
    let all = Refusals::new();
    for method in ["lora", "bitfit"] {
        all.says(
            "text.toml",
            &[
                &format!("strategy.method={method}"),
                "train.layer_decay=0.9",
            ],
            &[
                &format!("`{method}` has one rate for all that it trains of the encoder"),
                "1 | train.layer_decay=0.9",
            ],
        );
    }
    all.says(
        "text.toml",
        &["strategy.method=gradual-unfreeze", "train.layer_decay=0.9"],
        &["has a decay of its own", "write `strategy.decay`"],
    );
    let dense = "target.head=[{ dense = 8, activation = \"tanh\" }, \"classifier\"]";
    for (method, words) in [
        ("knn", "finds neighbours by the encoder's features"),
        ("feature-extraction", "fits a plain classifier"),
    ] {
        let method = format!("strategy.method={method}");
        all.says("text.toml", &[&method, dense], &[words, "1 | target.head="]);
    }
    for (method, words) in [
        ("knn", "counts the votes of all rows alike"),
        ("feature-extraction", "fits plain cross-entropy"),
    ] {
        let method = format!("strategy.method={method}");
        all.says(
            "text.toml",
            &[&method, "target.label_smoothing=0.1"],
            &[words, "1 | target.label_smoothing=0.1"],
        );
    }
    let passage = |i: usize| format!("many words of passage {i}, which is long enough\n");
    let passages: String = (0..30).map(passage).collect();
    all.0.write("passages.txt", &passages);
    for task in ["text-vectors", "masked-language-modelling"] {
        let (head, tail) = (TEXT.split("[target]"), TEXT.split("[strategy]"));
        let (head, tail) = (head.into_iter().next(), tail.into_iter().nth(1));
        let (head, tail) = (head.expect("a source"), tail.expect("a strategy"));
        all.0.write(
            "none.toml",
            &format!(
                "{head}[target]\ntask = \"{task}\"\ntrain = \"passages.txt\"\n[strategy]{tail}"
            ),
        );
        for method in ["knn", "feature-extraction"] {
            let set = format!("strategy.method={method}");
            let words = format!("`{method}` answers with a class, and this target task has none");
            all.says("none.toml", &[&set], &[&words]);
        }
    }
    let domains = TEXT
        .replace("inductive", "transductive")
        .replace(
            "\ntrain = \"builtin:reviews/films/train\"",
            "\nunlabelled = \"builtin:reviews/kitchen/train\"",
        )
        .replace("per_class = 10\n", "")
        .replace(
            "bert-mini\"",
            "bert-mini\"\ntrain = \"builtin:reviews/films/train\"",
        );
    all.0.write("domains.toml", &domains);
    for (method, words) in [
        (
            "bbse",
            "takes what the model says for the source's frequencies",
        ),
        (
            "em-prior",
            "takes what the model says for the source's frequencies",
        ),
        ("discriminator-weights", "weighs the plain log loss by rows"),
        ("coral", "weighs all rows alike in its head"),
    ] {
        let set = format!("strategy.method={method}");
        all.0
            .tlkit(&["validate", "domains.toml", "--set", &set])
            .code(0);
        all.says(
            "domains.toml",
            &[&set, "target.label_smoothing=0.1"],
            &[words, "take out class_weights and label_smoothing"],
        );
    }
}

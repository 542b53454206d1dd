//! What is found in rows, and what stops a run.

use super::world::*;
#[test]
fn clean_rows_have_no_findings() {
    let read = clean().read(GIVEN);
    assert_eq!(read.found(), [""; 0]);
    let audit = serde_json::to_value(read.audit()).unwrap();
    assert_eq!(
        audit["rows"],
        serde_json::json!({"test": 8, "train": 20, "validation": 6})
    );
    assert_eq!(
        audit["classes"]["train"],
        serde_json::json!({"neg": 10, "pos": 10})
    );
    assert_eq!(audit["dropped"], serde_json::json!({}));
    assert_eq!(audit["truncated"], serde_json::json!({}));
    assert_eq!(audit["findings"], serde_json::json!([]));
}

#[test]
fn every_finding_in_its_words() {
    let rows = [
        "A fine film|pos",
        "a  FINE film |pos",
        "so so|neg",
        "So so|pos",
        " |neg",
        "x!|neg",
        "bad|Neg",
        "good one|pos",
    ];
    let read = World::default().with("a.rows", &rows).read(NO_SPLIT);
    assert_eq!(
        read.found(),
        [
            "!empty train 1: 1 row of train has no text and is left out",
            "!duplicates train 2: 2 of 7 rows in train repeat an earlier one",
            "!conflicts train 2: 2 rows of train have the text of another one and a different label",
            "!labels train 2: the labels `Neg` and `neg` differ only in case or spaces and are 2 classes",
            "near-empty train 1: 1 row of train holds one letter or none",
        ]
    );
    let json = serde_json::to_value(&read.audit().findings[1]).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "kind": "duplicates", "split": "train", "level": "warning", "count": 2, "of": 7,
            "words": "2 of 7 rows in train repeat an earlier one",
            "examples": [{"row": "a.rows:3", "text": "a FINE film"}, {"row": "a.rows:5", "text": "So so"}],
        })
    );
    assert_eq!(read.texts("train").len(), 7);
    assert_eq!(read.audit().dropped["empty"], 1);
}

#[test]
fn labels_that_are_one_number() {
    let rows = ["a b|1", "c d|1.0", "e f|2", "g h|1", "i j|two", "k l|2"];
    let read = World::default().with("a.rows", &rows).read(NO_SPLIT);
    assert_eq!(
        read.found(),
        ["!labels train 1: the labels `1` and `1.0` are the same number and are 2 classes"]
    );
}

#[test]
fn classes_far_apart_in_size() {
    let mut rows = many(60, "row");
    rows.retain(|r| r.ends_with("neg"));
    rows.extend(["rare one|pos".to_string(), "rare two|pos".to_string()]);
    let read = World::default()
        .with_rows("a.rows", &rows, false)
        .read(NO_SPLIT);
    assert_eq!(
        read.found(),
        ["!balance train 2: train has 2 rows of `pos` and 30 of `neg`"]
    );
}

#[test]
fn examples_are_cut_and_few() {
    let long = format!("{}|neg", "é".repeat(300));
    let rows = [
        long.as_str(),
        &long,
        &long,
        &long,
        &long,
        "b|pos",
        "c d|pos",
    ];
    let read = World::default().with("a.rows", &rows).read(NO_SPLIT);
    let f = &read.audit().findings[0];
    assert_eq!((f.kind, f.count, f.examples.len()), ("duplicates", 4, 3));
    assert_eq!(f.examples[0].text, "é".repeat(99) + "…");
}

#[test]
fn what_stops_a_run() {
    let one: Vec<String> = many(6, "row")
        .iter()
        .map(|r| r.replace("pos", "neg"))
        .collect();
    World::default()
        .with_rows("a.rows", &one, false)
        .read(NO_SPLIT)
        .says(&[
            "error: every row has the label `neg`\n --> recipe.toml:2:9",
            "is `label` the right column?",
        ]);

    let unseen = World::default()
        .with_rows("a.rows", &many(6, "row"), false)
        .with("c.rows", &["a test|neg", "another|maybe"]);
    unseen.read("train = \"a.rows\"\ntest = \"c.rows\"").says(&[
        "error: c.rows:3:2: the label `maybe` is not among the training labels\n --> recipe.toml:3:8",
        "the classes are neg, pos",
    ]);

    clean()
        .read("train = \"a.rows\"\ntext = \"label\"")
        .says(&["error: text and label are the same column"]);
    clean()
        .read("train = \"a.rows\"\npair = \"text\"")
        .says(&["error: text and pair are the same column"]);

    let empty = World::default().with("a.rows", &["a|neg", " |pos", "|neg", "|pos", "b|pos"]);
    empty.read(NO_SPLIT).says(&[
        "error: 3 of 5 rows of `train` have no text\n --> recipe.toml:2:9",
        "is `text` the right column?",
    ]);

    clean()
        .read("train = \"a.rows\"\ntest = \"a.rows\"")
        .says(&[
            "error: the same file twice\n --> recipe.toml:3:8",
            "for `test`",
            "for `train`",
            "split = { test = 0.2 }",
        ]);
    clean()
        .read("train = [\"a.rows\", \"a.rows\"]")
        .says(&["error: the same file twice", "each row would count twice"]);
    // A copy under another name, in another order.
    let mut copy = many(20, "train");
    copy.reverse();
    let copied = clean().with_rows("d.rows", &copy, false);
    copied
        .read("train = \"a.rows\"\ntest = \"d.rows\"")
        .says(&["error: `train` and `test` hold the same rows"]);

    let gone = World::default()
        .with("a.rows", &["one a|neg", "two|pos", "three|pos"])
        .with("c.rows", &["one a|neg", "other|pos"]);
    gone.read("train = \"a.rows\"\ntest = \"c.rows\"\nsplit = { validation = 0.0 }")
        .says(&[
            "error: no training row of `neg` is left",
            "overlap = \"keep\"",
        ]);

    let unlabelled = World::default().with("a.rows", &["a b|neg", "b c| ", "c d|pos"]);
    unlabelled
        .read(NO_SPLIT)
        .says(&["error: a.rows:3:2: the label is empty; write one, or take the row out"]);
}

#[test]
fn features_that_are_alike_are_said_and_kept() {
    let rows = ["1|a", "2|b", "1|a", "3|b"];
    let test = ["1|a", "7|b"];
    let read = World::default()
        .with("a.rows", &rows)
        .with("c.rows", &test)
        .read_as(
            "train = \"a.rows\"\ntest = \"c.rows\"\nsplit = { validation = 0.0 }",
            Form::Features,
            false,
            Overlap::Drop,
        );
    assert_eq!(
        read.found(),
        [
            "!overlap train 2: 2 rows of train also stand in test and are kept",
            "duplicates train 1: 1 of 4 rows in train repeats an earlier one",
        ]
    );
}

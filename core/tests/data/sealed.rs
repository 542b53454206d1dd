//! Labels that nobody may see.

use super::world::*;

#[test]
fn sealed_labels_are_not_read() {
    let unlabelled = ["a film|?", "a film|?", " |?", "another|?", "third|?"];
    let test = ["a test|pos", "a test|neg", "third|pos"];
    let read = World::default()
        // Panics when a label cell is read.
        .sealed("a.rows", &unlabelled)
        .with("c.rows", &test)
        .read_as(
            "unlabelled = \"a.rows\"\ntest = \"c.rows\"",
            Form::Text,
            true,
            Overlap::Drop,
        );
    // Inputs only: no conflict, no balance, no class counts; nothing is dropped for being tested.
    assert_eq!(
        read.found(),
        [
            "!empty unlabelled 1: 1 row of unlabelled has no text and is left out",
            "!duplicates unlabelled 1: 1 of 4 rows in unlabelled repeats an earlier one",
            "!duplicates test 1: 1 of 3 rows in test repeats an earlier one",
        ]
    );
    assert!(read.audit().classes.is_empty());
    assert_eq!(read.texts("unlabelled").len(), 4);
    // Once a row, for the scores.
    assert_eq!(read.world.files["c.rows"].reads.load(Ordering::SeqCst), 3);

    let refused = World::default().sealed("a.rows", &unlabelled).read_as(
        "unlabelled = \"a.rows\"\nper_class = 3",
        Form::Text,
        true,
        Overlap::Drop,
    );
    refused.says(&["the target's labels are sealed", "write `limit`"]);
}

#[test]
fn the_rows_adapted_on_may_be_those_tested_on() {
    let rows = ["one film|pos", "two films|neg", "three|pos"];
    let read = World::default().with("a.rows", &rows).read_as(
        "unlabelled = \"a.rows\"\ntest = \"a.rows\"",
        Form::Text,
        true,
        Overlap::Drop,
    );
    assert_eq!(
        (read.texts("unlabelled").len(), read.texts("test").len()),
        (3, 3)
    );
}

/// What is left out of both domains is counted together.
#[test]
fn blank_rows_of_both_domains_are_counted() {
    let read = World::default()
        .with("a.rows", &["one|?", " |?", "three|?"])
        .with(
            "s.rows",
            &["a b|pos", "c d|neg", " |neg", " |pos", "e f|neg"],
        )
        .read_as(
            "unlabelled = \"a.rows\"\n[source]\ntrain = \"s.rows\"\nsplit = { validation = 0.0 }",
            Form::Text,
            true,
            Overlap::Drop,
        );
    assert_eq!(read.audit().dropped["empty"], 3);
}

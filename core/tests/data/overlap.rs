//! Rows on both sides of a split.

use super::world::*;

fn overlapping() -> World {
    let mut train = many(20, "train");
    train[3] = "Validation number  1|pos".into();
    train[4] = "test number 2|neg".into();
    train[5] = "TEST number 2|pos".into();
    World::default()
        .with_rows("a.rows", &train, false)
        .with_rows("b.rows", &many(6, "validation"), false)
        .with_rows("c.rows", &many(8, "test"), false)
}

#[test]
fn rows_to_judge_by_are_dropped_from_train_and_never_from_test() {
    let read = overlapping().read(GIVEN);
    assert_eq!(
        read.found(),
        [
            "!overlap train 3: 3 rows of train also stand in validation or test and are left out of train"
        ]
    );
    assert_eq!(read.audit().dropped["overlap"], 3);
    assert_eq!(read.audit().rows["train"], 17);
    let train = read.texts("train");
    assert!(!train.iter().any(|t| t.to_lowercase().starts_with("test")));
    assert_eq!(
        (read.texts("validation").len(), read.texts("test").len()),
        (6, 8)
    );
    let labels = read.data().domain("train").unwrap().unwrap().labels;
    assert_eq!((labels.classes.len(), labels.counts()), (17, vec![9, 8]));
}

#[test]
fn overlap_can_be_kept_or_stop_the_run() {
    let keep = overlapping().read_as(GIVEN, Form::Text, false, Overlap::Keep);
    assert_eq!(
        keep.found(),
        [
            "!overlap train 3: 3 rows of train also stand in validation or test and are kept",
            "!conflicts train 2: 2 rows of train have the text of another one and a different label",
            "duplicates train 1: 1 of 20 rows in train repeats an earlier one",
        ]
    );
    assert_eq!(keep.texts("train").len(), 20);
    let drop = overlapping().read(GIVEN);
    assert_ne!(keep.data().digest(), drop.data().digest());
    overlapping()
        .read_as(GIVEN, Form::Text, false, Overlap::Stop)
        .says(&[
            "error: 3 rows of `train` also stand in validation or test\n --> recipe.toml:2:9",
            "note: a.rows:5: Validation number 1",
            "overlap = \"drop\"",
        ]);
}

#[test]
fn parts_that_are_split_off_are_rows_to_judge_by_too() {
    // Each text three times.
    let rows: Vec<String> = (0..3).flat_map(|_| many(30, "row")).collect();
    let read = World::default()
        .with_rows("a.rows", &rows, false)
        .read("train = \"a.rows\"\nsplit = { validation = 0.1, test = 0.2 }");
    let (train, test, validation) = (
        read.texts("train"),
        read.texts("test"),
        read.texts("validation"),
    );
    assert_eq!((validation.len(), test.len()), (10, 18));
    assert!(
        !train
            .iter()
            .any(|t| test.contains(t) || validation.contains(t))
    );
    let dropped = read.audit().dropped["overlap"];
    assert_eq!(train.len() + dropped + 28, 90);
}

#[test]
fn validation_rows_that_are_test_rows_are_said_and_stay() {
    let mut validation = many(6, "validation");
    validation[0] = "test number 0|neg".into();
    let read = World::default()
        .with_rows("a.rows", &many(20, "train"), false)
        .with_rows("b.rows", &validation, false)
        .with_rows("c.rows", &many(8, "test"), false)
        .read(GIVEN);
    assert_eq!(
        read.found(),
        ["!overlap validation 1: 1 row of validation also stands in test and is kept"]
    );
    assert_eq!(read.texts("validation").len(), 6);
}

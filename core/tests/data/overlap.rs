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
            "!overlap train 3: 3 rows of train also stand in validation or test (1 of them under another label) and are left out of train"
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
            "!overlap train 3: 3 rows of train also stand in validation or test (1 of them under another label) and are kept",
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

/// The same text with two labels is said wherever the two stand; labels that nobody may see are not compared.
#[test]
fn rows_that_another_split_has_under_another_label_are_said() {
    let other = |row: &str| match row.strip_suffix("|pos") {
        Some(text) => format!("{text}|neg"),
        None => row.replace("|neg", "|pos"),
    };
    let mut validation = many(6, "validation");
    let test = many(8, "test");
    validation[1] = other(&test[1]);
    let mut train = many(20, "train");
    train[3] = other(&validation[2]);
    let world = World::default()
        .with_rows("a.rows", &train, false)
        .with_rows("b.rows", &validation, false)
        .with_rows("c.rows", &test, false);
    assert_eq!(
        world.read(GIVEN).found(),
        [
            "!overlap train 1: 1 row of train also stands in validation or test under another label and is left out of train",
            "!overlap validation 1: 1 row of validation also stands in test under another label and is kept",
        ]
    );

    // A pair of each, split at random.
    let mut rows = many(30, "row");
    let twice: Vec<String> = rows.iter().map(|r| other(r)).collect();
    rows.extend(twice);
    let read = World::default()
        .with_rows("a.rows", &rows, false)
        .read("train = \"a.rows\"\nsplit = { validation = 0.5 }");
    let found = read.found();
    assert!(
        found
            .iter()
            .any(|f| f.starts_with("!overlap train") && f.contains("under another label")),
        "{found:?}"
    );

    let mut test = many(8, "test");
    test.push(other(&many(40, "source")[0]));
    let sealed = World::default()
        .with_rows("a.rows", &many(10, "target"), false)
        .with_rows("c.rows", &test, false)
        .with_rows("s.rows", &many(40, "source"), false)
        .read_as(
            "unlabelled = \"a.rows\"\ntest = \"c.rows\"\n[source]\ntrain = \"s.rows\"",
            Form::Text,
            true,
            Overlap::Drop,
        );
    let found = sealed.found();
    assert!(
        found
            .iter()
            .all(|f| f.starts_with("!overlap source") && !f.contains("label")),
        "{found:?}"
    );
}

/// A source, rows to adapt on, and a test that has one row of the source.
fn two_domains(row: usize, closed_form: bool, policy: Overlap) -> Read {
    let source = many(40, "source");
    let mut test = many(8, "test");
    test.push(source[row].clone());
    let world = World {
        closed_form,
        ..World::default()
    };
    world
        .with_rows("a.rows", &many(10, "target"), false)
        .with_rows("c.rows", &test, false)
        .with_rows("s.rows", &source, false)
        .read_as(
            "unlabelled = \"a.rows\"\ntest = \"c.rows\"\n[source]\ntrain = \"s.rows\"",
            Form::Text,
            true,
            policy,
        )
}

/// A closed form learns from all rows of the source, those among them that other methods set aside: a tenth of the rows that are tested on was learned from.
#[test]
fn no_row_that_a_closed_form_learns_from_is_tested_on() {
    for row in 0..20 {
        let read = two_domains(row, true, Overlap::Drop);
        assert_eq!(
            read.found(),
            [
                "!overlap source 1: 1 row of source also stands in target.test and is left out of source"
            ]
        );
        let text = format!("source number {row}");
        let learned = read.texts("source");
        assert_eq!((learned.len(), learned.contains(&text)), (39, false));
        assert_eq!(read.audit().rows["source"], 39);
        assert_eq!(read.texts("source-validation"), [""; 0]);
        two_domains(row, true, Overlap::Stop)
            .says(&["1 row of `source` also stands in target.test"]);
    }
    let kept = two_domains(0, true, Overlap::Keep);
    assert_eq!(kept.texts("source").len(), 40);
}

#[test]
fn rows_of_the_source_to_choose_by_that_are_tested_on_are_said() {
    let mut said = std::collections::BTreeSet::new();
    for row in 0..40 {
        let read = two_domains(row, false, Overlap::Drop);
        let chosen_by = read.texts("source-validation");
        assert_eq!(chosen_by.len(), 4);
        let words = match chosen_by.contains(&format!("source number {row}")) {
            true => {
                "!overlap source-validation 1: 1 row of source-validation also stands in target.test and is kept"
            }
            false => {
                "!overlap source 1: 1 row of source also stands in target.test and is left out of source"
            }
        };
        assert_eq!(read.found(), [words]);
        said.insert(words);
    }
    assert_eq!(said.len(), 2);
}

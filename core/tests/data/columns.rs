//! Which columns a model takes from files whose columns are numbers.

use tlkit_core::data::{Named, RowForm};
use tlkit_core::recipe::Column;

use super::world::*;

/// A file of these rows without names of columns.
fn numbered(rows: &[&str]) -> Arc<dyn Table> {
    let names: Vec<String> = (1..=rows[0].split('|').count())
        .map(|n| n.to_string())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows: Vec<String> = rows.iter().map(|r| r.to_string()).collect();
    let world = World::default().with_columns("a.rows", &names, &rows, false);
    world.table("a.rows")
}

fn form(form: Form, own: &[&str], label: &str, columns: Option<usize>) -> RowForm {
    let own: Vec<String> = own.iter().map(|c| c.to_string()).collect();
    let vector = form == Form::Features;
    RowForm {
        form,
        text: own.first().cloned().filter(|_| !vector),
        pair: own.get(1).cloned().filter(|_| !vector),
        image: None,
        label: Some(label.into()),
        width: if vector { own.len() } else { 0 },
        features: if vector { own } else { Vec::new() },
        index_base: None,
        scene_size: None,
        header: false,
        columns,
    }
}

/// What the model is given of the first row; or why nothing is.
fn first(form: &RowForm, row: &str, label: Option<usize>) -> std::result::Result<String, String> {
    let named = Named {
        label: label.map(Column::Number),
        ..Named::default()
    };
    let found = form.find(vec![numbered(&[row])], &named);
    let found = found.map_err(|e| e.to_string())?;
    let input = found.inputs.input(0).map_err(|e| e.to_string())?;
    Ok(input.preview(100).unwrap_or_default())
}

/// An id in column 1, the label in column 2: without the label's column the id took the place of a feature, and nothing said so.
#[test]
fn a_vector_is_not_taken_from_columns_that_have_moved() {
    let run = form(Form::Features, &["3", "4", "5"], "2", Some(6));
    let of = |row| first(&run, row, None);
    assert_eq!(of("9|a|1|2|3|x"), Ok("1, 2, 3".into()));
    for lacking in ["9|1|2|3", "9|1|2|3|8"] {
        let error = of(lacking).expect_err("it lacks columns");
        for part in [
            "the columns `3`, `4`, `5` of 6, with the label in `2`",
            "with anything in column 2 where there are no labels",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
    assert_eq!(of("1|2|3"), Ok("1, 2, 3".into()));
    // What an older run has kept of its columns is enough for most of it.
    let older = form(Form::Features, &["3", "4", "5"], "2", None);
    assert!(first(&older, "9|1|2|3", None).is_err());
    assert_eq!(first(&older, "9|a|1|2|3", None), Ok("1, 2, 3".into()));
    // An id behind the features.
    let run = form(Form::Features, &["2", "3"], "1", Some(4));
    assert_eq!(first(&run, "a|1|2|9", None), Ok("1, 2".into()));
    assert!(first(&run, "1|2|9", None).is_err());
    let run = form(Form::Features, &["1", "2"], "3", Some(4));
    assert_eq!(first(&run, "1|2|9", None), Ok("1, 2".into()));
}

#[test]
fn columns_that_are_all_features_or_the_label_are_taken_in_their_order() {
    for (own, label) in [(["1", "2"], "3"), (["2", "3"], "1"), (["1", "3"], "2")] {
        for columns in [Some(3), None] {
            let run = form(Form::Features, &own, label, columns);
            assert_eq!(first(&run, "1|2", None), Ok("1, 2".into()), "{own:?}");
            for (row, at) in [("a|1|2", 1), ("1|a|2", 2), ("1|2|a", 3)] {
                let said = first(&run, row, Some(at));
                assert_eq!(said, Ok("1, 2".into()), "{own:?}, {row}");
            }
        }
    }
    // A second column of labels.
    let run = form(Form::Features, &["2", "3"], "1", Some(3));
    assert_eq!(first(&run, "a|1|2|b", Some(4)), Ok("1, 2".into()));
}

#[test]
fn an_id_is_not_taken_for_the_text() {
    let run = form(Form::Text, &["3"], "2", Some(3));
    let of = |row| first(&run, row, None);
    assert_eq!(of("r1|a|some words"), Ok("some words".into()));
    assert_eq!(of("some words"), Ok("some words".into()));
    let error = of("r1|some words").expect_err("which is the text?");
    for part in ["the column `3` of 3, with the label in `2`", "`--column`"] {
        assert!(error.contains(part), "{error}");
    }
    // Beside a label that is named there is one column alone.
    assert_eq!(first(&run, "a|words", Some(1)), Ok("words".into()));
    let run = form(Form::Text, &["2"], "1", Some(3));
    assert!(first(&run, "some words|r1", None).is_err());
    let run = form(Form::Text, &["1"], "2", Some(3));
    assert_eq!(first(&run, "words|r1", None), Ok("words".into()));
    let pairs = form(Form::Text, &["3", "2"], "1", Some(3));
    let both = Ok("one | two".to_string());
    assert_eq!(first(&pairs, "a|two|one", None), both);
    assert_eq!(first(&pairs, "two|one", None), both);
}

/// Rows to adapt on may come without their labels, also where the label's column is a number.
#[test]
fn a_label_by_number_may_be_absent_from_sealed_rows() {
    let world = World::default()
        .with_columns("a.rows", &["1"], &["one".into(), "two".into()], false)
        .with_columns(
            "c.rows",
            &["1", "2"],
            &["three|a".into(), "four|b".into()],
            false,
        );
    let keys = "unlabelled = \"a.rows\"\ntest = \"c.rows\"\nheader = false\ntext = 1\nlabel = 2";
    let read = world.read_as(keys, Form::Text, true, Overlap::Drop);
    assert_eq!(read.texts("unlabelled"), ["one", "two"]);
}

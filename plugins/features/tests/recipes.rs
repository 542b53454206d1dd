//! What is wrong with a recipe is said before anything runs.

mod common;

use common::{check, data};

fn wrong(sets: &[&str], words: &[&str]) {
    let dir = data();
    let error = check(dir.path(), "csv", sets).err().expect("an error");
    for w in words {
        assert!(error.contains(w), "`{w}` is not in:\n{error}");
    }
}

#[test]
fn keys_out_of_range() {
    wrong(&["source.hidden=[0]"], &["whole numbers from 1 to 65536"]);
    wrong(&["source.hidden=[6.5]"], &["whole numbers from 1 to 65536"]);
    wrong(&["source.activation=\"rellu\""], &["relu"]);
    wrong(&["source.dropout=1.0"], &["dropout"]);
    wrong(&["target.label_smoothing=1.5"], &["label_smoothing"]);
}

#[test]
fn class_weights_that_do_not_fit() {
    let expected = "`\"balanced\"`, or 2 positive numbers";
    wrong(
        &["target.class_weights=[1.0, 2.0, 3.0]"],
        &["these are 3 numbers", expected, "left, right"],
    );
    wrong(
        &["target.class_weights=[1.0, 0.0]"],
        &["these are not class weights", expected],
    );
    wrong(
        &["target.class_weights=\"even\""],
        &["these are not class weights", expected],
    );
}

#[test]
fn files_with_other_columns() {
    let dir = data();
    std::fs::write(dir.path().join("test.csv"), "y,label,x\n1,left,2\n").unwrap();
    let error = check(dir.path(), "csv", &[]).err().expect("an error");
    assert!(
        error.contains("`test` does not have the columns of `train`"),
        "{error}"
    );
}

#[test]
fn a_word_among_the_numbers_is_an_error_at_its_line() {
    let dir = data();
    std::fs::write(
        dir.path().join("train.csv"),
        "x,label\n1,a\nn/a,b\n2,a\n3,b\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("test.csv"), "x,label\n1,a\n").unwrap();
    let error = check(dir.path(), "csv", &[]).err().expect("an error");
    assert!(
        error.contains("train.csv:3:1: `n/a` is not a number"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_is_refused() {
    let dir = data();
    std::fs::write(dir.path().join("old.safetensors"), "x").unwrap();
    let error = check(
        dir.path(),
        "csv",
        &["source.checkpoint=\"old.safetensors\""],
    )
    .err()
    .expect("an error");
    assert!(
        error.contains("reads no checkpoint in this version"),
        "{error}"
    );
}

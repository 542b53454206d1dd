//! A recipe at a point of a grid, and with further `--set`s.

use tlkit_recipe::{At, Value, Written};

const TEXT: &str =
    "[train]\nepochs = 3\n\n[tune]\n\"train.epochs\" = [1, \"two\"]\n\"train.new.key\" = [0.5]\n";

fn written() -> Written {
    Written::parse("recipe.toml", TEXT, &[]).expect("TOML")
}

/// The `i`-th value of a key of the grid.
fn point(written: &Written, key: &str, i: usize) -> (String, At, Value) {
    let tune = written.keys().table("tune");
    let list = tune
        .value(key)
        .optional()
        .and_then(|v| v.as_list())
        .expect("a list");
    (key.to_string(), tune.at_key(key), list[i].clone())
}

#[test]
fn a_value_of_the_grid_stands_in_the_recipe_and_the_grid_is_gone() {
    let base = written();
    let at = base
        .at_point(
            "tune",
            &[
                point(&base, "train.epochs", 0),
                point(&base, "train.new.key", 0),
            ],
        )
        .expect("it can be placed");
    let train = at.keys().table("train");
    assert_eq!(train.usize("epochs").optional(), Some(1));
    assert_eq!(train.table("new").f64("key").optional(), Some(0.5));
    assert!(!at.keys().has("tune"));
    assert_eq!(at.finish().errors(), 0, "{}", at.finish());
    // The base is as it was.
    assert_eq!(
        base.keys().table("train").usize("epochs").optional(),
        Some(3)
    );
}

#[test]
fn an_error_points_into_the_grid() {
    let base = written();
    let at = base
        .at_point("tune", &[point(&base, "train.epochs", 1)])
        .expect("it can be placed");
    at.keys().table("train").usize("epochs").optional();
    let said = at.finish().to_string();
    assert!(
        said.contains("recipe.toml:5:22") && said.contains("\"two\""),
        "{said}"
    );
    // A key that nobody reads is underlined where the grid names it.
    let at = base
        .at_point("tune", &[point(&base, "train.new.key", 0)])
        .expect("it can be placed");
    at.keys().table("train").usize("epochs").optional();
    let said = at.finish().to_string();
    assert!(said.contains("recipe.toml:6:"), "{said}");
    // A key below a number cannot be placed.
    let (_, place, value) = point(&base, "train.epochs", 0);
    let wrong = base
        .at_point("tune", &[("train.epochs.more".into(), place, value)])
        .expect_err("a number has no keys");
    assert!(
        wrong.to_string().contains("`train.epochs` is not a table"),
        "{wrong}"
    );
}

#[test]
fn further_sets_go_on_top() {
    let base = written();
    let more = base
        .with_sets(&["train.epochs=7".into()])
        .expect("it can be placed");
    assert_eq!(
        more.keys().table("train").usize("epochs").optional(),
        Some(7)
    );
    assert!(base.with_sets(&["train.epochs.more=1".into()]).is_err());
}

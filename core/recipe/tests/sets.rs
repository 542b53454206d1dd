//! `--set` on top of a recipe.

use tlkit_recipe::Written;

const RECIPE: &str = "[train]\nepochs = 3\n\n[tune]\n\"train.learning_rate\" = [1e-5]\n\n[[plugins]]\npath = \"huber\"\n";

fn written(sets: &[&str]) -> Written {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Written::parse("recipe.toml", RECIPE, &sets).unwrap()
}

#[test]
fn a_value_is_toml_or_else_a_string() {
    let train = |set: &str| written(&[set]).keys().table("train");
    assert_eq!(train("train.epochs=7").usize("epochs").required(), 7);
    assert_eq!(train("train.epochs = 7").usize("epochs").required(), 7);
    assert_eq!(train("train.rate=1e-5").f64("rate").required(), 1e-5);
    assert_eq!(
        train("train.optimizer=sgd").string("optimizer").required(),
        "sgd"
    );
    assert_eq!(
        train("train.optimizer=\"sgd\"")
            .string("optimizer")
            .required(),
        "sgd"
    );
    assert_eq!(
        train("train.name=a = b, c#d").string("name").required(),
        "a = b, c#d"
    );
    assert!(train("train.nesterov=true").bool("nesterov").required());
    assert_eq!(
        train("train.betas=[0.5, 0.9]").numbers("betas").required(),
        [0.5, 0.9]
    );
    assert_eq!(train("train={ epochs = 9 }").usize("epochs").required(), 9);
}

#[test]
fn tables_are_made_and_lists_go_by_number() {
    let set = written(&[
        "target.split.test=0.5",
        "plugins.0.path=other",
        "tune.\"train.learning_rate\"=[1.0]",
    ]);
    assert_eq!(
        set.keys()
            .table("target")
            .table("split")
            .f64("test")
            .required(),
        0.5
    );
    assert_eq!(
        set.keys().tables("plugins")[0].string("path").required(),
        "other"
    );
    assert_eq!(
        set.keys()
            .table("tune")
            .numbers("train.learning_rate")
            .required(),
        [1.0]
    );
}

#[test]
fn the_last_one_counts() {
    let set = written(&["train.epochs=1", "train.epochs=2"]);
    assert_eq!(set.keys().table("train").usize("epochs").required(), 2);
}

#[test]
fn explain_prints_them_as_plain_values() {
    let set = written(&["train.optimizer=sgd", "train.epochs=5"]);
    let train = set.keys().table("train");
    train.usize("epochs").required();
    train.string("optimizer").required();
    assert_eq!(
        set.record().explain(),
        "[train]\nepochs = 5\noptimizer = \"sgd\"\n"
    );
}

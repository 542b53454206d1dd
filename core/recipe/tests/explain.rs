//! `explain` prints a recipe that reads the same, and the schema says what may stand in one.

mod grammar;

use tlkit_recipe::{Schema, Written};

const RECIPES: [(&str, &str, &[&str]); 4] = [
    (
        "one_csv",
        r#"
[source]
checkpoint = "builtin:bert-mini" # small

[target]
task = "text-classification"
train = ["reviews.csv", 'more\reviews.csv']
text = 2

[strategy]
kind = "inductive"
method = "fine-tune"
head = [
  "pooler",       # as it was trained
  { dropout = 0.1 },
]
"#,
        &[],
    ),
    (
        "two_domains",
        r#"
strategy.kind = "transductive"
strategy.method = "dann"
strategy.lambda = 0.5
train = { epochs = 0x10, micro_batch = 4 }
[target]
task = "text-classification"
unlabelled = "kitchen.csv"
"#,
        &[
            "source.checkpoint=builtin:bert-mini",
            "train.seed=18446744073709551615",
            "target.text=größe \"x\"",
        ],
    ),
    (
        "phases_and_plugins",
        r#"
[[plugins]]
path = "target/release/huber"
[strategy]
kind = "inductive"
method = "feature-extraction"
[[strategy.phases]]
train = ["head"]
[[strategy.phases]]
train = ["encoder.2-3", "head"]
epochs = 2
[evaluate]
baselines = ["majority"]
[target]
task = "image-classification"
train = "photos"
[target.split]
test = 0.5
"#,
        &[],
    ),
    (
        "lists_of_inline_tables",
        r#"
plugins = [{ path = "a" }, { path = "b" }]
strategy = { kind = "transductive", method = "mcc", phases = [{ train = ["head"], epochs = 2 }] }
target = { task = "text-classification", unlabelled = "x.csv", split = { seed = 3 } }
"#,
        &[],
    ),
];

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn explain_is_a_recipe_that_reads_the_same() {
    for (name, text, sets) in RECIPES {
        let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
        let (checked, record) =
            grammar::read("recipe.toml", text, &sets).unwrap_or_else(|r| panic!("{name}\n{r}"));
        let explained = record.explain();
        snapshot(name, &explained);
        let (again, second) =
            grammar::read("recipe.toml", &explained, &[]).unwrap_or_else(|r| panic!("{name}\n{r}"));
        assert_eq!(checked, again, "{name}");
        assert_eq!(record.to_json(), second.to_json(), "{name}");
    }
}

#[test]
fn paths_can_move_with_the_recipe() {
    let (_, record) = grammar::read("recipe.toml", RECIPES[0].1, &[]).unwrap();
    let moved = record.explain_with(&|path| format!("../{path}"));
    assert!(moved.contains(r#"train = ["../reviews.csv", "#), "{moved}");
    assert!(
        moved.contains(r#"checkpoint = "builtin:bert-mini""#),
        "{moved}"
    );
}

#[test]
fn what_an_unset_key_turned_out_to_be_is_explained() {
    let written = Written::parse("recipe.toml", "", &[]).unwrap();
    let train = written.keys().table("train");
    assert_eq!(train.usize("epochs").unset("400 steps").optional(), None);
    assert_eq!(
        written.record().explain(),
        "# [train]\n# epochs = 1  # optional, not set: 400 steps\n"
    );
    train.resolve("epochs", 8, "400 steps of 52 an epoch");
    assert_eq!(
        written.record().explain(),
        "[train]\nepochs = 8  # default: 400 steps of 52 an epoch\n"
    );
}

#[test]
fn what_is_free_is_explained_by_its_own_names() {
    let text = "[tune]\n\"train.learning_rate\" = [1e-5, 5e-5]\n\n[domains.\"b c\"]\nlabelled = \"b.tsv\"\n";
    let written = Written::parse("recipe.toml", text, &[]).unwrap();
    let (tune, domains) = (
        written.keys().table("tune"),
        written.keys().table("domains"),
    );
    for name in tune.free() {
        assert_eq!(tune.values(&name).required().len(), 2);
    }
    for name in domains.free() {
        assert_eq!(domains.table(&name).string("labelled").required(), "b.tsv");
    }
    assert!(written.finish().is_empty());
    assert_eq!(written.record().explain(), text);
}

#[test]
fn handles_go_anywhere() {
    fn anywhere<T: Send + Sync + Clone + 'static>(_: &T) {}
    let written = Written::parse("recipe.toml", "[train]\nepochs = 3\n", &[]).unwrap();
    let train = written.keys().table("train");
    let elsewhere = train.clone();
    anywhere(&written);
    anywhere(&train);
    anywhere(&train.at("epochs"));
    let epochs = std::thread::spawn(move || elsewhere.usize("epochs").required())
        .join()
        .unwrap();
    assert_eq!((epochs, train.usize("epochs").required()), (3, 3));
    assert!(written.finish().is_empty());
}

/// Both kinds of recipe, and the keys of two methods.
fn schema() -> Schema {
    let blank = Written::blank();
    grammar::check(&blank);
    let dann_alone = Written::blank();
    grammar::dann(&dann_alone.keys().table("strategy"));
    let mcc = Written::blank();
    mcc.keys()
        .table("strategy")
        .f64("temperature")
        .default(2.5, "Jin et al. 2020")
        .above(0.0)
        .read();
    let dann = dann_alone.record();
    let other = Written::blank_with(&[("strategy", "kind", "transductive")]);
    grammar::check(&other);
    Schema::new("tlkit recipe")
        .with(&blank.record())
        .or(&other.record())
        .variant("strategy", "method", "dann", &dann)
        .variant("strategy", "method", "mcc", &mcc.record())
}

/// A default that hangs on the rest of the recipe is no value that an editor could fill in.
#[test]
fn a_default_that_varies_is_said_in_words_in_the_schema() {
    let epochs = |written: &Written| {
        let epochs = written.keys().table("train").usize("epochs");
        let epochs = epochs.default(8usize, "400 steps, 52 an epoch");
        assert_eq!(epochs.varies("about 400 steps").read(), 8);
        written.record()
    };
    let schema = Schema::new("recipe").with(&epochs(&Written::blank()));
    let schema = &schema.to_json()["properties"]["train"]["properties"]["epochs"];
    assert_eq!(schema["x-unset"], "about 400 steps");
    assert!(schema.get("default").is_none(), "{schema}");
    let written = Written::parse("recipe.toml", "", &[]).unwrap();
    assert_eq!(
        epochs(&written).explain(),
        "[train]\nepochs = 8  # default: 400 steps, 52 an epoch\n"
    );
}

/// A checkpoint may say which task reads a table: the task's keys stand there without it.
#[test]
fn keys_of_a_variant_need_no_word_of_it_in_the_schema() {
    let blank = Written::blank();
    let source = blank.keys().table("source");
    let task = source.string("task").one_of(["bert", "features"]);
    let _ = task.optional();
    let bert = Written::blank();
    let length = bert.keys().table("source").usize("max_length");
    let _ = length.optional();
    let schema = Schema::new("recipe")
        .with(&blank.record())
        .variant("source", "task", "bert", &bert.record())
        .to_json();
    let rules = schema["properties"]["source"]["allOf"].as_array().unwrap();
    assert_eq!(
        rules[1],
        serde_json::json!({
            "if": {"required": ["max_length"]},
            "then": {"anyOf": [{"properties": {"task": {"const": "bert"}}}]},
        })
    );
}

#[test]
fn the_schema_says_what_may_stand_in_a_recipe() {
    let schema = schema().to_json();
    snapshot("schema", &serde_json::to_string_pretty(&schema).unwrap());
}

//! What an experiment comes to: its methods, their twins, its pairs.

use std::sync::Arc;

use super::super::plan::reference;
use super::*;
use crate::registry::{Kind, Twin};

const BASE: &str = "\
[source]
task = \"bert\"
train = \"own.tsv\"

[target]
unlabelled = \"own.tsv\"
test = \"own-test.tsv\"
label = \"stars\"

[strategy]
kind = \"transductive\"
method = \"mcc\"
temperature = 2.5
";

const EXPERIMENT: &str = "\
[experiment]
base = \"base.toml\"
pairs = [[\"books\", \"dvd\"]]
methods = [\"dann\", { name = \"long\", method = \"mcc\", temperature = 2.0, set = { \"train.epochs\" = 5 } }]

[domains.books]
labelled = [\"books.tsv\", \"builtin:more\"]
per_class = 100

[domains.dvd]
labelled = \"dvd.tsv\"
split = { test = 0.5 }
text = \"body\"
";

fn registry(names: &[&str]) -> Registry {
    let mut registry = Registry::new();
    for name in names {
        let made = registry.strategy(name, Kind::Transductive, "", Arc::new(|_, _| None));
        made.expect("a new name");
    }
    registry
}

fn design(names: &[&str], name: &str) -> (Design, PathBuf) {
    let dir = std::env::temp_dir().join(format!("tlkit-design-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    std::fs::write(dir.join("base.toml"), BASE).expect("written");
    let file = dir.join("experiment.toml");
    std::fs::write(&file, EXPERIMENT).expect("written");
    let written = Written::read(&file, &[]).expect("TOML");
    (
        read(&written, &registry(names)).expect("an experiment"),
        dir,
    )
}

/// The twin has what the method's `set` has, so that the two differ in nothing but the method.
#[test]
fn source_only_is_added_by_itself_once_for_each_set() {
    let (d, dir) = design(&["dann", "mcc", "source-only"], "twins");
    let names: Vec<&str> = d.methods.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        ["source-only", "source-only as long", "dann", "long"]
    );
    let of: Vec<Option<usize>> = (0..4).map(|i| reference(&d, i)).collect();
    assert_eq!(of, [None, None, Some(0), Some(1)]);
    assert_eq!(d.methods[1].own[0].0, "train.epochs");
    std::fs::remove_dir_all(dir).expect("removed");
    // Where there is no such method yet, nothing is added.
    let (d, dir) = design(&["dann", "mcc"], "none");
    assert_eq!(d.methods.len(), 2);
    std::fs::remove_dir_all(dir).expect("removed");
}

/// What batch norm does is the network's: every row has the base's, and a method's own has a twin with it.
#[test]
fn batch_norm_is_the_networks() {
    let dir = std::env::temp_dir().join(format!("tlkit-design-norm-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let base = format!("{BASE}batch_norm = \"train\"\n");
    std::fs::write(dir.join("base.toml"), base).expect("written");
    let file = dir.join("experiment.toml");
    let own =
        "methods = [\"dann\", { name = \"own\", method = \"dann\", batch_norm = \"frozen\" }]\n";
    let text: String = (EXPERIMENT.lines())
        .filter(|l| !l.starts_with("methods"))
        .map(|l| format!("{l}\n"))
        .collect();
    std::fs::write(&file, text.replacen("pairs", &format!("{own}pairs"), 1)).expect("written");
    let written = Written::read(&file, &[]).expect("TOML");
    let d = read(&written, &registry(&["dann", "mcc", "source-only"])).expect("an experiment");
    let norms: Vec<(&str, String)> = (d.methods.iter())
        .map(|m| {
            let over = m.overlays(&d.strategy, &d.folder);
            let cell = Written::read_under(&d.base, &over).expect("TOML");
            let norm = cell
                .keys()
                .table("strategy")
                .string("batch_norm")
                .required();
            (m.name.as_str(), norm)
        })
        .collect();
    assert_eq!(
        norms,
        [
            ("source-only", "train".to_string()),
            ("source-only as own", "frozen".into()),
            ("dann", "train".into()),
            ("own", "frozen".into()),
        ]
    );
    assert_eq!(reference(&d, 3), Some(1));
    std::fs::remove_dir_all(dir).expect("removed");
}

/// A twin that the experiment lists itself is the twin all the same, and another method's is another.
#[test]
fn a_twin_that_is_listed_is_what_its_methods_are_compared_with() {
    let mut registry = registry(&["source-head", "coral", "gfk"]);
    for name in ["coral", "gfk"] {
        let twin = Twin {
            method: "source-head",
            keys: &["head"],
        };
        registry.closed_form(name, twin);
    }
    let dir = std::env::temp_dir().join(format!("tlkit-design-listed-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    std::fs::write(
        dir.join("base.toml"),
        BASE.replace("\"mcc\"\ntemperature = 2.5", "\"coral\""),
    )
    .expect("written");
    let file = dir.join("experiment.toml");
    let methods = "methods = [\"source-head\", \"coral\", { name = \"near\", method = \"gfk\", head = \"1-nn\" }]\n";
    let text: String = EXPERIMENT
        .lines()
        .filter(|l| !l.starts_with("methods"))
        .map(|l| format!("{l}\n"))
        .collect();
    let text = text.replacen("pairs", &format!("{methods}pairs"), 1);
    std::fs::write(&file, text).expect("written");
    let written = Written::read(&file, &[]).expect("TOML");
    let d = read(&written, &registry).expect("an experiment");
    let names: Vec<&str> = d.methods.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        ["source-head as near", "source-head", "coral", "near"]
    );
    let of: Vec<Option<usize>> = (0..4).map(|i| reference(&d, i)).collect();
    assert_eq!(of, [None, None, Some(1), Some(0)]);
    std::fs::remove_dir_all(dir).expect("removed");
}

/// What each cell of an experiment over closed forms has as `strategy.head`, by the cell's method and value.
fn heads(name: &str, base: &str, experiment: &str) -> Vec<(String, Option<String>)> {
    let mut registry = registry(&["source-head", "coral", "gfk"]);
    for name in ["coral", "gfk", "source-head"] {
        let twin = Twin {
            method: "source-head",
            keys: &["head"],
        };
        registry.closed_form(name, twin);
    }
    let dir = std::env::temp_dir().join(format!("tlkit-design-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    file(
        "base.toml",
        &format!("[strategy]\nkind = \"transductive\"\n{base}"),
    );
    let text = format!("[experiment]\nbase = \"base.toml\"\n{experiment}");
    let written = Written::read(&file("experiment.toml", &text), &[]).expect("TOML");
    let d = read(&written, &registry).expect("an experiment");
    let values = d.axes.first().map_or(1, |a| a.values.len());
    let cells = (0..d.methods.len()).flat_map(|m| (0..values).map(move |v| (m, v)));
    let heads = cells.map(|(m, v)| {
        let values: Vec<usize> = d.axes.iter().map(|_| v).collect();
        let over = super::super::cells::overlays(&d, m, &values, None, 0);
        let cell = Written::read_under(&d.base, &over).expect("TOML");
        let strategy = cell.keys().table("strategy");
        let twin = reference(&d, m).map_or("", |r| d.methods[r].name.as_str());
        let name = format!("{} {v} {twin}", d.methods[m].name);
        (name, strategy.string("head").optional())
    });
    let heads = heads.collect();
    std::fs::remove_dir_all(&dir).expect("removed");
    heads
}

#[test]
fn the_twin_of_a_closed_form_has_its_head() {
    let near = Some("1-nn".to_string());
    let same = |found: Vec<(String, Option<String>)>, wanted: &[(&str, &Option<String>)]| {
        let wanted: Vec<_> = (wanted.iter())
            .map(|(name, head)| (name.to_string(), (*head).clone()))
            .collect();
        assert_eq!(found, wanted);
    };
    // Of the base's method it is the base's head.
    same(
        heads("base", "method = \"coral\"\nhead = \"1-nn\"\n", ""),
        &[("source-head 0 ", &near), ("coral 0 source-head", &near)],
    );
    // A head that stands in the base for another method is no method's.
    let base = "method = \"source-head\"\nhead = \"1-nn\"\n";
    same(
        heads("other", base, "methods = [\"coral\"]\n"),
        &[("source-head 0 ", &None), ("coral 0 source-head", &None)],
    );
    same(
        heads("listed", base, "methods = [\"source-head\", \"coral\"]\n"),
        &[
            ("source-head as coral 0 ", &None),
            ("source-head 0 source-head as coral", &near),
            ("coral 0 source-head as coral", &None),
        ],
    );
    // Two heads are two twins, and what is set for all is the head of all.
    same(
        heads(
            "two",
            "method = \"coral\"\nhead = \"1-nn\"\n",
            "methods = [\"coral\", \"gfk\"]\n",
        ),
        &[
            ("source-head 0 ", &near),
            ("source-head as gfk 0 ", &None),
            ("coral 0 source-head", &near),
            ("gfk 0 source-head as gfk", &None),
        ],
    );
    let svm = Some("svm".to_string());
    same(
        heads(
            "set",
            "method = \"coral\"\nhead = \"1-nn\"\n",
            "set = { \"strategy.head\" = \"svm\" }\n",
        ),
        &[("source-head 0 ", &svm), ("coral 0 source-head", &svm)],
    );
}

/// What a pair makes of `base.toml`, with this line in the table of each of its domains.
fn pair_of(base: &str, line: &str, name: &str) -> (Written, PathBuf) {
    let dir = std::env::temp_dir().join(format!("tlkit-design-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    std::fs::write(dir.join("base.toml"), base).expect("written");
    let file = dir.join("experiment.toml");
    let text = EXPERIMENT.replace("split = { test = 0.5 }\n", "");
    let text = text.replace("labelled = ", &format!("{line}\nlabelled = "));
    std::fs::write(&file, text).expect("written");
    let written = Written::read(&file, &[]).expect("TOML");
    let d = read(&written, &registry(&["dann", "mcc"])).expect("an experiment");
    let over = d.of_pair(d.pairs[0]);
    (Written::read_under(&d.base, &over).expect("TOML"), dir)
}

/// A split of a domain divides it as a source too, and a base that keeps customers together keeps them together in every pair.
#[test]
fn a_source_is_divided_as_its_domain_says_and_else_as_the_base_does() {
    let base = BASE.replace(
        "train = \"own.tsv\"",
        "train = \"own.tsv\"\nsplit = { validation = 0.3, group = \"customer\" }",
    );
    let line = "split = { validation = 0.2, test = 0.4, seed = 7 }";
    let (written, dir) = pair_of(&base, line, "split");
    let keys = written.keys();
    let source = keys.table("source").table("split");
    assert_eq!(source.names(), ["validation", "group", "seed"]);
    assert_eq!(source.f64("validation").required(), 0.2);
    assert_eq!(source.string("group").required(), "customer");
    let target = keys.table("target").table("split");
    assert_eq!(target.names(), ["test", "seed"]);
    assert_eq!(target.f64("test").required(), 0.4);
    std::fs::remove_dir_all(dir).expect("removed");

    let line = "split.group = \"author\"";
    let (written, dir) = pair_of(BASE, line, "split-group");
    for table in ["source", "target"] {
        let split = written.keys().table(table).table("split");
        assert_eq!(split.names(), ["group"]);
        assert_eq!(split.string("group").required(), "author");
    }
    std::fs::remove_dir_all(dir).expect("removed");

    // Where nobody speaks of a split there is none: what such cells are stays what it was.
    let (written, dir) = pair_of(BASE, "", "no-split");
    for table in ["source", "target"] {
        assert!(!written.keys().table(table).has("split"));
    }
    std::fs::remove_dir_all(dir).expect("removed");
}

/// A row of the table is called by its value, so it has it.
#[test]
fn a_key_that_twins_share_varies_in_them_too() {
    let vary = "methods = [\"coral\"]\nvary.\"strategy.head\" = [\"svm\", \"1-nn\"]\n";
    let found = heads("varied", "method = \"gfk\"\nhead = \"logistic\"\n", vary);
    let [svm, near] = ["svm", "1-nn"].map(|h| Some(h.to_string()));
    let heads: Vec<Option<String>> = found.into_iter().map(|(_, head)| head).collect();
    assert_eq!(heads, [svm.clone(), near.clone(), svm, near]);
    // One that is the method's alone is not the twin's.
    let vary = "methods = [\"coral\"]\nvary.\"strategy.dim\" = [2, 3]\n";
    let found = self::heads("own", "method = \"gfk\"\n", vary);
    assert!(found.iter().all(|(_, head)| head.is_none()) && found.len() == 4);
}

#[test]
fn a_pair_puts_its_domains_over_the_base() {
    let (d, dir) = design(&["dann", "mcc", "source-only"], "pair");
    let mut over = d.of_pair(d.pairs[0]);
    over.extend(d.methods[2].overlays(&d.strategy, &d.folder));
    let written = Written::read_under(&d.base, &over).expect("TOML");
    let keys = written.keys();
    let (source, target) = (keys.table("source"), keys.table("target"));
    let files = |table: &Keys, key: &str| -> Vec<String> {
        table
            .data(key)
            .required()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    let here = |name: &str| dir.join(name).display().to_string();
    assert_eq!(
        files(&source, "train"),
        [here("books.tsv"), "builtin:more".into()]
    );
    assert_eq!(files(&target, "unlabelled"), [here("dvd.tsv")]);
    assert_eq!(source.usize("per_class").required(), 100);
    assert!(!target.has("per_class") && !source.has("text"));
    // The base's test rows are not the pair's; its columns are, where the domain says nothing of them.
    assert!(!target.has("test") && target.has("label"));
    assert_eq!(target.string("text").required(), "body");
    assert_eq!(target.table("split").f64("test").required(), 0.5);
    assert_eq!(target.string("domain").required(), "dvd");
    // Another method than the base's has nothing of its keys.
    let strategy = keys.table("strategy");
    assert_eq!(strategy.names(), ["kind", "method"]);
    // Written out, the list of files is what was read.
    assert!(written.record().explain().contains(&format!(
        "train = [\"{}\", \"builtin:more\"]",
        here("books.tsv")
    )));
    std::fs::remove_dir_all(dir).expect("removed");
}

//! The data keys on tables that a test can watch: what is found, what is dropped, what stops a run, and that sealed labels are
//! not read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tlkit_core::audit::{Audit, Level, Overlap};
use tlkit_core::data::{Blob, DataKeys, Form, Found, Input, ReadOptions, Reader, Resolve, Table};
use tlkit_core::recipe::Written;
use tlkit_core::registry::{Context, Registry};
use tlkit_core::{Error, Result};

/// Rows in memory, by the file's name.
#[derive(Default)]
struct World {
    files: BTreeMap<String, Arc<Rows>>,
    lists: BTreeMap<String, Vec<String>>,
}

struct Rows {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    /// A column whose cells nobody may read.
    sealed: Option<usize>,
    /// How often its label cells (column 1) were read.
    reads: AtomicUsize,
}

/// A file's rows, handed out as a table.
struct Opened(Arc<Rows>);

impl Table for Opened {
    fn columns(&self) -> &[String] {
        &self.0.columns
    }

    fn rows(&self) -> usize {
        self.0.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        assert_ne!(self.0.sealed, Some(column), "a sealed label was read");
        if column == 1 {
            self.0.reads.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Input::Text(Cow::Borrowed(&self.0.rows[row][column])))
    }

    fn place(&self, row: usize) -> String {
        format!("{}:{}", self.0.name, row + 2)
    }

    fn place_of(&self, row: usize, column: usize) -> String {
        format!("{}:{}", self.place(row), column + 1)
    }
}

impl Reader for World {
    fn extensions(&self) -> &[&str] {
        &["rows"]
    }

    fn open(&self, _: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let Blob::Path(path) = blob else { panic!() };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Ok(Arc::new(Opened(self.files[&name].clone())))
    }
}

impl Resolve for World {
    fn resolve(&self, name: &str, _: &Path) -> Result<Found> {
        if let Some(parts) = self.lists.get(name) {
            return Ok(Found::Files(
                parts.iter().map(|p| (p.clone(), p.into())).collect(),
            ));
        }
        match self.files.contains_key(name) {
            true => Ok(Found::File(Blob::Path(name.into()))),
            false => Err(Error::msg(format!("`{name}` is not there"))),
        }
    }
}

impl World {
    /// A file of `text|label` or `text|label|group` rows.
    fn with(self, name: &str, rows: &[&str]) -> Self {
        let rows: Vec<String> = rows.iter().map(|r| r.to_string()).collect();
        self.with_rows(name, &rows, false)
    }

    fn sealed(self, name: &str, rows: &[&str]) -> Self {
        let rows: Vec<String> = rows.iter().map(|r| r.to_string()).collect();
        self.with_rows(name, &rows, true)
    }

    fn with_rows(mut self, name: &str, rows: &[String], sealed: bool) -> Self {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|r| r.split('|').map(str::to_string).collect())
            .collect();
        let all = ["text", "label", "group"];
        let columns = all[..rows[0].len()].iter().map(|c| c.to_string()).collect();
        let table = Rows {
            name: name.to_string(),
            columns,
            rows,
            sealed: sealed.then_some(1),
            reads: AtomicUsize::new(0),
        };
        self.files.insert(name.to_string(), Arc::new(table));
        self
    }

    fn read(self, target: &str) -> Read {
        self.read_as(target, Form::Text, false, Overlap::Drop)
    }

    fn read_as(self, target: &str, form: Form, transductive: bool, overlap: Overlap) -> Read {
        let world = Arc::new(self);
        let text = format!("[target]\n{target}\n");
        let written = Written::parse("recipe.toml", &text, &[]).unwrap();
        let mut registry = Registry::new();
        registry.reader(world.clone());
        let resolve: Arc<dyn Resolve> = world.clone();
        let cx = Context {
            transductive,
            overlap,
            ..Context::new(&registry, &resolve, Path::new(""))
        };
        let data = DataKeys::target(&written.keys().table("target"), &cx, form);
        let said = written.finish().to_text(false);
        assert!(
            data.is_some() || !said.is_empty(),
            "nothing, and no word of why"
        );
        Read { data, said, world }
    }
}

struct Read {
    data: Option<DataKeys>,
    said: String,
    world: Arc<World>,
}

impl Read {
    #[track_caller]
    fn data(&self) -> &DataKeys {
        assert_eq!(self.said, "");
        self.data.as_ref().unwrap()
    }

    fn audit(&self) -> &Audit {
        self.data().audit()
    }

    fn texts(&self, split: &str) -> Vec<String> {
        let Some(domain) = self.data().domain(split) else {
            return Vec::new();
        };
        (0..domain.inputs.len())
            .map(|r| match domain.inputs.input(r).unwrap() {
                Input::Text(t) => t.into_owned(),
                other => panic!("{}", other.kind()),
            })
            .collect()
    }

    /// `kind split count: words`.
    fn found(&self) -> Vec<String> {
        let line = |f: &tlkit_core::audit::Finding| {
            let level = if f.level == Level::Warning { "!" } else { "" };
            format!("{level}{} {} {}: {}", f.kind, f.split, f.count, f.words)
        };
        self.audit().findings.iter().map(line).collect()
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        assert_ne!(self.said, "", "it was read");
        for w in words {
            assert!(self.said.contains(w), "{}\nhas no: {w}", self.said);
        }
    }
}

fn many(n: usize, word: &str) -> Vec<String> {
    let label = |i: usize| if i.is_multiple_of(2) { "neg" } else { "pos" };
    (0..n)
        .map(|i| format!("{word} number {i}|{}", label(i)))
        .collect()
}

const GIVEN: &str = "train = \"a.rows\"\nvalidation = \"b.rows\"\ntest = \"c.rows\"";
const NO_SPLIT: &str = "train = \"a.rows\"\nsplit = { validation = 0.0 }";

fn clean() -> World {
    World::default()
        .with_rows("a.rows", &many(20, "train"), false)
        .with_rows("b.rows", &many(6, "validation"), false)
        .with_rows("c.rows", &many(8, "test"), false)
}

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
    let labels = read.data().domain("train").unwrap().labels;
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

fn customers() -> World {
    let row = |i: usize| {
        format!(
            "order {i}|{}|customer {}",
            if i.is_multiple_of(3) { "bad" } else { "good" },
            i % 17
        )
    };
    let rows: Vec<String> = (0..170).map(row).collect();
    World::default().with_rows("a.rows", &rows, false)
}

#[test]
fn rows_of_one_group_are_on_one_side() {
    let split = "train = \"a.rows\"\nsplit = { validation = 0.1, test = 0.2, group = \"group\" }";
    let read = customers().read(split);
    let sides: Vec<std::collections::BTreeSet<usize>> = ["train", "validation", "test"]
        .iter()
        .map(|s| {
            let number = |t: &String| t.rsplit(' ').next().unwrap().parse::<usize>().unwrap() % 17;
            read.texts(s).iter().map(number).collect()
        })
        .collect();
    assert!(sides.iter().all(|s| !s.is_empty()), "{sides:?}");
    assert_eq!(sides.iter().map(|s| s.len()).sum::<usize>(), 17);
    // The same again, and by another seed another.
    assert_eq!(
        customers().read(split).data().digest(),
        read.data().digest()
    );
    let other = customers().read(&split.replace("group =", "seed = 1, group ="));
    assert_ne!(other.data().digest(), read.data().digest());
    customers()
        .read("train = \"a.rows\"\nsplit = { group = \"client\" }")
        .says(&["error: the data has no column `client`\n --> recipe.toml:3:19"]);
}

#[test]
fn splits_are_a_function_of_their_seed() {
    let read = |more: &str| {
        let world = World::default().with_rows("a.rows", &many(60, "row"), false);
        world.read(&format!("train = \"a.rows\"\n{more}"))
    };
    let usual = read("");
    assert_eq!(
        (usual.texts("train").len(), usual.texts("validation").len()),
        (54, 6)
    );
    assert_eq!(usual.data().digest(), read("").data().digest());
    assert_ne!(
        usual.data().digest(),
        read("split = { seed = 1 }").data().digest()
    );
    let few = read("per_class = 5\nsplit = { validation = 0.0 }");
    assert_eq!(few.data().domain("train").unwrap().labels.counts(), [5, 5]);
    let first = read("limit = 10\nsplit = { validation = 0.0 }");
    assert_eq!(first.texts("train")[9], "row number 9");
    assert_eq!(first.texts("train").len(), 10);
    read("split = { validation = 0.6, test = 0.5 }").says(&["leave nothing to train on"]);
}

#[test]
fn one_name_may_stand_for_several_files() {
    let mut world = World::default()
        .with_rows("a.rows", &many(10, "first"), false)
        .with_rows("b.rows", &many(10, "second"), false);
    world.lists.insert(
        "hf:datasets/a/b#train".into(),
        vec!["a.rows".into(), "b.rows".into()],
    );
    let read = world.read("train = \"hf:datasets/a/b#train\"\nsplit = { validation = 0.0 }");
    let domain = read.data().domain("train").unwrap();
    assert_eq!(domain.inputs.len(), 20);
    assert_eq!(domain.inputs.id(12), "1:2");
}

#[test]
fn the_digest_knows_inputs_labels_and_names() {
    let digest = |rows: &[&str]| {
        let world = World::default().with("a.rows", rows);
        world.read(NO_SPLIT).data().digest().to_string()
    };
    let seen = Mutex::new(std::collections::BTreeSet::new());
    for rows in [
        ["one two|a", "three|b"],
        ["One two|a", "three|b"],
        ["one two|b", "three|a"],
        ["one two|a", "three|c"],
        ["three|b", "one two|a"],
    ] {
        assert!(seen.lock().unwrap().insert(digest(&rows)), "{rows:?}");
        assert_eq!(digest(&rows), digest(&rows));
    }
}

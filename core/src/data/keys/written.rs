//! What a recipe says of its data, before any file is opened.

use super::Form;
use super::columns::{AS_IN_TARGET, ColumnKeys};
use crate::data::ReadOptions;
use crate::recipe::{At, Column, Keys};

/// The value of `target.test` that means the rows adapted on: the custom on small benchmarks, marked in every table.
pub(super) const ADAPTED_ON: &str = "unlabelled";

/// Splits and the keys that name them, the rows to learn from first.
pub(super) type Names = [(&'static str, &'static str)];

/// Of an inductive target.
pub(super) const INDUCTIVE: &Names = &[
    ("train", "train"),
    ("validation", "validation"),
    ("test", "test"),
];
/// Of a transductive target.
pub(super) const SEALED: &Names = &[
    ("unlabelled", "unlabelled"),
    ("validation", "validation"),
    ("test", "test"),
];
/// Of a labelled source domain.
pub(super) const SOURCE: &Names = &[("source", "train"), ("source-validation", "validation")];

/// The data keys of a table as written.
pub(super) struct Written {
    /// Split by split, the rows to learn from first: names of data, each with its place.
    pub files: Vec<(&'static str, Vec<(String, At)>)>,
    /// Where each split's key is, or would be.
    places: Vec<(&'static str, At)>,
    /// Whether the rows adapted on are those tested on.
    pub tests_adapted: bool,
    pub columns: ColumnKeys,
    pub domain: Option<String>,
    pub limit: Option<usize>,
    pub per_class: Option<usize>,
    /// Images that cannot be read are left out.
    pub skip_broken: bool,
    /// The side of drawn scenes.
    pub scene_size: usize,
    pub split: Split,
}

/// The share that is set aside for validation where nothing is written.
const TENTH: f64 = 0.1;

/// `split`: how rows are set aside where no file is given.
pub(super) struct Split {
    pub validation: f64,
    pub test: f64,
    pub seed: u64,
    pub group: (Option<Column>, At),
    pub test_at: At,
}

impl Written {
    /// `target`: what the target's table says, where this is the source domain; its rows need not be named, and its files are
    /// read as the target's.
    pub fn read(keys: &Keys, form: Form, names: &Names, target: Option<&Written>) -> Written {
        let (main, main_key) = names[0];
        let help = |n: &str| match n {
            "train" => "labelled rows to learn from",
            "unlabelled" => "rows to adapt on; their labels are never read",
            "validation" => "labelled rows that decide which epoch is kept",
            "source" => "labelled rows of the source domain, with `kind = \"transductive\"`",
            "source-validation" => "labelled rows of the source domain that are not learned from",
            _ => "rows to report on",
        };
        let unset = |n: &str| match (n, main) {
            ("validation", "unlabelled") => "none: which epoch is kept is decided without labels",
            ("validation", _) => "a tenth of the training rows",
            ("source", _) => "none",
            ("source-validation", _) => "a tenth of `train`",
            _ => "no test",
        };
        let (mut files, mut places) = (Vec::new(), Vec::new());
        let mut tests_adapted = false;
        for &(name, key) in names {
            let read = keys
                .data(key)
                .help(help(name))
                .example("builtin:reviews/films/train");
            let mut values = match name == main && target.is_none() {
                true => read.required(),
                false => read.unset(unset(name)).optional().unwrap_or_default(),
            };
            if main == "unlabelled" && values.iter().any(|(v, _)| v == ADAPTED_ON) {
                match (name, values.len()) {
                    ("test", 1) => tests_adapted = true,
                    _ => {
                        keys.error(keys.at(key), "`unlabelled` is no file here")
                            .help("`test = \"unlabelled\"` stands alone and means the rows adapted on; a file of that name is written `./unlabelled`");
                    }
                }
                values.clear();
            }
            files.push((name, values));
            places.push((name, keys.at(key)));
        }
        let columns = ColumnKeys::read(keys, form, target.map(|t| &t.columns));
        if form == Form::Features && main != "source" {
            keys.refuse("scale", "features are scaled as the source says")
                .help("write `scale` under [source]");
        }
        let (mut skip_broken, mut scene_size) = (false, ReadOptions::DRAWN_SIDE);
        if form == Form::Images {
            let skip = keys
                .bool("skip_broken")
                .help("leaves out images that cannot be read");
            let size = keys
                .usize("scene_size")
                .range(32..=224)
                .help("pixels a side of `builtin:scenes/...`, which are drawn");
            let (skip, size) = match target {
                None => (
                    skip.default(false, "a run stops and names them"),
                    size.default(ReadOptions::DRAWN_SIDE, "enough to tell them apart"),
                ),
                Some(target) => (
                    skip.default(target.skip_broken, AS_IN_TARGET)
                        .varies(AS_IN_TARGET),
                    size.default(target.scene_size, AS_IN_TARGET)
                        .varies(AS_IN_TARGET),
                ),
            };
            (skip_broken, scene_size) = (skip.read(), size.read());
        }
        let domain = keys
            .string("domain")
            .help("a name for reports")
            .unset("the file's or folder's name")
            .optional();
        let limit = keys
            .usize("limit")
            .range(1..)
            .help("only the first rows of the training data; what `split` sets aside is of these")
            .unset("all")
            .optional();
        let per_class = if main_key == "unlabelled" {
            None
        } else {
            keys.usize("per_class")
                .range(1..)
                .help("rows a class, drawn by split.seed; what `split` sets aside is of these")
                .unset("all")
                .optional()
        };
        let shares = keys.table("split");
        let split = Split::read(&shares, main);
        for (name, share, usual) in [
            ("validation", split.validation, TENTH),
            ("test", split.test, 0.0),
        ] {
            let own = |n: &str| n == name || n == "source-validation" && name == "validation";
            let file = files.iter().any(|(n, f)| own(n) && !f.is_empty());
            if file && share > 0.0 && share != usual {
                shares
                    .warning(
                        shares.at(name),
                        format!("`{name}` names rows of its own, so none are split off"),
                    )
                    .also(keys.at(name), "these");
            }
        }
        Written {
            files,
            places,
            tests_adapted,
            columns,
            domain,
            limit,
            per_class,
            split,
            skip_broken,
            scene_size,
        }
    }

    /// The split that is learned from.
    pub fn main(&self) -> &'static str {
        self.files[0].0
    }

    /// Where a split's key is, or would be; `None` where this table has no such split.
    pub fn at(&self, split: &str) -> Option<At> {
        let found = self.places.iter().find(|(s, _)| *s == split);
        found.map(|(_, at)| at.clone())
    }
}

impl Split {
    fn read(split: &Keys, main: &str) -> Split {
        split.describe("how rows are set aside where no file is given");
        if main == "unlabelled" {
            // Labelled target rows are an explicit choice.
            split
                .refuse("validation", "the target's labels are sealed")
                .help("name labelled rows, `validation = \"FILE\"`, and write `by = \"target-validation\"` under [select]");
        }
        if main == "source" {
            split
                .refuse("test", "nothing is tested on the source domain")
                .help("`[target]` has the test");
        }
        let validation = match main {
            "unlabelled" => 0.0,
            _ => split
                .f64("validation")
                .range(0.0..0.9)
                .default(TENTH, "a tenth, where no validation file is given")
                .help("share of the training rows")
                .read(),
        };
        let test = match main {
            "source" => 0.0,
            _ => split
                .f64("test")
                .range(0.0..0.9)
                .default(0.0, "no test is split off")
                .help("share of the training rows")
                .read(),
        };
        let seed = split
            .u64("seed")
            .default(0u64, "the run's seed never moves the split")
            .help("of the split")
            .read();
        let group = split
            .column("group")
            .help(
                "a column: rows that have the same value there are never on two sides of the split",
            )
            .unset("each row for itself")
            .optional();
        if validation + test >= 1.0 {
            split.error(
                split.at("test"),
                format!(
                    "a validation share of {validation} and a test share of {test} leave nothing to train on"
                ),
            );
        }
        Split {
            validation,
            test,
            seed,
            group: (group, split.at("group")),
            test_at: split.at("test"),
        }
    }
}

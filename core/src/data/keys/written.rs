//! What a recipe says of its data, before any file is opened.

use super::Form;
use super::columns::ColumnKeys;
use crate::data::ReadOptions;
use crate::recipe::{At, Column, Keys};

/// The data keys as written.
pub(super) struct Written {
    /// Split by split, the rows to learn from first: names of data, each with its place.
    pub files: Vec<(&'static str, Vec<(String, At)>)>,
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

/// `split`: how rows are set aside where no file is given.
pub(super) struct Split {
    pub validation: f64,
    pub test: f64,
    pub seed: u64,
    pub group: (Option<Column>, At),
}

impl Written {
    pub fn read(keys: &Keys, form: Form, names: &[&'static str]) -> Written {
        let main = names[0];
        let help = |n: &str| match n {
            "train" => "labelled rows to learn from",
            "unlabelled" => "rows to adapt on; their labels are never read",
            "validation" => "labelled rows that decide which epoch is kept",
            _ => "rows to report on",
        };
        let mut files = Vec::new();
        for &name in names {
            let key = keys
                .data(name)
                .help(help(name))
                .example("builtin:reviews/films/train");
            let values = match name == main {
                true => key.required(),
                false => key
                    .unset(if name == "validation" {
                        "a tenth of the training rows"
                    } else {
                        "no test"
                    })
                    .optional()
                    .unwrap_or_default(),
            };
            files.push((name, values));
        }
        let columns = ColumnKeys::read(keys, form);
        keys.reserved("scale", "scaling of features comes with domain adaptation");
        let (mut skip_broken, mut scene_size) = (false, ReadOptions::DRAWN_SIDE);
        if form == Form::Images {
            skip_broken = keys
                .bool("skip_broken")
                .default(false, "a run stops and names them")
                .help("leaves out images that cannot be read")
                .read();
            scene_size = keys
                .usize("scene_size")
                .range(32..=224)
                .default(ReadOptions::DRAWN_SIDE, "enough to tell them apart")
                .help("pixels a side of `builtin:scenes/...`, which are drawn")
                .read();
        }
        let domain = keys
            .string("domain")
            .help("a name for reports")
            .unset("the file's or folder's name")
            .optional();
        let limit = keys
            .usize("limit")
            .range(1..)
            .help("only the first rows of the training data")
            .unset("all")
            .optional();
        let per_class = if main == "unlabelled" {
            None
        } else {
            keys.usize("per_class")
                .range(1..)
                .help("rows a class, drawn by split.seed")
                .unset("all")
                .optional()
        };
        Written {
            files,
            columns,
            domain,
            limit,
            per_class,
            skip_broken,
            scene_size,
            split: Split::read(&keys.table("split")),
        }
    }
}

impl Split {
    fn read(split: &Keys) -> Split {
        split.describe("how rows are set aside where no file is given");
        let validation = split
            .f64("validation")
            .range(0.0..0.9)
            .default(0.1, "a tenth, where no validation file is given")
            .help("share of the training rows")
            .read();
        let test = split
            .f64("test")
            .range(0.0..0.9)
            .default(0.0, "no test is split off")
            .help("share of the training rows")
            .read();
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
        }
    }
}

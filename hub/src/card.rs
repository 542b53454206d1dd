//! The head of a data set's card (`README.md`): which files make up which split.
//!
//! ```yaml
//! configs:
//! - config_name: default
//!   data_files:
//!   - split: train
//!     path: data/train-*
//! ```

use yaml_rust2::{Yaml, YamlLoader};

/// One configuration of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub name: String,
    /// The one that is meant when none is named.
    pub is_default: bool,
    /// Its files lie in this folder, by the customs of names.
    pub folder: Option<String>,
    /// Patterns of files by split, in order; empty where the customs of names say it.
    pub splits: Vec<(String, Vec<String>)>,
}

impl Config {
    /// A folder that is a configuration.
    pub fn of_folder(name: String) -> Config {
        Config {
            is_default: name == "default",
            folder: Some(name.clone()),
            splits: vec![],
            name,
        }
    }
}

/// The configurations that a card declares; none where it has no head, or one that is not YAML.
pub(crate) fn configs(card: &str) -> Vec<Config> {
    let card = card.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let Some(head) = card.strip_prefix("---\n") else {
        return vec![];
    };
    let Some((head, _)) = head.split_once("\n---") else {
        return vec![];
    };
    let documents = YamlLoader::load_from_str(head).unwrap_or_default();
    let list = documents.first().map(|d| &d["configs"]);
    let list = list.and_then(Yaml::as_vec).into_iter().flatten();
    list.map(config).collect()
}

fn config(yaml: &Yaml) -> Config {
    let text = |key: &str| yaml[key].as_str().map(str::to_string);
    let name = text("config_name").unwrap_or_else(|| "default".into());
    Config {
        is_default: yaml["default"].as_bool().unwrap_or(false) || name == "default",
        folder: text("data_dir"),
        splits: splits(&yaml["data_files"]),
        name,
    }
}

/// A pattern or a list of them is `train`; else a list or a table of splits.
fn splits(files: &Yaml) -> Vec<(String, Vec<String>)> {
    match files {
        Yaml::Hash(table) => table
            .iter()
            .filter_map(|(split, paths)| Some((split.as_str()?.to_string(), patterns(paths))))
            .collect(),
        Yaml::Array(items) if items.iter().any(|i| i.as_hash().is_some()) => items
            .iter()
            .filter_map(|i| Some((i["split"].as_str()?.to_string(), patterns(&i["path"]))))
            .collect(),
        _ => match patterns(files) {
            none if none.is_empty() => vec![],
            patterns => vec![("train".to_string(), patterns)],
        },
    }
}

fn patterns(yaml: &Yaml) -> Vec<String> {
    let one = |y: &Yaml| Some(y.as_str()?.trim_start_matches("./").to_string());
    match yaml {
        Yaml::Array(items) => items.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(name: &str, paths: &[&str]) -> (String, Vec<String>) {
        (name.into(), paths.iter().map(|p| p.to_string()).collect())
    }

    #[test]
    fn the_usual_head() {
        let card = "---\nlicense: mit\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n          '0': neg\n          \
                    '1': pos\nconfigs:\n- config_name: plain_text\n  data_files:\n  - split: train\n    path: plain_text/train-*\n  - split: test\n    path:\n    - a.csv\n    \
                    - ./b.csv\n  default: true\n- config_name: other\n  data_dir: other\n---\n# Card\n";
        let all = configs(card);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].name.as_str(), all[0].is_default),
            ("plain_text", true)
        );
        assert_eq!(
            all[0].splits,
            [
                split("train", &["plain_text/train-*"]),
                split("test", &["a.csv", "b.csv"])
            ]
        );
        assert_eq!(
            (all[1].folder.as_deref(), all[1].is_default),
            (Some("other"), false)
        );
        assert_eq!(configs(&card.replace('\n', "\r\n")), all);
    }

    #[test]
    fn shorter_forms_and_none() {
        let of = |files: &str| {
            let card =
                format!("---\nconfigs:\n- config_name: default\n  data_files: {files}\n---\n");
            configs(&card).remove(0).splits
        };
        assert_eq!(of("all.csv"), [split("train", &["all.csv"])]);
        assert_eq!(of("[a.csv, b.csv]"), [split("train", &["a.csv", "b.csv"])]);
        assert_eq!(
            of("{train: a.csv, test: [b.csv]}"),
            [split("train", &["a.csv"]), split("test", &["b.csv"])]
        );
        for none in [
            "",
            "# Card",
            "---\nlicense: mit\n---\n",
            "---\n: : [\n---\n",
            "---\nno end",
        ] {
            assert_eq!(configs(none), []);
        }
    }
}

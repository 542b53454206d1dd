//! A data set: which files make up a split. The card says it, or else the names of the files do, as the library `datasets` reads
//! them; a data set that is made by a script has no files, and there the hub's own Parquet copy is taken.

use std::path::PathBuf;

use glob::{MatchOptions, Pattern};
use tlkit_core::recipe::nearest;
use tlkit_core::{Error, Result};

use crate::cache::Tree;
use crate::card::{Config, configs};
use crate::event::Event;
use crate::name::{Name, is_commit};
use crate::repository::{Repository, State, listed};

/// Where the hub keeps its Parquet copy of a data set.
const CONVERTED: &str = "refs/convert/parquet";

/// Endings of data, the best first: of several copies of a split one is read.
const ENDINGS: [&str; 7] = ["parquet", "jsonl", "ndjson", "json", "csv", "tsv", "txt"];

/// What authors call a split.
const WORDS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// The files of a split, as far as the list of files has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Split {
    name: String,
    files: Vec<String>,
    /// Files that the card names and the list has not.
    missing: Vec<String>,
    /// Whether other files would belong to it too: they are looked for by a pattern, or by what names are like.
    open: bool,
}

/// The files of a split, and the name with the commit they are of.
pub(crate) struct Rows {
    /// Each with its name for errors.
    pub files: Vec<(String, PathBuf)>,
    pub pinned: Name,
}

impl Repository<'_> {
    /// The files of the split that the name asks for.
    pub fn rows(&self, state: &State) -> Result<Rows> {
        let (config, splits) = self.splits(state)?;
        if splits.iter().all(|s| s.files.is_empty()) {
            if let Some(shut) = state.shut.as_ref().filter(|_| !state.complete) {
                return Err(self.absent(shut, "its data"));
            }
            return Err(self.no_data(state));
        }
        let split = self.pick(state, &splits)?;
        self.all_there(state, &split)?;
        let name = |file: &str| format!("{}/{file}", self.name.repository);
        let files = split.files.iter();
        let files: Result<Vec<_>> = files
            .map(|file| Ok((name(file), self.file(state, file)?)))
            .collect();
        Ok(Rows {
            files: files?,
            pinned: Name {
                config: config.or(self.name.config.clone()),
                split: Some(split.name),
                ..self.name.at(&state.commit)
            },
        })
    }

    /// Whether the hub's own copy may stand in: there is nothing to read, and no commit was asked for, of which the copy might
    /// not be.
    pub fn converted(&self, state: &State) -> Result<Option<Name>> {
        let revision = self.name.revision();
        let stands_in = state.complete && !is_commit(revision) && revision != CONVERTED;
        if !stands_in {
            return Ok(None);
        }
        let none = match self.splits(state) {
            Ok((_, splits)) => splits.iter().all(|s| s.files.is_empty()),
            // A configuration that a script makes is one of the copy's.
            Err(_) if !state.tree.keys().any(|n| is_data(n)) => true,
            Err(e) => return Err(e),
        };
        Ok(none.then(|| self.name.at(CONVERTED)))
    }

    fn no_data(&self, state: &State) -> Error {
        let hint = match is_commit(self.name.revision()) {
            true => format!("; the hub's own copy may be `{}`", self.name.at(CONVERTED)),
            false => String::new(),
        };
        let all: Vec<String> = state.tree.keys().cloned().collect();
        Error::msg(format!(
            "`{}`: no files of rows ({}) in it{hint}; it has {}",
            self.name,
            ENDINGS.map(|e| format!(".{e}")).join(", "),
            listed(&all)
        ))
    }

    /// An error where it is known that a split has more files than the list; a note where that may be.
    fn all_there(&self, state: &State, split: &Split) -> Result<()> {
        let Split { name, files, .. } = split;
        let shut = state.shut.as_ref().filter(|_| !state.complete);
        if let Some(file) = split.missing.first() {
            return Err(match shut {
                Some(shut) => self.absent(shut, &format!("`{file}`")),
                None => Error::msg(format!(
                    "`{}`: the card has `{file}` in the split `{name}`, and there is no such file; it has {}",
                    self.name,
                    listed(&state.tree.keys().cloned().collect::<Vec<_>>())
                )),
            });
        }
        let more = |f: &&String| shards(f).is_some_and(|n| n > files.len());
        if let (Some(shut), Some(file)) = (shut, files.iter().find(more)) {
            return Err(self.absent(shut, &format!("a shard beside `{file}`")));
        }
        let counted = files.iter().all(|f| shards(f).is_some());
        if state.is_guessed() && split.open && !counted {
            self.emit(&Event::Note(&format!(
                "`{}`: the cache does not say whether the split `{name}` has more files than {}; it is used as if it had not. Run it once with the hub to know",
                self.name,
                listed(files)
            )));
        }
        let cut = format!("partial-{name}");
        if files.iter().any(|f| f.split('/').any(|part| part == cut)) {
            self.emit(&Event::Note(&format!(
                "`{}`: of the split `{name}` the hub's Parquet copy has the first rows alone (`{cut}`)",
                self.name
            )));
        }
        Ok(())
    }

    /// The configurations: those of the card, or, in the hub's own copy, which has none, a folder each.
    fn declared(&self, state: &State) -> Result<Vec<Config>> {
        if self.name.revision() == CONVERTED {
            let all = folders(&state.tree).into_iter();
            return Ok(all.map(Config::of_folder).collect());
        }
        let card = match state.tree.contains_key("README.md") {
            true => {
                let path = self.file(state, "README.md")?;
                std::fs::read(&path).map_err(Error::io(&path))?
            }
            false => vec![],
        };
        Ok(configs(&String::from_utf8_lossy(&card)))
    }

    /// The configuration, where there are several, and its splits.
    fn splits(&self, state: &State) -> Result<(Option<String>, Vec<Split>)> {
        let declared = self.declared(state)?;
        let wanted = self.name.config.as_deref();
        if declared.is_empty() {
            let Some(folder) = wanted else {
                return Ok((None, by_names(&state.tree, "")));
            };
            let splits = by_names(&state.tree, &format!("{folder}/"));
            return match splits.is_empty() {
                true => Err(self.no_config(folder, &folders(&state.tree))),
                false => Ok((Some(folder.to_string()), splits)),
            };
        }
        let config = self.config(&declared, wanted)?;
        let splits = match config.splits.is_empty() {
            false => by_patterns(&state.tree, config),
            true => {
                let folder = config.folder.as_deref().unwrap_or_default();
                let folder = folder.trim_matches('/');
                let prefix = match folder {
                    "" | "." => String::new(),
                    folder => format!("{folder}/"),
                };
                by_names(&state.tree, &prefix)
            }
        };
        let several = declared.len() > 1;
        Ok((several.then(|| config.name.clone()), splits))
    }

    fn config<'c>(&self, all: &'c [Config], wanted: Option<&str>) -> Result<&'c Config> {
        let names: Vec<String> = all.iter().map(|c| c.name.clone()).collect();
        if let Some(wanted) = wanted {
            let found = all.iter().find(|c| c.name == wanted);
            return found.ok_or_else(|| self.no_config(wanted, &names));
        }
        if let [only] = all {
            return Ok(only);
        }
        all.iter().find(|c| c.is_default).ok_or_else(|| {
            let example = Name {
                config: names.first().cloned(),
                split: Some(self.name.split.clone().unwrap_or_else(|| "train".into())),
                ..self.name.clone()
            };
            Error::msg(format!(
                "`{}`: which configuration? there are {}; write `{example}`",
                self.name,
                listed(&names)
            ))
        })
    }

    fn no_config(&self, wanted: &str, names: &[String]) -> Error {
        let meant = nearest(wanted, names.iter().map(String::as_str))
            .map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
        let there = match names.is_empty() {
            true => "it has none".to_string(),
            false => format!("there are {}", listed(names)),
        };
        Error::msg(format!(
            "`{}`: no configuration `{wanted}`{meant}; {there}",
            self.name
        ))
    }

    fn pick(&self, state: &State, splits: &[Split]) -> Result<Split> {
        let named = |s: &&Split| !s.files.is_empty() || !s.missing.is_empty();
        let there: Vec<&Split> = splits.iter().filter(named).collect();
        let names: Vec<String> = there.iter().map(|s| s.name.clone()).collect();
        let with = |split: &str| Name {
            split: Some(split.to_string()),
            ..self.name.clone()
        };
        let Some(wanted) = &self.name.split else {
            if let [only] = there.as_slice() {
                return Ok((*only).clone());
            }
            return Err(Error::msg(format!(
                "`{}`: which split? there are {}; write `{}`",
                self.name,
                listed(&names),
                with(names.first().map_or("train", String::as_str))
            )));
        };
        if let Some(found) = there.iter().find(|s| s.name == *wanted) {
            return Ok((*found).clone());
        }
        if let Some(shut) = state.shut.as_ref().filter(|_| !state.complete) {
            return Err(self.absent(shut, &format!("the split `{wanted}`")));
        }
        let meant = nearest(wanted, names.iter().map(String::as_str));
        let meant = meant.map_or_else(String::new, |n| format!("; did you mean `{}`?", with(n)));
        Err(Error::msg(format!(
            "`{}`: no split `{wanted}`{meant}; there are {}",
            self.name,
            listed(&names)
        )))
    }
}

fn by_patterns(tree: &Tree, config: &Config) -> Vec<Split> {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    let folder = config.folder.as_deref().unwrap_or_default();
    let folder = folder.trim_start_matches("./").trim_matches('/');
    let full = |pattern: &String| match folder {
        "" | "." => pattern.clone(),
        folder => format!("{folder}/{pattern}"),
    };
    let files = |pattern: &str| -> Vec<String> {
        let glob = Pattern::new(pattern).ok();
        let is = |name: &&String| {
            *name == pattern || glob.as_ref().is_some_and(|g| g.matches_with(name, options))
        };
        tree.keys().filter(is).cloned().collect()
    };
    let splits = config.splits.iter().map(|(name, patterns)| {
        let mut split = Split {
            name: name.clone(),
            ..Split::default()
        };
        for pattern in patterns.iter().map(full) {
            let found = files(&pattern);
            match pattern.contains(['*', '?', '[']) {
                true => split.open = true,
                false if found.is_empty() => split.missing.push(pattern),
                false => {}
            }
            for file in found {
                if !split.files.contains(&file) {
                    split.files.push(file);
                }
            }
        }
        split
    });
    splits.collect()
}

/// The customs of `datasets`: shards `data/<split>-00000-of-00002.parquet`; else a word for the split in a file's name; else in a
/// folder's; else everything is `train`.
fn by_names(tree: &Tree, prefix: &str) -> Vec<Split> {
    let files: Vec<(&str, &str)> = tree
        .keys()
        .filter_map(|full| Some((full.as_str(), full.strip_prefix(prefix)?)))
        .filter(|(_, name)| is_data(name))
        .collect();
    let rules: [&dyn Fn(&str) -> Option<String>; 4] = [
        &shard_of,
        &|name| word(stem(name)),
        &|name| {
            let mut folders = name.split('/').rev().skip(1);
            folders.find_map(word)
        },
        &|_| Some("train".to_string()),
    ];
    for rule in rules {
        let mut splits: Vec<Split> = Vec::new();
        for (full, name) in &files {
            let Some(split) = rule(name) else { continue };
            match splits.iter_mut().find(|s| s.name == split) {
                Some(s) => s.files.push(full.to_string()),
                None => splits.push(Split {
                    name: split,
                    files: vec![full.to_string()],
                    missing: vec![],
                    open: true,
                }),
            }
        }
        if !splits.is_empty() {
            splits.iter_mut().for_each(|s| one_ending(&mut s.files));
            let order = |name: &str| WORDS.iter().position(|(w, _)| *w == name).unwrap_or(3);
            splits.sort_by_key(|s| order(&s.name));
            return splits;
        }
    }
    vec![]
}

/// Copies in other formats are not more rows.
fn one_ending(files: &mut Vec<String>) {
    let best = files.iter().filter_map(|f| ending(f)).min();
    files.retain(|f| ending(f) == best);
}

/// Which of the endings, without a `.gz` behind it.
fn ending(name: &str) -> Option<usize> {
    let (_, end) = plain(name).rsplit_once('.')?;
    ENDINGS.iter().position(|e| e.eq_ignore_ascii_case(end))
}

fn plain(name: &str) -> &str {
    let packed = [".gz", ".xz"]
        .into_iter()
        .find_map(|e| name.strip_suffix(e));
    packed.unwrap_or(name)
}

fn is_data(name: &str) -> bool {
    let hidden = |part: &str| part.starts_with('.') || part.starts_with("__");
    let about = [
        "dataset_info.json",
        "dataset_infos.json",
        "config.json",
        "package.json",
        "requirements.txt",
        "LICENSE.txt",
    ];
    let file = name.rsplit('/').next().unwrap_or(name);
    ending(name).is_some() && !name.split('/').any(hidden) && !about.contains(&file)
}

/// A file's name without folder and endings.
fn stem(name: &str) -> &str {
    let file = plain(name.rsplit('/').next().unwrap_or(name));
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// The split in `train-00000-of-00002` (and what may follow).
fn shard_of(name: &str) -> Option<String> {
    let (split, _, _) = shard(stem(name))?;
    Some(split.to_string())
}

/// How many shards a file is one of.
fn shards(name: &str) -> Option<usize> {
    Some(shard(stem(name))?.2)
}

/// `train-00000-of-00002` as `train`, 0, 2.
fn shard(stem: &str) -> Option<(&str, usize, usize)> {
    let (front, back) = stem.split_once("-of-")?;
    let (split, index) = front.rsplit_once('-')?;
    let digits = |s: &str| (s.len() == 5).then(|| s.parse().ok())?;
    Some((split, digits(index)?, digits(back.get(..5)?)?))
}

/// The split that a name says with a word of its own: `sst-train`, `dev2`.
fn word(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    let split = words.iter().rev().find_map(|w| {
        let mut all = WORDS.iter();
        all.find(|(_, known)| known.contains(w))
            .map(|(split, _)| *split)
    });
    split.map(str::to_string)
}

/// Folders at the top that have data in them.
fn folders(tree: &Tree) -> Vec<String> {
    let mut all: Vec<String> = tree
        .keys()
        .filter(|n| is_data(n))
        .filter_map(|n| Some(n.split_once('/')?.0.to_string()))
        .collect();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> Tree {
        names
            .iter()
            .map(|n| (n.to_string(), Default::default()))
            .collect()
    }

    fn splits(names: &[&str]) -> Vec<(String, String)> {
        by_names(&tree(names), "")
            .into_iter()
            .map(|s| (s.name, s.files.join(" ")))
            .collect()
    }

    fn is(split: &str, files: &str) -> (String, String) {
        (split.into(), files.into())
    }

    #[test]
    fn the_customs_of_names() {
        let shards = [
            "README.md",
            "data/test-00000-of-00001-1a2b.parquet",
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/unsupervised-00000-of-00001.parquet",
        ];
        assert_eq!(
            splits(&shards),
            [
                is("train", &shards[2..4].join(" ")),
                is("test", shards[1]),
                is("unsupervised", shards[4])
            ]
        );
        assert_eq!(
            splits(&["a/sst-dev.csv", "a/sst_train.csv", "eval2.csv"]),
            [
                is("train", "a/sst_train.csv"),
                is("validation", "a/sst-dev.csv"),
                is("test", "eval2.csv")
            ]
        );
        assert_eq!(
            splits(&["default/test/0000.parquet", "default/train/0000.parquet"]),
            [
                is("train", "default/train/0000.parquet"),
                is("test", "default/test/0000.parquet")
            ]
        );
        assert_eq!(
            splits(&["rows.tsv.gz", "dataset_infos.json"]),
            [is("train", "rows.tsv.gz")]
        );
        assert_eq!(splits(&["script.py", ".hidden/train.csv"]), []);
        // "latest" has no word for a split in it.
        assert_eq!(splits(&["latest.csv"]), [is("train", "latest.csv")]);
    }

    #[test]
    fn copies_in_another_format_are_left_out() {
        assert_eq!(
            splits(&["train.csv", "train.parquet", "test.csv"]),
            [is("train", "train.parquet"), is("test", "test.csv")]
        );
    }

    #[test]
    fn patterns_do_not_cross_folders() {
        let config = Config {
            splits: vec![
                ("train".into(), vec!["data/train*".into()]),
                (
                    "all".into(),
                    vec!["**/*.csv".into(), "data/train.csv".into()],
                ),
            ],
            ..Config::default()
        };
        let tree = tree(&["data/train.csv", "data/train/x.csv", "old/test.csv"]);
        let found = by_patterns(&tree, &config).into_iter();
        assert_eq!(
            found.map(|s| (s.name, s.files)).collect::<Vec<_>>(),
            [
                ("train".to_string(), vec!["data/train.csv".to_string()]),
                ("all".to_string(), tree.keys().cloned().collect::<Vec<_>>())
            ]
        );
    }

    #[test]
    fn a_file_that_the_card_names_is_missed_and_a_pattern_may_find_none() {
        let config = Config {
            folder: Some("./data".into()),
            splits: vec![(
                "train".into(),
                vec!["a.csv".into(), "b.csv".into(), "more-*".into()],
            )],
            ..Config::default()
        };
        let found = by_patterns(&tree(&["data/a.csv"]), &config);
        let wanted = Split {
            name: "train".into(),
            files: vec!["data/a.csv".into()],
            missing: vec!["data/b.csv".into()],
            open: true,
        };
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn shards_are_counted() {
        assert_eq!(shard("train-00001-of-00012"), Some(("train", 1, 12)));
        assert_eq!(shard("train-00001-of-00012-ab12"), Some(("train", 1, 12)));
        assert_eq!(shard("one-of-these"), None);
    }
}

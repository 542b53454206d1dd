//! The grammar of names on the hub: `hf:owner/name@revision`, `hf:datasets/owner/name@revision#split`.

use std::fmt;

use tlkit_core::{Error, Result};

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Model,
    Dataset,
}

impl Kind {
    /// As the hub's API and the cache call it.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        }
    }

    /// In front of a repository, in addresses and in names.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Model => "",
            Kind::Dataset => "datasets/",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Model => "model",
            Kind::Dataset => "data set",
        }
    }

    /// The other one.
    pub fn other(self) -> Kind {
        match self {
            Kind::Model => Kind::Dataset,
            Kind::Dataset => Kind::Model,
        }
    }
}

/// A name on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub kind: Kind,
    /// `owner/name`, or one of the old names without an owner.
    pub repository: String,
    /// A branch, a tag or a commit; `main` where none is written.
    pub revision: Option<String>,
    /// `#config/split`
    pub config: Option<String>,
    /// `#split`
    pub split: Option<String>,
}

impl Name {
    /// Reads what follows `hf:`.
    ///
    /// # Errors
    /// It is not in the grammar; the message says which part.
    pub fn parse(text: &str) -> Result<Name> {
        let wrong = |why: String| Err(Error::msg(format!("`hf:{text}`: {why}")));
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (text, None),
        };
        let (rest, revision) = match rest.split_once('@') {
            Some((rest, revision)) => (rest, Some(revision)),
            None => (rest, None),
        };
        let (kind, repository) = match rest.strip_prefix("datasets/") {
            Some(repository) => (Kind::Dataset, repository),
            None => (Kind::Model, rest),
        };
        let form = match kind {
            Kind::Model => "hf:owner/name@revision",
            Kind::Dataset => "hf:datasets/owner/name@revision#split",
        };
        if repository.is_empty() || repository == "datasets" {
            return wrong(format!("a repository is wanted: `{form}`"));
        }
        if repository.split('/').count() > 2 {
            return wrong(format!(
                "`{repository}` has more than an owner and a name; the form is `{form}`"
            ));
        }
        if let Some(part) = repository.split('/').find(|part| !is_repository_part(part)) {
            return wrong(format!(
                "`{part}` cannot be the name of an owner or a repository: letters, digits, `-`, `_` and `.`; the form is `{form}`"
            ));
        }
        if let Some(revision) = revision.filter(|r| !is_revision(r)) {
            return wrong(match revision {
                "" => "after `@` a branch, a tag or a commit is wanted; leave `@` out for `main`"
                    .to_string(),
                _ => format!("`{revision}` cannot be a branch, a tag or a commit"),
            });
        }
        if kind == Kind::Model && fragment.is_some() {
            return wrong("a model has no splits; leave out what follows `#`".into());
        }
        let (config, split) = match fragment.map(|f| f.split_once('/').unwrap_or(("", f))) {
            None => (None, None),
            Some((config, split)) => {
                let plain = |s: &str| {
                    !s.contains(['/', '\\', '#', '@']) && !s.contains("..") && s.trim() == s
                };
                if split.is_empty() || !plain(split) || !plain(config) {
                    return wrong(
                        "after `#` a split is wanted (`#train`), or a configuration and a split (`#sst2/train`)"
                            .into(),
                    );
                }
                let config = Some(config.to_string()).filter(|c| !c.is_empty());
                (config, Some(split.to_string()))
            }
        };
        Ok(Name {
            kind,
            repository: repository.to_string(),
            revision: revision.map(str::to_string),
            config,
            split,
        })
    }

    /// The revision that is asked for.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The same at another revision.
    pub fn at(&self, revision: &str) -> Name {
        Name {
            revision: Some(revision.to_string()),
            ..self.clone()
        }
    }

    /// `datasets/owner/name`, as in addresses.
    pub fn address(&self) -> String {
        format!("{}{}", self.kind.prefix(), self.repository)
    }

    /// The folder in the cache: `models--owner--name`.
    pub fn folder(&self) -> String {
        format!(
            "{}--{}",
            self.kind.plural(),
            self.repository.replace('/', "--")
        )
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.address())?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match (&self.config, &self.split) {
            (Some(config), Some(split)) => write!(f, "#{config}/{split}"),
            (None, Some(split)) => write!(f, "#{split}"),
            _ => Ok(()),
        }
    }
}

/// 40 hexadecimal digits: it names a commit and can never mean another.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_repository_part(part: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=96).contains(&part.len())
        && part.chars().all(inside)
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
        && !part.contains("--")
        && !part.contains("..")
}

/// What git takes for a reference, so that it can also be a file below `refs/`.
fn is_revision(revision: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "\\~^:?*[@#".contains(c);
    !revision.is_empty()
        && !revision.contains(bad)
        && !revision.contains("..")
        && revision
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_back() {
        let name = Name::parse("datasets/stanfordnlp/sst2@main#train").expect("a name");
        assert_eq!(
            (name.kind, name.repository.as_str(), name.revision()),
            (Kind::Dataset, "stanfordnlp/sst2", "main")
        );
        assert_eq!(
            (&name.config, name.split.as_deref()),
            (&None, Some("train"))
        );
        assert_eq!(name.folder(), "datasets--stanfordnlp--sst2");
        for text in [
            "google-bert/bert-base-uncased",
            "bert-base-uncased@v1.0",
            "o/n@refs/pr/3",
            "datasets/nyu-mll/glue@main#sst2/train",
            "datasets/imdb",
        ] {
            let name = Name::parse(text).expect("a name");
            assert_eq!(name.to_string(), format!("hf:{text}"));
        }
        let name = Name::parse("o/n").expect("a name");
        assert_eq!(name.at("abc").to_string(), "hf:o/n@abc");
        assert_eq!(name.folder(), "models--o--n");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("", "a repository is wanted: `hf:owner/name@revision`"),
            (
                "datasets/",
                "a repository is wanted: `hf:datasets/owner/name@revision#split`",
            ),
            (
                "o/n/model.safetensors",
                "`o/n/model.safetensors` has more than an owner and a name",
            ),
            ("../n", "`..` cannot be the name"),
            ("o/n m", "`n m` cannot be the name"),
            ("o/n@", "leave `@` out for `main`"),
            ("o/n@../x", "`../x` cannot be a branch"),
            ("o/n@a/../b", "cannot be a branch"),
            ("o/n#train", "a model has no splits"),
            ("datasets/o/n#", "after `#` a split is wanted"),
            ("datasets/o/n#a/b/c", "after `#` a split is wanted"),
            ("datasets/o/n#..", "after `#` a split is wanted"),
        ] {
            let error = Name::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("`hf:{text}`: ")), "{error}");
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

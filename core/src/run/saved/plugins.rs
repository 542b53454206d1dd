//! The libraries that a model was made with: what the card says of them, and what becomes of that later.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Card;
use crate::check::Checked;
use crate::registry::{Library, Registry, Wanted};

/// One library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plugin {
    /// As the recipe says it, whole; of one that no recipe names the file.
    path: PathBuf,
    #[serde(default, skip_serializing_if = "is_no")]
    allow_writable: bool,
    /// Of the file that the model was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Whether the recipe asked for that file and no other.
    #[serde(default, skip_serializing_if = "is_no")]
    pinned: bool,
    /// What the plugin is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    /// What of it recipes can name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    brings: Vec<String>,
}

fn is_no(yes: &bool) -> bool {
    !yes
}

impl Plugin {
    fn of(library: &Library, said: Option<&Value>) -> Self {
        let path = said.and_then(|s| s["path"].as_str());
        Plugin {
            path: path.map_or_else(|| library.path.clone(), PathBuf::from),
            allow_writable: said.is_some_and(|s| s["allow_writable"] == true),
            sha256: Some(library.sha256.clone()),
            pinned: said.is_some_and(|s| s["sha256"].is_string()),
            name: library.name.clone(),
            brings: library.brings.clone(),
        }
    }

    /// What brings strategies alone (and their loss terms) was for training.
    fn trains_only(&self) -> bool {
        let mut brings = self.brings.iter();
        !self.name.is_empty() && brings.all(|b| b.starts_with("strategy "))
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            path: self.path.clone(),
            sha256: self.sha256.clone().filter(|_| self.pinned),
            allow_writable: self.allow_writable,
        }
    }
}

/// Those of a recipe.
pub(super) fn of(c: &Checked) -> Vec<Plugin> {
    // One library for each of `[[plugins]]`, in their order.
    let mut said = c.located["plugins"].as_array().into_iter().flatten();
    let all = c.libraries.iter();
    all.map(|l| Plugin::of(l, if l.named { said.next() } else { None }))
        .collect()
}

/// What became of the libraries of a card.
pub(super) struct Plugged {
    /// With what they bring.
    pub registry: Registry,
    /// What is not as it was.
    pub notes: Vec<String>,
    /// Why one is not there. An error only where something of it is needed.
    pub failed: Vec<String>,
}

/// Loads the libraries of a card, one by one: that of a strategy, or of a reader, may be gone by now.
pub(super) fn restore(registry: &Registry, card: &Card) -> Plugged {
    let mut all = Plugged {
        registry: registry.clone(),
        notes: Vec::new(),
        failed: Vec::new(),
    };
    for plugin in card.plugins.iter().filter(|p| !p.trains_only()) {
        match all.registry.restore(&plugin.wanted()) {
            Ok(library) => all.notes.extend(anew(plugin, &library)),
            Err(e) => all.failed.push(e.to_string()),
        }
    }
    all
}

/// Whether it is another file than that of the run.
fn anew(was: &Plugin, is: &Library) -> Option<String> {
    let sha256 = was.sha256.as_ref().filter(|s| **s != is.sha256)?;
    let short = |sum: &str| sum.chars().take(12).collect::<String>();
    Some(format!(
        "plugin {} ({}) was built anew since the run: its sha256 was {}..., and is {}...",
        is.name,
        is.path.display(),
        short(sha256),
        short(&is.sha256)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_predictions_may_need_is_loaded_again() {
        let plugin = |brings: &[&str], name: &str| Plugin {
            path: "/there/lib.so".into(),
            allow_writable: false,
            sha256: Some("a".into()),
            pinned: false,
            name: name.into(),
            brings: brings.iter().map(|b| b.to_string()).collect(),
        };
        assert!(plugin(&["strategy `a`"], "p").trains_only());
        assert!(!plugin(&["strategy `a`", "reader of .zz"], "p").trains_only());
        // A card of before does not say what it brings.
        assert!(!plugin(&[], "").trains_only());
        assert_eq!(plugin(&[], "p").wanted().sha256, None);
    }
}

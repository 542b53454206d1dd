//! Which stages train, as a recipe says it.

use tlkit_core::nn::{Param, Select};
use tlkit_core::strategy::Transfer;
use tlkit_core::{Error, Result};

/// What is frozen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    /// The first stage that trains.
    pub train_from: Option<String>,
    /// Stages that do not train: names, or ranges like `encoder.0-3`.
    pub freeze: Vec<String>,
}

impl Frozen {
    /// Whether it names stages, which a network may not have.
    pub fn names_stages(&self) -> bool {
        let from = self.train_from.as_deref();
        !self.freeze.is_empty() || from.is_some_and(|name| name != "head")
    }

    /// The parameters that train. A name that matches no stage is an error, of the recipe's table of that name.
    pub fn trains(&self, table: &str, transfer: &Transfer<'_>) -> Result<Select> {
        let chain = transfer.model.chain();
        let encoder: Vec<&str> = transfer
            .model
            .encoder
            .stages()
            .iter()
            .map(|s| s.name())
            .collect();
        let unknown = |name: &str, key: &str| {
            Error::msg(format!(
                "{table}.{key}: no stage is called `{name}`; there are {}, and `head`",
                encoder.join(", ")
            ))
        };
        let first = match self.train_from.as_deref() {
            None => 0,
            Some("head") => encoder.len(),
            Some(name) => encoder
                .iter()
                .position(|s| *s == name)
                .ok_or_else(|| unknown(name, "train_from"))?,
        };
        let mut frozen: Vec<bool> = (0..encoder.len()).map(|i| i < first).collect();
        for name in &self.freeze {
            let stages = matching(&encoder, name);
            if stages.is_empty() {
                return Err(unknown(name, "freeze"));
            }
            for i in stages {
                frozen[i] = true;
            }
        }
        let mut names = Vec::new();
        for (i, stage) in chain.stages().iter().enumerate() {
            if !frozen.get(i).copied().unwrap_or(false) {
                names.extend(stage.params().iter().map(|p: &Param| p.name().to_string()));
            }
        }
        // A tensor that a frozen stage shares with a training one (tied embeddings) is frozen.
        for (i, stage) in chain.stages().iter().enumerate() {
            if frozen.get(i).copied().unwrap_or(false) {
                names.retain(|n| !stage.params().iter().any(|p| p.name() == n));
            }
        }
        if names.is_empty() {
            return Err(Error::msg(format!(
                "{table}.freeze: every stage is frozen, so nothing would train"
            )));
        }
        Ok(Select::Names(names))
    }
}

/// Indices of the stages that a name or a range `encoder.0-3` means.
fn matching(stages: &[&str], name: &str) -> Vec<usize> {
    if let Some(i) = stages.iter().position(|s| *s == name) {
        return vec![i];
    }
    let range = name.rsplit_once('.').and_then(|(head, range)| {
        let (from, to) = range.split_once('-')?;
        Some((head, from.parse::<usize>().ok()?, to.parse::<usize>().ok()?))
    });
    let Some((head, from, to)) = range else {
        return Vec::new();
    };
    let found: Vec<usize> = (from..=to)
        .filter_map(|n| stages.iter().position(|s| *s == format!("{head}.{n}")))
        .collect();
    // Half a range is a mistake too.
    if found.len() == to.saturating_sub(from) + 1 {
        found
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::matching;

    #[test]
    fn names_and_ranges() {
        let stages = ["embeddings", "encoder.0", "encoder.1", "encoder.2"];
        assert_eq!(matching(&stages, "embeddings"), [0]);
        assert_eq!(matching(&stages, "encoder.0-2"), [1, 2, 3]);
        assert!(matching(&stages, "encoder.1-7").is_empty());
        assert!(matching(&stages, "layer").is_empty());
    }
}

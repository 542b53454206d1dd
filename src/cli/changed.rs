//! What is different between the run that was begun and the one that would go on.

use tlkit_core::run::Identity;
use tlkit_report::flat;

/// A line for each difference; none when a resume ends with the same bits.
pub fn changed(was: &Identity, is: &Identity) -> Vec<String> {
    let (before, now) = (flat(&was.values), flat(&is.values));
    let mut lines = Vec::new();
    // A run that depends on nothing of a plugin is the same with another build of it.
    let anew: Vec<(&String, &String)> = match was.identity == is.identity {
        true => Vec::new(),
        false => {
            let both = (was.plugins.iter()).filter_map(|(n, s)| Some((n, s, is.plugins.get(n)?)));
            let anew = both.filter(|(_, was, is)| was != is);
            lines.extend(
                anew.clone()
                    .map(|(n, ..)| format!("plugin {n} was built anew")),
            );
            anew.map(|(_, was, is)| (was, is)).collect()
        }
    };
    // What a plugin makes of data and weights has its digest in theirs.
    let same = |was: &str, is: &str| {
        let was = anew
            .iter()
            .fold(was.to_string(), |t, (a, b)| t.replace(*a, b));
        was == is
    };
    for key in before
        .keys()
        .chain(now.keys().filter(|k| !before.contains_key(*k)))
    {
        match (before.get(key), now.get(key)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => lines.push(format!("{key} was {a}, is {b}")),
            (Some(a), None) => lines.push(format!("{key} was {a}, is not set")),
            (None, Some(b)) => lines.push(format!("{key} was not set, is {b}")),
            (None, None) => {}
        }
    }
    if !same(&was.data_sha256, &is.data_sha256) {
        lines.push("the data: its rows or labels are not those that the run began with".into());
    }
    if !same(&was.source_digest, &is.source_digest) {
        lines.push("the weights of the source are not those that the run began with".into());
    }
    if was.version != is.version {
        lines.push(format!("tlkit was {}, is {}", was.version, is.version));
    }
    if lines.is_empty() && was.identity != is.identity {
        lines.push("the run's identity, in a part that has no name".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn identity(values: Value, data: &str) -> Identity {
        Identity {
            format: 1,
            recipe: "r".into(),
            identity: format!("{values}{data}"),
            values,
            data_sha256: data.into(),
            source_digest: "w".into(),
            version: "1".into(),
            plugins: Default::default(),
        }
    }

    #[test]
    fn every_difference_is_named() {
        let was = identity(
            json!({"train": {"epochs": 3, "clip": 1.0}, "target": {"train": "a.csv"}}),
            "x",
        );
        let is = identity(
            json!({"train": {"epochs": 4, "patience": 2}, "target": {"train": "a.csv"}}),
            "y",
        );
        assert_eq!(changed(&was, &was), [] as [String; 0]);
        assert_eq!(
            changed(&was, &is),
            [
                "train.clip was 1.0, is not set",
                "train.epochs was 3, is 4",
                "train.patience was not set, is 2",
                "the data: its rows or labels are not those that the run began with",
            ]
        );
    }

    #[test]
    fn a_plugin_that_was_built_anew_is_named_and_not_the_data() {
        let built = |sum: &str, more: &str| Identity {
            data_sha256: format!("x plugin {sum}"),
            source_digest: format!("plugin {sum}{more}"),
            identity: sum.into(),
            plugins: [("tasks".to_string(), sum.to_string())].into(),
            ..identity(json!({"train": {"epochs": 3}}), "x")
        };
        let (was, is) = (built("abc", ""), built("def", ""));
        assert_eq!(changed(&was, &is), ["plugin tasks was built anew"]);
        let also = changed(&was, &built("def", " depth 3"));
        assert_eq!(
            also,
            [
                "plugin tasks was built anew",
                "the weights of the source are not those that the run began with"
            ]
        );
        // Where the run does not depend on it, it goes on.
        let unused = Identity {
            plugins: [("tasks".to_string(), "def".to_string())].into(),
            ..built("abc", "")
        };
        assert_eq!(changed(&was, &unused), [] as [String; 0]);
    }
}

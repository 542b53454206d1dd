//! A strategy's phases as data.

use serde_json::Value;
use tlkit_core::data::From;
use tlkit_core::recipe::Keys;
use tlkit_core::strategy::Until;
use tlkit_core::{Error, Result};

use crate::keys::{self, leave};
use crate::tables::is_entry_name;

/// One phase.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PhaseSpec {
    pub name: String,
    pub feeds: Vec<From>,
    pub terms: Vec<TermSpec>,
    pub trains: Trains,
    pub until: Option<Until>,
    pub rate: f64,
}

/// A loss term in a phase.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TermSpec {
    pub term: String,
    pub weight: f64,
    pub keys: Value,
}

/// What of the model trains.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trains {
    All,
    Head,
    Encoder,
    Names(Vec<String>),
}

/// Reads what a strategy answered. `who` begins every error.
///
/// `later`: of a table of a later version, where words that are not known are left alone.
pub(crate) fn parse(
    json: &str,
    transductive: bool,
    later: bool,
    who: &str,
) -> Result<Vec<PhaseSpec>> {
    let values: Value = serde_json::from_str(json)
        .map_err(|e| Error::msg(format!("{who} gave phases that are no JSON: {e}")))?;
    if !values.is_object() {
        return Err(Error::msg(format!(
            "{who} gave phases that are no JSON object"
        )));
    }
    let what = format!("what {who} gave as its phases");
    keys::data(&values, &what, |root| {
        leave(root, later);
        let all: Vec<PhaseSpec> = root
            .tables("phases")
            .iter()
            .map(|p| phase(p, transductive, later))
            .collect();
        if all.is_empty() {
            root.error(root.here(), "there is no phase");
        }
        all
    })
}

fn phase(p: &Keys, transductive: bool, later: bool) -> PhaseSpec {
    leave(p, later);
    let feeds = p
        .strings("feeds")
        .one_of(["source", "target", "test"])
        .required();
    if !transductive && feeds.iter().any(|f| f == "source") {
        p.error(p.at("feeds"), "an inductive strategy has no feed `source`");
    }
    if feeds.is_empty() {
        p.error(p.at("feeds"), "a phase has a feed at least");
    }
    let feed = |f: &String| match f.as_str() {
        "source" => From::Source,
        "test" => From::TargetTest,
        _ => From::Target,
    };
    let terms = p.tables("terms");
    terms.iter().for_each(|t| leave(t, later));
    let terms = terms.iter().map(|t| TermSpec {
        term: t.string("term").required(),
        weight: t.f64("weight").default(1.0, "tlkit.h").read(),
        keys: t
            .value("keys")
            .optional()
            .map_or(Value::Object(Default::default()), |v| v.to_json()),
    });
    let terms = terms.collect();
    let trains = p
        .one_or_more("trains")
        .default(vec!["all".to_string()], "tlkit.h")
        .read();
    if let Some(word) = trains
        .iter()
        .find(|t| trains.len() > 1 && matches!(t.as_str(), "all" | "head" | "encoder"))
    {
        p.error(
            p.at("trains"),
            format!("`{word}` stands alone: beside it there are only names of parameters"),
        )
        .help("`model.head.*` is the head by name, and `model.*` all of the model");
    }
    let trains = match trains.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["all"] => Trains::All,
        ["head"] => Trains::Head,
        ["encoder"] => Trains::Encoder,
        _ => Trains::Names(trains),
    };
    let until = p.optional_table("until", "when it ends").and_then(|u| {
        leave(&u, later);
        let epochs = u.u64("epochs").range(1..).optional();
        let steps = u.u64("steps").range(1..).optional();
        match (epochs, steps) {
            (Some(n), None) => Some(Until::Epochs(n)),
            (None, Some(n)) => Some(Until::Steps(n)),
            _ => {
                u.error(u.here(), "`until` is one of `epochs` and `steps`");
                None
            }
        }
    });
    PhaseSpec {
        name: name(p),
        feeds: feeds.iter().map(feed).collect(),
        terms,
        trains,
        until,
        rate: p.f64("rate").above(0.0).default(1.0, "tlkit.h").read(),
    }
}

/// What a phase is called in logs and curves, by the rule of entries' names.
fn name(p: &Keys) -> String {
    let name = p.string("name").required();
    // A missing one has its own error.
    if !p.has("name") || p.is_blank() {
        return name;
    }
    if !is_entry_name(&name) {
        let shown = name.escape_debug();
        p.error(
            p.at("name"),
            format!("the phase `{shown}`: lower case, digits and `-`"),
        );
    } else if matches!(name.as_str(), "source" | "source-only") {
        p.error(
            p.at("name"),
            format!("`{name}` is a phase of tlkit's own, which comes before those of a strategy"),
        )
        .help("choose another name");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_read_with_their_defaults() {
        let json = r#"{"phases": [
            {"name": "a", "feeds": ["target", "test"], "terms": [{"term": "t", "weight": 0.5, "keys": {"x": 1}}]},
            {"name": "b", "feeds": ["target"], "trains": ["model.*"], "until": {"steps": 7}, "rate": 0.1}
        ]}"#;
        let all = parse(json, false, false, "p").unwrap();
        assert_eq!(all[0].feeds, [From::Target, From::TargetTest]);
        assert_eq!(all[0].terms[0].keys["x"], 1);
        assert_eq!((&all[0].trains, all[0].until), (&Trains::All, None));
        assert_eq!(all[1].trains, Trains::Names(vec!["model.*".into()]));
        assert_eq!(all[1].until, Some(Until::Steps(7)));
    }

    #[test]
    fn words_of_a_later_version_are_left_alone() {
        let json = r#"{"loops": 2, "phases": [{"name": "a", "feeds": ["target"], "mood": 1, "until": {"steps": 7, "days": 1},
            "terms": [{"term": "t", "colour": "red"}]}]}"#;
        let all = parse(json, false, true, "p").unwrap();
        assert_eq!(all[0].until, Some(Until::Steps(7)));
        let said = parse(json, false, false, "p").unwrap_err().to_string();
        for word in ["loops", "mood", "days", "colour"] {
            assert!(said.contains(&format!("`{word}`")), "{word}: {said}");
        }
    }

    #[test]
    fn what_is_wrong_in_them_is_said() {
        for (json, words) in [
            ("[", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "no phase"),
            (
                r#"{"phases": [{"name": "a", "feeds": ["sauce"]}]}"#,
                "source",
            ),
            (
                r#"{"phases": [{"name": "a", "feeds": ["source"]}]}"#,
                "inductive",
            ),
            (
                r#"{"phases": [{"name": "a", "feeds": []}]}"#,
                "a feed at least",
            ),
            (r#"{"phases": [{"feeds": ["target"]}]}"#, "name"),
            (
                r#"{"phases": [{"name": "a", "feeds": ["target"], "unitl": {}}]}"#,
                "did you mean `until`",
            ),
            (
                r#"{"phases": [{"name": "a", "feeds": ["target"], "until": {}}]}"#,
                "one of",
            ),
            (
                r#"{"phases": [{"name": "a", "feeds": ["target"], "rate": 0}]}"#,
                "greater than 0",
            ),
            (
                r#"{"phases": [{"name": "a", "feeds": ["target"], "terms": [{"weight": 1}]}]}"#,
                "`term`",
            ),
            (
                r#"{"phases": [{"name": "a", "feeds": ["target"], "trains": ["all", "head"]}]}"#,
                "`all` stands alone",
            ),
            (
                r#"{"phases": [{"name": "a", "feeds": ["target"], "trains": ["model.*", "encoder"]}]}"#,
                "`encoder` stands alone",
            ),
            (
                r#"{"phases": [{"name": "source", "feeds": ["target"]}]}"#,
                "`source` is a phase of tlkit's own",
            ),
            (
                r#"{"phases": [{"name": "source-only", "feeds": ["target"]}]}"#,
                "`source-only` is a phase of tlkit's own",
            ),
            (
                r#"{"phases": [{"name": "", "feeds": ["target"]}]}"#,
                "the phase ``: lower case",
            ),
            (
                r#"{"phases": [{"name": "\u001b[31m", "feeds": ["target"]}]}"#,
                "lower case, digits and `-`",
            ),
        ] {
            let said = parse(json, false, false, "p").unwrap_err().to_string();
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

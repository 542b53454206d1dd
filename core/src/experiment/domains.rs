//! `[domains.X]` and the pairs of them.

use super::method::BaseStrategy;
use super::read::Design;
use crate::recipe::{At, Keys, Overlay, Value, nearest};

/// A domain, and what it puts into a recipe as source and as target.
pub(super) struct Domain {
    pub name: String,
    pub source: Vec<(String, At, Value)>,
    pub target: Vec<(String, At, Value)>,
    pub at: At,
}

/// `[domains.books]`: what a domain is as source, and what as target.
pub(super) fn domains(root: &Keys) -> Vec<Domain> {
    let table = root.table("domains");
    table.describe("the domains that pairs are made of");
    let mut domains = Vec::new();
    for name in table.free() {
        let keys = table.table(&name);
        let of = |table: &Keys, key: &str, help: &str| {
            let value = table.value(key).help(help).unset("not set").optional()?;
            Some((table.at_key(key), value))
        };
        let get = |key: &str, help: &str| of(&keys, key, help);
        let labelled = get(
            "labelled",
            "labelled rows: the source's, and the target's without their labels",
        );
        let unlabelled = get(
            "unlabelled",
            "rows to adapt on, where they are not the labelled ones",
        );
        let validation = get("validation", "labelled rows that decide, as a source");
        let test = get("test", "rows to report on, as a target");
        let split = keys.table("split");
        split.describe("how rows are set aside where no file is given");
        let shares = [
            (
                "validation",
                of(&split, "validation", "share of the rows, as a source"),
            ),
            ("test", of(&split, "test", "share of the rows, as a target")),
            ("seed", of(&split, "seed", "of the split")),
            (
                "group",
                of(&split, "group", "a column whose rows stay together"),
            ),
        ];
        let columns: Vec<(&str, Option<(At, Value)>)> =
            ["text", "image", "label", "pair", "limit", "per_class"]
                .map(|c| (c, get(c, "as in `[target]`")))
                .into();
        if labelled.is_none() && unlabelled.is_none() && !root.is_blank() {
            keys.error(keys.here(), format!("the domain `{name}` has no rows"))
                .help("write `labelled = \"FILE\"`, or `unlabelled` for one that is only a target");
        }
        let mut domain = Domain {
            name: name.clone(),
            source: Vec::new(),
            target: Vec::new(),
            at: keys.here(),
        };
        let put = |list: &mut Vec<_>, key: &str, value: &Option<(At, Value)>| {
            if let Some((at, value)) = value {
                list.push((key.to_string(), at.clone(), value.clone()));
            }
        };
        put(&mut domain.source, "source.train", &labelled);
        put(&mut domain.source, "source.validation", &validation);
        put(
            &mut domain.target,
            "target.unlabelled",
            &unlabelled.or(labelled),
        );
        put(&mut domain.target, "target.test", &test);
        // Nothing is tested on a source, and of a target's rows none are validated on.
        for (share, value) in &shares {
            if *share != "test" {
                put(&mut domain.source, &format!("source.split.{share}"), value);
            }
            if *share != "validation" {
                put(&mut domain.target, &format!("target.split.{share}"), value);
            }
        }
        for (column, value) in &columns {
            put(&mut domain.source, &format!("source.{column}"), value);
            // A limit is one of training rows.
            if !matches!(*column, "limit" | "per_class") {
                put(&mut domain.target, &format!("target.{column}"), value);
            }
        }
        domains.push(domain);
    }
    domains
}

/// `pairs = [["books", "dvd"]]`, as numbers of domains.
pub(super) fn pairs(keys: &Keys, domains: &[Domain], base: &BaseStrategy) -> Vec<(usize, usize)> {
    let Some(items) = keys
        .values("pairs")
        .help("source and target, by the names of `[domains.X]`")
        .unset("the base's own domains")
        .optional()
    else {
        if let Some(domain) = domains.first() {
            keys.error(domain.at.clone(), "there are domains, but no pairs of them")
                .help("write `pairs = [[\"SOURCE\", \"TARGET\"]]` in `[experiment]`");
        }
        return Vec::new();
    };
    if base.kind == "inductive" {
        keys.error(
            keys.at_key("pairs"),
            "an inductive recipe has no pairs of domains",
        )
        .label("the base is inductive")
        .help("vary `\"target.train\"` and the like, or take a transductive base");
        return Vec::new();
    }
    let names = || domains.iter().map(|d| d.name.as_str());
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for item in &items {
        let two = item
            .as_list()
            .filter(|l| l.len() == 2 && l.iter().all(|v| v.as_str().is_some()));
        let Some(two) = two else {
            item.error("a pair must be a source and a target")
                .expected("a list of two names: `[\"books\", \"dvd\"]`");
            continue;
        };
        let found: Vec<Option<usize>> = two
            .iter()
            .map(|v| {
                let name = v.as_str().unwrap_or_default();
                let at = names().position(|n| n == name);
                if at.is_none() {
                    let noted = v
                        .error(format!("there is no domain `{name}`"))
                        .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")));
                    match nearest(name, names()) {
                        Some(near) => drop(noted.help(format!("did you mean `\"{near}\"`?"))),
                        None => drop(noted.help(format!("add a table `[domains.{name}]`"))),
                    }
                }
                at
            })
            .collect();
        match found[..] {
            [Some(a), Some(b)] if a == b => {
                item.error("source and target are the same domain");
            }
            [Some(a), Some(b)] if pairs.contains(&(a, b)) => {
                item.error("this pair is there twice");
            }
            [Some(a), Some(b)] => pairs.push((a, b)),
            _ => {}
        }
    }
    pairs
}

impl Design {
    /// What a pair puts over the base.
    pub fn of_pair(&self, (source, target): (usize, usize)) -> Vec<Overlay> {
        let (source, target) = (&self.domains[source], &self.domains[target]);
        // The base's own domains go, whatever the pair has in their place; its columns stay, and how it divides a source.
        let mut over = vec![
            Overlay::remove("source", &["train", "validation", "limit", "per_class"]),
            Overlay::remove(
                "target",
                &[
                    "unlabelled",
                    "validation",
                    "test",
                    "split",
                    "limit",
                    "per_class",
                ],
            ),
        ];
        let of_pair = source
            .source
            .iter()
            .chain(&target.target)
            .filter_map(|key| self.folder.over(key));
        over.extend(of_pair);
        over.extend(Overlay::text(
            "source.domain",
            source.at.clone(),
            &source.name,
        ));
        over.extend(Overlay::text(
            "target.domain",
            target.at.clone(),
            &target.name,
        ));
        over
    }
}

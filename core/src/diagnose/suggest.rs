//! From numbers to where to begin. Every rule says its reason.

use serde::Serialize;

use super::Diagnosis;

/// One advice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// Strategies to try, by name; none where the advice is of another kind.
    pub methods: Vec<String>,
    /// What, and why.
    pub words: String,
}

/// A p under this is not chance.
const LEVEL: f64 = 0.05;

/// First things first. Only `known` methods are named.
pub(super) fn suggestions(d: &Diagnosis, known: &[String]) -> Vec<Suggestion> {
    let mut all = Vec::new();
    let mut say = |methods: &[&str], words: String| {
        let methods = methods.iter().filter(|m| known.iter().any(|k| k == *m));
        all.push(Suggestion {
            methods: methods.map(|m| m.to_string()).collect(),
            words,
        });
    };
    if d.source_accuracy < d.majority + 0.5 * (1.0 - d.majority) {
        say(
            &[],
            format!(
                "on the source itself these features have {:.1} % right, where always saying the largest class has {:.1} %: train the encoder on the source first; what does not tell the classes apart there will not on the target",
                100.0 * d.source_accuracy,
                100.0 * d.majority
            ),
        );
    }
    let apart = d.separation.accuracy_interval.0 > 0.5;
    let around = d.separation.neighbours_interval.0 > 0.5;
    let shifted = d.discrepancy.p < LEVEL || apart || around;
    let reweighted = d.labels.p < LEVEL && d.labels.distance >= 0.05;
    if !shifted {
        say(
            &["source-only", "source-head"],
            "no difference of the features can be seen: there is little to adapt, and adapting can only cost".into(),
        );
        if reweighted {
            say(
                &["em-prior", "bbse"],
                "the classes' shares differ all the same: correct them alone".into(),
            );
        }
        return all;
    }
    if !d.overlap.missing.is_empty() {
        say(
            &["mcc", "shot"],
            format!(
                "the target seems to lack {}: methods that make the whole distributions alike (coral, dan, dann, tca) would put other rows in their place; on partial Office-31 DANN was 8 points below no adaptation",
                listed(&d.overlap.missing)
            ),
        );
    } else if reweighted && d.labels.shares.len() < 3 && d.separation.a_distance >= 1.0 {
        // One number from one equation: shares explain all answers of two classes that lie between those on each, so nothing speaks for them where the features moved this far.
        say(
            &[],
            format!(
                "the answers lean to other classes ({:.0} % of the rows), but of two classes shares explain almost any answers, and the domains differ in more than shares: no evidence for a correction of the prior",
                100.0 * d.labels.distance
            ),
        );
    } else if reweighted && d.labels.explains() && d.overlap.far < 0.15 {
        say(
            &["em-prior", "bbse"],
            format!(
                "the classes' shares differ ({:.0} % of the rows), explain the answers on the target, and no row lies where the source has none: correct the shares before anything else",
                100.0 * d.labels.distance
            ),
        );
    }
    if d.overlap.far > 0.5 {
        say(
            &[],
            format!(
                "{:.0} % of the target's rows are far from every row of the source: look at some of them before adapting; rows of no class of the source cannot be told by any method here",
                100.0 * d.overlap.far
            ),
        );
    }
    if !apart && around {
        say(
            &["subspace-alignment", "coral", "linear-ot", "ot", "mcc"],
            format!(
                "no line tells the domains apart (their means are alike, or a scaling made them so), but {:.0} % of the rows have their nearest neighbour in their own domain: methods that move covariances, directions or single rows have something to do",
                100.0 * d.separation.neighbours
            ),
        );
    } else if d.separation.a_distance < 1.0 {
        say(
            &["coral", "linear-ot", "deep-coral", "mcc"],
            "a moderate shift: methods that move means and covariances cost seconds and seldom harm".into(),
        );
    } else {
        say(
            &["subspace-alignment", "linear-ot", "deep-jdot", "mcc", "cdan"],
            "the domains are told apart with ease: where that is by directions that say nothing of the classes, methods that leave them out or move them help most".into(),
        );
    }
    say(
        &["source-only", "source-head"],
        "run it beside source-only: `tlkit compare` says whether adapting helped; no number here can".into(),
    );
    all
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > 5 { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

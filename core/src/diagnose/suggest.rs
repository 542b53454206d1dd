//! From numbers to where to begin. Every rule says its reason.

use serde::Serialize;

use super::{Diagnosis, LEVEL};

/// One advice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// Strategies to try, by name; none where the advice is of another kind.
    pub methods: Vec<String>,
    /// What, and why.
    pub words: String,
}

/// More of the target's rows than this are far where more than shares changed.
const FAR: f64 = 0.15;

/// What can be said of the classes' shares. A correction of shares that did not change costs more than none, so the evidence must be whole.
enum Shares {
    /// Nothing speaks for a change.
    Alike,
    /// The answers lean to other classes or leave some out, and this speaks against shares alone.
    Unclear(String),
    /// They changed, and nothing that was looked at speaks for more than that.
    Changed,
}

impl Shares {
    fn of(d: &Diagnosis) -> Shares {
        if !d.labels.leans() && d.overlap.missing.is_empty() {
            return Shares::Alike;
        }
        // What a change of shares alone cannot do: total variation of the features is at most that of the classes, and the A-distance at most twice that.
        let could = 2.0 * d.labels.distance;
        let against = if d.labels.shares.len() < 3 && d.separation.a_distance >= 1.0 {
            // One number from one equation: nothing speaks for shares where the features moved this far.
            "of two classes shares explain almost any answers, and the domains are told apart with ease".into()
        } else if !d.labels.explains() {
            format!(
                "no shares of classes explain {:.1} % of them",
                100.0 * d.labels.unexplained
            )
        } else if d.separation.least() > could {
            format!(
                "the domains are told apart better (A-distance at least {:.2}) than by such shares they could be (at most {could:.2})",
                d.separation.least()
            )
        } else if d.overlap.far >= FAR {
            format!(
                "{:.1} % of the target's rows lie where the source has none",
                100.0 * d.overlap.far
            )
        } else {
            match &d.matched {
                None => "by no more than chance or a few rows".into(),
                Some(m) if m.differs() => {
                    "the domains differ still where the source is given such shares".into()
                }
                Some(m) if !m.tells(d.labels.distance) => format!(
                    "with such shares the source has {} rows and the target {}, too few to see whether it is not the features that moved",
                    m.source_rows, m.target_rows
                ),
                Some(_) => return Shares::Changed,
            }
        };
        Shares::Unclear(against)
    }
}

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
    let apart = d.separation.apart();
    let around = d.separation.among_their_own();
    let shifted = d.discrepancy.p < LEVEL || apart || around;
    let shares = Shares::of(d);
    if !shifted {
        say(
            &["source-only", "source-head"],
            "no difference of the features can be seen: there is little to adapt, and adapting can only cost".into(),
        );
        if matches!(shares, Shares::Changed) {
            say(
                &["em-prior", "bbse"],
                "the classes' shares differ all the same: correct them alone".into(),
            );
        }
        return all;
    }
    let missing = listed(&d.overlap.missing);
    let leaning = 100.0 * d.labels.distance;
    match &shares {
        Shares::Alike => {}
        Shares::Changed if !missing.is_empty() => say(
            &["mcc", "shot"],
            format!(
                "the target seems to lack {missing}: methods that make the whole distributions alike (coral, dan, dann, tca) would put other rows in their place; on partial Office-31 DANN was 8 points below no adaptation"
            ),
        ),
        Shares::Changed => say(
            &["em-prior", "bbse"],
            format!(
                "the classes' shares differ ({leaning:.0} % of the rows), explain the answers on the target, nothing else is seen to differ where the source is given such shares, and {}: correct the shares before anything else; methods that make the whole distributions alike (coral, linear-ot, ot) would put rows of one class in another's place",
                match d.overlap.far {
                    0.0 => "no row lies where the source has none".to_string(),
                    far => format!(
                        "few rows ({:.1} %) lie where the source has none",
                        100.0 * far
                    ),
                }
            ),
        ),
        Shares::Unclear(against) if !missing.is_empty() => say(
            &["mcc", "shot"],
            format!(
                "the answers on the target leave out {missing}, but {against}: it may lack them, or their rows moved and are taken for others"
            ),
        ),
        Shares::Unclear(against) => say(
            &[],
            format!(
                "the answers lean to other classes ({leaning:.0} % of the rows), but {against}: no evidence for a correction of the prior, which costs where it is the features that moved"
            ),
        ),
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
    // Where the shares changed and nothing else is seen to, what moves features moves rows to other classes.
    let (seldom, caveat) = match shares {
        Shares::Alike => (" and seldom harm", ""),
        Shares::Unclear(_) => (
            "",
            "; where it is the classes' shares that changed, moving the whole distribution harms",
        ),
        Shares::Changed => {
            beside(&mut say);
            return all;
        }
    };
    if !apart && around {
        say(
            &["subspace-alignment", "coral", "linear-ot", "ot", "mcc"],
            format!(
                "no line tells the domains apart (their means are alike, or a scaling made them so), but {:.0} % of the rows have their nearest neighbour in their own domain: methods that move covariances, directions or single rows have something to do{caveat}",
                100.0 * d.separation.neighbours
            ),
        );
    } else if d.separation.a_distance < 1.0 {
        say(
            &["coral", "linear-ot", "deep-coral", "mcc"],
            format!(
                "a moderate shift: methods that move means and covariances cost seconds{seldom}{caveat}"
            ),
        );
    } else {
        say(
            &[
                "subspace-alignment",
                "linear-ot",
                "deep-jdot",
                "mcc",
                "cdan",
            ],
            format!(
                "the domains are told apart with ease: where that is by directions that say nothing of the classes, methods that leave them out or move them help most{caveat}"
            ),
        );
    }
    beside(&mut say);
    all
}

fn beside(say: &mut impl FnMut(&[&str], String)) {
    say(
        &["source-only", "source-head"],
        "run it beside source-only: `tlkit compare` says whether adapting helped; no number here can".into(),
    );
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > 5 { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

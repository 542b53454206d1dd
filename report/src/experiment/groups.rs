//! Arms that are drawn beside each other: those of one value and one pair of domains.

use maud::{Markup, html};

use super::read::{Experiment, Trial};

/// Groups beyond these are not drawn: the page would be too large to open.
const GROUPS: usize = 24;

/// One picture's worth of arms.
pub(super) struct Together {
    /// `target.per_class = 20, books to dvd`; empty where there is only one.
    pub title: String,
    /// For identifiers on the page.
    pub id: String,
    /// Of the pairs.
    pub pair: usize,
    /// Their numbers, and what they are called here.
    pub arms: Vec<(usize, String)>,
}

/// Groups in the order of the values, then of the pairs.
pub(super) fn groups(e: &Experiment) -> Vec<Together> {
    let several = e.several_methods();
    let mut values: Vec<&[usize]> = Vec::new();
    for arm in e.arms.iter() {
        // One method over several values is compared with itself: all of it is one group.
        let own = if several { arm.values.as_slice() } else { &[] };
        if !values.contains(&own) {
            values.push(own);
        }
    }
    values.sort_unstable();
    let mut groups = Vec::new();
    for (v, own) in values.iter().enumerate() {
        for pair in 0..e.pairs.len().max(1) {
            let arms = e.arms.iter().enumerate();
            let arms: Vec<(usize, String)> = arms
                .filter(|(_, a)| !several || a.values == *own)
                .map(|(i, a)| match several {
                    true => (i, a.method.clone()),
                    false => (i, e.plain_words(i)),
                })
                .collect();
            let at = arms.first().map_or(0, |a| a.0);
            let mut parts = Vec::new();
            if several && values.len() > 1 {
                parts.push(e.values(&e.arms[at]));
            }
            if let (Some((source, target)), true) = (e.pairs.get(pair), e.pairs.len() > 1) {
                parts.push(format!("{source} to {target}"));
            }
            groups.push(Together {
                title: parts.join(", "),
                id: format!("{v}-{pair}"),
                pair,
                arms,
            });
        }
    }
    groups
}

/// The picture of each group that has one: the first open, the others behind folds; nothing where none has. `own` is what each run's own page
/// has of those that are not drawn.
pub(super) fn folded(
    e: &Experiment,
    own: &str,
    picture: impl Fn(&Experiment, &Together) -> Option<Markup>,
) -> Option<Markup> {
    let all = groups(e);
    let mut pictures = all.iter().filter_map(|g| Some((g, picture(e, g)?)));
    let drawn: Vec<(&Together, Markup)> = pictures.by_ref().take(GROUPS).collect();
    if drawn.is_empty() {
        return None;
    }
    Some(html! {
        @for (i, (g, picture)) in drawn.iter().enumerate() {
            @if g.title.is_empty() {
                (picture)
            } @else {
                details open[i == 0] { summary { (g.title) } (picture) }
            }
        }
        @if pictures.next().is_some() {
            p.faint { "The first " (GROUPS) " are drawn; each run's own page has its " (own) "." }
        }
    })
}

impl Experiment {
    /// The values of an arm alone, or its method where nothing varies: `20`.
    fn plain_words(&self, arm: usize) -> String {
        let a = &self.arms[arm];
        let values: Vec<&str> = a
            .values
            .iter()
            .zip(&self.axes)
            .map(|(&v, axis)| axis.values[v].as_str())
            .collect();
        match values.is_empty() {
            true => a.method.clone(),
            false => values.join(", "),
        }
    }

    /// The finished runs of an arm on a pair.
    pub(super) fn finished(&self, arm: usize, pair: usize) -> impl Iterator<Item = &Trial> {
        self.arms[arm].trials[pair].iter().filter(|t| t.done)
    }
}

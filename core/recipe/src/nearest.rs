//! The name that was probably meant.

/// The candidate that `word` is a slip of, if one is near enough: another spelling of the same words
/// (`learning-rate`), its initials (`lr`), or few letters away.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normal(word);
    let candidates: Vec<&str> = candidates.into_iter().filter(|c| *c != word).collect();
    if let Some(same) = candidates.iter().find(|c| normal(c) == plain) {
        return Some(same);
    }
    if plain.len() >= 2
        && let Some(same) = candidates.iter().find(|c| initials(c) == plain)
    {
        return Some(same);
    }
    let far = (plain.chars().count() / 3).max(1);
    let near = candidates
        .iter()
        .map(|c| (strsim::damerau_levenshtein(&plain, &normal(c)), *c));
    // A name of two letters is one letter away from too much.
    near.filter(|(distance, c)| {
        *distance <= far && c.chars().count() > 2 && plain.chars().count() > 2
    })
    .min_by_key(|(distance, _)| *distance)
    .map(|(_, c)| c)
}

/// One spelling for `learning-rate`, `Learning_Rate` and `learningRate`.
pub(crate) fn normal(name: &str) -> String {
    let mut plain = String::new();
    for c in name.chars().filter(|c| !matches!(c, '-' | '_' | ' ' | '.')) {
        plain.extend(c.to_lowercase());
    }
    plain
}

fn initials(name: &str) -> String {
    let words = name.split(['_', '-']).filter(|w| !w.is_empty());
    words.filter_map(|w| w.chars().next()).collect()
}

/// `` `a`, `b` or `c` ``; of a long list the first dozen.
pub(crate) fn listed<S: AsRef<str>>(names: &[S], last: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        all if all.len() > 14 => format!("{} and {} more", all[..12].join(", "), all.len() - 12),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

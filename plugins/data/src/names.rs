//! What people call the columns of labels and of texts.

/// The first [`CALLED`] are hardly anything else.
pub(crate) const LABELS: [&str; 20] = [
    "label",
    "labels",
    "class",
    "category",
    "target",
    "sentiment",
    "polarity",
    "rating",
    "stars",
    "score",
    "intent",
    "topic",
    "emotion",
    "tag",
    "type",
    "y",
    "answer",
    "stance",
    "spam",
    "gold",
];
/// Names that are hardly anything but a label.
pub(crate) const CALLED: usize = 4;

pub(crate) const TEXTS: [&str; 20] = [
    "text",
    "sentence",
    "review",
    "body",
    "content",
    "comment",
    "message",
    "tweet",
    "utterance",
    "question",
    "document",
    "description",
    "query",
    "passage",
    "headline",
    "title",
    "abstract",
    "input",
    "email",
    "reviewtext",
];

/// Whether a column of this name is hardly anything but a text or a label.
pub(crate) fn is_usual(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    TEXTS.contains(&name.as_str()) || LABELS[..CALLED].contains(&name.as_str())
}

//! One key, asked for and declared in one call.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::keys::Keys;
use crate::kinds::{Kind, Ranged, Readable};
use crate::nearest::{listed, nearest};
use crate::record::{Bounds, KeyRecord, Presence};
use crate::tree::quote;
use crate::value::Value;

/// A key that has no default: it ends in [`Key::optional`] or [`Key::required`].
pub struct NoDefault;

/// A key that has a default: it ends in [`Key::read`].
pub struct WithDefault<T> {
    value: T,
    origin: String,
    on: &'static [&'static str],
    varies: String,
}

/// A key on its way to being read: first what is allowed and what it means, then one of `read`, `optional` and
/// `required`, which reads, checks, marks and records it. An error is noted, and a harmless value handed back.
#[must_use = "a key is read by `.read()`, `.optional()` or `.required()`"]
pub struct Key<T, D = NoDefault> {
    keys: Keys,
    name: String,
    kind: Kind,
    range: Option<(Bounds, Box<dyn Fn(&T) -> Option<usize>>)>,
    choices: Option<Vec<String>>,
    check: Option<Box<dyn Fn(&T) -> Result<(), String>>>,
    help: String,
    unset: String,
    example: Option<String>,
    known_as: Vec<String>,
    default: D,
}

impl<T: Readable> Key<T> {
    pub(crate) fn new(keys: &Keys, name: &str, kind: Kind) -> Key<T> {
        Key {
            keys: keys.clone(),
            name: name.into(),
            kind,
            range: None,
            choices: None,
            check: None,
            help: String::new(),
            unset: String::new(),
            example: None,
            known_as: vec![],
            default: NoDefault,
        }
    }

    /// The value when nothing is written, and where it comes from: a paper, a rule, the family (`width 384`).
    /// `explain` prints both.
    pub fn default(self, value: impl Into<T>, origin: impl Into<String>) -> Key<T, WithDefault<T>> {
        let default = WithDefault {
            value: value.into(),
            origin: origin.into(),
            on: &[],
            varies: String::new(),
        };
        Key {
            keys: self.keys,
            name: self.name,
            kind: self.kind,
            range: self.range,
            choices: self.choices,
            check: self.check,
            help: self.help,
            unset: self.unset,
            example: self.example,
            known_as: self.known_as,
            default,
        }
    }

    /// What happens when an optional key is not set, for `explain`.
    pub fn unset(mut self, what: impl Into<String>) -> Self {
        self.unset = what.into();
        self
    }

    /// The value, if one is written and right.
    pub fn optional(self) -> Option<T> {
        let unset = self.unset.clone();
        self.take(Presence::Optional { unset })
    }

    /// The value; when none is written, an error that says what to write.
    pub fn required(self) -> T {
        let example = self.example.clone();
        self.take(Presence::Required { example })
            .unwrap_or_else(T::placeholder)
    }
}

impl<T: Readable> Key<T, WithDefault<T>> {
    /// The data sets that the default was chosen on, by name; they stand behind its origin. See [`Record::tuned_on`](crate::Record::tuned_on).
    pub fn tuned_on(mut self, sets: &'static [&'static str]) -> Self {
        if !sets.is_empty() {
            self.default.origin = format!("{}, on {}", self.default.origin, sets.join(" and "));
        }
        self.default.on = sets;
        self
    }

    /// What the schema says in place of the value, where this is another with the rest of the recipe: nothing written has no
    /// value that would hold for all.
    pub fn varies(mut self, what: impl Into<String>) -> Self {
        self.default.varies = what.into();
        self
    }

    /// The value written, or the default.
    pub fn read(self) -> T {
        let value = self.default.value.clone();
        let varies = self.default.varies.clone();
        let presence = match self.keys.is_blank() && !varies.is_empty() {
            true => Presence::Optional { unset: varies },
            false => Presence::Default {
                value: value.literal(),
                origin: self.default.origin.clone(),
                on: self.default.on,
            },
        };
        self.take(presence).unwrap_or(value)
    }
}

impl<T: Readable, D> Key<T, D> {
    /// What the key means, in a few words.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// A value to show where the key is missing: `"builtin:bert-mini"`, without quotes for a string.
    pub fn example(mut self, example: impl Into<String>) -> Self {
        self.example = Some(example.into());
        self
    }

    /// Names that other tools have for this key (`lr`): never accepted, but suggested from.
    pub fn known_as(mut self, names: &[&str]) -> Self {
        self.known_as = names.iter().map(|n| n.to_string()).collect();
        self
    }

    /// The values allowed.
    pub fn one_of<S: AsRef<str>>(mut self, choices: impl IntoIterator<Item = S>) -> Self {
        self.choices = Some(
            choices
                .into_iter()
                .map(|c| c.as_ref().to_string())
                .collect(),
        );
        self
    }

    /// A check of the reader's own; its error says what was expected (`a multiple of 8`).
    pub fn check(mut self, check: impl Fn(&T) -> Result<(), String> + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    fn take(self, presence: Presence) -> Option<T> {
        let entry = self.keys.entry(&self.name);
        let record = KeyRecord {
            name: self.name.clone(),
            kind: self.kind,
            bounds: self.range.as_ref().map(|(bounds, _)| bounds.clone()),
            choices: self.choices.clone().unwrap_or_default(),
            presence,
            help: self.help.clone(),
            known_as: self.known_as.clone(),
            written: entry.as_ref().map(|value| value.parts().1),
        };
        self.keys.shared.declare(&self.keys.path, record);
        let value = entry?;
        self.keys.shared.mark(value.parts().1);
        match self.checked(&value) {
            Ok(read) => Some(read),
            Err(diagnostic) => {
                self.keys.shared.note(*diagnostic);
                None
            }
        }
    }

    fn checked(&self, value: &Value) -> Result<T, Box<Diagnostic>> {
        let name = &self.name;
        let read = T::from_value(value, self.kind).map_err(|wrong| {
            let title = format!("`{name}` must be {}", self.kind.words());
            let expected = wrong.item.map_or_else(|| self.expected(), String::from);
            let label = format!("expected {expected}, found {}", wrong.found);
            let diagnostic = Diagnostic::error(wrong.at, title).label(label);
            Box::new(wrong.help.into_iter().fold(diagnostic, Diagnostic::help))
        })?;
        if let Some(choices) = &self.choices {
            self.check_choice(value, &read, choices)?;
        }
        if let Some((_, outside)) = &self.range
            && let Some(i) = outside(&read)
        {
            let title = format!("`{name}` is out of range");
            let item = value
                .as_list()
                .and_then(|items| items.get(i).cloned())
                .unwrap_or_else(|| value.clone());
            let kind = if self.kind == Kind::Numbers {
                Kind::Number
            } else {
                self.kind
            };
            let label = format!(
                "expected {}, found {}",
                self.expected_of(kind),
                item.found()
            );
            return Err(Box::new(Diagnostic::error(item.at(), title).label(label)));
        }
        if let Some(Err(expected)) = self.check.as_ref().map(|check| check(&read)) {
            // A number or a word is quoted in full; of a list its kind says nothing.
            let title = match value.as_list() {
                Some(_) => format!("this is no value for `{name}`"),
                None => format!("`{name}` cannot be {}", value.found()),
            };
            return Err(Box::new(
                Diagnostic::error(value.at(), title).expected(expected),
            ));
        }
        Ok(read)
    }

    fn check_choice(
        &self,
        value: &Value,
        read: &T,
        choices: &[String],
    ) -> Result<(), Box<Diagnostic>> {
        let items = value.as_list().unwrap_or_else(|| vec![value.clone()]);
        for (word, item) in read.words().into_iter().zip(&items) {
            if choices.iter().any(|choice| choice == word) {
                continue;
            }
            let title = format!("unknown value {} for `{}`", quote_word(word), self.name);
            let expected = match choices {
                [] => "nothing: there is none to choose from".to_string(),
                [_] | [_, _] => listed(choices, "or"),
                _ => format!("one of {}", listed(choices, "or")),
            };
            let mut diagnostic = Diagnostic::error(item.at(), title).expected(expected);
            if let Some(near) = nearest(word, choices.iter().map(String::as_str)) {
                diagnostic = diagnostic.help(format!("did you mean `{}`?", quote(near)));
            }
            return Err(Box::new(diagnostic));
        }
        Ok(())
    }

    /// The type and the range, in words.
    fn expected(&self) -> String {
        self.expected_of(self.kind)
    }

    fn expected_of(&self, kind: Kind) -> String {
        let words = kind.words();
        let range = match &self.range {
            Some((bounds, _)) => bounds.words.as_str(),
            None if kind == Kind::Count => "at least 0",
            None => return words.into(),
        };
        let of = if range.starts_with("at ") { "of " } else { "" };
        match (kind, words.strip_suffix(" or \"auto\"")) {
            (Kind::Numbers, _) => format!("{words}, each {range}"),
            (_, Some(number)) => format!("{number} {of}{range}, or \"auto\""),
            _ => format!("{words} {of}{range}"),
        }
    }
}

impl<T: Ranged + 'static, D> Key<T, D>
where
    T::End: 'static,
{
    /// The range allowed: `0.0..`, `0.0..=1.0`, `1..`.
    pub fn range(mut self, range: impl RangeBounds<T::End>) -> Self {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let bounds = Bounds {
            words: in_words(&range),
            schema: in_schema(&range),
        };
        self.range = Some((bounds, Box::new(move |value: &T| value.outside(&range))));
        self
    }

    /// Greater than this: a learning rate above 0.
    pub fn above(self, low: T::End) -> Self {
        self.range((Bound::Excluded(low), Bound::Unbounded))
    }
}

fn quote_word(word: &str) -> String {
    if word.is_empty() {
        "`\"\"`".into()
    } else {
        format!("`{word}`")
    }
}

fn in_words<E: Display>(range: &(Bound<E>, Bound<E>)) -> String {
    let low = match &range.0 {
        Bound::Included(low) => format!("at least {low}"),
        Bound::Excluded(low) => format!("greater than {low}"),
        Bound::Unbounded => String::new(),
    };
    let high = match &range.1 {
        Bound::Included(high) => format!("at most {high}"),
        Bound::Excluded(high) => format!("less than {high}"),
        Bound::Unbounded => String::new(),
    };
    match (range, low.is_empty(), high.is_empty()) {
        ((Bound::Included(low), Bound::Included(high)), ..) => format!("between {low} and {high}"),
        (_, true, _) => high,
        (_, _, true) => low,
        _ => format!("{low} and {high}"),
    }
}

fn in_schema<E: Copy + Into<Json>>(range: &(Bound<E>, Bound<E>)) -> Vec<(&'static str, Json)> {
    let mut schema = Vec::new();
    match range.0 {
        Bound::Included(low) => schema.push(("minimum", low.into())),
        Bound::Excluded(low) => schema.push(("exclusiveMinimum", low.into())),
        Bound::Unbounded => {}
    }
    match range.1 {
        Bound::Included(high) => schema.push(("maximum", high.into())),
        Bound::Excluded(high) => schema.push(("exclusiveMaximum", high.into())),
        Bound::Unbounded => {}
    }
    schema
}

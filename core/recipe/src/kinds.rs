//! The types that a key can have, and how each is read from a value.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::source::At;
use crate::tree::{Data, quote};
use crate::value::Value;

/// The type of a key, as diagnostics, `explain` and the schema know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number, whole or not.
    Number,
    /// A whole number.
    Integer,
    /// A whole number from 0.
    Count,
    /// A whole number, or the word `auto`.
    CountOrAuto,
    /// A number, or the word `auto`.
    NumberOrAuto,
    /// True or false.
    Bool,
    /// A string.
    Text,
    /// A file or folder, relative to the recipe.
    Path,
    /// A list of strings.
    Texts,
    /// A string, or a list of strings.
    OneOrMore,
    /// What data is read: a path or name, or a list of them.
    Data,
    /// A column, by name or by number from 1.
    Column,
    /// A list of numbers.
    Numbers,
    /// Anything; the reader looks into it himself.
    Any,
    /// A list of anything.
    List,
}

impl Kind {
    /// What was expected, in words.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Number => "a number",
            Kind::Integer | Kind::Count => "a whole number",
            Kind::CountOrAuto => "a whole number or \"auto\"",
            Kind::NumberOrAuto => "a number or \"auto\"",
            Kind::Bool => "`true` or `false`",
            Kind::Text => "a string",
            Kind::Path => "a path",
            Kind::Texts => "a list of strings",
            Kind::OneOrMore => "a string or a list of strings",
            Kind::Data => "a path or a list of paths",
            Kind::Column => "a column's name, or its number from 1",
            Kind::Numbers => "a list of numbers",
            Kind::Any => "a value",
            Kind::List => "a list",
        }
    }

    /// What to write, where a help line needs an example.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Kind::Number | Kind::NumberOrAuto => "0.1",
            Kind::Integer | Kind::Count | Kind::CountOrAuto => "1",
            Kind::Bool => "true",
            Kind::Texts | Kind::List => "[\"...\"]",
            Kind::Numbers => "[0.1]",
            _ => "\"...\"",
        }
    }

    /// The JSON Schema of the type alone.
    pub(crate) fn schema(self) -> Json {
        let text = json!({"type": "string"});
        match self {
            Kind::Number => json!({"type": "number"}),
            Kind::Integer => json!({"type": "integer"}),
            Kind::Count => json!({"type": "integer", "minimum": 0}),
            Kind::CountOrAuto => {
                json!({"anyOf": [{"type": "integer", "minimum": 0}, {"const": "auto"}]})
            }
            Kind::NumberOrAuto => json!({"anyOf": [{"type": "number"}, {"const": "auto"}]}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Text => text,
            Kind::Path => json!({"type": "string", "minLength": 1}),
            Kind::Texts => json!({"type": "array", "items": text}),
            Kind::OneOrMore | Kind::Data => {
                json!({"anyOf": [text, {"type": "array", "items": text, "minItems": 1}]})
            }
            Kind::Column => json!({"anyOf": [text, {"type": "integer", "minimum": 1}]}),
            Kind::Numbers => json!({"type": "array", "items": {"type": "number"}}),
            Kind::Any => json!({}),
            Kind::List => json!({"type": "array"}),
        }
    }
}

/// What is wrong with a value, before the key's name is put to it.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub(crate) at: At,
    pub(crate) found: String,
    pub(crate) help: Option<String>,
    /// For an item of a list: what the item should be.
    pub(crate) item: Option<&'static str>,
}

impl Wrong {
    fn new(value: &Value) -> Wrong {
        Wrong {
            at: value.at(),
            found: value.found(),
            help: None,
            item: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Wrong {
        self.help = Some(help.into());
        self
    }

    fn item(mut self, what: &'static str) -> Wrong {
        self.item = Some(what);
        self
    }
}

/// A type that a key can be read as. Implemented for what recipes hold; a plugin needs no more.
pub trait Readable: Clone {
    /// Reads a value that was declared to be of this kind.
    fn from_value(value: &Value, kind: Kind) -> Result<Self, Wrong>;
    /// What an erroneous or missing value reads as, so that the same pass can go on.
    fn placeholder() -> Self;
    /// The value for `explain`, the schema and the run's identity; none where it cannot be a default.
    fn literal(&self) -> Option<Json>;
    /// The strings in it, for [`crate::Key::one_of`].
    fn words(&self) -> Vec<&str> {
        vec![]
    }
}

/// A type with an order: [`crate::Key::range`] works on it.
pub trait Ranged: Readable {
    /// What the ends of a range are.
    type End: PartialOrd + Copy + Display + Into<Json>;
    /// Which of its numbers is the first outside the range: 0 for a number on its own, none where all lie inside.
    fn outside(&self, range: &(Bound<Self::End>, Bound<Self::End>)) -> Option<usize>;
}

fn number(value: &Value) -> Result<f64, Wrong> {
    let (tree, node) = value.parts();
    match &tree.nodes[node].data {
        Data::Integer(n) => Ok(*n as f64),
        Data::Float(x) if x.is_finite() => Ok(*x),
        Data::Float(x) if x.is_nan() => {
            Err(Wrong::new(value).help("not a number is no setting; leave the key out"))
        }
        Data::Float(_) => Err(Wrong::new(value).help("write a finite number")),
        Data::Text(text) | Data::Bare(text) if text.trim().parse::<f64>().is_ok() => {
            Err(Wrong::new(value).help(format!("write {} without quotes", text.trim())))
        }
        _ => Err(Wrong::new(value)),
    }
}

fn integer<T: TryFrom<i128> + Display>(value: &Value, largest: T) -> Result<T, Wrong> {
    let (tree, node) = value.parts();
    match &tree.nodes[node].data {
        Data::Integer(n) => T::try_from(*n).map_err(|_| match *n > 0 {
            true => Wrong::new(value).help(format!("the largest whole number here is {largest}")),
            false => Wrong::new(value),
        }),
        Data::Float(x) if x.is_finite() && x.fract() == 0.0 && x.abs() < 1e15 => {
            Err(Wrong::new(value).help(format!("write {x:.0}, without a fraction or exponent")))
        }
        Data::Float(_) => Err(Wrong::new(value)),
        Data::Text(text) | Data::Bare(text) if text.trim().parse::<i128>().is_ok() => {
            Err(Wrong::new(value).help(format!("write {} without quotes", text.trim())))
        }
        _ => Err(Wrong::new(value)),
    }
}

fn text(value: &Value) -> Result<String, Wrong> {
    let (tree, node) = value.parts();
    match &tree.nodes[node].data {
        Data::Text(text) | Data::Bare(text) => Ok(text.clone()),
        Data::Integer(_) | Data::Float(_) | Data::Bool(_) | Data::Datetime(_) => {
            Err(Wrong::new(value).help(format!("write {} in quotes", quote(value.at().text()))))
        }
        Data::List(items) => match items.as_slice() {
            [one] if matches!(tree.nodes[*one].data, Data::Text(_)) => {
                Err(Wrong::new(value).help(format!("write {} without brackets", tree.toml(*one))))
            }
            _ => Err(Wrong::new(value)),
        },
        Data::Table(_) => Err(Wrong::new(value)),
    }
}

/// A string that names something: not the empty one.
fn named(value: &Value) -> Result<String, Wrong> {
    let name = text(value)?;
    if name.trim().is_empty() {
        return Err(Wrong {
            found: "an empty string".into(),
            ..Wrong::new(value)
        });
    }
    Ok(name)
}

/// The items of a list; of a single string, itself where that is allowed.
fn items(value: &Value, single: bool) -> Result<Vec<Value>, Wrong> {
    match value.as_list() {
        Some(items) if single && items.is_empty() => Err(Wrong::new(value)),
        Some(items) => Ok(items),
        None if single && value.as_str().is_some() => Ok(vec![value.clone()]),
        None if value.as_str().is_some() => {
            let (tree, node) = value.parts();
            Err(Wrong::new(value).help(format!("write [{}]", tree.toml(node))))
        }
        None => Err(Wrong::new(value)),
    }
}

impl Readable for f64 {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        number(value)
    }
    fn placeholder() -> Self {
        0.0
    }
    fn literal(&self) -> Option<Json> {
        Some((*self).into())
    }
}

impl Ranged for f64 {
    type End = f64;
    fn outside(&self, range: &(Bound<f64>, Bound<f64>)) -> Option<usize> {
        // A share just below 1 is 1 where it is computed with.
        let reached = matches!(range.1, Bound::Excluded(end) if *self as f32 >= end as f32);
        (reached || !range.contains(self)).then_some(0)
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Readable for $number {
            fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
                integer(value, <$number>::MAX)
            }
            fn placeholder() -> Self {
                // Not 0: what is counted is often a divisor.
                1
            }
            fn literal(&self) -> Option<Json> {
                Some((*self).into())
            }
        }
        impl Ranged for $number {
            type End = $number;
            fn outside(&self, range: &(Bound<$number>, Bound<$number>)) -> Option<usize> {
                (!range.contains(self)).then_some(0)
            }
        }
    )*};
}
whole_numbers!(usize, u64, i64);

impl Readable for bool {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        let wrong = Wrong::new(value);
        let word = match value.as_str() {
            Some(word) => word.trim().to_lowercase(),
            None => value.at().text().to_string(),
        };
        match (value.as_bool(), word.as_str()) {
            (Some(yes), _) => Ok(yes),
            (None, "true" | "false") => Err(wrong.help(format!("write {word} without quotes"))),
            (None, "1" | "yes" | "on") => Err(wrong.help("write true")),
            (None, "0" | "no" | "off") => Err(wrong.help("write false")),
            _ => Err(wrong),
        }
    }
    fn placeholder() -> Self {
        false
    }
    fn literal(&self) -> Option<Json> {
        Some((*self).into())
    }
}

impl Readable for String {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        text(value)
    }
    fn placeholder() -> Self {
        String::new()
    }
    fn literal(&self) -> Option<Json> {
        Some(self.as_str().into())
    }
    fn words(&self) -> Vec<&str> {
        vec![self]
    }
}

/// Relative to the recipe's folder; as a default, relative to the same.
impl Readable for PathBuf {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        named(value).map(|path| value.folder().join(path))
    }
    fn placeholder() -> Self {
        PathBuf::new()
    }
    fn literal(&self) -> Option<Json> {
        Some(self.to_string_lossy().into_owned().into())
    }
}

impl Readable for Vec<String> {
    fn from_value(value: &Value, kind: Kind) -> Result<Self, Wrong> {
        let item = |item| text(item).map_err(|wrong| wrong.item("a string"));
        items(value, kind != Kind::Texts)?
            .iter()
            .map(item)
            .collect()
    }
    fn placeholder() -> Self {
        vec![]
    }
    fn literal(&self) -> Option<Json> {
        Some(self.clone().into())
    }
    fn words(&self) -> Vec<&str> {
        self.iter().map(String::as_str).collect()
    }
}

impl Readable for Vec<f64> {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        let item = |item| number(item).map_err(|wrong| wrong.item("a number"));
        items(value, false)?.iter().map(item).collect()
    }
    fn placeholder() -> Self {
        vec![]
    }
    /// Whole numbers without a point: widths and counts are lists of numbers too.
    fn literal(&self) -> Option<Json> {
        let plain = |&n: &f64| match n.fract() == 0.0 && n.abs() < 1e9 {
            true => Json::from(n as i64),
            false => Json::from(n),
        };
        Some(self.iter().map(plain).collect::<Vec<_>>().into())
    }
}

impl Ranged for Vec<f64> {
    type End = f64;
    fn outside(&self, range: &(Bound<f64>, Bound<f64>)) -> Option<usize> {
        self.iter().position(|x| !range.contains(x))
    }
}

/// What [`crate::Keys::data`] reads: each name as it is written, and where.
impl Readable for Vec<(String, At)> {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        let name = |item: &Value| named(item).map_err(|wrong| wrong.item("a path"));
        items(value, true)?
            .iter()
            .map(|item| Ok((name(item)?, item.at())))
            .collect()
    }
    fn placeholder() -> Self {
        vec![]
    }
    fn literal(&self) -> Option<Json> {
        Some(self.iter().map(|(name, _)| name.as_str()).collect())
    }
}

/// A column of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By the name in the header.
    Name(String),
    /// By its number, from 1.
    Number(usize),
}

impl Readable for Column {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        let (tree, node) = value.parts();
        match &tree.nodes[node].data {
            Data::Text(_) | Data::Bare(_) => named(value).map(Column::Name),
            Data::Integer(0) => Err(Wrong::new(value).help("columns are numbered from 1")),
            _ => integer(value, usize::MAX).map(Column::Number),
        }
    }
    fn placeholder() -> Self {
        Column::Number(1)
    }
    fn literal(&self) -> Option<Json> {
        Some(match self {
            Column::Name(name) => name.as_str().into(),
            Column::Number(number) => (*number).into(),
        })
    }
}

/// A setting that may be left to the program: the word `"auto"`, or a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Auto<T> {
    /// `"auto"`.
    Auto,
    /// This value.
    Is(T),
}

impl<T: Readable> Readable for Auto<T> {
    fn from_value(value: &Value, kind: Kind) -> Result<Self, Wrong> {
        match value.as_str() {
            Some("auto") => Ok(Auto::Auto),
            _ => T::from_value(value, kind).map(Auto::Is),
        }
    }
    fn placeholder() -> Self {
        Auto::Auto
    }
    fn literal(&self) -> Option<Json> {
        match self {
            Auto::Auto => Some("auto".into()),
            Auto::Is(value) => value.literal(),
        }
    }
}

impl<T: Ranged> Ranged for Auto<T> {
    type End = T::End;
    fn outside(&self, range: &(Bound<T::End>, Bound<T::End>)) -> Option<usize> {
        match self {
            Auto::Auto => None,
            Auto::Is(value) => value.outside(range),
        }
    }
}

impl Readable for Value {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        Ok(value.clone())
    }
    fn placeholder() -> Self {
        Value::nothing()
    }
    fn literal(&self) -> Option<Json> {
        Some(self.to_json())
    }
}

impl Readable for Vec<Value> {
    fn from_value(value: &Value, _: Kind) -> Result<Self, Wrong> {
        items(value, false)
    }
    fn placeholder() -> Self {
        vec![]
    }
    fn literal(&self) -> Option<Json> {
        Some(self.iter().map(Value::to_json).collect())
    }
}

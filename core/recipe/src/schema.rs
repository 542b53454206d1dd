//! The grammar as a JSON Schema, for editors: made of what consumers read.

use serde_json::{Map, Value as Json, json};

use crate::record::{KeyRecord, Path, Presence, Record, Segment, TableKind};

/// A JSON Schema (draft 2020-12) of recipes, put together from records of blank recipes.
///
/// ```
/// use tlkit_recipe::{Schema, Written};
///
/// let blank = Written::blank();
/// let strategy = blank.keys().table("strategy");
/// strategy.string("method").one_of(["dann", "mcc"]).required();
///
/// let dann = Written::blank();
/// dann.keys().table("strategy").f64("lambda").default(1.0, "Ganin et al. 2016").range(0.0..).read();
///
/// let schema = Schema::new("recipe").with(&blank.record()).variant("strategy", "method", "dann", &dann.record());
/// let json = schema.to_json();
/// let lambda = &json["properties"]["strategy"]["allOf"][0]["then"]["properties"]["lambda"];
/// assert_eq!(lambda["default"], 1.0);
/// assert_eq!(lambda["x-origin"], "Ganin et al. 2016");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Schema {
    title: String,
    root: Shape,
    variants: Vec<Variant>,
}

/// What stands in a table when one of its keys has a certain value.
#[derive(Clone, Debug)]
struct Variant {
    table: Vec<String>,
    key: String,
    value: String,
    shape: Shape,
}

#[derive(Clone, Debug, Default)]
struct Shape {
    help: String,
    keys: Vec<(String, Prop)>,
    /// The schema of names that are the recipe's own.
    free: Option<Box<Prop>>,
}

#[derive(Clone, Debug)]
enum Prop {
    Key { forms: Vec<Json>, required: bool },
    Table { shape: Shape, optional: bool },
    Tables(Shape),
}

impl Schema {
    /// An empty schema, with a title.
    pub fn new(title: &str) -> Schema {
        Schema {
            title: title.into(),
            ..Schema::default()
        }
    }

    /// Adds what one consumer reads, always. What two consumers declare differently is allowed either way.
    pub fn with(mut self, record: &Record) -> Schema {
        self.root.merge(shape_of(record, &Path::default()));
        self
    }

    /// Adds what one consumer reads of another recipe: a key is required only where every such reading requires it.
    pub fn or(mut self, record: &Record) -> Schema {
        let mut other = shape_of(record, &Path::default());
        relax(&mut self.root, &mut other);
        self.root.merge(other);
        self
    }

    /// Adds what is read when `key` in the (dotted) `table` is `value`: the keys of a method. What that consumer reads
    /// in other tables is added for all.
    pub fn variant(mut self, table: &str, key: &str, value: &str, record: &Record) -> Schema {
        let names: Vec<String> = table.split('.').map(String::from).collect();
        let mut rest = shape_of(record, &Path::default());
        let shape = rest
            .table_mut(&names)
            .map(std::mem::take)
            .unwrap_or_default();
        self.root.merge(rest);
        self.variants.push(Variant {
            table: names,
            key: key.into(),
            value: value.into(),
            shape,
        });
        self
    }

    /// Adds what is read of another recipe when `key` is `value`: a key is required only where every such reading requires it.
    pub fn variant_or(mut self, table: &str, key: &str, value: &str, record: &Record) -> Schema {
        let names: Vec<String> = table.split('.').map(String::from).collect();
        let mut rest = shape_of(record, &Path::default());
        let mut shape = rest
            .table_mut(&names)
            .map(std::mem::take)
            .unwrap_or_default();
        let same = |v: &&mut Variant| v.table == names && v.key == key && v.value == value;
        let Some(first) = self.variants.iter_mut().find(same) else {
            return self.variant(table, key, value, record);
        };
        relax(&mut first.shape, &mut shape);
        first.shape.merge(shape);
        self.root.merge(rest);
        self
    }

    /// The schema.
    pub fn to_json(&self) -> Json {
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.title,
        });
        let root = self.table_json(&self.root, &[]);
        if let (Some(schema), Json::Object(root)) = (schema.as_object_mut(), root) {
            schema.extend(root);
        }
        schema
    }

    fn table_json(&self, shape: &Shape, path: &[String]) -> Json {
        let variants: Vec<&Variant> = self.variants.iter().filter(|v| v.table == path).collect();
        let mut properties = self.properties(shape, path);
        let always: Vec<String> = properties.keys().cloned().collect();
        let mut all_of: Vec<Json> = Vec::new();
        let mut tied: Vec<(&str, &Variant)> = Vec::new();
        for variant in &variants {
            tied.extend(
                variant
                    .shape
                    .keys
                    .iter()
                    .map(|(name, _)| (name.as_str(), *variant)),
            );
            let own = self.properties(&variant.shape, path);
            let mut then = json!({"properties": own});
            let required = required_in(&variant.shape);
            if !required.is_empty() {
                then["required"] = required.into();
            }
            all_of.push(json!({
                "if": {"properties": {variant.key.as_str(): {"const": variant.value}}, "required": [variant.key]},
                "then": then,
            }));
        }
        // A name that only some variants have is known to the table, and refused where the key that chooses has another value.
        // (Where that key is not written, something else may have chosen: a checkpoint its task.) This, and not
        // `unevaluatedProperties`, since editors that stopped at draft 7 follow it too.
        for (name, _) in &tied {
            if always.iter().any(|a| a == name) || properties.contains_key(*name) {
                continue;
            }
            properties.insert(name.to_string(), json!({}));
            let owners = tied.iter().filter(|(other, _)| other == name);
            let holds: Vec<Json> = owners
                .map(|(_, v)| json!({"properties": {v.key.as_str(): {"const": v.value}}}))
                .collect();
            all_of.push(json!({"if": {"required": [name]}, "then": {"anyOf": holds}}));
        }
        let mut table = json!({"type": "object", "properties": properties});
        let required = required_in(shape);
        if !required.is_empty() {
            table["required"] = required.into();
        }
        table["additionalProperties"] = match &shape.free {
            Some(free) => self.prop_json(free, path, "*"),
            None => Json::Bool(false),
        };
        if !all_of.is_empty() {
            table["allOf"] = all_of.into();
        }
        if !shape.help.is_empty() {
            table["description"] = shape.help.as_str().into();
        }
        table
    }

    fn properties(&self, shape: &Shape, path: &[String]) -> Map<String, Json> {
        shape
            .keys
            .iter()
            .map(|(name, prop)| (name.clone(), self.prop_json(prop, path, name)))
            .collect()
    }

    fn prop_json(&self, prop: &Prop, path: &[String], name: &str) -> Json {
        let mut inner = path.to_vec();
        inner.push(name.into());
        match prop {
            Prop::Key { forms, .. } => match forms.as_slice() {
                [one] => one.clone(),
                several => json!({"anyOf": several}),
            },
            Prop::Table { shape, .. } => self.table_json(shape, &inner),
            Prop::Tables(shape) => {
                json!({"type": "array", "items": self.table_json(shape, &inner)})
            }
        }
    }
}

impl Shape {
    fn merge(&mut self, other: Shape) {
        if self.help.is_empty() {
            self.help = other.help;
        }
        for (name, prop) in other.keys {
            match self.keys.iter_mut().find(|(n, _)| *n == name) {
                None => self.keys.push((name, prop)),
                Some((_, mine)) => mine.merge(prop),
            }
        }
        match (&mut self.free, other.free) {
            (Some(mine), Some(free)) => mine.merge(*free),
            (mine @ None, free) => *mine = free,
            (Some(_), None) => {}
        }
    }

    fn table_mut(&mut self, names: &[String]) -> Option<&mut Shape> {
        let Some((first, rest)) = names.split_first() else {
            return Some(self);
        };
        let prop = self
            .keys
            .iter_mut()
            .find(|(name, _)| name == first)
            .map(|(_, prop)| prop)?;
        match prop {
            Prop::Table { shape, .. } | Prop::Tables(shape) => shape.table_mut(rest),
            Prop::Key { .. } => None,
        }
    }
}

impl Prop {
    fn merge(&mut self, other: Prop) {
        match (self, other) {
            (
                Prop::Key { forms, required },
                Prop::Key {
                    forms: others,
                    required: also,
                },
            ) => {
                *required &= also;
                others.into_iter().for_each(|form| {
                    if !forms.iter().any(|f| alike(f, &form)) {
                        forms.push(form);
                    }
                });
            }
            (
                Prop::Table { shape, optional },
                Prop::Table {
                    shape: other,
                    optional: also,
                },
            ) => {
                shape.merge(other);
                *optional &= also;
            }
            (Prop::Tables(shape), Prop::Tables(other)) => shape.merge(other),
            // A key here and a table there (`split = "auto"` beside `[target.split]`): either will do, unchecked.
            (mine, _) => {
                *mine = Prop::Key {
                    forms: vec![json!({})],
                    required: false,
                }
            }
        }
    }

    fn loosen(&mut self) {
        match self {
            Prop::Key { required, .. } => *required = false,
            Prop::Table { optional, .. } => *optional = true,
            Prop::Tables(_) => {}
        }
    }

    fn is_required(&self) -> bool {
        match self {
            Prop::Key { required, .. } => *required,
            Prop::Table { shape, optional } => {
                !optional && shape.keys.iter().any(|(_, prop)| prop.is_required())
            }
            Prop::Tables(_) => false,
        }
    }
}

/// Where a default comes from: no word of JSON Schema, which passes over what it does not know.
const ORIGIN: &str = "x-origin";

/// What holds where an optional key is not written: no word of JSON Schema either.
const UNSET: &str = "x-unset";

/// Whether two forms allow the same, wherever their default comes from.
fn alike(one: &Json, other: &Json) -> bool {
    let plain = |form: &Json| {
        let mut form = form.clone();
        if let Some(form) = form.as_object_mut() {
            form.remove(ORIGIN);
            form.remove(UNSET);
        }
        form
    };
    plain(one) == plain(other)
}

/// What only one of two readings requires is not required.
fn relax(one: &mut Shape, other: &mut Shape) {
    for (name, prop) in &mut one.keys {
        match (
            other
                .keys
                .iter_mut()
                .find(|(n, _)| n == name)
                .map(|(_, p)| p),
            prop,
        ) {
            (Some(Prop::Table { shape: theirs, .. }), Prop::Table { shape, .. }) => {
                relax(shape, theirs)
            }
            (Some(Prop::Tables(theirs)), Prop::Tables(shape)) => relax(shape, theirs),
            (Some(_), _) => {}
            (None, prop) => prop.loosen(),
        }
    }
    for (name, prop) in &mut other.keys {
        if !one.keys.iter().any(|(n, _)| n == name) {
            prop.loosen();
        }
    }
}

fn required_in(shape: &Shape) -> Vec<String> {
    shape
        .keys
        .iter()
        .filter(|(_, prop)| prop.is_required())
        .map(|(name, _)| name.clone())
        .collect()
}

fn shape_of(record: &Record, path: &Path) -> Shape {
    let mut shape = Shape::default();
    if let Some(table) = record.table(path) {
        shape.help = table.help.clone();
        let known = table
            .keys
            .iter()
            .filter(|key| !matches!(key.presence, Presence::Reserved));
        for key in known {
            let required = matches!(key.presence, Presence::Required { .. });
            let prop = Prop::Key {
                forms: vec![form_of(key)],
                required,
            };
            match (table.free, &mut shape.free) {
                (false, _) => shape.keys.push((key.name.clone(), prop)),
                (true, Some(free)) => free.merge(prop),
                (true, free @ None) => *free = Some(Box::new(prop)),
            }
        }
    }
    for child in record.children(path) {
        let inner = shape_of(record, &child.path);
        let (name, prop) = match child.path.0.as_slice() {
            [
                ..,
                Segment::Key(name) | Segment::Free(name),
                Segment::Item(_),
            ] => (name, Prop::Tables(inner)),
            [.., Segment::Key(name) | Segment::Free(name)] => (
                name,
                Prop::Table {
                    shape: inner,
                    optional: child.kind == TableKind::Optional,
                },
            ),
            _ => continue,
        };
        let is_free = matches!(child.path.0[path.0.len()], Segment::Free(_));
        match (is_free, &mut shape.free) {
            (true, Some(free)) => free.merge(prop),
            (true, free @ None) => *free = Some(Box::new(prop)),
            (false, _) => match shape.keys.iter_mut().find(|(n, _)| n == name) {
                Some((_, mine)) => mine.merge(prop),
                None => shape.keys.push((name.clone(), prop)),
            },
        }
    }
    shape
}

fn form_of(key: &KeyRecord) -> Json {
    let mut form = key.kind.schema();
    if let Some(bounds) = &key.bounds {
        bound(&mut form, &bounds.schema);
    }
    if !key.choices.is_empty() {
        choose(&mut form, &key.choices);
    }
    if !key.help.is_empty() {
        form["description"] = key.help.as_str().into();
    }
    match &key.presence {
        Presence::Default {
            value: Some(value),
            origin,
            ..
        } => {
            form["default"] = value.clone();
            if !origin.is_empty() {
                form[ORIGIN] = origin.as_str().into();
            }
        }
        Presence::Optional { unset } if !unset.is_empty() => form[UNSET] = unset.as_str().into(),
        _ => {}
    }
    form
}

/// Puts the range to the number: to itself, to the items of a list, to the number beside `"auto"`.
fn bound(form: &mut Json, bounds: &[(&'static str, Json)]) {
    let number = if form.get("items").is_some() {
        &mut form["items"]
    } else if form.get("anyOf").is_some() {
        &mut form["anyOf"][0]
    } else {
        form
    };
    for (name, value) in bounds {
        number[*name] = value.clone();
    }
}

/// Puts the choices to the string: to itself, to the items of a list, to both.
fn choose(form: &mut Json, choices: &[String]) {
    match form {
        Json::Object(object) if object.get("type") == Some(&"string".into()) => {
            object.remove("type");
            object.insert("enum".into(), choices.into());
        }
        Json::Object(object) => object.values_mut().for_each(|inner| choose(inner, choices)),
        Json::Array(items) => items.iter_mut().for_each(|inner| choose(inner, choices)),
        _ => {}
    }
}

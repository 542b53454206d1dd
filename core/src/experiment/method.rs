//! One row of an experiment: a method, and what it has besides.

use crate::recipe::{At, Keys, Overlay, Value, nearest};
use crate::registry::{Kind, Registry};
use crate::run::SOURCE_ONLY;

/// Whether this can name a row of a table.
///
/// # Errors
/// What it should be: nothing to see is no name, and a line break would end the row.
pub fn named(name: &str) -> Result<(), String> {
    match name.trim().is_empty() || name.contains(char::is_control) {
        true => Err("a name, on one line".into()),
        false => Ok(()),
    }
}

/// A method as an experiment names it.
#[derive(Clone)]
pub(super) struct Method {
    /// In tables and in the names of cells.
    pub name: String,
    /// In the registry.
    pub method: String,
    /// Keys of `[strategy]`, and dotted keys of `set`, with their places.
    pub own: Vec<(String, At, Value)>,
    /// Only those of `set`: what a twin must have too.
    pub set: Vec<(String, At, Value)>,
    /// Where it is named; where the method itself stands.
    pub at: At,
    /// Whether it stands beside the experiment's methods by itself, as their twin.
    pub added: bool,
    /// Of which methods it is the twin.
    pub twin_of: Vec<usize>,
    /// Of a row that was added: the keys of `[strategy]` that it has as the methods have them.
    pub shared: &'static [&'static str],
}

/// What the base says of its strategy.
pub(super) struct BaseStrategy {
    pub kind: String,
    pub method: String,
    /// Its keys, with their places, but for those that the experiment decides.
    pub own: Vec<(String, At, Value)>,
    /// The keys that its grid is over.
    pub tuned: Vec<String>,
}

impl Method {
    /// Reads `methods = ["dann", { name = "mcc-t2", method = "mcc", temperature = 2.0, set = {..} }]`.
    pub fn read(item: &Value, registry: &Registry) -> Option<Method> {
        if let Some(name) = item.as_str() {
            if !known(name, registry) {
                let names = || registry.strategies().keys().map(String::as_str);
                let noted = item
                    .error(format!("there is no method `{name}`"))
                    .note(format!(
                        "there are {}",
                        names().collect::<Vec<_>>().join(", ")
                    ));
                if let Some(near) = nearest(name, names()) {
                    noted.help(format!("did you mean `\"{near}\"`?"));
                }
                return None;
            }
            return Some(Method {
                name: name.to_string(),
                method: name.to_string(),
                own: Vec::new(),
                set: Vec::new(),
                at: item.at(),
                added: false,
                twin_of: Vec::new(),
                shared: &[],
            });
        }
        let Some(keys) = item.as_keys() else {
            item.error(format!("a method cannot be {}", item.kind()))
                .expected("a name, or a table like `{ name = \"frozen\", method = \"feature-extraction\" }`");
            return None;
        };
        let method = keys
            .string("method")
            .one_of(registry.strategies().keys())
            .help("its name in recipes")
            .example("fine-tune")
            .required();
        let name = keys
            .string("name")
            .help("its name in tables")
            .default(method.clone(), "the method's")
            .check(|name| named(name))
            .read();
        let set = dotted(&keys, "set");
        let mut own = Vec::new();
        for key in keys.names() {
            if matches!(key.as_str(), "name" | "method" | "set") {
                continue;
            }
            if key == "kind" {
                keys.refuse("kind", "the base says of which kind the methods are");
                continue;
            }
            if let Some(value) = keys.value(&key).optional() {
                own.push((format!("strategy.{key}"), keys.at_key(&key), value));
            }
        }
        own.extend(set.iter().cloned());
        known(&method, registry).then(|| Method {
            name,
            at: keys.at("method"),
            method,
            own,
            set,
            added: false,
            twin_of: Vec::new(),
            shared: &[],
        })
    }

    /// The base's own method.
    pub fn of_base(base: &BaseStrategy, at: At) -> Method {
        Method {
            name: base.method.clone(),
            method: base.method.clone(),
            own: Vec::new(),
            set: Vec::new(),
            at,
            added: false,
            twin_of: Vec::new(),
            shared: &[],
        }
    }

    /// What makes the base this method: another method than the base's has nothing of the base's `[strategy]` but the kind, and what batch norm does, which is
    /// the network's and would make two methods differ in more than the method. A row that was added has what its methods have, and so nothing else of the base's either.
    pub fn overlays(&self, base: &BaseStrategy, folder: &Folder) -> Vec<Overlay> {
        let mut over = Vec::new();
        if self.added || self.method != base.method {
            over.push(Overlay::clear("strategy", &["kind", BATCH_NORM]));
            over.extend(Overlay::text(
                "strategy.method",
                self.at.clone(),
                &self.method,
            ));
        }
        over.extend(self.own.iter().filter_map(|own| folder.over(own)));
        over
    }
}

/// Of the network, though it stands under `[strategy]`.
const BATCH_NORM: &str = "batch_norm";
/// What a method that trains a network shares with the one that learns from the source alone.
pub(super) const OF_THE_NETWORK: &[&str] = &[BATCH_NORM];

fn known(method: &str, registry: &Registry) -> bool {
    registry.strategies().contains_key(method)
}

/// The folder of the experiment: files that it names are relative to it, whatever folder the base stands in.
#[derive(Clone)]
pub(super) struct Folder(pub std::path::PathBuf);

impl Folder {
    /// An overlay of one key.
    pub fn over(&self, (key, at, value): &(String, At, Value)) -> Option<Overlay> {
        const FILES: [&str; 10] = [
            "source.checkpoint",
            "source.run",
            "source.vocabulary",
            "source.train",
            "source.validation",
            "target.train",
            "target.unlabelled",
            "target.validation",
            "target.test",
            "strategy.teacher",
        ];
        if !FILES.contains(&key.as_str()) {
            return Overlay::value(key, at.clone(), value);
        }
        let folder = self.0.clone();
        Overlay::files(key, at.clone(), value, move |name| {
            if name.contains(':') || name == "unlabelled" {
                return name.to_string();
            }
            let path = folder.join(name);
            std::path::absolute(&path)
                .unwrap_or(path)
                .display()
                .to_string()
        })
    }
}

/// A table of dotted keys: `set = { "train.epochs" = 5 }`.
pub(super) fn dotted(keys: &Keys, name: &str) -> Vec<(String, At, Value)> {
    let Some(value) = keys
        .value(name)
        .help("keys of the recipe, by their dotted names")
        .unset("nothing")
        .optional()
    else {
        return Vec::new();
    };
    let Some(set) = value.as_keys() else {
        value
            .error(format!("`{name}` must be a table"))
            .expected(format!("`{name} = {{ \"train.epochs\" = 5 }}`"));
        return Vec::new();
    };
    let mut list = Vec::new();
    for key in set.free() {
        let Some(value) = set.value(&key).optional() else {
            continue;
        };
        if is_key(&set, &key, &value) {
            list.push((key.clone(), set.at_key(&key), value));
        }
    }
    list
}

/// Whether a name is a table and a key, in quotes, and one that an experiment may move.
pub(super) fn is_key(keys: &Keys, name: &str, value: &Value) -> bool {
    let at = keys.at_key(name);
    if !name.contains('.') {
        let noted = keys
            .error(at, format!("`{name}` is no key of a recipe"))
            .expected("a table and a key, in quotes: `\"train.epochs\"`");
        // Looked into without being read: what stands inside is not a second error.
        let json = value.to_json();
        if let Some(inside) = json.as_object().and_then(|o| o.keys().next()) {
            noted.help(format!("write `\"{name}.{inside}\"`, in quotes"));
        }
        return false;
    }
    let taken = match name {
        "train.seed" => "the seeds are `experiment.seeds`",
        "strategy.method" => "the methods are `experiment.methods`",
        "strategy.kind" => "the base says of which kind the methods are",
        _ => return true,
    };
    keys.error(at, format!("`{name}` cannot be set here"))
        .help(taken);
    false
}

impl Method {
    /// The twins that a transductive experiment has besides its methods: source-only, once for each `set` that some method has; of methods in closed form the
    /// head alone, once for each head. Of a twin that is among the methods already it is noted there.
    pub fn twins(
        methods: &mut [Method],
        base: &BaseStrategy,
        registry: &Registry,
        at: &At,
    ) -> Vec<Method> {
        let mut twins: Vec<(String, Method)> = Vec::new();
        for i in 0..methods.len() {
            let m = &methods[i];
            let Some(entry) = registry.strategies().get(&m.method) else {
                continue;
            };
            // A method in closed form has a twin with its own head; any other, training on the source alone.
            let (twin, shared, head) = match &entry.closed_form {
                Some(twin) => (twin.method, twin.keys, twin.keys),
                None => (SOURCE_ONLY, OF_THE_NETWORK, &[] as &[&str]),
            };
            let adapts = entry.kind == Kind::Transductive && m.method != SOURCE_ONLY;
            if m.method == twin || !adapts || !known(twin, registry) {
                continue;
            }
            let of_twin = |key: &str| is_of(shared, key) || m.set.iter().any(|(k, ..)| k == key);
            let mut own = m.with_base(base, head);
            own.retain(|(key, ..)| of_twin(key));
            let key = format!("{twin}\n{}", text_of(&own));
            let same =
                |o: &Method| o.method == twin && text_of(&o.with_base(base, head)) == text_of(&own);
            if let Some(listed) = methods.iter().position(same) {
                methods[listed].twin_of.push(i);
                continue;
            }
            if let Some((_, twin)) = twins.iter_mut().find(|(k, _)| *k == key) {
                twin.twin_of.push(i);
                continue;
            }
            // What the base says of all that have it needs no word; a second one of the kind does.
            let theirs = m.own.iter().any(|(key, ..)| of_twin(key));
            let taken = (methods.iter().filter(|o| o.method == twin))
                .chain(twins.iter().map(|(_, t)| t))
                .any(|o| o.name == twin);
            let name = match theirs || taken {
                true => format!("{twin} as {}", m.name),
                false => twin.to_string(),
            };
            twins.push((
                key,
                Method {
                    name,
                    method: twin.into(),
                    own,
                    set: m.set.clone(),
                    at: at.clone(),
                    added: true,
                    twin_of: vec![i],
                    shared,
                },
            ));
        }
        twins.into_iter().map(|(_, m)| m).collect()
    }

    /// Its keys, and of the base's, where it is the base's method, those of these names that it does not have itself.
    fn with_base(&self, base: &BaseStrategy, names: &[&str]) -> Vec<(String, At, Value)> {
        let own = |key: &String| self.own.iter().any(|(k, ..)| k == key);
        let of_base = (base.own.iter())
            .filter(|(key, ..)| self.method == base.method && is_of(names, key) && !own(key));
        of_base.chain(&self.own).cloned().collect()
    }
}

/// Whether a dotted key is one of these of `[strategy]`.
pub(super) fn is_of(names: &[&str], key: &str) -> bool {
    let name = key.strip_prefix("strategy.");
    name.is_some_and(|name| names.contains(&name))
}

/// What `set` says, for telling whether two say the same.
pub(super) fn set_text(m: &Method) -> String {
    text_of(&m.set)
}

fn text_of(keys: &[(String, At, Value)]) -> String {
    let mut lines: Vec<String> = keys
        .iter()
        .map(|(k, _, v)| format!("{k} = {}", v.to_json()))
        .collect();
    lines.sort();
    lines.join("\n")
}

//! What plugins say of parameters, as JSON: loss terms and source tasks alike.

use serde::Deserialize;
use serde_json::{Map, Value};
use tlkit_abi::{self as abi, Head};
use tlkit_core::nn::{Init, Role};
use tlkit_core::strategy::ParamSpec;

/// Words of an object that nothing here reads.
pub(crate) type Rest = Map<String, Value>;

/// Whether a table was made for a later version than this one: what is not known in it then is no slip of the pen.
pub(crate) fn is_later(head: &Head) -> bool {
    head.minor > abi::MINOR
}

/// Refuses words that nothing reads, unless they are of a later version.
pub(crate) fn all_read(rest: &Rest, of: &str, later: bool) -> Result<(), String> {
    match rest.keys().next() {
        Some(word) if !later => Err(format!("unknown field `{word}` in {of}")),
        _ => Ok(()),
    }
}

/// One parameter.
#[derive(Deserialize)]
pub(crate) struct ParamDescription {
    name: String,
    shape: Vec<usize>,
    role: RoleDescription,
    init: InitDescription,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RoleDescription {
    Weight,
    Bias,
    InvariantBias,
    NormWeight,
    NormBias,
    Embedding,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InitDescription {
    Zeros,
    Ones,
    Normal(f64),
    Uniform(f64),
}

/// Most numbers of one tensor.
pub(crate) const LARGEST: usize = 1 << 30;

/// How many numbers a shape has; none where that is too many, or nothing.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    count.filter(|n| (1..=LARGEST).contains(n))
}

/// Words of letters, digits and `_`, with single dots between them: never a path.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.split('.')
        .all(|word| !word.is_empty() && word.chars().all(plain))
}

impl ParamDescription {
    /// As core has it. `later`: the table is of a later version.
    pub fn spec(&self, later: bool) -> Result<ParamSpec, String> {
        let Self { name, shape, .. } = self;
        all_read(
            &self.rest,
            &format!("the parameter `{}`", name.escape_debug()),
            later,
        )?;
        if !is_name(name) {
            return Err(format!(
                "the parameter `{}`: letters, digits and `_`, with `.` between them",
                name.escape_debug()
            ));
        }
        if count(shape).is_none() {
            return Err(format!("the parameter `{name}` has the shape {shape:?}"));
        }
        let init = match self.init {
            InitDescription::Zeros => Init::Zeros,
            InitDescription::Ones => Init::Ones,
            InitDescription::Normal(deviation) => Init::Normal(deviation),
            InitDescription::Uniform(bound) => Init::Uniform(bound),
        };
        if let Init::Normal(v) | Init::Uniform(v) = init
            && !(v.is_finite() && v >= 0.0)
        {
            return Err(format!(
                "the parameter `{name}` begins with a spread of {v}"
            ));
        }
        Ok(ParamSpec {
            name: name.clone(),
            shape: shape.clone(),
            role: match self.role {
                RoleDescription::Weight => Role::Weight,
                RoleDescription::Bias => Role::Bias,
                RoleDescription::InvariantBias => Role::InvariantBias,
                RoleDescription::NormWeight => Role::NormWeight,
                RoleDescription::NormBias => Role::NormBias,
                RoleDescription::Embedding => Role::Embedding,
            },
            init,
        })
    }
}

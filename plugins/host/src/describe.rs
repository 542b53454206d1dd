//! What plugins say of parameters, as JSON: loss terms and source tasks alike.

use serde::Deserialize;
use tlkit_core::nn::{Init, Role};
use tlkit_core::strategy::ParamSpec;

/// One parameter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParamDescription {
    name: String,
    shape: Vec<usize>,
    role: RoleDescription,
    init: InitDescription,
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
    /// As core has it.
    pub fn spec(&self) -> Result<ParamSpec, String> {
        let Self { name, shape, .. } = self;
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

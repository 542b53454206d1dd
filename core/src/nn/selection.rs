//! Which parameters, said before they are made.

use std::sync::Arc;

use super::Stage;
use super::param::{Param, Role};

/// Which parameters: by phase, by update, by optimizer group.
#[derive(Clone, Debug, PartialEq)]
pub enum Select {
    /// None.
    Nothing,
    /// All but statistics.
    All,
    /// Names, where `*` stands for any run of characters.
    Names(Vec<String>),
    /// Those of the given roles within another selection.
    Roles(Vec<Role>, Box<Select>),
    /// In any of these.
    Any(Vec<Select>),
    /// In the first and not in the second.
    Except(Box<Select>, Box<Select>),
}

impl Select {
    /// Whether it holds a parameter.
    pub fn holds(&self, param: &Param) -> bool {
        if param.role() == Role::Statistic {
            return false;
        }
        match self {
            Select::Nothing => false,
            Select::All => true,
            Select::Names(patterns) => patterns.iter().any(|p| glob(p, param.name())),
            Select::Roles(roles, within) => roles.contains(&param.role()) && within.holds(param),
            Select::Any(all) => all.iter().any(|s| s.holds(param)),
            Select::Except(a, b) => a.holds(param) && !b.holds(param),
        }
    }

    /// All parameters of these stages.
    pub fn stages(stages: &[Arc<dyn Stage>]) -> Self {
        let params = stages.iter().flat_map(|s| s.params());
        Select::Names(params.map(|p| p.name().to_string()).collect())
    }

    /// One name or pattern.
    pub fn name(pattern: impl Into<String>) -> Self {
        Select::Names(vec![pattern.into()])
    }
}

/// `*` matches any run of characters, everything else itself.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => match name.strip_prefix(head) {
            None => false,
            Some(tail) => (0..=tail.len())
                .filter(|&i| tail.is_char_boundary(i))
                .any(|i| glob(rest, &tail[i..])),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        assert!(glob("encoder.*.weight", "encoder.layer.0.weight"));
        assert!(!glob("encoder.*.weight", "encoder.layer.0.bias"));
        assert!(glob("*", ""));
        assert!(!glob("head", "head.weight"));
    }
}

//! A strategy on its way to C: phases as data.

use serde_json::{Value, json};
use tlkit_abi::{self as abi, Head};
use tlkit_core::data::From;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Kind;
use tlkit_core::strategy::Until;
use tlkit_core::{Error, Result};

use crate::border::guard;

/// A strategy that is made from keys, and whose phases name loss terms of the same plugin.
pub trait Strategist: Sized + 'static {
    /// Whether the target's labels are seen.
    const KIND: Kind;
    /// From the keys of `[strategy]`: reading is declaring, as for a built-in. `None` after an error was noted.
    fn make(keys: &Keys) -> Option<Self>;
    /// The phases, in order.
    fn phases(&self) -> Vec<Phase>;
}

/// One phase by gradients: the task's loss on every feed that has labels, and loss terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    name: String,
    feeds: Vec<From>,
    terms: Vec<TermUse>,
    trains: Vec<String>,
    until: Option<Until>,
    rate: f64,
}

impl Phase {
    /// Everything trains, for as long as the recipe says.
    pub fn new(name: &str, feeds: &[From]) -> Self {
        Phase {
            name: name.into(),
            feeds: feeds.to_vec(),
            terms: Vec::new(),
            trains: vec!["all".into()],
            until: None,
            rate: 1.0,
        }
    }

    /// Adds a loss term.
    pub fn term(mut self, term: TermUse) -> Self {
        self.terms.push(term);
        self
    }

    /// What of the model trains: `all`, `head`, `encoder`, or names of parameters where `*` stands for anything.
    pub fn trains(mut self, what: &[&str]) -> Self {
        self.trains = what.iter().map(|w| w.to_string()).collect();
        self
    }

    /// When it ends.
    pub fn until(mut self, until: Until) -> Self {
        self.until = Some(until);
        self
    }

    /// Times the recipe's learning rates.
    pub fn rate(mut self, factor: f64) -> Self {
        self.rate = factor;
        self
    }

    fn json(&self) -> Result<Value> {
        let feed = |from: &From| match from {
            From::Source => Ok("source"),
            From::Target => Ok("target"),
            From::TargetTest => Ok("test"),
            From::Validation => Err(Error::msg("no phase is fed with validation rows")),
        };
        let feeds: Result<Vec<_>> = self.feeds.iter().map(feed).collect();
        let terms = self.terms.iter();
        let terms = terms.map(|t| json!({ "term": t.name, "weight": t.weight, "keys": t.keys }));
        let terms: Vec<Value> = terms.collect();
        let mut phase = json!({
            "name": self.name, "feeds": feeds?, "terms": terms, "trains": self.trains, "rate": self.rate
        });
        match self.until {
            Some(Until::Epochs(n)) => phase["until"] = json!({ "epochs": n }),
            Some(Until::Steps(n)) => phase["until"] = json!({ "steps": n }),
            None => {}
        }
        Ok(phase)
    }
}

/// A loss term in a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct TermUse {
    name: String,
    weight: f64,
    keys: serde_json::Map<String, Value>,
}

impl TermUse {
    /// By the name that the plugin gives it.
    pub fn new(name: &str, weight: f64) -> Self {
        TermUse {
            name: name.into(),
            weight,
            keys: serde_json::Map::new(),
        }
    }

    /// Sets one of its keys.
    pub fn key(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.keys.insert(name.into(), value.into());
        self
    }
}

/// The table of a strategy.
pub(crate) const fn table<T: Strategist>() -> abi::Strategy {
    abi::Strategy {
        head: Head::of::<abi::Strategy>(),
        transfer: match T::KIND {
            Kind::Inductive => abi::INDUCTIVE,
            Kind::Transductive => abi::TRANSDUCTIVE,
        },
        reserved: 0,
        phases: Some(phases::<T>),
    }
}

unsafe extern "C-unwind" fn phases<T: Strategist>(call: *const abi::Call) -> i32 {
    // SAFETY: tlkit.h.
    unsafe {
        guard(call, |host| {
            let strategy = host.make(T::make)?;
            let all: Result<Vec<Value>> = strategy.phases().iter().map(Phase::json).collect();
            host.say(&json!({ "phases": all? }).to_string());
            Ok(())
        })
    }
}

//! LoRA (Hu et al. 2021): the encoder is frozen, and beside some of its linear maps a product of two thin matrices trains.
//!
//! ```text
//! y = x W^T + b + alpha / rank * (dropout(x) A^T) B^T        A: (rank, in), B: (out, rank)
//! ```
//!
//! `A` starts uniform in `±1 / sqrt(in)` and `B` at zero, as in the authors' code, so that training starts from the checkpoint's own function. What is
//! minimised is the task's loss. Defaults: rank 8, on the queries and values, as the paper's RoBERTa; alpha 16, its RoBERTa large; dropout 0.1, its
//! GPT-2. The adapters' learning rate is ten times `train.learning_rate` (the paper's RoBERTa base has 5e-4 where fine-tuning has 1e-5 to 3e-5).
//! The head trains whole, but for what it shares with the encoder (tied embeddings).
//!
//! When training ends the products are added to the weights, so `model/` has the shape of any other and loads wherever that does.

use std::collections::BTreeMap;

use tlkit_core::model::Model;
use tlkit_core::nn::{Adaptable, Adapter, Init, Role, Select, Store};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Fit, Group, Infer, Needs, Phase, Strategy, Transfer};
use tlkit_core::{Error, Result};

use crate::fine_tune::{ONE_RATE, one_rate, own_head, phase_with};

/// Where adapters live in the store: no part of the model's own names.
const SCOPE: &str = "lora";

/// Adapters, then their merging.
pub struct Lora {
    rank: usize,
    alpha: f64,
    dropout: f64,
    targets: Option<Vec<String>>,
    rate: Option<f64>,
}

impl Lora {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let rank = keys
            .usize("rank")
            .range(1..=1024)
            .default(8usize, "Hu et al. 2021, RoBERTa")
            .help("of the matrices that are added")
            .read();
        let alpha = keys
            .f64("alpha")
            .above(0.0)
            .default(16.0, "Hu et al. 2021, RoBERTa large")
            .help("the addition counts alpha / rank")
            .read();
        let dropout = keys
            .f64("dropout")
            .range(0.0..1.0)
            .default(0.1, "Hu et al. 2021, GPT-2")
            .help("on what the adapters read, while training")
            .read();
        let targets = keys
            .one_or_more("targets")
            .help("which linear maps of the encoder: `query`, or one of them by its full name")
            .unset("query and value; every one where there are none of that name")
            .optional();
        let rate = keys
            .f64("adapter_learning_rate")
            .above(0.0)
            .help("the adapters' peak rate")
            .unset("10 times train.learning_rate")
            .optional();
        Some(Box::new(Lora {
            rank,
            alpha,
            dropout,
            targets,
            rate,
        }))
    }

    fn chosen(&self, all: Vec<Adaptable>) -> Result<Vec<Adaptable>> {
        let is = |a: &Adaptable, target: &str| {
            a.name == target || a.name.ends_with(&format!(".{target}"))
        };
        let usual = ["query", "value"];
        let wanted: Vec<&str> = match &self.targets {
            Some(t) => t.iter().map(String::as_str).collect(),
            None if all.iter().any(|a| usual.iter().any(|t| is(a, t))) => usual.to_vec(),
            None => return Ok(all),
        };
        if let Some(odd) = wanted.iter().find(|t| !all.iter().any(|a| is(a, t))) {
            let there: Vec<&str> = all.iter().map(|a| a.name.as_str()).collect();
            return Err(Error::msg(format!(
                "strategy.targets: no linear map of the encoder is called `{odd}`; there are {}",
                there.join(", ")
            )));
        }
        let mut all = all;
        all.retain(|a| wanted.iter().any(|t| is(a, t)));
        Ok(all)
    }
}

impl Strategy for Lora {
    fn needs(&self) -> Needs {
        Needs {
            own_rates: Some(ONE_RATE),
            arranged: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        let chosen = self.chosen(adaptable(&transfer.model))?;
        if chosen.is_empty() {
            return Err(Error::msg(
                "strategy.method: this encoder offers no linear maps to adapt; `fine-tune` trains it as it is",
            ));
        }
        for a in chosen {
            let &[outputs, inputs] = a.weight.dims() else {
                return Err(Error::msg(format!("{} is no matrix", a.weight.name())));
            };
            let scope = transfer.store.scope(SCOPE).sub(&a.name);
            let bound = 1.0 / (inputs as f64).sqrt();
            let rank = self.rank;
            let down = scope.param("a", &[rank, inputs], Role::Weight, Init::Uniform(bound))?;
            let up = scope.param("b", &[outputs, rank], Role::Weight, Init::Zeros)?;
            a.slot.put(Adapter {
                down,
                up,
                scale: self.alpha / rank as f64,
                dropout: self.dropout,
                place: format!("{SCOPE}.{}", a.name),
            })?;
        }
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let s = &transfer.settings;
        one_rate("lora", s)?;
        let adapters = Select::name(format!("{SCOPE}.*"));
        let head = own_head(transfer);
        let group = Group {
            which: adapters.clone(),
            optimizer: s.optimizer,
            rate: self.rate.unwrap_or(10.0 * s.learning_rate),
            schedule: s.schedule,
        };
        let trains = Select::Any(vec![adapters, head]);
        Ok(vec![
            phase_with("lora", transfer, trains, s, vec![group]),
            Phase::Fit {
                name: "merge".into(),
                fit: Box::new(Merge),
            },
        ])
    }
}

/// Every linear map of the encoder that can be adapted.
fn adaptable(model: &Model) -> Vec<Adaptable> {
    let stages = model.encoder.stages().iter();
    stages.flat_map(|s| s.linears()).collect()
}

/// Adds the products to the weights.
struct Merge;

impl Fit for Merge {
    fn fit(
        &mut self,
        _: &mut dyn Infer,
        model: &mut Model,
        _: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        let mut merged = 0.0;
        for a in adaptable(model) {
            if a.slot.adapter().is_some() {
                a.slot.merge(&a.weight)?;
                merged += 1.0;
            }
        }
        Ok([("merged".to_string(), merged)].into())
    }
}

//! `mcd`: maximum classifier discrepancy (Saito, Watanabe, Ushiku & Harada, CVPR 2018).
//!
//! Two classifiers on the same features. Each batch has three updates: both learn the source, encoder and all; then the classifiers alone are set apart
//! on the target while they keep the source; then, `repeats` times, the encoder alone brings its features to where they agree. 4 repeats
//! and a weight of 1 are the paper's, on digits. Predictions are the first classifier's.
//!
//! Where batch norm trains (`batch_norm = "train"`), it does so in stages of which something trains: the second update, which trains the classifiers
//! alone, sees features by the running statistics, and the first and the third by their batch's. With `frozen` and `adapt` all three see the same network.
//!
//! In the source phase the second classifier learns beside the model, on features that it does not change: the model's weights are those of
//! `source-only` to the bit.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::{DIGITS, From};
use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{
    Needs, Objective, Phase, Selection, Step, Strategy, Term, Train, Transfer, Update,
};

use crate::losses::discrepancy;
use crate::phases::{adaptation, feed, source_phase, twin, update};

/// The second classifier.
const SECOND: &str = "second";

/// Features on which two classifiers agree.
#[derive(Clone)]
pub struct Mcd {
    weight: f64,
    repeats: u32,
}

impl Mcd {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let weight = keys
            .f64("weight")
            .above(0.0)
            .default(1.0, "Saito et al. 2018")
            .tuned_on(&[DIGITS])
            .help("of the discrepancy, beside the task's loss")
            .read();
        let repeats = keys
            .usize("repeats")
            .range(1..=16)
            .default(4usize, "Saito et al. 2018")
            .tuned_on(&[DIGITS])
            .help("steps of the encoder for each batch")
            .read();
        Some(Box::new(Mcd {
            weight,
            repeats: repeats as u32,
        }))
    }
}

impl Strategy for Mcd {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            moves_features: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        transfer.add_head(SECOND, |transfer, scope| {
            let width = transfer.model.encoder.width();
            transfer.target.head(scope, transfer.source, width, false)
        })?;
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let model = &transfer.model;
        let encoder = Select::Any(vec![
            Select::stages(model.encoder.stages()),
            Select::stages(&model.head.stages[..model.head.pool]),
        ]);
        let second = match transfer.heads.get(SECOND) {
            Some(head) => Select::stages(head.classifier()),
            None => Select::Nothing,
        };
        let heads = Select::Any(vec![
            Select::stages(model.head.classifier()),
            second.clone(),
        ]);
        let everything = Select::Any(vec![encoder.clone(), heads.clone()]);
        let mut phases = Vec::new();
        if let Some(mut first) = source_phase(transfer) {
            if let Phase::Train(train) = &mut first {
                let own = update("second", transfer, second, SecondAlone);
                train.updates.push(own);
                train.shared = false;
            }
            phases.push(first);
        } else if transfer.source.finished().is_some() {
            // The run brings one classifier. The other learns the source on its features, before the two are to agree.
            let s = &transfer.settings;
            phases.push(Phase::Train(Train {
                name: "second".into(),
                feeds: vec![feed(From::Source, transfer)],
                updates: vec![update("second", transfer, second, SecondAlone)],
                // Nobody says how long the source is learned where it is learned already: as long as the adaptation takes.
                until: s.until,
                select: Selection::Last,
                patience: None,
                micro_batch: s.batch_size,
                norm: None,
                adapts: false,
                shared: false,
            }));
        }
        let of = |name: &str, trains: Select, task: f64, apart: f64| {
            update(name, transfer, trains, Discrepancy { task, apart })
        };
        let updates = vec![
            of("both", everything, 1.0, 0.0),
            of("apart", heads, 1.0, -self.weight),
            Update {
                repeat: self.repeats,
                ..of("together", encoder, 0.0, self.weight)
            },
        ];
        let feeds = [From::Source, From::Target];
        phases.extend(twin(transfer));
        phases.push(adaptation("mcd", transfer, &feeds, updates));
        Ok(phases)
    }
}

/// The second classifier's loss on the source.
struct SecondAlone;

impl Objective for SecondAlone {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let view = step.view(0);
        let source = step.encode("model", &[(0, view)])?.remove(0);
        let said = step.head(SECOND, &source.features.detach())?;
        let value = step.task_loss(0, view, &said)?;
        Ok(vec![Term {
            reaches_model: false,
            ..Term::new("second", 1.0, value)
        }])
    }
}

/// The two classifiers' loss on the source, and how far apart they are on the target.
struct Discrepancy {
    task: f64,
    apart: f64,
}

impl Discrepancy {
    fn task(&self, step: &mut dyn Step) -> Result<Tensor> {
        let view = step.view(0);
        let source = step.encode("model", &[(0, view)])?.remove(0);
        let second = step.head(SECOND, &source.features)?;
        let one = step.task_loss(0, view, &source.logits)?;
        Ok((one + step.task_loss(0, view, &second)?)?)
    }

    fn apart(&self, step: &mut dyn Step) -> Result<Tensor> {
        let view = step.view(1);
        let target = step.encode("model", &[(1, view)])?.remove(0);
        let second = step.head(SECOND, &target.features)?;
        discrepancy(&target.logits, &second)
    }
}

impl Objective for Discrepancy {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let mut terms = Vec::new();
        if self.task != 0.0 {
            terms.push(Term::new("loss", self.task, self.task(step)?));
        }
        if self.apart != 0.0 {
            terms.push(Term::new("discrepancy", self.apart, self.apart(step)?));
        }
        Ok(terms)
    }
}

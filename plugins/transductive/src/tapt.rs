//! `tapt`: task-adaptive pre-training (Gururangan et al., ACL 2020): before the source is learned, the encoder goes on with its own pretext task,
//! masked language modelling, on the target's texts; then everything is as in `source-only`.
//!
//! The paper goes over a few thousand texts 100 times; here `pretext_epochs` is as many as `train.epochs` unless the recipe says otherwise, since
//! small machines are waited for.

use tlkit_core::data::{Feed, From, View};
use tlkit_core::model::Model;
use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{
    Needs, Objective, Phase, Selection, Step, Strategy, Term, Train, Transfer, Until,
};
use tlkit_core::task::PretextLoss;
use tlkit_core::{Error, Result};

use crate::phases::{adaptation, after_source, feed, update};
use crate::supervised::Supervised;

/// The pretext task's name, and the scope of its head.
const MLM: &str = "mlm";

/// Masked language modelling on the target, then the source.
pub struct Tapt {
    epochs: Option<u64>,
}

impl Tapt {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let epochs = keys
            .u64("pretext_epochs")
            .range(1..)
            .help("passes over the target's texts before the source is learned")
            .unset("as `train.epochs`")
            .optional();
        Some(Box::new(Tapt { epochs }))
    }
}

impl Strategy for Tapt {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            pretext: Some(MLM),
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        let scope = transfer.store.scope(MLM);
        let made = transfer.source.pretext(MLM, &scope)?;
        let made = made.ok_or_else(|| Error::msg("the source has no masked language modelling"))?;
        // The same encoder, weights and all, under another head.
        let model = Model::new(transfer.model.encoder.clone(), made.head);
        transfer.others.insert(MLM.into(), model);
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let s = &transfer.settings;
        let pretext = transfer.source.pretext_loss(MLM);
        let (view, loss) =
            pretext.ok_or_else(|| Error::msg("the source has no masked language modelling"))?;
        let head = match transfer.others.get(MLM) {
            Some(model) => Select::stages(&model.head.stages),
            None => Select::Nothing,
        };
        let trains = Select::Any(vec![Select::stages(transfer.model.encoder.stages()), head]);
        let masked = Phase::Train(Train {
            name: "pretext".into(),
            feeds: vec![Feed {
                views: vec![view],
                drop_last: false,
                ..feed(From::Target, transfer)
            }],
            updates: vec![update(MLM, transfer, trains, Masked { view, loss })],
            until: self.epochs.map_or(s.until, Until::Epochs),
            select: Selection::Last,
            patience: None,
            micro_batch: s.batch_size,
            norm: None,
            adapts: false,
            shared: false,
        });
        let update = update("source", transfer, Select::name("model.*"), Supervised);
        let feeds = [From::Source, From::Target];
        let on = adaptation("tapt", transfer, &feeds, vec![update]);
        Ok([masked]
            .into_iter()
            .chain(after_source(transfer, on))
            .collect())
    }
}

struct Masked {
    view: View,
    loss: PretextLoss,
}

impl Objective for Masked {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode(MLM, &[(0, self.view)])?.remove(0);
        let batch = step.batch(0, self.view)?;
        let value = (self.loss)(&taps.logits, &batch)?;
        Ok(vec![Term::new("masked", 1.0, value)])
    }
}

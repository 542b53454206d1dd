//! Fine-tuning (Howard & Ruder 2018; Devlin et al. 2019): the encoder starts from the checkpoint, the head fresh, and both train.

use std::sync::Arc;

use tlkit_core::data::{Feed, From};
use tlkit_core::nn::{NormMode, Select, Stage};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Group, Needs, Phase, Settings, Strategy, Train, Transfer, Update, Why};
use tlkit_core::train::rate_groups;
use tlkit_core::{Error, Result};

use crate::stages::Frozen;
use crate::supervised::Supervised;

/// One phase over the labelled target rows.
pub struct FineTune {
    frozen: Frozen,
    scratch: bool,
}

impl FineTune {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let train_from = keys
            .string("train_from")
            .help("first stage that trains; `head` freezes the whole encoder")
            .unset("everything trains")
            .optional();
        let freeze = keys
            .one_or_more("freeze")
            .help("stages that do not train: `embeddings`, `encoder.0-3`")
            .unset("none")
            .optional()
            .unwrap_or_default();
        if train_from.is_some() && !freeze.is_empty() {
            keys.conflict(
                &[
                    (keys.at("train_from"), "this freezes what is below"),
                    (keys.at("freeze"), "and this names what is frozen"),
                ],
                "say what is frozen once",
            );
        }
        Some(Box::new(FineTune {
            frozen: Frozen { train_from, freeze },
            scratch: false,
        }))
    }

    /// `from-scratch`: the same on fresh weights.
    pub fn scratch(_: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        Some(Box::new(FineTune {
            frozen: Frozen::default(),
            scratch: true,
        }))
    }
}

impl Strategy for FineTune {
    fn needs(&self) -> Needs {
        Needs {
            scratch: self.scratch,
            head_only: self.frozen.train_from.as_deref() == Some("head"),
            arranged: self.frozen.names_stages(),
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let name = if self.scratch { "train" } else { "fine-tune" };
        Ok(vec![supervised(
            name,
            transfer,
            self.frozen.trains("strategy", transfer)?,
            &transfer.settings,
        )])
    }
}

/// [`supervised`], with optimizer groups that come before the usual ones.
pub(crate) fn phase_with(
    name: &str,
    transfer: &Transfer<'_>,
    trains: Select,
    s: &Settings,
    first: Vec<Group>,
) -> Phase {
    let mut phase = supervised(name, transfer, trains, s);
    if let Phase::Train(train) = &mut phase {
        for update in &mut train.updates {
            update.groups.splice(0..0, first.iter().cloned());
        }
    }
    phase
}

/// What is the head's alone: a tensor that it shares with the encoder (tied embeddings) is the encoder's.
pub(crate) fn own_head(transfer: &Transfer<'_>) -> Select {
    let of = |stages: &[Arc<dyn Stage>]| Box::new(Select::stages(stages));
    let (encoder, head) = (&transfer.model.encoder, &transfer.model.head);
    Select::Except(of(&head.stages), of(encoder.stages()))
}

/// A phase on the target's labelled rows with the recipe's settings.
pub(crate) fn supervised(
    name: &str,
    transfer: &Transfer<'_>,
    trains: Select,
    s: &Settings,
) -> Phase {
    let view = transfer.target.view();
    Phase::Train(Train {
        name: name.to_string(),
        feeds: vec![Feed {
            from: From::Target,
            views: vec![view],
            batch: s.batch_size,
            sampler: s.sampler,
            // Statistics of a few rows are none.
            drop_last: transfer.model.norm != NormMode::Frozen,
            not_alone: false,
        }],
        updates: vec![Update {
            name: name.to_string(),
            trains,
            groups: rate_groups(&transfer.model, s),
            clip: s.clip,
            repeat: 1,
            objective: Box::new(Supervised::new(view)),
        }],
        until: s.until,
        select: s.select.clone(),
        patience: s.patience,
        micro_batch: s.micro_batch,
        norm: None,
        adapts: false,
        shared: false,
    })
}

/// Why `train.layer_decay` means nothing to a method that trains the encoder at one rate.
pub(crate) const ONE_RATE: Why = (
    "has one rate for all that it trains of the encoder",
    "leave `layer_decay` out",
);

/// An error where the recipe asks for rates by stage of a method that trains the encoder at one.
pub(crate) fn one_rate(method: &str, s: &Settings) -> Result<()> {
    if s.layer_decay == 1.0 {
        return Ok(());
    }
    Err(Error::msg(format!(
        "train.layer_decay: all that {method} trains of the encoder has one rate; leave it out"
    )))
}

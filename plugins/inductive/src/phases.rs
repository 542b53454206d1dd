//! Phases by hand: `[[strategy.phases]]`, run in order. The head first, then everything at 1e-5, say.

use tlkit_core::Result;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer, Until};
use tlkit_core::train::Schedule;

use crate::fine_tune::supervised;
use crate::stages::Frozen;

/// A list of supervised phases.
pub struct Phases {
    phases: Vec<Hand>,
}

struct Hand {
    name: Option<String>,
    frozen: Frozen,
    epochs: Option<u64>,
    rate: Option<f64>,
    head_rate: Option<f64>,
    schedule: Option<String>,
    warmup: Option<f64>,
}

impl Phases {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let tables = keys.tables("phases");
        if tables.is_empty() && !keys.is_blank() {
            keys.error(
                keys.here(),
                "`method = \"phases\"` needs at least one [[strategy.phases]]",
            )
            .help("write one table a phase: train_from, epochs, learning_rate");
            return None;
        }
        let phases = tables.iter().map(Hand::read).collect();
        Some(Box::new(Phases { phases }))
    }
}

impl Hand {
    fn read(t: &Keys) -> Hand {
        Hand {
            name: t
                .string("name")
                .help("for the log")
                .unset("its number")
                .optional(),
            frozen: Frozen {
                train_from: t
                    .string("train_from")
                    .help("first stage that trains; `head` freezes the encoder")
                    .unset("everything trains")
                    .optional(),
                freeze: t
                    .one_or_more("freeze")
                    .help("stages that do not train")
                    .unset("none")
                    .optional()
                    .unwrap_or_default(),
            },
            epochs: t
                .u64("epochs")
                .range(1..)
                .help("passes over the training rows")
                .unset("train.epochs")
                .optional(),
            rate: t
                .f64("learning_rate")
                .above(0.0)
                .help("the encoder's peak rate")
                .unset("train.learning_rate")
                .optional(),
            head_rate: t
                .f64("head_learning_rate")
                .above(0.0)
                .help("the head's peak rate")
                .unset("learning_rate of this phase, or train.head_learning_rate")
                .optional(),
            schedule: t
                .string("schedule")
                .one_of(Schedule::NAMES)
                .help("the course of the rate")
                .unset("train.schedule")
                .optional(),
            warmup: t
                .f64("warmup")
                .range(0.0..1.0)
                .help("share of the steps that rise to the peak")
                .unset("train.warmup")
                .optional(),
        }
    }
}

impl Strategy for Phases {
    fn needs(&self) -> Needs {
        Needs {
            arranged: self.phases.iter().any(|p| p.frozen.names_stages()),
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let phase = |(i, hand): (usize, &Hand)| {
            let mut s = transfer.settings.clone();
            s.until = hand.epochs.map_or(s.until, Until::Epochs);
            s.learning_rate = hand.rate.unwrap_or(s.learning_rate);
            s.head_learning_rate = hand.head_rate.or(hand.rate).unwrap_or(s.head_learning_rate);
            let warmup = hand.warmup.unwrap_or(s.schedule.warmup);
            s.schedule = match &hand.schedule {
                Some(name) => Schedule::parse(name, warmup).unwrap_or(s.schedule),
                None => Schedule {
                    warmup,
                    ..s.schedule
                },
            };
            let table = format!("strategy.phases[{}]", i + 1);
            let name = hand
                .name
                .clone()
                .unwrap_or_else(|| format!("phase {}", i + 1));
            Ok(supervised(
                &name,
                transfer,
                hand.frozen.trains(&table, transfer)?,
                &s,
            ))
        };
        self.phases.iter().enumerate().map(phase).collect()
    }
}

//! `target-supervised`: training on the target's own labels. No adaptation can do this; it is the ceiling that the share of the gap closed is
//! measured by, and is marked `oracle` in every table.

use tlkit_core::Result;
use tlkit_core::data::{Feed, From};
use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer};

use crate::phases::{adaptation, feed, update};
use crate::supervised::Supervised;

/// The task's loss on the target.
pub struct TargetSupervised;

impl TargetSupervised {
    /// It has no keys.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        (!keys.is_blank()).then(|| Box::new(TargetSupervised) as Box<dyn Strategy>)
    }
}

impl Strategy for TargetSupervised {
    fn needs(&self) -> Needs {
        Needs {
            target_labels: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let update = update("target", transfer, Select::name("model.*"), Supervised);
        let mut phase = adaptation("target-supervised", transfer, &[From::Target], vec![update]);
        if let Phase::Train(train) = &mut phase {
            train.feeds = vec![Feed {
                drop_last: false,
                ..feed(From::Target, transfer)
            }];
            train.micro_batch = transfer.settings.micro_batch;
        }
        Ok(vec![phase])
    }
}

//! `source-only`: the source is learned, and nothing is adapted. What every adaptation is compared with.
//!
//! It is a twin: the same source phase, after it as many epochs on the same batches of source rows, the same selector and as many
//! candidates to choose between (beside which, under `auto`, it has these as well: the twin). So a difference to an adaptation of the same seed is the adaptation's doing, and not that of more
//! training or of one more draw.

use tlkit_core::Result;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer};

use crate::phases::{after_source, source_only};

/// The task's loss on the source.
pub struct SourceOnly;

impl SourceOnly {
    /// It has no keys.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        (!keys.is_blank()).then(|| Box::new(SourceOnly) as Box<dyn Strategy>)
    }
}

impl Strategy for SourceOnly {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        Ok(after_source(transfer, source_only(transfer)))
    }
}

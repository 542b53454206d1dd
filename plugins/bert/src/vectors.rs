//! Vectors of texts as a target task: plain text, an encoder and its pooling, and no labels. What the vectors are to be like is said by the
//! strategy: `distill` makes them those of a teacher.

use candle_core::Tensor;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading};
use tlkit_core::nn::{Batch, Scope};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_core::{Error, Result};

use crate::source::POOLINGS;

/// Texts to vectors.
pub struct TextVectors {
    data: DataKeys,
    pooling: Option<String>,
}

impl TextVectors {
    /// From the keys of `[target]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn TargetTask>> {
        let data = DataKeys::target(keys, cx, Form::PlainText);
        let pooling = keys
            .string("pooling")
            .one_of(POOLINGS)
            .help("from token states to one vector")
            .unset("the mean, or what 1_Pooling/config.json says or the vectors were trained by")
            .optional();
        let data = data?;
        Some(Box::new(TextVectors { data, pooling }))
    }
}

impl TargetTask for TextVectors {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        self.data.domain(split)
    }

    /// The pooling, and nothing behind it: what comes out are the features.
    fn head(&self, scope: &Scope<'_>, source: &dyn SourceTask, _: usize, _: bool) -> Result<Head> {
        // As for a frozen encoder: the mean, and no pooler that was made for another purpose.
        let stages = source.pooling(scope, self.pooling.as_deref(), true)?;
        let pool = stages.len();
        Ok(Head { stages, pool })
    }

    fn loss(&self, _: &Tensor, _: Option<&Tensor>, _: &Batch) -> Result<Tensor> {
        Err(Error::msg(
            "text-vectors has no labels, so it has no loss of its own: `method = \"distill\"` and `of = \"features\"` bring one",
        ))
    }

    fn plain_loss(&self) -> bool {
        false
    }

    fn scoring(&self) -> Scoring {
        Scoring::Vectors
    }

    fn digest(&self) -> String {
        self.data.digest().to_string()
    }
}

//! Text classification as a target task.

use candle_core::Tensor;
use tlkit_core::audit::Audit;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading, RowForm};
use tlkit_core::head::{self, HeadLayers, Layer};
use tlkit_core::nn::{Batch, Scope};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_core::{ClassLoss, ClassLossKeys, Result};

use crate::source::POOLINGS;

/// Texts, or pairs of them, to classes.
pub struct TextClassification {
    data: DataKeys,
    pooling: Option<String>,
    layers: Option<HeadLayers>,
    loss: ClassLoss,
}

impl TextClassification {
    /// From the keys of `[target]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn TargetTask>> {
        let data = DataKeys::target(keys, cx, Form::Text);
        let pooling = keys
            .string("pooling")
            .one_of(POOLINGS)
            .help("from token states to one vector")
            .unset("the pooler; frozen: the mean, or what 1_Pooling/config.json says or the vectors were trained by")
            .optional();
        let layers = keys.values("head").help("the layers behind the pooling: {dense = 128, activation = \"relu\"}, {dropout = 0.1}, \"classifier\"").unset("dropout, classifier").optional();
        let layers = match layers {
            None => None,
            Some(list) => Some(HeadLayers::read(keys, &list, &[])?),
        };
        let loss = ClassLossKeys::read(keys);
        let data = data?;
        let loss = loss.check(keys, &data)?;
        Some(Box::new(TextClassification {
            data,
            pooling,
            layers,
            loss,
        }))
    }
}

impl TargetTask for TextClassification {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        self.data.domain(split)
    }

    fn row_form(&self) -> Result<Option<RowForm>> {
        self.data.row_form().map(Some)
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head> {
        let pooling = source.pooling(scope, self.pooling.as_deref(), frozen)?;
        let classes = self.data.classes().len();
        let usual = [Layer::Dropout(source.head_dropout()), Layer::Classifier];
        match &self.layers {
            Some(l) => head::build(scope, source, pooling, l.layers(), width, classes),
            None => head::build(scope, source, pooling, usual.iter(), width, classes),
        }
    }

    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, _: &Batch) -> Result<Tensor> {
        self.loss.loss(logits, labels)
    }

    fn mass(&self, labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        self.loss.mass(labels, batch.rows())
    }

    fn plain_head(&self) -> bool {
        self.layers.as_ref().is_none_or(HeadLayers::plain)
    }

    fn plain_loss(&self) -> bool {
        self.loss.is_plain()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Classes(self.data.classes().to_vec())
    }

    fn digest(&self) -> String {
        self.data.digest().to_string()
    }

    fn audit(&self) -> Option<&Audit> {
        Some(self.data.audit())
    }
}

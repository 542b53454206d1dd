//! The target task `classification`: feature vectors to classes, by a linear classifier.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::audit::Audit;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading, RowForm};
use tlkit_core::nn::{Activation, Batch, Dense, Dropout, Linear, Scope, Stage};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_core::{ClassLoss, ClassLossKeys, Result};

/// Feature vectors to classes.
pub struct Classification {
    data: DataKeys,
    width: usize,
    loss: ClassLoss,
}

impl Classification {
    /// From the keys of `[target]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn TargetTask>> {
        let data = DataKeys::target(keys, cx, Form::Features);
        let loss = ClassLossKeys::read(keys);
        let data = data?;
        let loss = loss.check(keys, &data)?;
        let width = data
            .width()
            .map_err(|e| keys.error(keys.here(), e.to_string()))
            .ok()?;
        Some(Box::new(Classification { data, width, loss }))
    }
}

impl TargetTask for Classification {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        self.data.domain(split)
    }

    fn row_form(&self) -> Result<Option<RowForm>> {
        self.data.row_form().map(Some)
    }

    fn input_width(&self) -> Option<usize> {
        Some(self.width)
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head> {
        let mut stages = source.pooling(scope, None, frozen)?;
        let pool = stages.len();
        let dropout = source.head_dropout();
        if dropout > 0.0 {
            let stage: Arc<dyn Stage> = Arc::new(Dropout::new("head.dropout", dropout));
            stages.push(stage);
        }
        let classes = self.data.classes().len();
        let scope = scope.fresh().sub("classifier");
        let linear = Linear::new(&scope, width, classes, source.head_init())?;
        stages.push(Arc::new(Dense::new("classifier", linear, Activation::None)));
        Ok(Head { stages, pool })
    }

    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, _: &Batch) -> Result<Tensor> {
        self.loss.loss(logits, labels)
    }

    fn mass(&self, labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        self.loss.mass(labels, batch.rows())
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

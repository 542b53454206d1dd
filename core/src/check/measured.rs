//! A target task with the metrics that `[evaluate]` asks for besides its own.

use candle_core::Tensor;

use crate::Result;
use crate::audit::Audit;
use crate::data::{Domain, Labels, Reading, RowForm, View};
use crate::metrics::Measure;
use crate::nn::{Batch, Scope};
use crate::recipe::Keys;
use crate::task::{Head, Scoring, SourceTask, TargetTask};

/// The task, and what it is measured by.
pub(super) struct Measured {
    pub task: Box<dyn TargetTask>,
    pub metrics: Vec<Measure>,
}

impl TargetTask for Measured {
    fn domain(&self, split: &str, reading: &Reading) -> Result<Option<Domain<Labels>>> {
        self.task.domain(split, reading)
    }

    fn row_form(&self) -> Result<Option<RowForm>> {
        self.task.row_form()
    }

    fn fits(&self, keys: &Keys, source: &dyn SourceTask) {
        self.task.fits(keys, source);
    }

    fn input_width(&self) -> Option<usize> {
        self.task.input_width()
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head> {
        self.task.head(scope, source, width, frozen)
    }

    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, batch: &Batch) -> Result<Tensor> {
        self.task.loss(logits, labels, batch)
    }

    fn mass(&self, labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        self.task.mass(labels, batch)
    }

    fn plain_loss(&self) -> bool {
        self.task.plain_loss()
    }

    fn scoring(&self) -> Scoring {
        self.task.scoring()
    }

    fn metrics(&self) -> Vec<Measure> {
        let mut all = self.task.metrics();
        all.extend(self.metrics.iter().cloned());
        all
    }

    fn digest(&self) -> String {
        self.task.digest()
    }

    fn audit(&self) -> Option<&Audit> {
        self.task.audit()
    }

    fn view(&self) -> View {
        self.task.view()
    }
}

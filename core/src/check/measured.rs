//! A target task with the metrics that `[evaluate]` asks for besides its own.

use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;
use crate::audit::Audit;
use crate::data::{Domain, Labels, Reader, Reading, RowForm, View};
use crate::metrics::Measure;
use crate::nn::{Batch, Scope};
use crate::recipe::Keys;
use crate::task::{Head, Scoring, SourceTask, TargetTask};

/// The task, and what it is measured by.
pub(crate) struct Measured {
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

    fn reader(&self) -> Option<Arc<dyn Reader>> {
        self.task.reader()
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

    fn plain_head(&self) -> bool {
        self.task.plain_head()
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

#[cfg(test)]
mod tests {
    /// A method with a body of its own in the trait is easily forgotten: the compiler does not ask for it.
    #[test]
    fn every_method_of_a_target_task_is_asked_of_the_task_itself() {
        let trait_of = include_str!("../task.rs");
        let from = trait_of.find("pub trait TargetTask").expect("the trait");
        let body = &trait_of[from..];
        let body = &body[..body.find("\n}\n").expect("its end")];
        let methods: Vec<&str> = body
            .lines()
            .filter_map(|l| l.strip_prefix("    fn ")?.split('(').next())
            .collect();
        assert!(methods.len() >= 14, "{methods:?}");
        let this = include_str!("measured.rs");
        for method in methods {
            assert!(
                this.contains(&format!("self.task.{method}(")),
                "`{method}` is not forwarded"
            );
        }
    }
}

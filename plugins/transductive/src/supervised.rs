//! The plain objective: the task's own loss on the rows of feed 0.

use tlkit_core::Result;
use tlkit_core::strategy::{Objective, Step, Term};

/// The task's loss on feed 0; other feeds are drawn and not looked at.
pub(crate) struct Supervised;

impl Objective for Supervised {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let view = step.view(0);
        let taps = step.encode("model", &[(0, view)])?.remove(0);
        let loss = step.task_loss(0, view, &taps.logits)?;
        Ok(vec![Term::new("loss", 1.0, loss)])
    }
}

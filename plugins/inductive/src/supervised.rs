//! The plain objective: the target task's own loss on its own rows.

use tlkit_core::Result;
use tlkit_core::data::View;
use tlkit_core::strategy::{Objective, Step, Term};

/// The target task's loss on feed 0.
pub struct Supervised {
    view: View,
}

impl Supervised {
    /// On this view of the inputs.
    pub fn new(view: View) -> Self {
        Supervised { view }
    }
}

impl Objective for Supervised {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, self.view)])?;
        Ok(vec![Term::new(
            "loss",
            1.0,
            step.task_loss(0, self.view, &taps[0].logits)?,
        )])
    }
}

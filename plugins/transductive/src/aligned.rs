//! Methods of one term: the task's loss on the source, and a function of both domains' features and logits.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::From;
use tlkit_core::nn::Select;
use tlkit_core::strategy::{Objective, Phase, Step, Term, Transfer};

use crate::phases::{adaptation, beside_twin, update};

/// The term of a method.
pub(crate) trait Align: Send + 'static {
    /// Of features `(rows, width)` and logits `(rows, classes)` of source and target.
    fn term(&self, source: &[Tensor; 2], target: &[Tensor; 2]) -> Result<Term>;
}

/// The source phase, and an adaptation of the whole model by such a term.
pub(crate) fn aligned(name: &str, transfer: &Transfer<'_>, term: impl Align) -> Result<Vec<Phase>> {
    let objective = Aligned(term);
    let update = update(name, transfer, Select::name("model.*"), objective);
    let feeds = [From::Source, From::Target];
    Ok(beside_twin(
        transfer,
        adaptation(name, transfer, &feeds, vec![update]),
    ))
}

struct Aligned<A>(A);

impl<A: Align> Objective for Aligned<A> {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let views = [step.view(0), step.view(1)];
        let taps = step.encode("model", &[(0, views[0]), (1, views[1])])?;
        let task = step.task_loss(0, views[0], &taps[0].logits)?;
        let [source, target] = [&taps[0], &taps[1]].map(|t| [t.features.clone(), t.logits.clone()]);
        Ok(vec![
            Term::new("loss", 1.0, task),
            self.0.term(&source, &target)?,
        ])
    }
}

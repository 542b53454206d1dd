//! `mdd`: margin disparity discrepancy (Zhang, Liu, Long & Jordan, ICML 2019).
//!
//! An adversary, a second classifier on the same features, agrees with the first on the source and disagrees with it on the target; its gradient, reversed,
//! brings the encoder to where it cannot:
//!
//! ```text
//! task loss on the source + margin * log loss of the adversary at the classifier's answers on the source
//!                         - log(1 - p) of the adversary at the classifier's answers on the target, both reversed below the adversary
//! ```
//!
//! Margin 4 and a coefficient that rises to 0.1 are the authors', on Office-31 and VisDA; the rise is the one of `dann`. The curves show how
//! often the adversary agrees with the classifier on the target.

use candle_core::{DType, Tensor};
use tlkit_core::Result;
use tlkit_core::data::{From, OFFICE_31, VISDA};
use tlkit_core::nn::{Select, scale_gradient};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Objective, Phase, State, Step, Strategy, Term, Transfer};

use crate::adversary::{Adversary, DISCRIMINATOR, Watched, mlp};
use crate::losses::{log_loss, log_of_rest, predicted};
use crate::phases::{adaptation, beside_twin, update};

/// No second classifier that agrees on the source and disagrees on the target.
#[derive(Clone)]
pub struct Mdd {
    adversary: Adversary,
    margin: f64,
}

impl Mdd {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let adversary = Adversary::read(keys, 0.1, "Zhang et al. 2019", &[OFFICE_31, VISDA]);
        let margin = keys
            .f64("margin")
            .above(0.0)
            .default(4.0, "Zhang et al. 2019")
            .tuned_on(&[OFFICE_31, VISDA])
            .help("how much agreement on the source counts beside disagreement on the target")
            .read();
        Some(Box::new(Mdd { adversary, margin }))
    }
}

impl Strategy for Mdd {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            moves_features: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        let (width, classes) = (transfer.model.feature_width(), transfer.classes);
        let hidden = &self.adversary.hidden;
        transfer.add_head(DISCRIMINATOR, |_, scope| mlp(scope, width, hidden, classes))?;
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let objective = Disparity {
            method: self.clone(),
            watched: Watched::default(),
        };
        let update = update("adversarial", transfer, Select::All, objective);
        let feeds = [From::Source, From::Target];
        let phase = adaptation("mdd", transfer, &feeds, vec![update]);
        Ok(beside_twin(transfer, phase))
    }
}

struct Disparity {
    method: Mdd,
    watched: Watched,
}

/// What the adversary minimises on the source, before the margin, and on the target: its log loss at the classifier's answers, and
/// `-log(1 - p)` of them.
pub fn disparity(source: [&Tensor; 2], target: [&Tensor; 2]) -> Result<[Tensor; 2]> {
    let [logits, adversary] = source;
    let agree = log_loss(adversary, &predicted(logits)?)?.mean_all()?;
    let [logits, adversary] = target;
    let disagree = log_of_rest(adversary, &predicted(logits)?)?.mean_all()?;
    Ok([agree, disagree])
}

impl Objective for Disparity {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let views = [step.view(0), step.view(1)];
        let taps = step.encode("model", &[(0, views[0]), (1, views[1])])?;
        let task = step.task_loss(0, views[0], &taps[0].logits)?;
        let both = Tensor::cat(&[&taps[0].features, &taps[1].features], 0)?;
        let coefficient = self.method.adversary.coefficient(step.progress());
        let said = step.head(DISCRIMINATOR, &scale_gradient(&both, -coefficient)?)?;
        let (ns, nt) = (taps[0].features.dim(0)?, taps[1].features.dim(0)?);
        let (on_source, on_target) = (said.narrow(0, 0, ns)?, said.narrow(0, ns, nt)?);
        let same = predicted(&on_target)?.eq(&predicted(&taps[1].logits)?)?;
        let same = same.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
        self.watched.note(same, nt as f64, coefficient);
        let [agree, disagree] =
            disparity([&taps[0].logits, &on_source], [&taps[1].logits, &on_target])?;
        let term = |name: &str, weight: f64, value: Tensor| Term {
            reaches_model: self.method.adversary.lambda > 0.0,
            ..Term::new(name, weight, value)
        };
        Ok(vec![
            Term::new("loss", 1.0, task),
            term("agreement", self.method.margin, agree),
            term("disagreement", 1.0, disagree),
        ])
    }

    fn curves(&mut self) -> Vec<(String, f64)> {
        self.watched.curves_of("adversary_agrees")
    }

    fn state(&self) -> State {
        self.watched.state()
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watched.restore(&state)
    }
}

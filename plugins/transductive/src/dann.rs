//! `dann`: domain-adversarial training (Ganin et al., JMLR 2016).
//!
//! A discriminator learns to tell the domains' features apart; on the way back its gradient is multiplied by `-lambda`, so that the encoder learns
//! what makes them alike:
//!
//! ```text
//! task loss on the source + log loss of the discriminator, its gradient reversed below it
//! ```
//!
//! `lambda` rises from 0 to its largest over the phase as in the paper, with `gamma = 10`. The curves show the coefficient and the discriminator's
//! accuracy: at 1 the domains are as far apart as ever, at a half they cannot be told apart or the discriminator has failed. With `lambda = 0`
//! it is the plain network, and a discriminator that watches.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::From;
use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Objective, Phase, State, Step, Strategy, Term, Transfer};

use crate::adversary::{Adversary, Watched};
use crate::losses::log_loss;
use crate::phases::{adaptation, beside_twin, update};

/// Features that no discriminator tells apart.
#[derive(Clone)]
pub struct Dann {
    adversary: Adversary,
}

impl Dann {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let adversary = Adversary::read(keys, 1.0, "Ganin et al. 2016", &[]);
        Some(Box::new(Dann { adversary }))
    }
}

impl Strategy for Dann {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            moves_features: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        let width = transfer.model.feature_width();
        self.adversary.arrange(transfer, width)
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let objective = Adversarial {
            adversary: self.adversary.clone(),
            watched: Watched::default(),
        };
        let update = update("adversarial", transfer, Select::All, objective);
        let feeds = [From::Source, From::Target];
        let phase = adaptation("dann", transfer, &feeds, vec![update]);
        Ok(beside_twin(transfer, phase))
    }
}

struct Adversarial {
    adversary: Adversary,
    watched: Watched,
}

impl Objective for Adversarial {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let views = [step.view(0), step.view(1)];
        let taps = step.encode("model", &[(0, views[0]), (1, views[1])])?;
        let task = step.task_loss(0, views[0], &taps[0].logits)?;
        let both = Tensor::cat(&[&taps[0].features, &taps[1].features], 0)?;
        let source = taps[0].features.dim(0)?;
        let (said, domains) = self
            .watched
            .discriminate(step, &self.adversary, &both, source)?;
        let domain = Term {
            reaches_model: self.adversary.lambda > 0.0,
            ..Term::new("domain", 1.0, log_loss(&said, &domains)?.mean_all()?)
        };
        Ok(vec![Term::new("loss", 1.0, task), domain])
    }

    fn curves(&mut self) -> Vec<(String, f64)> {
        self.watched.curves()
    }

    fn state(&self) -> State {
        self.watched.state()
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.watched.restore(&state)
    }
}

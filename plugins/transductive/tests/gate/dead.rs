//! A term that does nothing fails the run, whatever the loss does.

use candle_core::{D, Tensor};
use tlkit_core::data::{From, View};
use tlkit_core::nn::{Activation, Select, scale_gradient};
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer};
use tlkit_core::task::Head;
use tlkit_core::{Error, Result};

use crate::world::{Setup, World, dense, phase, train, update};

/// Domain-adversarial training whose discriminator ends in a softmax over one unit, as a well-known library's default did: it says 1 of
/// every row, and its gradient is there, and zero.
struct Constant;

impl Strategy for Constant {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        transfer.add_head("discriminator", |transfer, scope| {
            let width = transfer.model.encoder.width();
            let stages = vec![dense(scope, "output", width, 1, Activation::None)?];
            Ok(Head { stages, pool: 0 })
        })?;
        Ok(())
    }

    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let update = update("adversarial", Select::name("model.*"), 0.005, Adversarial);
        let feeds = [From::Source, From::Target];
        Ok(vec![phase("dann", &feeds, vec![update], 60)])
    }
}

struct Adversarial;

impl Objective for Adversarial {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, View::Plain), (1, View::Plain)])?;
        let task = step.task_loss(0, View::Plain, &taps[0].logits)?;
        let both = Tensor::cat(&[&taps[0].features, &taps[1].features], 0)?;
        let said = step.head("discriminator", &scale_gradient(&both, -1.0)?)?;
        let shifted = said.broadcast_sub(&said.max_keepdim(D::Minus1)?)?.exp()?;
        let p = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
        let domain = (p.log()? * -1.0)?.mean_all()?;
        Ok(vec![
            Term::new("loss", 1.0, task),
            Term::new("domain", 1.0, domain),
        ])
    }
}

#[test]
fn a_constant_discriminator_fails_the_run() {
    match train(&World::shifted(2.0, 2.0), &Constant, &Setup::default()) {
        Err(Error::Liveness { text, .. }) => {
            assert!(text.contains("domain"), "{text}");
            assert!(text.contains("does nothing"), "{text}");
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("it was let through"),
    }
}

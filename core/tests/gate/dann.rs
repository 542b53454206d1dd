//! Domain-adversarial training (Ganin et al. 2016): a discriminator learns to tell the domains' features apart, and its gradient,
//! reversed, teaches the encoder to make them alike.

use candle_core::{DType, Tensor};
use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::{Activation, Select, scale_gradient};
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer};
use tlkit_core::task::Head;

use crate::world::{World, cross_entropy, dense, phase, update};

pub struct Dann;

impl Strategy for Dann {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        transfer.add_head("discriminator", |transfer, scope| {
            let width = transfer.model.encoder.width();
            let hidden = dense(scope, "hidden", width, 16, Activation::Relu)?;
            let output = dense(scope, "output", 16, 2, Activation::None)?;
            Ok(Head {
                stages: vec![hidden, output],
                pool: 0,
            })
        })?;
        Ok(())
    }

    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let update = update("adversarial", Select::All, 0.005, Adversarial);
        Ok(vec![phase(
            "dann",
            &[From::Source, From::Target],
            vec![update],
            300,
        )])
    }
}

struct Adversarial;

impl Objective for Adversarial {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, View::Plain), (1, View::Plain)])?;
        let task = step.task_loss(0, View::Plain, &taps[0].logits)?;
        let strength = 2.0 / (1.0 + (-10.0 * step.progress()).exp()) - 1.0;
        let both = Tensor::cat(&[&taps[0].features, &taps[1].features], 0)?;
        let guess = step.head("discriminator", &scale_gradient(&both, -strength)?)?;
        let (source, target) = (taps[0].features.dim(0)?, taps[1].features.dim(0)?);
        let domain = Tensor::cat(
            &[
                Tensor::zeros(source, DType::U32, both.device())?,
                Tensor::ones(target, DType::U32, both.device())?,
            ],
            0,
        )?;
        Ok(vec![
            Term::new("loss", 1.0, task),
            Term::new("domain", 1.0, cross_entropy(&guess, &domain)?),
        ])
    }
}

pub fn method() -> (World, Box<dyn Strategy>) {
    (World::shifted(2.0, 2.0), Box::new(Dann))
}

#[test]
fn closes_a_shift() -> Result<()> {
    crate::resume::closes_what_source_only_does_not(method())
}

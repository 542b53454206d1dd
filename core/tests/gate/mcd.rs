//! Maximum classifier discrepancy (Saito et al. 2018): two classifiers are set apart on the target, and the encoder brings its features
//! to where they agree. Three updates a batch, the last four times.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::Select;
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer, Update};

use crate::world::{World, phase, softmax, update};

pub struct Mcd;

impl Strategy for Mcd {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        transfer.add_head("second", |transfer, scope| {
            let width = transfer.model.encoder.width();
            transfer.target.head(scope, transfer.source, width, false)
        })?;
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let encoder = Select::stages(transfer.model.encoder.stages());
        let heads = Select::Except(Box::new(Select::All), Box::new(encoder.clone()));
        let updates = vec![
            update(
                "both",
                Select::All,
                0.005,
                Discrepancy {
                    task: 1.0,
                    apart: 0.0,
                },
            ),
            update(
                "apart",
                heads,
                0.005,
                Discrepancy {
                    task: 1.0,
                    apart: -1.0,
                },
            ),
            Update {
                repeat: 4,
                ..update(
                    "together",
                    encoder,
                    0.005,
                    Discrepancy {
                        task: 0.0,
                        apart: 1.0,
                    },
                )
            },
        ];
        Ok(vec![phase(
            "mcd",
            &[From::Source, From::Target],
            updates,
            400,
        )])
    }
}

/// The two classifiers' loss on the source, and how far apart they are on the target.
struct Discrepancy {
    task: f64,
    apart: f64,
}

impl Discrepancy {
    fn task(&self, step: &mut dyn Step) -> Result<Tensor> {
        let source = step.encode("model", &[(0, View::Plain)])?.remove(0);
        let second = step.head("second", &source.features)?;
        let one = step.task_loss(0, View::Plain, &source.logits)?;
        Ok((one + step.task_loss(0, View::Plain, &second)?)?)
    }

    fn apart(&self, step: &mut dyn Step) -> Result<Tensor> {
        let target = step.encode("model", &[(1, View::Plain)])?.remove(0);
        let second = step.head("second", &target.features)?;
        Ok((softmax(&target.logits)? - softmax(&second)?)?
            .abs()?
            .mean_all()?)
    }
}

impl Objective for Discrepancy {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let mut terms = Vec::new();
        if self.task != 0.0 {
            terms.push(Term::new("loss", self.task, self.task(step)?));
        }
        if self.apart != 0.0 {
            terms.push(Term::new("discrepancy", self.apart, self.apart(step)?));
        }
        Ok(terms)
    }
}

pub fn method() -> (World, Box<dyn Strategy>) {
    (World::shifted(1.9, 0.5), Box::new(Mcd))
}

#[test]
fn closes_a_shift() -> Result<()> {
    crate::resume::closes_what_source_only_does_not(method())
}

//! Source hypothesis transfer (Liang et al. 2020): after training on the source, the encoder alone adapts to the target without a source
//! row in sight, by information maximisation and by pseudo-labels from the centroids of the classes, found anew each epoch.

use candle_core::{D, Tensor};
use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::Select;
use tlkit_core::strategy::{Infer, Needs, Objective, Phase, State, Step, Strategy, Term, Transfer};

use crate::world::{World, cross_entropy, phase, softmax, source_phase, update};

pub struct Shot;

impl Strategy for Shot {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let encoder = Select::stages(transfer.model.encoder.stages());
        let update = update("adapt", encoder, 0.005, Adapt { labels: None });
        let adapt = phase("adapt", &[From::Target], vec![update], 120);
        Ok(vec![source_phase(150), adapt])
    }
}

struct Adapt {
    /// A pseudo-label for each row of the target, `(rows,)`.
    labels: Option<Tensor>,
}

/// Rows of length one.
fn unit(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_div(&(x.sqr()?.sum_keepdim(1)?.sqrt()? + 1e-8)?)?)
}

impl Objective for Adapt {
    fn begin_epoch(&mut self, infer: &mut dyn Infer) -> Result<()> {
        let features = unit(&infer.features(From::Target)?)?;
        let mut weights = softmax(&infer.logits(From::Target)?)?;
        for _ in 0..2 {
            let total = (weights.sum(0)?.unsqueeze(1)? + 1e-8)?;
            let centroids = weights.t()?.matmul(&features)?.broadcast_div(&total)?;
            let labels = features
                .matmul(&unit(&centroids)?.t()?)?
                .argmax(D::Minus1)?;
            let one_hot = Tensor::arange(0, weights.dim(1)? as u32, labels.device())?;
            weights = labels
                .unsqueeze(1)?
                .broadcast_eq(&one_hot.unsqueeze(0)?)?
                .to_dtype(features.dtype())?;
            self.labels = Some(labels);
        }
        Ok(())
    }

    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let target = step.encode("model", &[(0, View::Plain)])?.remove(0);
        let p = softmax(&target.logits)?;
        let entropy = |p: &Tensor| -> Result<Tensor> { Ok((p * (p + 1e-6)?.log()?)?.neg()?) };
        let sure = entropy(&p)?.sum(1)?.mean_all()?;
        let spread = entropy(&p.mean(0)?)?.sum_all()?;
        let rows = Tensor::new(step.rows(0), p.device())?;
        let mut terms = vec![
            Term::new("entropy", 1.0, sure),
            Term::new("diversity", -1.0, spread),
        ];
        if let Some(labels) = &self.labels {
            let labels = labels.index_select(&rows, 0)?;
            let value = cross_entropy(&target.logits, &labels)?;
            terms.push(Term::new("pseudo", 0.3, value));
        }
        Ok(terms)
    }

    fn state(&self) -> State {
        let labels = self
            .labels
            .iter()
            .map(|t| ("labels".to_string(), t.clone()));
        State {
            tensors: labels.collect(),
            json: String::new(),
        }
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.labels = state.tensor("labels").ok();
        Ok(())
    }
}

pub fn method() -> (World, Box<dyn Strategy>) {
    (World::shifted(2.0, 0.0), Box::new(Shot))
}

#[test]
fn closes_a_shift() -> Result<()> {
    crate::resume::closes_what_source_only_does_not(method())
}

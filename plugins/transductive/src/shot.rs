//! `shot`: source hypothesis transfer (Liang, Hu & Feng, ICML 2020). No source row is needed once the source model is there: `source.run` is
//! enough.
//!
//! The classifier stays as it is; the encoder is trained on the target to make it sure of each row and not always of the same class, and to agree with
//! pseudo-labels:
//!
//! ```text
//! mean entropy - entropy of the mean prediction + pseudo * log loss at the pseudo-labels
//! ```
//!
//! Pseudo-labels are the nearest of the classes' centroids (by cosine, of features weighted by the predictions, refined once), found anew before each
//! epoch in evaluation mode; a class that no row is predicted as gets none. (The authors' code appends a 1 to the features before the cosine, which is left
//! out here.) Both weights of 1 and `pseudo = 0.3` are the paper's, on Office-31 and digits. The paper trains its source model with label
//! smoothing and a weight-normalised classifier; here it is the model of `source-only`.

use candle_core::{D, Tensor};
use tlkit_core::Result;
use tlkit_core::data::{DIGITS, From, OFFICE_31};
use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::select::LabelFree;
use tlkit_core::strategy::{Infer, Needs, Objective, Phase, State, Step, Strategy, Term, Transfer};

use crate::losses::{diversity, entropy, log_loss, softmax, unit};
use crate::phases::{adaptation, beside_twin, update};

/// Information maximisation and pseudo-labels under a fixed classifier.
#[derive(Clone)]
pub struct Shot {
    diversity: f64,
    pseudo: f64,
}

impl Shot {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let diversity = keys
            .f64("diversity")
            .range(0.0..)
            .default(1.0, "Liang et al. 2020")
            .tuned_on(&[OFFICE_31, DIGITS])
            .help("of the entropy of the mean prediction, which is kept large")
            .read();
        let pseudo = keys
            .f64("pseudo")
            .range(0.0..)
            .default(0.3, "Liang et al. 2020")
            .tuned_on(&[OFFICE_31])
            .help("of the loss at the pseudo-labels; 0: information maximisation alone (SHOT-IM)")
            .read();
        Some(Box::new(Shot { diversity, pseudo }))
    }
}

impl Strategy for Shot {
    fn needs(&self) -> Needs {
        Needs {
            trained: true,
            twin: true,
            moves_features: true,
            minimises: vec![LabelFree::Entropy, LabelFree::InfoMax],
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let model = &transfer.model;
        let encoder = Select::Any(vec![
            Select::stages(model.encoder.stages()),
            Select::stages(&model.head.stages[..model.head.pool]),
        ]);
        let objective = Adapt {
            method: self.clone(),
            labels: None,
        };
        let update = update("adapt", transfer, encoder, objective);
        let phase = adaptation("shot", transfer, &[From::Target], vec![update]);
        Ok(beside_twin(transfer, phase))
    }
}

struct Adapt {
    method: Shot,
    /// A pseudo-label for each row of the target, `(rows,)`.
    labels: Option<Tensor>,
}

/// The class of the nearest centroid of each row, `(rows,)`: features `(rows, width)`, logits `(rows, classes)`.
pub fn pseudo_labels(features: &Tensor, logits: &Tensor) -> Result<Tensor> {
    let features = unit(features)?;
    let mut weights = softmax(logits)?;
    let classes = weights.dim(1)?;
    let all = Tensor::arange(0, classes as u32, weights.device())?;
    let chosen = |labels: &Tensor| -> Result<Tensor> {
        let each = labels.unsqueeze(1)?.broadcast_eq(&all.unsqueeze(0)?)?;
        Ok(each.to_dtype(features.dtype())?)
    };
    let mut labels = weights.argmax(D::Minus1)?;
    let mut counts = chosen(&labels)?.sum(0)?;
    for _ in 0..2 {
        let total = (weights.sum(0)?.unsqueeze(1)? + 1e-8)?;
        let centroids = weights
            .t()?
            .contiguous()?
            .matmul(&features)?
            .broadcast_div(&total)?;
        // A class that no row was of has no centroid: it is out of reach of every cosine.
        let absent = (counts.eq(0.0)?.to_dtype(features.dtype())? * -4.0)?;
        labels = features
            .matmul(&unit(&centroids)?.t()?)?
            .broadcast_add(&absent.unsqueeze(0)?)?
            .argmax(D::Minus1)?;
        weights = chosen(&labels)?;
        counts = weights.sum(0)?;
    }
    Ok(labels)
}

impl Objective for Adapt {
    fn begin_epoch(&mut self, infer: &mut dyn Infer) -> Result<()> {
        if self.method.pseudo > 0.0 {
            let features = infer.features(From::Target)?;
            let logits = infer.logits(From::Target)?.to_dtype(features.dtype())?;
            self.labels = Some(pseudo_labels(&features, &logits)?);
        }
        Ok(())
    }

    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let view = step.view(0);
        let target = step.encode("model", &[(0, view)])?.remove(0);
        let mut terms = vec![Term::new(
            "entropy",
            1.0,
            entropy(&target.logits)?.mean_all()?,
        )];
        if self.method.diversity > 0.0 {
            let value = diversity(&target.logits)?;
            terms.push(Term::new("diversity", -self.method.diversity, value));
        }
        if let Some(labels) = &self.labels {
            let rows = Tensor::new(step.rows(0), labels.device())?;
            let labels = labels.index_select(&rows, 0)?;
            let value = log_loss(&target.logits, &labels)?.mean_all()?;
            terms.push(Term::new("pseudo", self.method.pseudo, value));
        }
        Ok(terms)
    }

    fn state(&self) -> State {
        let labels = self.labels.iter();
        State {
            tensors: labels.map(|t| ("labels".to_string(), t.clone())).collect(),
            json: String::new(),
        }
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.labels = state.tensor("labels").ok();
        Ok(())
    }
}

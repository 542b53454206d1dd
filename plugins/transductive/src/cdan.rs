//! `cdan`: conditional domain-adversarial training (Long, Cao, Wang & Jordan, NeurIPS 2018).
//!
//! As `dann`, but the discriminator sees the features together with the prediction, by their outer product: features may differ between domains as long
//! as they do not within a class. Rows that the classifier is sure of count more, `1 + exp(-entropy)` ("CDAN+E"). Where the outer product has more
//! than 4096 numbers, a product of random projections stands for it, `(f R_f) * (p R_p) / sqrt(1024)`; 4096 and 1024 are the paper's. No gradient
//! goes through predictions into the discriminator's input, as in the authors' code.

use candle_core::{Device, Tensor};
use tlkit_core::Result;
use tlkit_core::data::From;
use tlkit_core::nn::Select;
use tlkit_core::random::Stream;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Objective, Phase, State, Step, Strategy, Term, Transfer};

use crate::adversary::{Adversary, Watched};
use crate::losses::{entropy, log_loss, softmax, weighted_mean};
use crate::phases::{adaptation, beside_twin, update};

/// The widest outer product that is taken as it is.
const WIDEST: usize = 4096;

/// Features that no discriminator tells apart within a class.
#[derive(Clone)]
pub struct Cdan {
    adversary: Adversary,
    entropy: bool,
    projection: usize,
}

impl Cdan {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let adversary = Adversary::read(keys, 1.0, "Long et al. 2018", &[]);
        let entropy = keys
            .bool("entropy")
            .default(true, "CDAN+E, Long et al. 2018")
            .help("rows that the classifier is sure of count more")
            .read();
        let projection = keys
            .usize("projection")
            .range(1..=65536)
            .default(1024usize, "Long et al. 2018")
            .help(
                "width of the random projections, where features times classes are more than 4096",
            )
            .read();
        Some(Box::new(Cdan {
            adversary,
            entropy,
            projection,
        }))
    }

    fn projects(&self, width: usize, classes: usize) -> bool {
        width * classes > WIDEST
    }
}

impl Strategy for Cdan {
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
        let width = match self.projects(width, classes) {
            true => self.projection,
            false => width * classes,
        };
        self.adversary.arrange(transfer, width)
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let (width, classes) = (transfer.model.feature_width(), transfer.classes);
        let device = transfer.store.device();
        // The same for every seed: what it is does not matter, only that it stays.
        let random = |name: &str, rows: usize| -> Result<Tensor> {
            let values = Stream::new(0).purpose("cdan").purpose(name);
            let values = values.normals(rows * self.projection);
            Ok(
                Tensor::from_vec(values, (rows, self.projection), &Device::Cpu)?
                    .to_device(device)?
                    .to_dtype(transfer.store.dtype())?,
            )
        };
        let projections = match self.projects(width, classes) {
            true => Some([random("features", width)?, random("predictions", classes)?]),
            false => None,
        };
        let objective = Conditional {
            adversary: self.adversary.clone(),
            entropy: self.entropy,
            projections,
            watched: Watched::default(),
        };
        let update = update("adversarial", transfer, Select::All, objective);
        let feeds = [From::Source, From::Target];
        let phase = adaptation("cdan", transfer, &feeds, vec![update]);
        Ok(beside_twin(transfer, phase))
    }
}

struct Conditional {
    adversary: Adversary,
    entropy: bool,
    projections: Option<[Tensor; 2]>,
    watched: Watched,
}

/// The outer product of features `(rows, width)` and predictions `(rows, classes)`, or its random projection.
pub fn multilinear(
    features: &Tensor,
    predictions: &Tensor,
    projections: Option<&[Tensor; 2]>,
) -> Result<Tensor> {
    let (rows, width) = features.dims2()?;
    let classes = predictions.dim(1)?;
    match projections {
        Some([of_features, of_predictions]) => {
            let wide = of_features.dim(1)? as f64;
            let product = (features.matmul(of_features)? * predictions.matmul(of_predictions)?)?;
            Ok((product * (1.0 / wide.sqrt()))?)
        }
        None => {
            let product = predictions
                .unsqueeze(2)?
                .broadcast_mul(&features.unsqueeze(1)?)?;
            Ok(product.reshape((rows, width * classes))?)
        }
    }
}

/// The domains' log loss, rows weighted by `1 + exp(-entropy)` of what the classifier says of them: sure ones count most. `said` `(rows, 2)`, `domains` `(rows,)`,
/// `logits` `(rows, classes)`.
pub fn surely_weighted(said: &Tensor, domains: &Tensor, logits: &Tensor) -> Result<Tensor> {
    let weights = (entropy(logits)?.neg()?.exp()? + 1.0)?;
    weighted_mean(&log_loss(said, domains)?, &weights)
}

impl Objective for Conditional {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let views = [step.view(0), step.view(1)];
        let taps = step.encode("model", &[(0, views[0]), (1, views[1])])?;
        let task = step.task_loss(0, views[0], &taps[0].logits)?;
        let features = Tensor::cat(&[&taps[0].features, &taps[1].features], 0)?;
        let logits = Tensor::cat(&[&taps[0].logits, &taps[1].logits], 0)?.detach();
        let source = taps[0].features.dim(0)?;
        let seen = multilinear(&features, &softmax(&logits)?, self.projections.as_ref())?;
        let (said, domains) = self
            .watched
            .discriminate(step, &self.adversary, &seen, source)?;
        let wrong = match self.entropy {
            true => surely_weighted(&said, &domains, &logits)?,
            false => log_loss(&said, &domains)?.mean_all()?,
        };
        let domain = Term {
            reaches_model: self.adversary.lambda > 0.0,
            ..Term::new("domain", 1.0, wrong)
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

//! Domain-adversarial training (Ganin et al., JMLR 2016) as a plugin. tlkit has it itself, as `dann`; a test runs both, and their losses are the
//! same.
//!
//! The discriminator's weights are parameters of the loss term: the host makes, trains and saves them. The gradient that goes back
//! to the features is turned around here.

use tlkit_plugin::candle_core::{self, DType, Tensor};
use tlkit_plugin::core::Result;
use tlkit_plugin::core::data::From;
use tlkit_plugin::core::nn::{Init, Role};
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::registry::Kind;
use tlkit_plugin::core::strategy::{Asked, LossTerm, ParamSpec, Valued};
use tlkit_plugin::ops::linear::linear;
use tlkit_plugin::{Phase, Plugin, Strategist, Term, TermUse, differentiate};

/// How well a discriminator tells the features of two feeds apart.
struct Discriminator {
    taps: Vec<String>,
    /// Of the features.
    width: usize,
    hidden: Vec<usize>,
    lambda: f64,
    gamma: f64,
}

/// Keys that the strategy hands on to its term.
fn read(keys: &Keys) -> Discriminator {
    let hidden = keys.numbers("discriminator").default(vec![256.0, 256.0], "DeepDA").help("widths of the discriminator's hidden layers").read();
    Discriminator {
        taps: vec!["features:0".into(), "features:1".into()],
        width: keys.usize("width").range(1..).help("of the features").example("64").required(),
        hidden: hidden.into_iter().map(|w| w as usize).collect(),
        lambda: keys.f64("lambda").range(0.0..).default(1.0, "Ganin et al. 2016").help("the largest reversal coefficient").read(),
        gamma: keys.f64("gamma").range(0.0..).default(10.0, "Ganin et al. 2016").help("how fast it rises").read(),
    }
}

impl Term for Discriminator {
    fn make(keys: &Keys) -> Option<Self> {
        Some(read(keys))
    }

    fn turned(&self) -> Vec<String> {
        self.taps.clone()
    }
}

impl LossTerm for Discriminator {
    fn taps(&self) -> &[String] {
        &self.taps
    }

    fn params(&self) -> Vec<ParamSpec> {
        let spec = |name: String, shape: Vec<usize>, role, init| ParamSpec { name, shape, role, init };
        let mut all = Vec::new();
        let mut from = self.width;
        for (i, &to) in self.hidden.iter().chain([&2]).enumerate() {
            let last = i == self.hidden.len();
            let name = if last { "output".to_string() } else { format!("hidden.{i}") };
            let gain = if last { 1.0f64 } else { 2.0 };
            all.push(spec(format!("{name}.weight"), vec![to, from], Role::Weight, Init::Normal((gain / from as f64).sqrt())));
            all.push(spec(format!("{name}.bias"), vec![to], Role::Bias, Init::Zeros));
            from = to;
        }
        all
    }

    fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> Result<Valued> {
        differentiate(taps, params, |taps, params| {
            let mut x = Tensor::cat(&[&taps[0], &taps[1]], 0)?;
            for (i, layer) in params.chunks(2).enumerate() {
                x = linear(&x, &layer[0], Some(&layer[1]))?;
                if i < self.hidden.len() {
                    x = x.relu()?;
                }
            }
            log_loss(&x, taps[0].dim(0)?)
        })
    }

    fn value_and_gradients_at(&self, taps: &[Tensor], params: &[Tensor], asked: &Asked) -> Result<Valued> {
        let mut valued = self.value_and_gradients(taps, params)?;
        let rise = 2.0 / (1.0 + (-self.gamma * asked.progress).exp()) - 1.0;
        let coefficient = self.lambda * if self.gamma > 0.0 { rise } else { 1.0 };
        for gradient in &mut valued.taps {
            *gradient = (&*gradient * -coefficient)?;
        }
        Ok(valued)
    }
}

/// Cross-entropy of `(rows, 2)`, of which the first `sources` are of the domain 0 and the rest of the domain 1.
fn log_loss(logits: &Tensor, sources: usize) -> candle_core::Result<Tensor> {
    let (rows, device) = (logits.dim(0)?, logits.device());
    let top = logits.max_keepdim(1)?.detach();
    let shifted = logits.broadcast_sub(&top)?;
    let log = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)?;
    let first = Tensor::zeros((sources, 1), DType::U32, device)?;
    let domains = Tensor::cat(&[&first, &Tensor::ones((rows - sources, 1), DType::U32, device)?], 0)?;
    log.gather(&domains, 1)?.mean_all()?.neg()
}

/// `method = "outside-dann"`.
struct Dann(Discriminator);

impl Strategist for Dann {
    const KIND: Kind = Kind::Transductive;

    fn make(keys: &Keys) -> Option<Self> {
        Some(Dann(read(keys)))
    }

    fn phases(&self) -> Vec<Phase> {
        let d = &self.0;
        let hidden: Vec<f64> = d.hidden.iter().map(|&w| w as f64).collect();
        let term = TermUse::new("discriminator", 1.0);
        let term = term.key("width", d.width).key("discriminator", hidden).key("lambda", d.lambda).key("gamma", d.gamma);
        vec![Phase::new("dann", &[From::Source, From::Target]).term(term)]
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("outside-dann", env!("CARGO_PKG_VERSION"), "an example: domain-adversarial training")
        .loss_term::<Discriminator>("discriminator", "how well two domains' features are told apart")
        .strategy::<Dann>("outside-dann", "features that no discriminator tells apart (Ganin et al. 2016)")
);

//! Mean and spread of the source's and the target's features are drawn together, number by number, by Huber's loss (Huber 1964): squared
//! where they are close, linear where one number is far off, so that it does not rule the rest.

use tlkit_plugin::candle_core::{self, Tensor};
use tlkit_plugin::core::Result;
use tlkit_plugin::core::data::From;
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::registry::Kind;
use tlkit_plugin::core::strategy::{LossTerm, Valued};
use tlkit_plugin::{Phase, Plugin, Strategist, Term, TermUse, differentiate};

/// The gap between two feeds' features.
struct Gap {
    taps: Vec<String>,
    delta: f64,
}

impl Term for Gap {
    fn make(keys: &Keys) -> Option<Self> {
        let delta = keys.f64("delta").above(0.0).default(1.0, "Huber 1964").help("where it turns linear").read();
        Some(Gap {
            taps: vec!["features:0".into(), "features:1".into()],
            delta,
        })
    }
}

/// `x^2 / 2` up to `delta`, from there on a straight line.
fn huber(x: &Tensor, delta: f64) -> candle_core::Result<Tensor> {
    let size = x.abs()?;
    let near = size.minimum(delta)?;
    // near^2 / 2 + delta (size - near)
    (near.sqr()? * 0.5)? + ((size - near)? * delta)?
}

/// Mean of each feature, and its standard deviation.
fn moments(x: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
    let mean = x.mean_keepdim(0)?;
    let spread = (x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)? + 1e-5)?.sqrt()?;
    Ok((mean, spread))
}

impl LossTerm for Gap {
    fn taps(&self) -> &[String] {
        &self.taps
    }

    fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> Result<Valued> {
        differentiate(taps, params, |taps, _| {
            let ((mean_a, spread_a), (mean_b, spread_b)) = (moments(&taps[0])?, moments(&taps[1])?);
            let of = |a: &Tensor, b: &Tensor| huber(&(a - b)?, self.delta)?.mean_all();
            of(&mean_a, &mean_b)? + of(&spread_a, &spread_b)?
        })
    }
}

/// `method = "huber-alignment"`.
struct HuberAlignment {
    weight: f64,
    delta: f64,
}

impl Strategist for HuberAlignment {
    const KIND: Kind = Kind::Transductive;

    fn make(keys: &Keys) -> Option<Self> {
        Some(HuberAlignment {
            weight: keys.f64("weight").range(0.0..).default(1.0, "as much as the loss of the task").help("factor of the gap").read(),
            delta: keys.f64("delta").above(0.0).default(1.0, "Huber 1964").help("where the gap turns linear").read(),
        })
    }

    fn phases(&self) -> Vec<Phase> {
        let gap = TermUse::new("gap", self.weight).key("delta", self.delta);
        vec![Phase::new("align", &[From::Source, From::Target]).term(gap)]
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("huber-alignment", env!("CARGO_PKG_VERSION"), "an example: a strategy in Rust")
        .loss_term::<Gap>("gap", "Huber's loss between the moments of two feeds' features")
        .strategy::<HuberAlignment>("huber-alignment", "draw mean and spread of two domains' features together")
);

#[cfg(test)]
mod tests {
    use super::*;
    use tlkit_plugin::candle_core::Device;

    #[test]
    fn equal_feeds_have_no_gap() -> Result<()> {
        let x = Tensor::new(&[[1f32, 2.0], [3.0, 5.0]], &Device::Cpu)?;
        let gap = Gap { taps: Vec::new(), delta: 1.0 };
        let valued = gap.value_and_gradients(&[x.clone(), x], &[])?;
        assert_eq!(valued.value, 0.0);
        Ok(())
    }
}

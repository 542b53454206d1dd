//! The trait gate for the strategies of this crate, on core's small world and with core's killing: each closes a shift that the source alone
//! does not close, makes nothing worse where there is no shift, and ends with the same bits after it was killed. That every term has a gradient, every
//! trainable tensor moves and no frozen one does is checked by the loop itself at every run.

mod closes;
mod dead;
#[path = "../../../../core/tests/gate/killed.rs"]
#[allow(dead_code)]
mod killed;
mod sampled;
#[path = "../../../../core/tests/gate/world.rs"]
#[allow(dead_code)]
mod world;

use std::path::Path;
use std::sync::Arc;

use tlkit_core::data::{Found, Resolve};
use tlkit_core::nn::{Activation, Flow, Init, Linear, NormMode, Param, Pass, Role, Scope, Stage};
use tlkit_core::recipe::Written;
use tlkit_core::registry::{Context, Registry};
use tlkit_core::strategy::Strategy;
use tlkit_core::{Error, Result};
use tlkit_ops::batch_norm::{Statistics, batch_norm};
use world::{INPUTS, World};

/// A method and the world it is tried in.
pub struct Method {
    name: &'static str,
    make: fn() -> (World, Box<dyn Strategy>),
}

macro_rules! methods {
    ($($name:ident: $world:expr, $make:expr;)*) => {
        const METHODS: &[Method] = &[$(Method { name: stringify!($name), make: || ($world, $make) },)*];
        mod resumed {
            $(#[test] fn $name() { super::killed::killed_and_not(stringify!($name)); })*
        }
    };
}

methods! {
    source_only: World::shifted(0.0, 0.0), named("source-only", "");
    dan: World::shifted(2.0, 2.0), named("dan", "weight = 3.0");
    deep_coral: World::shifted(2.0, -2.0), named("deep-coral", "weight = 1000.0");
    dann: World::shifted(2.0, 2.0), named("dann", "discriminator = [16]");
    cdan: World::shifted(2.0, 2.0), named("cdan", "discriminator = [16]");
    mcd: World::shifted(1.9, 0.5), named("mcd", "");
    mdd: World::shifted(1.9, 0.5), named("mdd", "lambda = 1.0\ndiscriminator = [16]");
    deep_jdot: World::shifted(2.0, 2.0), named("deep-jdot", "");
    mcc: World::shifted(1.8, 0.0), named("mcc", "");
    shot: World::shifted(2.0, 0.0), named("shot", "");
    discriminator_weights: crossed(), named("discriminator-weights", "");
    tent: normed(World::shifted(2.0, 1.0)), named("tent", "learning_rate = 0.01");
}

/// A linear network, which cannot be right on both sides of the crossing, and a source that lies almost wholly on the other side than the target.
fn crossed() -> World {
    World {
        first: |scope| world::dense(scope, "first", INPUTS, 16, Activation::None),
        crossed: true,
        ..World::shifted(0.0, 0.0)
    }
}

/// The first stage with batch norm, trained by the batch's statistics.
pub fn normed(world: World) -> World {
    World {
        first: |scope| Ok(Arc::new(Normed::new(scope, 16)?)),
        norm: NormMode::Train,
        ..world
    }
}

/// `relu(norm(W x))`.
struct Normed {
    linear: Linear,
    weight: Param,
    bias: Param,
    mean: Param,
    var: Param,
}

impl Normed {
    fn new(scope: &Scope<'_>, width: usize) -> Result<Self> {
        let scope = scope.sub("first");
        let make = |name, role, init| scope.param(name, &[width], role, init);
        let deviation = Init::Normal((2.0 / INPUTS as f64).sqrt());
        Ok(Normed {
            linear: Linear {
                weight: scope.param("weight", &[width, INPUTS], Role::Weight, deviation)?,
                bias: make("bias", Role::InvariantBias, Init::Zeros)?,
            },
            weight: make("norm.weight", Role::NormWeight, Init::Ones)?,
            bias: make("norm.bias", Role::NormBias, Init::Zeros)?,
            mean: make("norm.mean", Role::Statistic, Init::Zeros)?,
            var: make("norm.var", Role::Statistic, Init::Ones)?,
        })
    }
}

impl Stage for Normed {
    fn name(&self) -> &str {
        "first"
    }

    fn params(&self) -> Vec<Param> {
        let mut all = self.linear.params();
        all.extend([&self.weight, &self.bias, &self.mean, &self.var].map(Clone::clone));
        all
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let y = self.linear.forward(&x.hidden)?;
        let trains = self.params().iter().any(|p| p.trains());
        let batch = match pass.norm {
            NormMode::Frozen => false,
            NormMode::Train => pass.training && trains,
            NormMode::Adapt => true,
        };
        let (mean, var) = (self.mean.detached(), self.var.detached());
        let statistics = match batch {
            true => Statistics::Batch,
            false => Statistics::Given {
                mean: &mean,
                var: &var,
            },
        };
        let (weight, bias) = (self.weight.tensor(), self.bias.tensor());
        let (y, moments) = batch_norm(&y, &weight, &bias, statistics, 1e-5)?;
        if let Some(moments) = moments {
            pass.running.put(&moments, &self.mean, &self.var)?;
        }
        Ok(x.with(y.relu()?))
    }
}

struct Nothing;

impl Resolve for Nothing {
    fn resolve(&self, name: &str, _: &Path) -> Result<Found> {
        Err(Error::msg(format!("there is no {name}")))
    }
}

/// A strategy as a recipe makes it.
pub fn named(method: &str, keys: &str) -> Box<dyn Strategy> {
    let mut registry = Registry::new();
    tlkit_transductive::register(&mut registry).expect("registered once");
    let resolve: Arc<dyn Resolve> = Arc::new(Nothing);
    let text = format!("[strategy]\n{keys}\n");
    let written = Written::parse("recipe.toml", &text, &[]).expect("TOML");
    let cx = Context::new(&registry, &resolve, Path::new(""));
    let made = (registry.strategies()[method].make)(&written.keys().table("strategy"), &cx);
    assert_eq!(written.finish().errors(), 0, "{}", written.finish());
    made.expect("a strategy")
}

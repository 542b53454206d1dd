//! The trait gate for the strategies of this crate: each learns a domain that is not the checkpoint's, its gradients are checked at
//! every first step by the loop itself, and a run of it that was killed ends with the bits of one that was not. World and killing are core's.

#[path = "../../../../core/tests/gate/killed.rs"]
#[allow(dead_code)]
mod killed;
mod learns;
#[path = "../../../../core/tests/gate/world.rs"]
#[allow(dead_code)]
mod world;

use std::path::Path;
use std::sync::Arc;

use tlkit_core::data::{Found, Resolve};
use tlkit_core::nn::Weights;
use tlkit_core::outside::{Output, Outside};
use tlkit_core::recipe::Written;
use tlkit_core::registry::{Context, Registry};
use tlkit_core::run::weights_sha256;
use tlkit_core::strategy::Strategy;
use tlkit_core::{Error, Result};
use tlkit_inductive::Distill;
use world::{Setup, SourceOnly, World, train};

/// A method and the world it is tried in.
struct Method {
    name: &'static str,
    make: fn() -> (World, Box<dyn Strategy>),
}

macro_rules! methods {
    (steps { $($name:ident: $make:expr;)* } closed { $($form:ident: $made:expr;)* }) => {
        const METHODS: &[Method] = &[
            $(Method { name: stringify!($name), make: || (world(), $make) },)*
            $(Method { name: stringify!($form), make: || (world(), $made) },)*
        ];
        /// Killed between checkpoints and taken up again; what has a closed form has one checkpoint, at its end.
        mod resumed {
            $(#[test] fn $name() { super::killed::killed_and_not(stringify!($name)); })*
            $(#[test] fn $form() { super::taken_up_at_its_end(stringify!($form)); })*
        }
    };
}

methods! {
    steps {
    fine_tune: named("fine-tune", "");
    head_alone: named("fine-tune", "train_from = \"head\"");
    gradual_unfreeze: named("gradual-unfreeze", "");
    lora: named("lora", "rank = 2\ntargets = [\"first\", \"second\"]");
    bitfit: named("bitfit", "");
    l2_sp: named("l2-sp", "");
    distilled_answers: Box::new(Distill::answers(teacher(Output::Logits), 2.0, 0.5));
    distilled_vectors: Box::new(Distill::vectors(teacher(Output::Features), 0.5));
    }
    closed {
    knn: named("knn", "");
    feature_extraction: named("feature-extraction", "");
    }
}

/// All that such a run does when it is taken up is to read what the checkpoint holds, its maps among it.
fn taken_up_at_its_end(name: &str) {
    let dir = killed::folder(name);
    let setup = Setup {
        dir: Some(dir.clone()),
        ..Setup::default()
    };
    let method = METHODS.iter().find(|m| m.name == name).expect("a method");
    let (world, strategy) = (method.make)();
    let run = || {
        let trained = train(&world, strategy.as_ref(), &setup).expect("it trains");
        let weights = weights_sha256(&trained.store).expect("a hash");
        let resumed = trained.outcome.resumed_at.is_some();
        (resumed, (weights, trained.target, trained.outcome.fits))
    };
    let (first, again) = (run(), run());
    assert_eq!((first.0, again.0), (false, true));
    assert_eq!(first.1, again.1);
    std::fs::remove_dir_all(dir).expect("my own folder");
}

struct Nothing;

impl Resolve for Nothing {
    fn resolve(&self, name: &str, _: &Path) -> Result<Found> {
        Err(Error::msg(format!("there is no {name}")))
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    tlkit_inductive::register(&mut registry).expect("registered once");
    registry
}

/// A strategy as a recipe makes it.
pub fn named(method: &str, keys: &str) -> Box<dyn Strategy> {
    let (registry, resolve): (_, Arc<dyn Resolve>) = (registry(), Arc::new(Nothing));
    let text = format!("[strategy]\n{keys}\n");
    let written = Written::parse("recipe.toml", &text, &[]).expect("TOML");
    let cx = Context::new(&registry, &resolve, Path::new(""));
    let made = (registry.strategies()[method].make)(&written.keys().table("strategy"), &cx);
    assert_eq!(written.finish().errors(), 0, "{}", written.finish());
    made.expect("a strategy")
}

/// Weights learned on one domain of the world, as a checkpoint's.
fn weights(on: &World, strategy: &dyn Strategy) -> Arc<Weights> {
    let trained = train(on, strategy, &Setup::default()).expect("it trains");
    let tensors = trained.store.all().into_iter();
    let tensors = tensors.map(|p| (p.name().to_string(), p.detached()));
    Arc::new(Weights::from_tensors("weights", tensors.collect()))
}

/// A domain with 96 labelled rows, and a checkpoint of another.
pub fn world() -> World {
    World {
        labelled: true,
        rows: 96,
        weights: Some(weights(&World::shifted(0.0, 0.0), &SourceOnly)),
        maps: registry().maps().clone(),
        ..World::shifted(2.5, 2.0)
    }
}

/// Who knows the target domain.
fn teacher(output: Output) -> Outside {
    let target = World {
        labelled: true,
        ..World::shifted(2.5, 2.0)
    };
    let learned = World {
        weights: Some(weights(&target, named("fine-tune", "").as_ref())),
        ..target
    };
    Outside::new("teacher", Box::new(learned), output).expect("a teacher")
}

//! Fine-tuning with the first stage frozen: the encoder starts from a checkpoint of the source, the head is new.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::{Select, Store, Weights};
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer, WithTerms};

use crate::world::{Setup, SourceOnly, World, phase, train, update};

pub struct FineTune;

impl Strategy for FineTune {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let frozen = Select::stages(&transfer.model.encoder.stages()[..1]);
        let trains = Select::Except(Box::new(Select::All), Box::new(frozen));
        let loss = WithTerms {
            feeds: vec![View::Plain],
            terms: Vec::new(),
        };
        let update = update("task", trains, 0.01, loss);
        Ok(vec![phase("fine-tune", &[From::Target], vec![update], 60)])
    }
}

/// Weights learned on the source domain, as a checkpoint's.
fn checkpoint() -> Result<Weights> {
    let source = train(&World::shifted(0.0, 0.0), &SourceOnly, &Setup::default())?;
    let tensors = source.store.all().into_iter();
    Ok(Weights::from_tensors(
        "source",
        tensors
            .map(|p| (p.name().to_string(), p.detached()))
            .collect(),
    ))
}

pub fn method() -> (World, Box<dyn Strategy>) {
    let world = World {
        labelled: true,
        rows: 96,
        weights: Some(Arc::new(checkpoint().expect("training on the source"))),
        ..World::shifted(2.5, 2.0)
    };
    (world, Box::new(FineTune))
}

fn values(store: &Store, name: &str) -> Vec<f32> {
    let p = store.get(name).expect(name).detached();
    p.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn learns_the_target_and_leaves_the_first_stage_alone() -> Result<()> {
    let (world, strategy) = method();
    let before = train(
        &World {
            labelled: false,
            ..world.clone()
        },
        &SourceOnly,
        &Setup::default(),
    )?;
    let after = train(&world, strategy.as_ref(), &Setup::default())?;
    assert!(before.target < 0.9, "{}", before.target);
    assert!(after.target > 0.97, "{}", after.target);
    let weights = world.weights.unwrap();
    for (name, moves) in [
        ("first.weight", false),
        ("first.bias", false),
        ("second.weight", true),
    ] {
        let name = format!("model.{name}");
        let kept = values(&after.store, &name);
        let dims = after.store.get(&name).unwrap().dims().to_vec();
        let start = weights
            .take(
                &name,
                &dims,
                candle_core::DType::F32,
                &candle_core::Device::Cpu,
            )?
            .unwrap();
        let same = start.flatten_all()?.to_vec1::<f32>()? == kept;
        assert_eq!(!same, moves, "{name}");
    }
    Ok(())
}

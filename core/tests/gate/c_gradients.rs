//! The stage in C against finite differences, and an encoder that begins with it against the same encoder in Candle.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::Result;
use tlkit_core::model::Model;
use tlkit_core::nn::{Activation, Batch, Flow, Gradients, Pass, Store};
use tlkit_core::random::Stream;
use tlkit_core::task::{SourceTask, TargetTask};

use crate::c_stage;
use crate::world::{INPUTS, WIDTH, World, cross_entropy, dense};

fn model(world: &World, store: &Store) -> Result<Model> {
    let scope = store.scope("model");
    let encoder = world.encoder(&scope)?;
    Ok(Model::new(
        encoder,
        world.head(&scope, world, WIDTH, false)?,
    ))
}

fn input(rows: usize) -> Result<Tensor> {
    let values = Stream::new(4).purpose("input").normals(rows * INPUTS);
    Ok(Tensor::from_vec(values, (rows, INPUTS), &Device::Cpu)?)
}

fn store() -> Store {
    Store::new(&Device::Cpu, DType::F32, 3)
}

fn gradients(model: &Model, x: &Tensor) -> Result<(Tensor, Gradients)> {
    let batch = Arc::new(Batch::new(x.dim(0)?, x.clone()));
    let pass = Pass::training(Stream::new(0), 0);
    let (taps, recording) = model.chain().record(0, Flow::start(&batch), &pass, &[])?;
    let labels: Vec<u32> = (0..x.dim(0)? as u32).map(|r| r % 2).collect();
    let loss = cross_entropy(&taps.logits, &Tensor::new(labels, &Device::Cpu)?)?;
    let mut into = Gradients::default();
    recording.pull(&loss.backward()?, &mut into)?;
    Ok((taps.logits.detach(), into))
}

fn furthest(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()?)
}

#[test]
fn the_same_encoder_in_candle_has_the_same_gradients() -> Result<()> {
    let (here, there) = (store(), store());
    let in_c = model(&c_stage::method().0, &here)?;
    let world = World {
        first: |scope| dense(scope, "first", INPUTS, 16, Activation::Tanh),
        ..World::shifted(0.0, 0.0)
    };
    let in_candle = model(&world, &there)?;
    for p in here.all() {
        there.get(p.name()).unwrap().var().set(&p.detached())?;
    }
    let x = input(11)?;
    let (a, b) = (gradients(&in_c, &x)?, gradients(&in_candle, &x)?);
    assert!(furthest(&a.0, &b.0)? < 1e-5);
    assert_eq!(a.1.iter().count(), 6);
    for ((name, ours), (same, theirs)) in a.1.iter().zip(b.1.iter()) {
        assert_eq!(name, same);
        assert!(furthest(ours, theirs)? < 1e-5, "{name}");
    }
    Ok(())
}

#[test]
fn finite_differences_agree() -> Result<()> {
    let store = store();
    let stage = model(&c_stage::method().0, &store)?.chain().stages()[0].clone();
    let x = input(5)?;
    let towards = Stream::new(4).purpose("towards").normals(5 * 16);
    let towards = Tensor::from_vec(towards, (5, 16), &Device::Cpu)?;
    let flow = |x: &Tensor| Flow::start(&Arc::new(Batch::new(5, x.clone())));
    let value = |x: &Tensor| -> Result<f64> {
        let y = stage.forward(&flow(x), &Pass::evaluation())?.hidden;
        let sum = (y.to_dtype(DType::F64)? * towards.to_dtype(DType::F64)?)?.sum_all()?;
        Ok(sum.to_scalar::<f64>()?)
    };
    let pass = Pass::training(Stream::new(0), 0);
    let (_, pullback) = stage.record(&flow(&x), &pass)?;
    let mut into = Gradients::default();
    let dx = pullback
        .pull(&towards, &mut into)?
        .expect("it was asked for");
    let moved = |t: &Tensor, i: usize, by: f32| -> Result<Tensor> {
        let mut v = t.flatten_all()?.to_vec1::<f32>()?;
        v[i] += by;
        Ok(Tensor::from_vec(v, t.dims(), &Device::Cpu)?)
    };
    let close = |slope: f64, exact: f32, at: &str| {
        assert!(
            (slope - f64::from(exact)).abs() < 2e-3,
            "{at}: {slope}, {exact}"
        );
    };
    let step = 1e-2f32;
    for (i, exact) in dx.flatten_all()?.to_vec1::<f32>()?.into_iter().enumerate() {
        let slope = value(&moved(&x, i, step)?)? - value(&moved(&x, i, -step)?)?;
        close(slope / f64::from(2.0 * step), exact, "input");
    }
    for p in stage.params() {
        let start = p.detached().copy()?;
        let exact = into.get(p.name()).expect("a gradient").flatten_all()?;
        for (i, exact) in exact.to_vec1::<f32>()?.into_iter().enumerate() {
            let at = |by: f32| -> Result<f64> {
                p.var().set(&moved(&start, i, by)?)?;
                value(&x)
            };
            let slope = at(step)? - at(-step)?;
            close(slope / f64::from(2.0 * step), exact, p.name());
        }
        p.var().set(&start)?;
    }
    Ok(())
}

#[test]
fn what_c_says_is_wrong_is_the_error() -> Result<()> {
    let store = store();
    let stage = model(&c_stage::method().0, &store)?.chain().stages()[0].clone();
    let batch = Batch::new(2, Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?);
    let outcome = stage.forward(&Flow::start(&Arc::new(batch)), &Pass::evaluation());
    let text = outcome.err().expect("three numbers a row").to_string();
    assert_eq!(text, "the stage takes 4 numbers a row");
    Ok(())
}

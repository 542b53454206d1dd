//! Recording by stages against Candle's own graph over the whole chain, in f64; selections and sums of gradients.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::Result;
use tlkit_core::model::{Affine, Map};
use tlkit_core::nn::{
    Activation, Batch, Chain, Dense, Flow, Gradients, Init, Linear, Param, Pass, Role, Select,
    Stage, Store,
};
use tlkit_core::random::Stream;

const WIDTHS: [usize; 5] = [3, 5, 4, 4, 2];

fn store() -> Store {
    Store::new(&Device::Cpu, DType::F64, 1)
}

/// Four dense stages, `s0` to `s3`; the features are the third's output.
fn chain(store: &Store) -> Result<Chain> {
    let stage = |i: usize| -> Result<Arc<dyn Stage>> {
        let name = format!("s{i}");
        let linear = Linear::new(&store.scope(&name), WIDTHS[i], WIDTHS[i + 1], 0.7)?;
        Ok(Arc::new(Dense::new(&name, linear, Activation::Tanh)))
    };
    Ok(Chain::new((0..4).map(stage).collect::<Result<_>>()?, 2))
}

fn input() -> Result<Tensor> {
    let values = Stream::new(2).normals(6 * WIDTHS[0]);
    Ok(Tensor::from_vec(values, (6, WIDTHS[0]), &Device::Cpu)?.to_dtype(DType::F64)?)
}

/// A loss that looks at the logits, the features, and a stage between.
fn loss(logits: &Tensor, features: &Tensor, tap: &Tensor) -> Result<Tensor> {
    let a = logits.sqr()?.sum_all()?;
    let b = (features.exp()?.mean_all()? * 0.3)?;
    Ok(((a + b)? + (tap.sqr()?.sqr()?.sum_all()? * 0.1)?)?)
}

fn furthest(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok((a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()?)
}

#[test]
fn gradients_are_those_of_the_whole_graph_whatever_is_frozen() -> Result<()> {
    let (store, x) = (store(), input()?);
    let chain = chain(&store)?;
    for (trains, prefix) in [
        (Select::All, 0),
        (
            Select::Names(vec!["s1*".into(), "s2*".into(), "s3*".into()]),
            1,
        ),
        (Select::name("s3*"), 3),
        // The head frozen, and a frozen stage in the middle.
        (
            Select::Names(vec!["s0*".into(), "s1*".into(), "s2*".into()]),
            0,
        ),
        (Select::Names(vec!["s0*".into(), "s2.bias".into()]), 0),
        (Select::name("s1.weight"), 1),
    ] {
        store.train_only(&trains);
        assert_eq!(chain.frozen_prefix(), prefix, "{trains:?}");
        let start = Flow::start(&Arc::new(Batch::new(6, x.clone())));
        let pass = Pass::training(Stream::new(0), 0);
        let (taps, recording) = chain.record(0, start.clone(), &pass, &["s1".to_string()])?;
        let here = loss(&taps.logits, &taps.features, taps.get("s1")?)?;
        let mut ours = Gradients::default();
        recording.pull(&here.backward()?, &mut ours)?;

        let mut whole = vec![start];
        for stage in chain.stages() {
            whole.push(stage.forward(&whole[whole.len() - 1], &pass)?);
        }
        let there = loss(&whole[4].hidden, &whole[3].hidden, &whole[2].hidden)?;
        assert_eq!(here.to_scalar::<f64>()?, there.to_scalar::<f64>()?);
        let theirs = there.backward()?;
        let trainable = store.select(&trains);
        assert_eq!(ours.iter().count(), trainable.len(), "{trains:?}");
        for p in &trainable {
            let (a, b) = (ours.get(p.name()).unwrap(), theirs.get(p.var()).unwrap());
            assert!(furthest(a, b)? < 1e-12, "{trains:?}: {}", p.name());
        }
    }
    Ok(())
}

#[test]
fn a_frozen_model_records_nothing_and_says_the_same() -> Result<()> {
    let (store, x) = (store(), input()?);
    let chain = chain(&store)?;
    store.train_only(&Select::Nothing);
    let batch = Arc::new(Batch::new(6, x));
    let pass = Pass::training(Stream::new(0), 0);
    let (taps, recording) = chain.record(0, Flow::start(&batch), &pass, &[])?;
    assert!(recording.is_empty() && !taps.logits.track_op());
    let (features, logits) = chain.predict(&batch, &Pass::evaluation())?;
    assert_eq!(furthest(&features, &taps.features)?, 0.0);
    assert_eq!(furthest(&logits, &taps.logits)?, 0.0);
    assert!(
        taps.get("s1")
            .err()
            .unwrap()
            .to_string()
            .contains("no tap `s1`")
    );
    Ok(())
}

#[test]
fn a_pass_may_start_at_the_features() -> Result<()> {
    let (store, x) = (store(), input()?);
    let chain = chain(&store)?;
    store.train_only(&Select::name("s3*"));
    let batch = Arc::new(Batch::new(6, x));
    let pass = Pass::training(Stream::new(0), 0);
    let (features, logits) = chain.predict(&batch, &pass)?;
    let flow = Flow::start(&batch).with(features);
    let (taps, recording) = chain.record(3, flow, &pass, &[])?;
    assert_eq!(furthest(&taps.logits, &logits)?, 0.0);
    let mut into = Gradients::default();
    recording.pull(&taps.logits.sum_all()?.backward()?, &mut into)?;
    assert_eq!(into.iter().count(), 2);
    Ok(())
}

#[test]
fn an_affine_map_comes_back_from_its_state() -> Result<()> {
    let map = Affine {
        weight: Tensor::new(&[[1f64, 2.0], [0.0, -1.0], [3.0, 0.5]], &Device::Cpu)?,
        bias: Tensor::new(&[0f64, 1.0, 2.0], &Device::Cpu)?,
    };
    let x = Tensor::new(&[[1f64, 1.0]], &Device::Cpu)?;
    assert_eq!(map.apply(&x)?.to_vec2::<f64>()?, [[3.0, 0.0, 5.5]]);
    let kinds = tlkit_core::model::MapKinds::default();
    let again = kinds.load(map.kind(), &map.save())?;
    assert_eq!(again.apply(&x)?.to_vec2::<f64>()?, [[3.0, 0.0, 5.5]]);
    let unknown = kinds.load("quadratic", &map.save()).err().unwrap();
    assert_eq!(
        unknown.to_string(),
        "no map of the kind `quadratic` is known here; there are affine, knn"
    );
    Ok(())
}

fn names(store: &Store, which: Select) -> Vec<String> {
    let all = store.select(&which);
    all.iter().map(|p| p.name().to_string()).collect()
}

#[test]
fn selections() -> Result<()> {
    let store = store();
    let chain = chain(&store)?;
    let scope = store.scope("norm");
    scope.param("mean", &[2], Role::Statistic, Init::Zeros)?;
    scope.param("scale", &[2], Role::NormWeight, Init::Ones)?;
    assert_eq!(store.all().len(), 10);
    assert_eq!(
        names(&store, Select::All).len(),
        9,
        "statistics never train"
    );
    assert_eq!(
        names(&store, Select::stages(&chain.stages()[1..2])),
        ["s1.bias", "s1.weight"]
    );
    let biases = Select::Roles(vec![Role::Bias], Box::new(Select::name("s*")));
    let but = Select::Except(Box::new(biases), Box::new(Select::name("s0*")));
    let any = Select::Any(vec![but, Select::name("norm.scale")]);
    assert_eq!(
        names(&store, any),
        ["norm.scale", "s1.bias", "s2.bias", "s3.bias"]
    );
    assert!(names(&store, Select::Nothing).is_empty());
    Ok(())
}

#[test]
fn gradients_add_up_and_those_of_frozen_parameters_are_dropped() -> Result<()> {
    let store = store();
    let make = |n: &str| store.scope("").param(n, &[2], Role::Weight, Init::Ones);
    let (a, b): (Param, Param) = (make("a")?, make("b")?);
    store.train_only(&Select::name("a"));
    let ones = || Tensor::ones(2, DType::F64, &Device::Cpu);
    let (mut sum, mut more) = (Gradients::default(), Gradients::default());
    sum.add(&a, ones()?)?;
    sum.add(&a, (ones()? * 2.0)?)?;
    sum.add(&b, ones()?)?;
    more.add(&a, (ones()? * 4.0)?)?;
    sum.merge(more, 0.25)?;
    assert_eq!(sum.get("a").unwrap().to_vec1::<f64>()?, [4.0, 4.0]);
    assert!(sum.get("b").is_none());
    Ok(())
}

#[test]
fn an_average_moves_towards_its_model() -> Result<()> {
    let store = store();
    let w = store
        .scope("model")
        .param("w", &[1], Role::Weight, Init::Ones)?;
    store.fork("model", "mean")?;
    w.var().set(&Tensor::new(&[3f64], &Device::Cpu)?)?;
    store.average("model", "mean", 0.75)?;
    let mean = store.get("mean.w").unwrap().detached().to_vec1::<f64>()?;
    assert_eq!(mean, [1.5]);
    let missing = store
        .average("model", "nobody", 0.5)
        .unwrap_err()
        .to_string();
    assert!(missing.contains("nobody.w"), "{missing}");
    Ok(())
}

#[test]
fn the_sigmoid_is_the_logistic_function_and_has_a_gradient() -> Result<()> {
    let x = candle_core::Var::new(&[-30f64, -2.0, 0.0, 0.7, 30.0], &Device::Cpu)?;
    let sigmoid = Activation::parse("sigmoid").expect("an activation");
    let y = sigmoid.apply(x.as_tensor())?;
    let grads = y.sum_all()?.backward()?;
    let slope = grads.get(&x).expect("a gradient").to_vec1::<f64>()?;
    for (i, x) in x.as_tensor().to_vec1::<f64>()?.into_iter().enumerate() {
        let exact = 1.0 / (1.0 + (-x).exp());
        assert!((y.to_vec1::<f64>()?[i] - exact).abs() < 1e-12);
        assert!((slope[i] - exact * (1.0 - exact)).abs() < 1e-12);
    }
    Ok(())
}

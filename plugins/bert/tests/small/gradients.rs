//! Gradients by finite differences, the written way back against Candle's own, and frozen parts.

use super::*;

#[test]
fn gradients_match_finite_differences_in_double() {
    let dir = tempfile::tempdir().unwrap();
    let p = prepare(dir.path());
    for pool in [
        Arc::new(FirstToken) as Arc<dyn Stage>,
        Arc::new(Mean),
        Arc::new(Max),
    ] {
        let name = pool.name().to_string();
        let (store, model) = model(DType::F64, pool);
        let batch = batch(&p, &TEXTS);
        let pass = Pass {
            input_gradient: true,
            ..Pass::evaluation()
        };
        let (_, grads) = loss(&model, &batch, &pass);
        for param in store.select(&Select::All) {
            let values = param
                .detached()
                .flatten_all()
                .unwrap()
                .to_vec1::<f64>()
                .unwrap();
            let grad = grads
                .get(param.name())
                .unwrap_or_else(|| panic!("no gradient for {}", param.name()));
            let grad = grad.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            // Three entries of each tensor, the one with the largest gradient among them.
            let steepest = (0..grad.len())
                .max_by(|&a, &b| grad[a].abs().total_cmp(&grad[b].abs()))
                .unwrap();
            for i in [steepest, 0, values.len() / 2] {
                let at = |d: f64| {
                    let mut moved = values.clone();
                    moved[i] += d;
                    set(&param, &moved);
                    loss(&model, &batch, &pass).0
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                set(&param, &values);
                let gap = (numeric - grad[i]).abs();
                assert!(
                    gap < 1e-7 + 1e-6 * numeric.abs(),
                    "{name}, {}[{i}]: {} and {numeric}",
                    param.name(),
                    grad[i]
                );
            }
        }
    }
}

fn set(param: &Param, values: &[f64]) {
    param
        .var()
        .set(
            &Tensor::new(values, &Device::Cpu)
                .unwrap()
                .reshape(param.dims())
                .unwrap(),
        )
        .unwrap();
}

/// The hand-written way back against Candle's own over the same forward pass, dropout on.
#[test]
fn the_written_pullback_is_candles_own() {
    for precision in [Precision::F32, Precision::Bf16] {
        written_and_candles_own(precision, false);
        written_and_candles_own(precision, true);
    }
}

fn written_and_candles_own(precision: Precision, first_only: bool) {
    // A difference in the last bit of an f32 can turn the rounding of an operand.
    let near = |what: &str, a: &Tensor, b: &Tensor| match precision {
        Precision::F32 => near(what, a, b),
        Precision::Bf16 => near_within(1e-2, what, a, b),
    };
    let dir = tempfile::tempdir().unwrap();
    let (_, model) = model(DType::F32, Arc::new(Mean));
    let batch = batch(&prepare(dir.path()), &TEXTS);
    let pass = Pass {
        precision,
        ..Pass::training(Stream::new(5), 2)
    };
    let mut x = Flow::start(&batch);
    let stages = model.encoder.stages();
    for (i, stage) in stages.iter().enumerate() {
        let pass = Pass {
            input_gradient: x.hidden.dtype().is_float(),
            first_only: first_only && i + 1 == stages.len(),
            ..pass
        };
        let (by_hand, pull) = stage.record(&x, &pass).unwrap();
        let (by_candle, pull_candle) = segment(stage.as_ref(), &x, &pass).unwrap();
        assert_eq!(by_hand.hidden.dim(1).unwrap() == 1, pass.first_only);
        near(stage.name(), &by_hand.hidden, &by_candle.hidden);
        let seed = by_hand.hidden.sin().unwrap();
        let (mut a, mut b) = (Gradients::default(), Gradients::default());
        let (ga, gb) = (
            pull.pull(&seed, &mut a).unwrap(),
            pull_candle.pull(&seed, &mut b).unwrap(),
        );
        assert_eq!(ga.is_some(), gb.is_some());
        if let (Some(ga), Some(gb)) = (ga, gb) {
            near("input", &ga, &gb);
        }
        for p in stage.params() {
            near(p.name(), a.get(p.name()).unwrap(), b.get(p.name()).unwrap());
        }
        x = by_hand;
    }
}

#[test]
fn frozen_parts_of_a_layer_get_no_gradient_and_the_rest_stays_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (store, model) = model(DType::F32, Arc::new(Mean));
    let batch = batch(&prepare(dir.path()), &TEXTS);
    let pass = Pass {
        input_gradient: true,
        ..Pass::evaluation()
    };
    let (_, all) = loss(&model, &batch, &pass);
    for which in [
        "*encoder.layer.1.*",
        "*output.dense.weight",
        "*LayerNorm.bias",
        "*query.weight",
        "*intermediate.dense.bias",
        "*embeddings.*",
    ] {
        store.train_only(&Select::name(which));
        let (_, some) = loss(&model, &batch, &pass);
        let trained = store.select(&Select::name(which));
        assert_eq!(some.iter().count(), trained.len(), "{which}");
        for p in trained {
            near(
                p.name(),
                some.get(p.name()).unwrap(),
                all.get(p.name()).unwrap(),
            );
        }
    }
}

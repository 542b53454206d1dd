//! Low-rank adapters in a BERT's layers: gradients by finite differences, the written way back against Candle's own, and that merging
//! changes no answer.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_bert::{BertConfig, BertEncoder};
use tlkit_core::nn::{
    Adapter, Batch, Chain, Flow, Gradients, Init, Pass, Role, Select, Store, segment,
};
use tlkit_core::random::Stream;
use tlkit_core::task::Encoder;

const CONFIG: &str = r#"{"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 24, "initializer_range": 0.3, "model_type": "bert"}"#;

const RANK: usize = 3;

/// An encoder with an adapter in every linear map, `A` and `B` far from zero.
fn adapted(dtype: DType, dropout: f64) -> (Store, Chain) {
    let store = Store::new(&Device::Cpu, dtype, 3);
    let config = BertConfig::parse("config.json", CONFIG).unwrap();
    let encoder = BertEncoder::new(&store.scope("model.bert"), &config).unwrap();
    let mut names = Vec::new();
    for a in encoder.stages().iter().flat_map(|s| s.linears()) {
        let scope = store.scope("lora").sub(&a.name);
        let param = |name: &str, shape: &[usize]| {
            let init = Init::Normal(0.3);
            scope.param(name, shape, Role::Weight, init).unwrap()
        };
        let (out, inputs) = (a.weight.dims()[0], a.weight.dims()[1]);
        let adapter = Adapter {
            down: param("a", &[RANK, inputs]),
            up: param("b", &[out, RANK]),
            scale: 2.0,
            dropout,
            place: a.name.clone(),
        };
        a.slot.put(adapter).unwrap();
        assert!(a.slot.params().len() == 2);
        names.push(a.name);
    }
    assert_eq!(names.len(), 12);
    assert_eq!(
        names[..3],
        ["encoder.0.query", "encoder.0.key", "encoder.0.value"]
    );
    let last = encoder.stages().len() - 1;
    (store, Chain::new(encoder.stages().to_vec(), last))
}

fn batch() -> Arc<Batch> {
    let ids = Tensor::new(&[[2u32, 7, 9, 3, 0], [2, 30, 31, 32, 3]], &Device::Cpu).unwrap();
    let mask = Tensor::new(&[[1u32, 1, 1, 1, 0], [1, 1, 1, 1, 1]], &Device::Cpu).unwrap();
    let types = ids.zeros_like().unwrap();
    Arc::new(
        Batch::new(2, ids)
            .with("attention_mask", mask)
            .with("type_ids", types),
    )
}

fn loss(chain: &Chain, pass: &Pass) -> (f64, Gradients) {
    let (taps, recording) = chain.record(0, Flow::start(&batch()), pass, &[]).unwrap();
    // The second text alone: what stands in a padded place means nothing.
    let loss = taps.logits.narrow(0, 1, 1).unwrap();
    let loss = loss.sin().unwrap().sum_all().unwrap();
    let mut into = Gradients::default();
    recording
        .pull(&loss.backward().unwrap(), &mut into)
        .unwrap();
    (loss.to_scalar().unwrap(), into)
}

#[test]
fn gradients_match_finite_differences_in_double() {
    for dropout in [0.0, 0.3] {
        let (store, chain) = adapted(DType::F64, dropout);
        // Dropout inside the adapters alone: a mask is a function of the step, so that the loss is one of the weights.
        let pass = match dropout {
            0.0 => Pass {
                input_gradient: true,
                ..Pass::evaluation()
            },
            _ => Pass::training(Stream::new(5), 2),
        };
        let (_, grads) = loss(&chain, &pass);
        for name in ["lora.*", "*query.weight", "*word_embeddings.weight"] {
            for param in store.select(&Select::name(name)) {
                let values = param.detached().flatten_all().unwrap();
                let values = values.to_vec1::<f64>().unwrap();
                let grad = grads.get(param.name());
                let grad = grad.unwrap_or_else(|| panic!("no gradient: {}", param.name()));
                let grad = grad.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                let steepest = (0..grad.len())
                    .max_by(|&a, &b| grad[a].abs().total_cmp(&grad[b].abs()))
                    .unwrap();
                let set = |values: &[f64]| {
                    let t = Tensor::new(values, &Device::Cpu).unwrap();
                    param.var().set(&t.reshape(param.dims()).unwrap()).unwrap();
                };
                for i in [steepest, values.len() / 2] {
                    let at = |d: f64| {
                        let mut moved = values.clone();
                        moved[i] += d;
                        set(&moved);
                        loss(&chain, &pass).0
                    };
                    let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                    set(&values);
                    let gap = (numeric - grad[i]).abs();
                    assert!(
                        gap < 1e-7 + 1e-6 * numeric.abs(),
                        "{}[{i}]: {} and {numeric}",
                        param.name(),
                        grad[i]
                    );
                }
            }
        }
    }
}

fn gap(a: &Tensor, b: &Tensor) -> f32 {
    let gap = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    gap.max(0).unwrap().to_scalar().unwrap()
}

/// Everything trains; adapters alone; one adapter alone. What is frozen has no gradient, what is not has the same one.
#[test]
fn the_written_pullback_is_candles_own() {
    written_and_candles_own(false);
    written_and_candles_own(true);
}

fn written_and_candles_own(first_only: bool) {
    let (store, chain) = adapted(DType::F32, 0.3);
    for which in [
        "*",
        "lora.*",
        "lora.encoder.0.query.*",
        "lora.*.intermediate.*",
        "lora.*.output.b",
        "lora.*.attention-output.a",
    ] {
        let selected = Select::name(which);
        store.train_only(&selected);
        let mut x = Flow::start(&batch());
        for (i, stage) in chain.stages().iter().enumerate() {
            let pass = Pass {
                input_gradient: x.hidden.dtype().is_float(),
                first_only: first_only && i == chain.features(),
                ..Pass::training(Stream::new(5), 2)
            };
            if !pass.input_gradient && !stage.params().iter().any(|p| p.trains()) {
                x = stage.forward(&x, &pass).unwrap();
                x = x.with(x.hidden.detach());
                continue;
            }
            let (by_hand, pull) = stage.record(&x, &pass).unwrap();
            let (by_candle, pull_candle) = segment(stage.as_ref(), &x, &pass).unwrap();
            let (a, b) = (&by_hand.hidden, &by_candle.hidden);
            assert!(gap(a, b) < 1e-5, "{which} {}: {}", stage.name(), gap(a, b));
            let seed = by_hand.hidden.sin().unwrap();
            let (mut a, mut b) = (Gradients::default(), Gradients::default());
            let ga = pull.pull(&seed, &mut a).unwrap();
            let gb = pull_candle.pull(&seed, &mut b).unwrap();
            if let (Some(ga), Some(gb)) = (&ga, &gb) {
                assert!(gap(ga, gb) < 1e-4, "{which} input: {}", gap(ga, gb));
            }
            let trained = stage.params().into_iter().filter(|p| p.trains());
            let trained: Vec<_> = trained.collect();
            assert_eq!(a.iter().count(), trained.len(), "{which}");
            for p in trained {
                let (a, b) = (a.get(p.name()).unwrap(), b.get(p.name()).unwrap());
                assert!(gap(a, b) < 1e-4, "{which} {}: {}", p.name(), gap(a, b));
            }
            x = by_hand;
        }
    }
}

#[test]
fn merging_changes_no_answer() {
    let (store, chain) = adapted(DType::F32, 0.1);
    let answers = || chain.predict(&batch(), &Pass::evaluation()).unwrap().1;
    let before = answers();
    for a in chain.stages().iter().flat_map(|s| s.linears()) {
        a.slot.merge(&a.weight).unwrap();
    }
    let after = answers();
    println!("{:e}", gap(&before, &after));
    assert!(gap(&before, &after) < 1e-5, "{}", gap(&before, &after));
    // And the adapters had something to say: without them and without what was merged, another answer comes out.
    let (other, plain) = adapted(DType::F32, 0.1);
    for p in other.select(&Select::name("lora.*.b")) {
        p.var().set(&p.detached().zeros_like().unwrap()).unwrap();
    }
    let plain = plain.predict(&batch(), &Pass::evaluation()).unwrap().1;
    assert!(gap(&before, &plain) > 0.1);
    for p in store.select(&Select::name("lora.*.b")) {
        let sum = p.detached().sqr().unwrap().sum_all().unwrap();
        assert_eq!(sum.to_scalar::<f32>().unwrap(), 0.0);
    }
}

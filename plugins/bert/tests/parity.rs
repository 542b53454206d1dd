//! Parity with PyTorch on the real MiniLM checkpoint: token ids, states, logits, gradient norms, loss trajectories.
//!
//! The reference values are made by `make.py` beside them; `TLKIT_GOLDEN` names their folder (default `../shared/golden` from the
//! workspace's root), and the checkpoint lies in `../data` from there. Any variant of the script will do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_bert::{BertEncoder, Checkpoint, FirstToken, TextPrepare, Tokens};
use tlkit_core::data::{Found, Input, Prepare};
use tlkit_core::model::Model;
use tlkit_core::nn::{
    Activation, Batch, Dense, Flow, Gradients, Linear, Pass, Role, Select, Stage, Store,
};
use tlkit_core::strategy::{Group, Objective, Step, Term, Update};
use tlkit_core::task::Head;
use tlkit_core::train::{Optimizer, OptimizerSpec, Schedule};

#[derive(serde::Deserialize)]
struct Golden {
    variant: u32,
    texts: Vec<String>,
    labels: Vec<u32>,
    input_ids: Vec<Vec<u32>>,
    attention_mask: Vec<Vec<u32>>,
    first_token_state: Vec<Vec<f32>>,
    mean_pooled: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
    loss: f64,
    grad_norms: BTreeMap<String, f64>,
    grad_gap: BTreeMap<String, f64>,
    trajectories: BTreeMap<String, Vec<f64>>,
}

fn golden() -> Option<(Golden, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("TLKIT_GOLDEN")
        .map_or_else(|| root.join("../shared/golden"), |v| root.join(v));
    let checkpoint = [folder.join("../data"), root.join("../shared/data")]
        .map(|d| d.join("checkpoints/all-MiniLM-L6-v2"));
    let checkpoint = checkpoint.into_iter().find(|c| c.is_dir());
    let (Ok(text), Some(checkpoint)) = (
        std::fs::read_to_string(folder.join("minilm.json")),
        checkpoint,
    ) else {
        println!(
            "skipped: no minilm.json in {} or no checkpoint beside it",
            folder.display()
        );
        return None;
    };
    Some((
        serde_json::from_str(&text).expect("minilm.json is what make.py writes"),
        checkpoint,
    ))
}

struct Setup {
    store: Store,
    model: Model,
    batch: Arc<Batch>,
    labels: Tensor,
}

fn setup(g: &Golden, checkpoint: &Path, dtype: DType) -> Setup {
    let found = Found::Folder(checkpoint.to_path_buf());
    let c = Checkpoint::open("minilm", &found).unwrap();
    let store = Store::new(&Device::Cpu, dtype, 0);
    let scope = store.scope("model");
    let weights = c.weights("model.bert").unwrap();
    let encoder =
        BertEncoder::new(&scope.sub("bert").with_weights(weights.clone()), &c.config).unwrap();
    weights.finish().unwrap();
    let linear = Linear::new(&scope.sub("classifier"), c.config.hidden_size, 2, 0.02).unwrap();
    let n = 2 * c.config.hidden_size;
    let wave: Vec<f32> = (0..n)
        .map(|i| (0.02 * (0.37 * i as f64 + 1.0 + f64::from(g.variant)).sin()) as f32)
        .collect();
    let wave = Tensor::from_vec(wave, (2, c.config.hidden_size), &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap();
    linear.weight.var().set(&wave).unwrap();
    let stages: Vec<Arc<dyn Stage>> = vec![
        Arc::new(FirstToken),
        Arc::new(Dense::new("classifier", linear, Activation::None)),
    ];
    let model = Model::new(Arc::new(encoder), Head { stages, pool: 1 });
    let tokens = Tokens::of(&found, 64).unwrap();
    let prepare = TextPrepare::new(tokens, c.config.pad_token_id, 0.15, String::new());
    let examples: Vec<_> = g
        .texts
        .iter()
        .map(|t| prepare.example(&Input::Text(t.as_str().into())).unwrap())
        .collect();
    let batch = Arc::new(
        prepare
            .collate(&examples.iter().collect::<Vec<_>>(), &Device::Cpu)
            .unwrap(),
    );
    let labels = Tensor::new(g.labels.clone(), &Device::Cpu).unwrap();
    Setup {
        store,
        model,
        batch,
        labels,
    }
}

/// No dropout, as the reference; the path is the recorded one.
fn loss_and_gradients(s: &Setup) -> (f64, Gradients) {
    let pass = Pass {
        input_gradient: true,
        ..Pass::evaluation()
    };
    let (taps, recording) = s
        .model
        .chain()
        .record(0, Flow::start(&s.batch), &pass, &[])
        .unwrap();
    let options = tlkit_ops::cross_entropy::CrossEntropy::default();
    let loss = tlkit_ops::cross_entropy::cross_entropy(&taps.logits, &s.labels, &options).unwrap();
    let grads = loss.backward().unwrap();
    let mut into = Gradients::default();
    recording.pull(&grads, &mut into).unwrap();
    (
        loss.to_dtype(DType::F64)
            .unwrap()
            .to_scalar::<f64>()
            .unwrap(),
        into,
    )
}

fn close(what: &str, got: &Tensor, want: &[Vec<f32>], tolerance: f32) {
    let got = got.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
    let worst = got
        .iter()
        .flatten()
        .zip(want.iter().flatten())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0f32, f32::max);
    println!("{what}: largest difference {worst:.2e}");
    assert_eq!(got.len(), want.len());
    assert!(worst <= tolerance, "{what}: {worst}");
}

#[test]
fn parity_of_token_ids_states_and_logits() {
    let Some((g, checkpoint)) = golden() else {
        return;
    };
    let s = setup(&g, &checkpoint, DType::F32);
    assert_eq!(s.batch.input().to_vec2::<u32>().unwrap(), g.input_ids);
    assert_eq!(
        s.batch
            .get("attention_mask")
            .unwrap()
            .to_vec2::<u32>()
            .unwrap(),
        g.attention_mask
    );
    let chain = s.model.chain();
    let hidden = chain
        .run(
            0,
            s.model.encoder.stages().len(),
            Flow::start(&s.batch),
            &Pass::evaluation(),
        )
        .unwrap();
    let mean = tlkit_bert::Mean
        .forward(&hidden, &Pass::evaluation())
        .unwrap()
        .hidden;
    let (first, logits) = s.model.predict(&s.batch, &Pass::evaluation()).unwrap();
    close("first token's state", &first, &g.first_token_state, 1e-4);
    close("mean of the states", &mean, &g.mean_pooled, 1e-4);
    close("logits", &logits, &g.logits, 1e-4);
}

fn check_norms(dtype: DType) {
    let Some((g, checkpoint)) = golden() else {
        return;
    };
    let s = setup(&g, &checkpoint, dtype);
    let (loss, grads) = loss_and_gradients(&s);
    let single = dtype == DType::F32;
    assert!(
        (loss - g.loss).abs() < 1e-5,
        "loss {loss}, PyTorch {}",
        g.loss
    );
    let largest = g.grad_norms.values().copied().fold(0.0, f64::max);
    let mut worst = 0.0f64;
    assert_eq!(
        g.grad_norms.len(),
        s.store.select(&Select::All).len(),
        "every tensor of the reference trains, and no other"
    );
    for (name, &want) in &g.grad_norms {
        let got = grads
            .get(&format!("model.{name}"))
            .unwrap_or_else(|| panic!("no gradient for {name}"));
        let got = got
            .to_dtype(DType::F64)
            .unwrap()
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
            .sqrt();
        if want < 1e-6 * largest {
            assert!(
                (got - want).abs() < 1e-7,
                "{name}: {got}, and zero in mathematics"
            );
            let role = s.store.get(&format!("model.{name}")).unwrap().role();
            assert_eq!(
                role,
                Role::InvariantBias,
                "{name} cannot move, and its layer does not say so"
            );
            continue;
        }
        let tolerance = if single {
            1e-3f64.max(4.0 * g.grad_gap[name])
        } else {
            1e-6
        };
        let gap = (got - want).abs() / want;
        worst = worst.max(gap);
        assert!(
            gap <= tolerance,
            "{name}: norm {got}, PyTorch {want}, relative difference {gap:.2e} > {tolerance:.2e}"
        );
    }
    println!(
        "{dtype:?}: largest relative difference of {} gradient norms {worst:.2e}",
        g.grad_norms.len()
    );
}

#[test]
fn parity_of_gradient_norms_in_double() {
    check_norms(DType::F64);
}

#[test]
fn parity_of_gradient_norms_in_single() {
    check_norms(DType::F32);
}

/// Stands where an update wants an objective; the steps here are made by hand.
struct ByHand;

impl Objective for ByHand {
    fn terms(&mut self, _: &mut dyn Step) -> tlkit_core::Result<Vec<Term>> {
        Ok(Vec::new())
    }
}

fn check_trajectory(starts: &str, optimizer: OptimizerSpec, rate: f64) {
    let Some((g, checkpoint)) = golden() else {
        return;
    };
    let want = g
        .trajectories
        .iter()
        .find(|(k, _)| k.starts_with(starts))
        .map(|(_, v)| v)
        .expect("three optimizers");
    let s = setup(&g, &checkpoint, DType::F32);
    let update = Update {
        name: starts.into(),
        trains: Select::All,
        groups: vec![Group::all(optimizer, rate, Schedule::constant())],
        clip: None,
        repeat: 1,
        objective: Box::new(ByHand),
    };
    let mut optimizer = Optimizer::new(&update, &s.store).unwrap();
    let mut worst = 0.0f64;
    let total = want.len() as u64;
    for (step, want) in want.iter().enumerate() {
        let (loss, mut grads) = loss_and_gradients(&s);
        worst = worst.max((loss - want).abs());
        assert!(
            (loss - want).abs() < 1e-4,
            "{starts}, step {step}: loss {loss}, PyTorch {want}"
        );
        assert!(optimizer.step(&mut grads, step as u64, total).unwrap());
    }
    println!(
        "{starts}: largest difference over {} steps {worst:.2e}",
        want.len()
    );
}

#[test]
fn parity_of_the_adamw_trajectory() {
    check_trajectory(
        "adamw",
        OptimizerSpec::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
        },
        5e-5,
    );
}

#[test]
fn parity_of_the_sgd_trajectory() {
    check_trajectory(
        "sgd",
        OptimizerSpec::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
        },
        0.01,
    );
}

#[test]
fn parity_of_the_rmsprop_trajectory() {
    check_trajectory(
        "rmsprop",
        OptimizerSpec::RmsProp {
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            weight_decay: 0.0,
        },
        1e-5,
    );
}

//! Parity with PyTorch: logits, loss and gradient norms of every network, frozen and training batch norm; trajectories and
//! running statistics of the published ResNet-20.
//!
//! The reference values are made by `make.py` beside them; `TLKIT_GOLDEN` names their folder (default `../shared/golden` from the
//! workspace's root), and the checkpoints lie in `../data` from there. Any variant of the script will do. Its head says by which
//! formula inputs and weights are made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::data::Found;
use tlkit_core::model::Model;
use tlkit_core::nn::{
    Activation, Batch, Dense, Flow, Gradients, NormMode, Pass, Role, Select, Stage, Store,
};
use tlkit_core::random::Stream;
use tlkit_core::strategy::{Group, Objective, Step, Term, Update};
use tlkit_core::task::Head;
use tlkit_core::train::{Optimizer, OptimizerSpec, Schedule};
use tlkit_resnet::{Architecture, Checkpoint, Network};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of reference values and the folder of checkpoints.
fn golden(file: &str) -> Option<(serde_json::Value, PathBuf)> {
    let folder = std::env::var_os("TLKIT_GOLDEN")
        .map_or_else(|| root().join("../shared/golden"), |v| root().join(v));
    let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
        println!("skipped: no {file} in {}", folder.display());
        return None;
    };
    let checkpoints = [folder.join("../data"), root().join("../shared/data")]
        .map(|d| d.join("checkpoints"))
        .into_iter()
        .find(|c| c.is_dir());
    let json = serde_json::from_str(&text).expect("what make.py writes");
    Some((json, checkpoints.unwrap_or_default()))
}

/// The formula at the head of make.py.
fn noise(n: usize, scale: f64, k: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| {
            let mut h = i
                .wrapping_mul(2_654_435_761)
                .wrapping_add(k.wrapping_mul(40503))
                .wrapping_add(12345);
            h ^= h >> 16;
            h = h.wrapping_mul(0x85eb_ca6b);
            h ^= h >> 13;
            h = h.wrapping_mul(0xc2b2_ae35);
            h ^= h >> 16;
            let u = f64::from(h) / 4_294_967_296.0;
            (scale * 3f64.sqrt() * (2.0 * u - 1.0)) as f32
        })
        .collect()
}

/// Images by the formula, channels last.
fn images(dims: &[usize], variant: u32, dtype: DType) -> Tensor {
    let x = Tensor::from_vec(
        noise(dims.iter().product(), 1.0, 7 + variant),
        dims,
        &Device::Cpu,
    )
    .unwrap();
    let x = x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    x.to_dtype(dtype).unwrap()
}

struct Setup {
    store: Store,
    model: Model,
    batch: Arc<Batch>,
    labels: Tensor,
}

fn model(store: &Store, network: Network, classes: usize) -> Model {
    let scope = store.scope("model");
    let linear = network.classifier(&scope, classes).unwrap();
    let mut stages = network.pooling();
    let pool = stages.len();
    stages.push(Arc::new(Dense::new("head", linear, Activation::None)) as Arc<dyn Stage>);
    Model::new(Arc::new(network), Head { stages, pool })
}

fn setup(name: &str, row: &serde_json::Value, variant: u32, dtype: DType) -> Setup {
    let architecture = Architecture::named(name).unwrap();
    let store = Store::new(&Device::Cpu, dtype, 0);
    let network = Network::new(&store.scope("model"), &architecture).unwrap();
    let model = model(&store, network, 10);
    fill(&store, name == "inception_v3");
    let dims: Vec<usize> = serde_json::from_value(row["input"].clone()).unwrap();
    let labels: Vec<u32> = serde_json::from_value(row["labels"].clone()).unwrap();
    Setup {
        store,
        model,
        batch: Arc::new(Batch::new(dims[0], images(&dims, variant, dtype))),
        labels: Tensor::new(labels, &Device::Cpu).unwrap(),
    }
}

/// Weights by the formula: k is a tensor's place among the names of torchvision's state dictionary.
fn fill(store: &Store, inception: bool) {
    let all = store.all();
    let mut names: Vec<String> = Vec::new();
    for p in &all {
        let name = p.name().strip_prefix("model.").unwrap().to_string();
        if let Some(norm) = name.strip_suffix("running_mean") {
            names.push(format!("{norm}num_batches_tracked"));
        }
        names.push(name);
    }
    if inception {
        // The auxiliary head, which this network does not have.
        for conv in ["conv0", "conv1"] {
            for tensor in [
                "conv.weight",
                "bn.weight",
                "bn.bias",
                "bn.running_mean",
                "bn.running_var",
                "bn.num_batches_tracked",
            ] {
                names.push(format!("AuxLogits.{conv}.{tensor}"));
            }
        }
        names.extend([
            "AuxLogits.fc.weight".to_string(),
            "AuxLogits.fc.bias".to_string(),
        ]);
    }
    names.sort();
    for p in all {
        let name = p.name().strip_prefix("model.").unwrap();
        let k = names.iter().position(|n| n == name).unwrap() as u32;
        let (dims, n) = (p.dims(), p.count());
        let fan_in: usize = dims[1..].iter().product();
        let values = match p.role() {
            Role::Statistic if name.ends_with("running_mean") => vec![0.0; n],
            Role::Statistic => vec![3.0; n],
            Role::NormWeight => noise(n, 0.1, k).into_iter().map(|v| 1.0 + v).collect(),
            Role::NormBias => noise(n, 0.05, k),
            Role::Bias | Role::InvariantBias => noise(n, 0.01, k),
            _ => noise(n, (2.0 / fan_in as f64).sqrt(), k),
        };
        let t = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
        p.var().set(&t.to_dtype(p.var().dtype()).unwrap()).unwrap();
    }
}

/// The loss and the gradients by the recorded path. Heads here have no dropout, and VGG's is switched off with the training flag.
fn loss_and_gradients(s: &Setup, norm: NormMode) -> (Tensor, f64, Gradients) {
    let training = norm == NormMode::Train;
    let pass = Pass {
        norm,
        training,
        input_gradient: true,
        ..Pass::training(Stream::new(0), 0)
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
    let value = loss.to_dtype(DType::F64).unwrap().to_scalar().unwrap();
    (taps.logits.detach(), value, into)
}

fn norm_of(t: &Tensor) -> f64 {
    let square = t.to_dtype(DType::F64).unwrap().sqr().unwrap();
    square.sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
}

/// Largest difference over the largest value.
fn relative(got: &Tensor, want: &serde_json::Value) -> f64 {
    let want: Vec<Vec<f64>> = serde_json::from_value(want.clone()).unwrap();
    let got = got.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(got.len(), want.len());
    let pairs = || got.iter().flatten().zip(want.iter().flatten());
    assert!(pairs().all(|(a, _)| a.is_finite()));
    let scale = pairs().fold(0f64, |m, (_, w)| m.max(w.abs()));
    pairs().fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale
}

fn check(name: &str) {
    let Some((golden, _)) = golden("vision.json") else {
        return;
    };
    let (row, variant) = (&golden[name], golden["variant"].as_u64().unwrap() as u32);
    for (mode, norm) in [
        ("frozen_batch_norm", NormMode::Frozen),
        ("train_batch_norm", NormMode::Train),
    ] {
        let Some(want) = row.get(mode) else { continue };
        let norms: BTreeMap<String, f64> =
            serde_json::from_value(want["grad_norms"].clone()).unwrap();
        let gaps: BTreeMap<String, f64> = serde_json::from_value(want["grad_gap"].clone()).unwrap();
        let largest = norms.values().copied().fold(0.0, f64::max);
        assert!(norms.len() > 20);
        // What the f64 path differs from the reference's f32 logits and loss by: where gradient norms, which are f64 there, agree to
        // 1e-6, that is the reference's own rounding. Training ResNet-50's batch norms on two small images makes it 1.2e-4.
        let mut own = (0f64, 0f64);
        for dtype in [DType::F64, DType::F32] {
            let s = setup(name, row, variant, dtype);
            let (logits, loss, grads) = loss_and_gradients(&s, norm);
            let logits_gap = relative(&logits, &want["logits"]);
            let wanted_loss = want["loss"].as_f64().unwrap();
            let loss_gap = (loss - wanted_loss).abs() / wanted_loss.abs();
            let (mut worst, mut far) = ((0f64, ""), Vec::new());
            for (tensor, &wanted) in &norms {
                let got = norm_of(
                    grads
                        .get(&format!("model.{tensor}"))
                        .unwrap_or_else(|| panic!("no gradient for {tensor}")),
                );
                if wanted < 1e-6 * largest {
                    assert!(
                        (got - wanted).abs() < 1e-7,
                        "{name}, {mode}: {tensor} {got}, zero in mathematics"
                    );
                    continue;
                }
                let allowed = match dtype {
                    DType::F32 => 1e-3f64.max(4.0 * gaps[tensor]),
                    _ => 1e-6,
                };
                let gap = (got - wanted).abs() / wanted;
                if gap > worst.0 {
                    worst = (gap, tensor);
                }
                if gap > allowed {
                    let text = format!(
                        "{name}, {mode}, {dtype:?}: {tensor}: norm {got}, PyTorch {wanted}, relative difference {gap:.2e} > {allowed:.2e}"
                    );
                    far.push(text);
                }
            }
            println!(
                "{name}, {mode}, {dtype:?}: logits {logits_gap:.1e}, loss {loss_gap:.1e}, {} gradient norms {:.1e} ({})",
                norms.len(),
                worst.0,
                worst.1
            );
            assert!(far.is_empty(), "{}", far.join("\n"));
            let (most_logits, most_loss) = match (dtype, norm) {
                (DType::F64, NormMode::Train) => (1e-3, 1e-3),
                _ => (1e-4 + own.0, 1e-4 + own.1),
            };
            assert!(
                logits_gap < most_logits,
                "{name}, {mode}, {dtype:?}: logits {logits_gap:.2e}"
            );
            assert!(
                loss_gap < most_loss,
                "{name}, {mode}, {dtype:?}: loss {loss_gap:.2e}"
            );
            if norm == NormMode::Train {
                own = (logits_gap, loss_gap);
            }
            // Liveness: every trainable tensor has a gradient, and no statistic has one.
            for p in s.store.select(&Select::All) {
                assert!(
                    grads.get(p.name()).is_some(),
                    "{} has no gradient",
                    p.name()
                );
            }
            assert_eq!(grads.iter().count(), s.store.select(&Select::All).len());
        }
    }
}

macro_rules! parity {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}
parity!(resnet18 resnet34 resnet50 resnet101 resnet152 vgg16 vgg19 inception_v3);

/// Stands where an update wants an objective; the steps here are made by hand.
struct ByHand;

impl Objective for ByHand {
    fn terms(&mut self, _: &mut dyn Step) -> tlkit_core::Result<Vec<Term>> {
        Ok(Vec::new())
    }
}

fn published(checkpoints: &Path, dtype: DType) -> (Store, Model) {
    let found = Found::Folder(checkpoints.join("resnet20-cifar10"));
    let checkpoint = Checkpoint::open("resnet20-cifar10", &found).unwrap();
    assert_eq!(checkpoint.architecture.name(), Some("cifar_resnet20"));
    assert_eq!((checkpoint.classes, checkpoint.preparation.size), (10, 32));
    let store = Store::new(&Device::Cpu, dtype, 0);
    let weights = checkpoint.weights("model");
    let scope = store.scope("model").with_weights(weights.clone());
    let network = Network::new(&scope, &checkpoint.architecture).unwrap();
    let linear = network.classifier(&scope, 10).unwrap();
    let mut stages = network.pooling();
    stages.push(Arc::new(Dense::new("head", linear, Activation::None)) as Arc<dyn Stage>);
    let report = weights.finish().unwrap();
    assert_eq!(report.unexpected, Vec::<String>::new());
    let model = Model::new(Arc::new(network), Head { stages, pool: 1 });
    (store, model)
}

#[test]
fn the_published_resnet20_trains_as_in_pytorch() {
    let Some((golden, checkpoints)) = golden("cifar_resnet20.json") else {
        return;
    };
    if !checkpoints.join("resnet20-cifar10").is_dir() {
        println!("skipped: no resnet20-cifar10 in {}", checkpoints.display());
        return;
    }
    let variant = golden["variant"].as_u64().unwrap() as u32;
    let dims: Vec<usize> = serde_json::from_value(golden["input"].clone()).unwrap();
    let labels: Vec<u32> = serde_json::from_value(golden["labels"].clone()).unwrap();
    for (mode, norm) in [
        ("frozen_batch_norm", NormMode::Frozen),
        ("train_batch_norm", NormMode::Train),
    ] {
        for dtype in [DType::F32, DType::F64] {
            let (store, model) = published(&checkpoints, dtype);
            let s = Setup {
                store,
                model,
                batch: Arc::new(Batch::new(dims[0], images(&dims, variant, dtype))),
                labels: Tensor::new(labels.clone(), &Device::Cpu).unwrap(),
            };
            let (_, logits) = s.model.predict(&s.batch, &Pass::evaluation()).unwrap();
            let gap = relative(&logits, &golden["logits"]);
            assert!(gap < 1e-4, "logits {gap:.2e}");
            let update = Update {
                name: "sgd".into(),
                trains: Select::All,
                groups: vec![Group::all(
                    OptimizerSpec::Sgd {
                        momentum: 0.9,
                        nesterov: false,
                        weight_decay: 5e-4,
                    },
                    0.001,
                    Schedule::constant(),
                )],
                clip: None,
                repeat: 1,
                objective: Box::new(ByHand),
            };
            let mut optimizer = Optimizer::new(&update, &s.store).unwrap();
            let losses: Vec<f64> = serde_json::from_value(golden[mode]["losses"].clone()).unwrap();
            let mut worst = 0f64;
            let close = |a: f64, b: f64| (a - b).abs() / b.abs().max(1.0);
            for (step, &want) in losses.iter().enumerate() {
                let (_, loss, mut grads) = loss_and_gradients(&s, norm);
                let gap = close(loss, want);
                worst = worst.max(gap);
                assert!(
                    gap < 1e-3,
                    "{mode}, step {step}: loss {loss}, PyTorch {want}"
                );
                assert!(optimizer.step(&mut grads, step as u64, 10).unwrap());
            }
            let mut statistics = 0f64;
            for which in ["running_mean", "running_var"] {
                let want: Vec<f64> =
                    serde_json::from_value(golden[mode][format!("{which}_of_bn1")].clone())
                        .unwrap();
                let got = s
                    .store
                    .get(&format!("model.bn1.{which}"))
                    .unwrap()
                    .detached();
                let got = got.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
                for (a, b) in got.iter().zip(&want) {
                    statistics = statistics.max(close(*a, *b));
                }
            }
            println!(
                "{mode}, {dtype:?}: losses {worst:.1e}, statistics {statistics:.1e}, logits {gap:.1e}"
            );
            assert!(
                statistics < 1e-3,
                "{mode}: running statistics {statistics:.2e}"
            );
        }
    }
}

/// The real ImageNet trunk: layer4 and the classifier are absent.
#[test]
fn the_imagenet_trunk_loads() {
    let folder = root().join("../shared/data/checkpoints/resnet18-imagenet-trunk");
    if !folder.is_dir() {
        println!("skipped: no {}", folder.display());
        return;
    }
    let checkpoint = Checkpoint::open("trunk", &Found::Folder(folder)).unwrap();
    let expected = Architecture::Resnet {
        blocks: vec![2, 2, 2],
        bottleneck: false,
    };
    assert_eq!(checkpoint.architecture, expected);
    assert_eq!((checkpoint.classes, checkpoint.preparation.size), (0, 224));
    // Its batch norms were folded into the convolutions: adabn and tent have nothing to change.
    assert!(!checkpoint.has_statistics());
    let whole = root().join("assets/resnet-mini");
    let whole = Checkpoint::open("resnet-mini", &Found::Folder(whole)).unwrap();
    assert!(whole.has_statistics());
    assert_eq!(checkpoint.preparation.std, [0.229, 0.224, 0.225]);
    let store = Store::new(&Device::Cpu, DType::F32, 0);
    let weights = checkpoint.weights("model");
    let network = Network::new(
        &store.scope("model").with_weights(weights.clone()),
        &expected,
    )
    .unwrap();
    let report = weights.finish().unwrap();
    assert_eq!(report.unexpected, Vec::<String>::new());
    let names: Vec<_> = tlkit_core::task::Encoder::stages(&network)
        .iter()
        .map(|s| s.name().to_string())
        .collect();
    assert_eq!(names, ["stem", "layer1", "layer2", "layer3"]);
}

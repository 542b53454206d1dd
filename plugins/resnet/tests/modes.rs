//! Batch norm's modes, what is frozen, and the hand-written way back against Candle's own.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::nn::{Batch, Chain, Flow, Gradients, NormMode, Pass, Role, Select, Store, segment};
use tlkit_core::random::Stream;
use tlkit_core::task::Encoder;

use tlkit_ops::{Level, Precision};
use tlkit_resnet::{Architecture, Network};

fn small() -> Vec<Architecture> {
    let resnet = |bottleneck| Architecture::Resnet {
        blocks: vec![2, 1],
        bottleneck,
    };
    vec![
        resnet(false),
        resnet(true),
        Architecture::Cifar {
            blocks: 1,
            width: 16,
        },
        Architecture::Vgg {
            depth: 16,
            norm: true,
            dense: false,
        },
        Architecture::Shallow { norm: true },
        Architecture::Lenet,
    ]
}

fn images(n: usize, side: usize) -> Tensor {
    let x = Stream::new(3).normals(n * side * side * 3);
    Tensor::from_vec(x, (n, side, side, 3), &Device::Cpu).unwrap()
}

struct Net {
    store: Store,
    chain: Chain,
    batch: Arc<Batch>,
}

fn net(architecture: &Architecture) -> Net {
    let store = Store::new(&Device::Cpu, DType::F32, 5);
    let network = Network::new(&store.scope("m"), architecture).unwrap();
    // Norms and statistics that are not one and zero.
    for p in store.all() {
        let shift = match p.role() {
            Role::NormBias | Role::InvariantBias => 0.0,
            // Means of one would leave nothing above zero.
            Role::Statistic if p.name().ends_with("running_mean") => 0.0,
            Role::NormWeight | Role::Statistic => 1.0,
            _ => continue,
        };
        let noise = Stream::new(1).purpose(p.name()).uniforms(p.count());
        let values = noise
            .iter()
            .map(|u| shift + 0.4 * (u - 0.5))
            .collect::<Vec<_>>();
        p.var()
            .set(&Tensor::from_vec(values, p.dims(), &Device::Cpu).unwrap())
            .unwrap();
    }
    let mut stages = network.stages().to_vec();
    stages.extend(network.pooling());
    let features = stages.len() - 1;
    Net {
        store,
        chain: Chain::new(stages, features),
        batch: Arc::new(Batch::new(3, images(3, 32))),
    }
}

fn pass(norm: NormMode, training: bool) -> Pass {
    Pass {
        norm,
        training,
        ..Pass::training(Stream::new(0), 0)
    }
}

fn gradients(net: &Net, pass: &Pass) -> (Tensor, Gradients) {
    let (taps, recording) = net
        .chain
        .record(0, Flow::start(&net.batch), pass, &[])
        .unwrap();
    let weights = Stream::new(9).normals(taps.features.elem_count());
    let weights = Tensor::from_vec(weights, taps.features.dims(), &Device::Cpu).unwrap();
    let loss = (&taps.features * weights).unwrap().sum_all().unwrap();
    let mut into = Gradients::default();
    recording
        .pull(&loss.backward().unwrap(), &mut into)
        .unwrap();
    (taps.features.detach(), into)
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn gap(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (values(a), values(b));
    let scale = b.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    a.iter()
        .zip(&b)
        .fold(0f32, |m, (x, y)| m.max((x - y).abs()))
        / scale
}

/// Every stage apart: input, output and every gradient.
#[test]
fn the_way_back_by_hand_agrees_with_candles_own() {
    for architecture in small() {
        for norm in [NormMode::Frozen, NormMode::Train, NormMode::Adapt] {
            let (net, other) = (net(&architecture), net(&architecture));
            let pass = pass(norm, true);
            let (mut x, mut y) = (Flow::start(&net.batch), Flow::start(&other.batch));
            for (a, b) in net.chain.stages().iter().zip(other.chain.stages()) {
                let (out, back) = a.record(&x, &pass).unwrap();
                let (expected, graph) = segment(b.as_ref(), &y, &pass).unwrap();
                let what = format!("{architecture:?}, {norm:?}, {}", a.name());
                assert!(gap(&out.hidden, &expected.hidden) < 1e-5, "{what}");
                let grad = Stream::new(4).normals(out.hidden.elem_count());
                let grad = Tensor::from_vec(grad, out.hidden.dims(), &Device::Cpu).unwrap();
                let (mut ours, mut theirs) = (Gradients::default(), Gradients::default());
                let dx = back.pull(&grad, &mut ours).unwrap().unwrap();
                let expected_dx = graph.pull(&grad, &mut theirs).unwrap().unwrap();
                assert!(
                    gap(&dx, &expected_dx) < 2e-4,
                    "{what}: {}",
                    gap(&dx, &expected_dx)
                );
                assert_eq!(ours.iter().count(), theirs.iter().count(), "{what}");
                for (name, g) in theirs.iter() {
                    let role = net.store.get(name).unwrap().role();
                    // Zero in mathematics where the batch's statistics are used.
                    if role == Role::InvariantBias && norm != NormMode::Frozen {
                        continue;
                    }
                    let gap = gap(ours.get(name).unwrap(), g);
                    assert!(gap < 5e-4, "{what}: {name} {gap:.1e}");
                }
                // Both from the same point: what differs in rounding must not add up.
                (x, y) = (x.with(expected.hidden.clone()), y.with(expected.hidden));
            }
            for p in net.store.all() {
                let q = other.store.get(p.name()).unwrap();
                assert!(gap(&p.detached(), &q.detached()) < 1e-5, "{}", p.name());
            }
        }
    }
}

/// Features and gradients under bf16 beside those of f32: near, and not the same where something is rounded. Convolutions are where the processor has tiles or fast pairs of
/// bf16, dense layers everywhere.
#[test]
fn bf16_rounds_convolutions_and_dense_layers_and_little_else() {
    let products = Precision::Bf16.path().level() >= Level::Avx512Bf16;
    let resnet = Architecture::Resnet {
        blocks: vec![2, 1],
        bottleneck: false,
    };
    for (architecture, rounds) in [
        (resnet, products),
        (Architecture::Shallow { norm: false }, true),
    ] {
        let net = net(&architecture);
        let pass = pass(NormMode::Frozen, true);
        let (exact, gradients_exact) = gradients(&net, &pass);
        let half = Pass {
            precision: Precision::Bf16,
            ..pass
        };
        let (rounded, gradients_rounded) = gradients(&net, &half);
        let off = gap(&rounded, &exact);
        assert!(values(&exact).iter().filter(|x| **x > 0.0).count() > 100);
        assert!(off < 0.02, "{architecture:?}: {off}");
        assert_eq!(off > 0.0, rounds, "{architecture:?}: {off}");
        for (name, exact) in gradients_exact.iter() {
            let rounded = values(gradients_rounded.get(name).unwrap());
            let exact = values(exact);
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                let products = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y));
                products.sum()
            };
            let cosine =
                dot(&rounded, &exact) / (dot(&rounded, &rounded) * dot(&exact, &exact)).sqrt();
            assert!(cosine > 0.99, "{name}: {cosine}");
        }
    }
}

fn statistics(net: &Net) -> Vec<(String, Vec<f32>)> {
    let all = net.store.all().into_iter();
    all.filter(|p| p.role() == Role::Statistic)
        .map(|p| (p.name().to_string(), values(&p.detached())))
        .collect()
}

#[test]
fn statistics_follow_by_the_mode_and_a_frozen_stage_keeps_its() {
    let net = net(&small()[0]);
    let start = statistics(&net);
    gradients(&net, &pass(NormMode::Frozen, true));
    assert_eq!(statistics(&net), start, "frozen");
    net.chain
        .predict(&net.batch, &pass(NormMode::Train, false))
        .unwrap();
    assert_eq!(statistics(&net), start, "prediction");
    net.store.train_only(&Select::name("m.layer2.*"));
    gradients(&net, &pass(NormMode::Train, true));
    for ((name, old), (_, new)) in start.iter().zip(&statistics(&net)) {
        assert_eq!(old != new, name.starts_with("m.layer2"), "{name}");
    }
    net.store.train_only(&Select::Nothing);
    let before = statistics(&net);
    net.chain
        .predict(&net.batch, &pass(NormMode::Adapt, false))
        .unwrap();
    for ((name, old), (_, new)) in before.iter().zip(&statistics(&net)) {
        assert_ne!(old, new, "{name}: adapting follows though nothing trains");
    }
    assert!(
        net.store
            .select(&Select::All)
            .iter()
            .all(|p| p.role() != Role::Statistic)
    );
}

#[test]
fn what_trains_has_a_gradient_and_nothing_else() {
    for architecture in small() {
        let net = net(&architecture);
        for which in [
            Select::All,
            Select::Roles(
                vec![Role::NormWeight, Role::NormBias],
                Box::new(Select::All),
            ),
            Select::Roles(vec![Role::Weight], Box::new(Select::All)),
            Select::Names(vec!["m.layer2.*".into(), "m.features.1*".into()]),
        ] {
            net.store.train_only(&which);
            for norm in [NormMode::Frozen, NormMode::Train] {
                let (_, grads) = gradients(&net, &pass(norm, true));
                let wanted: Vec<_> = net
                    .store
                    .select(&which)
                    .iter()
                    .map(|p| p.name().to_string())
                    .collect();
                let got: Vec<_> = grads.iter().map(|(n, _)| n.clone()).collect();
                assert_eq!(got, wanted, "{architecture:?} {which:?}");
                assert!(
                    grads
                        .iter()
                        .all(|(_, g)| values(g).iter().all(|v| v.is_finite()))
                );
            }
        }
    }
}

#[test]
fn prediction_is_what_training_records() {
    for architecture in small() {
        let net = net(&architecture);
        // Dropout is of training alone.
        let dropout = matches!(
            architecture,
            Architecture::Shallow { .. } | Architecture::Lenet
        );
        let (features, _) = gradients(&net, &pass(NormMode::Frozen, !dropout));
        net.store.train_only(&Select::Nothing);
        let (predicted, _) = net.chain.predict(&net.batch, &Pass::evaluation()).unwrap();
        assert_eq!(values(&predicted), values(&features));
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let net = net(&small()[1]);
            let (features, grads) = gradients(&net, &pass(NormMode::Train, true));
            let mut all: Vec<u32> = values(&features).iter().map(|v| v.to_bits()).collect();
            for (_, g) in grads.iter() {
                all.extend(values(g).iter().map(|v| v.to_bits()));
            }
            all
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn every_name_is_a_network() {
    for name in Architecture::NAMES {
        let a = Architecture::named(name).unwrap();
        assert_eq!(a.name(), Some(name));
    }
    assert_eq!(Architecture::named("resnet19"), None);
}

//! The losses: values and gradients as PyTorch has them (`golden/losses.py`), and finite differences.

use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use tlkit_core::Result;
use tlkit_transductive::losses::{
    class_confusion, coral, covariance, discrepancy, diversity, entropy, log_loss, log_of_rest,
    multi_kernel_mmd, softmax, squared_distances,
};
use tlkit_transductive::{disparity, multilinear, pseudo_labels, surely_weighted, transport};

const GOLDEN: &str = include_str!("golden/losses.json");

fn matrix(value: &Value) -> Tensor {
    let rows: Vec<Vec<f64>> = match serde_json::from_value(value.clone()) {
        Ok(rows) => rows,
        Err(_) => vec![serde_json::from_value(value.clone()).expect("numbers")],
    };
    let width = rows[0].len();
    let flat: Vec<f64> = rows.concat();
    Tensor::from_vec(flat, (rows.len(), width), &Device::Cpu).expect("a matrix")
}

/// Value and gradients of a case against PyTorch's.
fn as_pytorch(name: &str, inputs: &[&str], f: impl Fn(&[&Tensor]) -> Result<Tensor>) -> Result<()> {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    let case = &golden["cases"][name];
    let vars: Vec<Var> = inputs
        .iter()
        .map(|i| Var::from_tensor(&matrix(&case["inputs"][i])).expect("a variable"))
        .collect();
    let tensors: Vec<&Tensor> = vars.iter().map(Var::as_tensor).collect();
    let value = f(&tensors)?;
    let (ours, theirs) = (value.to_scalar::<f64>()?, case["value"].as_f64().unwrap());
    assert!((ours - theirs).abs() < 1e-8, "{name}: {ours} and {theirs}");
    let grads = value.backward()?;
    for (input, var) in inputs.iter().zip(&vars) {
        let theirs = &case["gradients"][input];
        let Some(ours) = grads.get(var) else {
            assert!(theirs.is_null(), "{name}: {input} has no gradient");
            continue;
        };
        let apart = (ours - matrix(theirs))?.abs()?.flatten_all()?.max(0)?;
        let apart = apart.to_scalar::<f64>()?;
        assert!(
            apart < 1e-7,
            "{name}: the gradient of {input} is off by {apart}"
        );
    }
    Ok(())
}

#[test]
fn every_loss_is_as_pytorch_has_it() -> Result<()> {
    let pair = ["source", "target"];
    as_pytorch("multi_kernel_mmd", &pair, |x| {
        multi_kernel_mmd(x[0], x[1], 5)
    })?;
    as_pytorch("coral", &pair, |x| coral(x[0], x[1]))?;
    as_pytorch("class_confusion", &["logits"], |x| {
        class_confusion(x[0], 2.5)
    })?;
    as_pytorch("entropy", &["logits"], |x| Ok(entropy(x[0])?.mean_all()?))?;
    // Inside the logarithm stands a little more than the probability: 1e-8.
    as_pytorch("diversity", &["logits"], |x| diversity(x[0]))?;
    as_pytorch("discrepancy", &["one", "other"], |x| {
        discrepancy(x[0], x[1])
    })
}

#[test]
fn the_disparity_is_as_pytorch_has_it() -> Result<()> {
    let inputs = ["source_adversary", "target_adversary"];
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    let of = |name: &str| matrix(&golden["cases"]["disparity"]["inputs"][name]);
    let (source, target) = (of("source"), of("target"));
    let golden_value = golden["cases"]["disparity"]["value"].as_f64().unwrap();
    let vars: Vec<Var> = inputs
        .iter()
        .map(|i| Var::from_tensor(&of(i)).expect("a variable"))
        .collect();
    let [agree, disagree] = disparity([&source, &vars[0]], [&target, &vars[1]])?;
    let value = ((agree * 4.0)? + disagree)?;
    // The adversary's probability is kept 1e-6 from 1.
    assert!((value.to_scalar::<f64>()? - golden_value).abs() < 1e-4);
    let grads = value.backward()?;
    for (input, var) in inputs.iter().zip(&vars) {
        let theirs = matrix(&golden["cases"]["disparity"]["gradients"][input]);
        let apart = (grads.get(var).expect("a gradient") - theirs)?.abs()?;
        assert!(apart.flatten_all()?.max(0)?.to_scalar::<f64>()? < 1e-4);
    }
    Ok(())
}

#[test]
fn the_conditional_loss_is_as_pytorch_has_it() -> Result<()> {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    let domains = &golden["cases"]["conditional"]["inputs"]["domains"];
    let domains: Vec<u32> = serde_json::from_value(domains.clone()).expect("domains");
    let domains = Tensor::new(domains, &Device::Cpu)?;
    let inputs = ["features", "logits", "weight", "bias"];
    as_pytorch("conditional", &inputs, |x| {
        let still = x[1].detach();
        let seen = multilinear(x[0], &softmax(&still)?, None)?;
        let said = seen.matmul(&x[2].t()?)?.broadcast_add(x[3])?;
        surely_weighted(&said, &domains, &still)
    })
}

/// The gradient at each number, by the change of the value at a small step either way.
fn finite_differences(name: &str, x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    let var = Var::from_tensor(x)?;
    let value = f(&var)?;
    let grads = value.backward()?;
    let ours = grads.get(&var).expect("a gradient").flatten_all()?;
    let ours = ours.to_vec1::<f64>()?;
    let numbers = x.flatten_all()?.to_vec1::<f64>()?;
    let at = |i: usize, by: f64| -> Result<f64> {
        let mut moved = numbers.clone();
        moved[i] += by;
        Ok(f(&Tensor::from_vec(moved, x.dims(), x.device())?)?.to_scalar::<f64>()?)
    };
    let step = 1e-5;
    for (i, ours) in ours.iter().enumerate() {
        let slope = (at(i, step)? - at(i, -step)?) / (2.0 * step);
        let scale = 1.0 + slope.abs();
        assert!(
            (ours - slope).abs() < 1e-7 * scale,
            "{name}: {ours} and {slope} at {i}"
        );
    }
    Ok(())
}

fn wave(rows: usize, columns: usize, seed: f64) -> Result<Tensor> {
    let at = |i: usize| 1.3 * (0.8 * i as f64 + seed).sin() + 0.2 * (3.1 * i as f64).cos();
    let values: Vec<f64> = (0..rows * columns).map(at).collect();
    Ok(Tensor::from_vec(values, (rows, columns), &Device::Cpu)?)
}

#[test]
fn gradients_are_finite_differences() -> Result<()> {
    let (x, y) = (wave(5, 3, 0.4)?, wave(4, 3, 2.0)?);
    let (logits, others) = (wave(6, 4, 0.9)?, wave(6, 4, 1.6)?);
    let labels = Tensor::new(&[0u32, 3, 1, 1, 2, 0], &Device::Cpu)?;
    finite_differences("covariance", &x, |x| Ok(covariance(x)?.sqr()?.sum_all()?))?;
    finite_differences("coral", &x, |x| coral(x, &y))?;
    finite_differences("distances", &x, |x| {
        Ok(squared_distances(x, &y)?.sqrt()?.sum_all()?)
    })?;
    finite_differences("entropy", &logits, |x| Ok(entropy(x)?.mean_all()?))?;
    finite_differences("diversity", &logits, diversity)?;
    finite_differences("discrepancy", &logits, |x| discrepancy(x, &others))?;
    finite_differences("log loss", &logits, |x| {
        Ok(log_loss(x, &labels)?.mean_all()?)
    })?;
    finite_differences("log of the rest", &logits, |x| {
        Ok(log_of_rest(x, &labels)?.mean_all()?)
    })?;
    let projections = [wave(3, 8, 0.1)?, wave(4, 8, 0.2)?];
    let predictions = softmax(&wave(5, 4, 1.0)?)?;
    for projections in [None, Some(&projections)] {
        finite_differences("multilinear", &x, |x| {
            Ok(multilinear(x, &predictions, projections)?
                .sqr()?
                .sum_all()?)
        })?;
    }
    Ok(())
}

/// With the pairing held, both costs of the transport are plain means over pairs.
#[test]
fn transport_pairs_the_nearest() -> Result<()> {
    let source = Tensor::new(&[[0f64, 0.0], [4.0, 0.0], [0.0, 4.0]], &Device::Cpu)?;
    let target = Tensor::new(&[[0.1f64, 4.0], [0.0, 0.2], [4.0, 0.3]], &Device::Cpu)?;
    let labels = Tensor::new(&[0u32, 1, 0], &Device::Cpu)?;
    let logits = Tensor::new(&[[2f64, -2.0], [2.0, -2.0], [-2.0, 2.0]], &Device::Cpu)?;
    let var = Var::from_tensor(&target)?;
    let [apart, wrong] = transport(&source, &labels, &var, &logits, 1.0, 1.0)?;
    let wanted = (0.01 + 0.04 + 0.09) / (2.0 * 3.0);
    assert!((apart.to_scalar::<f64>()? - wanted).abs() < 1e-12);
    let sure = (1.0 + (-4f64).exp()).ln();
    assert!((wrong.to_scalar::<f64>()? - sure).abs() < 1e-12);
    let grads = apart.backward()?;
    let slope = grads.get(&var).expect("a gradient").to_vec2::<f64>()?;
    assert!((slope[0][0] - 2.0 * 0.1 / 6.0).abs() < 1e-12, "{slope:?}");
    Ok(())
}

#[test]
fn pseudo_labels_follow_the_centroids() -> Result<()> {
    // The third row is predicted as of class 0, and lies in the direction of class 1.
    let features = Tensor::new(
        &[[3f32, 0.1], [0.1, 2.0], [0.3, 4.0], [5.0, 0.0]],
        &Device::Cpu,
    )?;
    let logits = Tensor::new(
        &[[2f32, 0.0], [0.0, 2.0], [0.2, 0.0], [2.0, 0.0]],
        &Device::Cpu,
    )?;
    let labels = pseudo_labels(&features, &logits)?;
    assert_eq!(labels.to_dtype(DType::U32)?.to_vec1::<u32>()?, [0, 1, 1, 0]);
    Ok(())
}

/// The last row lies where the third class would have its centroid, and no row is predicted to be of it.
#[test]
fn a_class_that_no_row_is_of_has_no_centroid() -> Result<()> {
    let features = Tensor::new(
        &[[1f32, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]],
        &Device::Cpu,
    )?;
    let last = [0.3f32, 0.2, 0.0];
    let logits = Tensor::new(
        &[
            [2f32, 0.0, 0.0],
            [2.0, 0.0, 0.0],
            [0.0, 2.0, 0.0],
            [0.0, 2.0, 0.0],
            last,
        ],
        &Device::Cpu,
    )?;
    let labels = pseudo_labels(&features, &logits)?.to_vec1::<u32>()?;
    assert_eq!(labels[..4], [0, 0, 1, 1]);
    assert!(labels[4] < 2, "{labels:?}");
    Ok(())
}

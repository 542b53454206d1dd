use super::*;
use crate::path::Path;
use crate::testing::*;
use candle_core::Device;

fn options(classes: usize) -> Vec<CrossEntropy> {
    let weights = Some((0..classes).map(|c| 0.5 + c as f32).collect());
    let mut all = Vec::new();
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
        for label_smoothing in [0.0, 0.1] {
            for weights in [None, weights.clone()] {
                all.push(CrossEntropy {
                    label_smoothing,
                    weights,
                    ignore_index: Some(0),
                    reduction,
                });
            }
        }
    }
    all.push(CrossEntropy::default());
    all
}

fn drawn_labels(n: usize, classes: usize) -> Tensor {
    let key = crate::random::Counter::named(1, "labels");
    let labels: Vec<u32> = (0..n as u64)
        .map(|i| key.below(i, classes as u64) as u32)
        .collect();
    Tensor::from_vec(labels, n, &device()).unwrap()
}

/// Loss, gradient of x[0][1] and gradient of x[2][0].
///
/// ```python
/// import torch, torch.nn.functional as F
/// x = torch.tensor([[1.,2.,.5],[-1.,0.,3.],[.2,.1,0.]], dtype=torch.float64, requires_grad=True)
/// y = torch.tensor([1,0,2])
/// w = torch.tensor([.5,2.,1.], dtype=torch.float64)
/// for o in [dict(), dict(label_smoothing=.1), dict(weight=w), dict(weight=w,label_smoothing=.1),
///           dict(weight=w,label_smoothing=.1,ignore_index=0), dict(weight=w,label_smoothing=.1,reduction='sum')]:
///     l = F.cross_entropy(x,y,**o); g, = torch.autograd.grad(l,x)
///     print(f"({l.item()!r}, {g[0,1].item()!r}, {g[2,0].item()!r}),")
/// ```
const PYTORCH: [(f64, f64, f64); 6] = [
    (
        1.9107318453648727,
        -0.12382276026274586,
        0.12238846703697516,
    ),
    (
        1.8796207342537616,
        -0.10160053804052362,
        0.11127735592586405,
    ),
    (
        1.1896063909496708,
        -0.21226758902185003,
        0.10490440031740728,
    ),
    (1.22076655543881, -0.1891373918602254, 0.10189090222745933),
    (0.7228940217466531, -0.22066029050359626, 0.1188727192653692),
    (4.272682944035836, -0.6619808715107887, 0.35661815779610756),
];

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let x = Tensor::new(
        &[[1f32, 2., 0.5], [-1., 0., 3.], [0.2, 0.1, 0.]],
        &Device::Cpu,
    )
    .unwrap();
    let y = Tensor::new(&[1u32, 0, 2], &Device::Cpu).unwrap();
    let of = |weighted: bool, label_smoothing, ignore_index, reduction| CrossEntropy {
        label_smoothing,
        weights: weighted.then(|| vec![0.5, 2.0, 1.0]),
        ignore_index,
        reduction,
    };
    let cases = [
        of(false, 0.0, None, Reduction::Mean),
        of(false, 0.1, None, Reduction::Mean),
        of(true, 0.0, None, Reduction::Mean),
        of(true, 0.1, None, Reduction::Mean),
        of(true, 0.1, Some(0), Reduction::Mean),
        of(true, 0.1, None, Reduction::Sum),
    ];
    for (options, (loss, g01, g20)) in cases.iter().zip(PYTORCH) {
        for (x, tolerance) in [(x.clone(), 1e-6), (wide(&x), 1e-7)] {
            let (l, saved) = forward(&x, &y, options).unwrap();
            let g = backward(&saved, &l.ones_like().unwrap()).unwrap();
            let g = wide(&g).to_vec2::<f64>().unwrap();
            let gaps = [values(&l)[0] - loss, g[0][1] - g01, g[2][0] - g20];
            assert!(
                gaps.iter().all(|gap| gap.abs() < tolerance),
                "{options:?}: {gaps:?}"
            );
        }
    }
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for (n, classes) in [(1, 1), (5, 3), (33, 101), (300, 100)] {
        let x = (normal("x", &[n, classes]) * 4.0).unwrap();
        let labels = drawn_labels(n, classes);
        for options in options(classes) {
            graphs_agree(
                "cross_entropy",
                std::slice::from_ref(&x),
                1e-5,
                |t| cross_entropy(&t[0], &labels, &options),
                |t| cross_entropy(&t[0], &labels, &options),
            );
            let (a, _) = forward(&strided(&x), &labels, &options).unwrap();
            let (b, _) = forward(&wide(&x), &labels, &options).unwrap();
            assert_close("strided", &a, &b, 1e-5);
        }
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    let labels = drawn_labels(4, 3);
    for options in options(3) {
        finite_differences("cross_entropy", &[normal("x", &[4, 3])], |t| {
            cross_entropy(&t[0], &labels, &options)
        });
    }
}

#[test]
fn extremes_stay_finite_and_mistakes_are_errors() {
    let x = Tensor::new(&[[1e4f32, -1e4, f32::NEG_INFINITY]], &Device::Cpu).unwrap();
    let y = Tensor::new(&[1u32], &Device::Cpu).unwrap();
    let (loss, saved) = forward(&x, &y, &CrossEntropy::default()).unwrap();
    assert_eq!(values(&loss), [2e4]);
    assert_eq!(
        values(&backward(&saved, &loss.ones_like().unwrap()).unwrap()),
        [1.0, -1.0, 0.0]
    );
    let ignored = CrossEntropy {
        ignore_index: Some(1),
        ..CrossEntropy::default()
    };
    assert_eq!(values(&forward(&x, &y, &ignored).unwrap().0), [0.0]);
    let fails = |y: &[u32], options: &CrossEntropy| {
        let y = Tensor::new(y, &Device::Cpu).unwrap();
        forward(&x, &y, options).unwrap_err().to_string()
    };
    assert!(fails(&[3], &CrossEntropy::default()).contains("label 3 of 3 classes"));
    assert!(fails(&[0, 1], &CrossEntropy::default()).contains("2 labels for 1 examples"));
    let short = CrossEntropy {
        weights: Some(vec![1.0]),
        ..CrossEntropy::default()
    };
    assert!(fails(&[0], &short).contains("class weights"));
}

#[test]
fn every_path_agrees_and_bits_do_not_depend_on_threads() {
    let (x, base) = (
        normal("x", &[53]).to_vec1::<f32>().unwrap(),
        vec![0.01f32; 53],
    );
    let mut rows = Vec::new();
    for path in Path::all() {
        let mut g = vec![0f32; 53];
        let (max, sum, smooth) = cpu::row(path, &x, &base, 1.5, &mut g);
        g.extend([max, sum, smooth]);
        rows.push(Tensor::from_vec(g, 56, &Device::Cpu).unwrap());
    }
    for row in &rows {
        assert_close("row", row, &rows[0], 1e-6);
    }
    let (x, labels) = (normal("x", &[999, 40]), drawn_labels(999, 40));
    for options in options(40) {
        same_bits("cross_entropy", || {
            let (loss, saved) = forward(&x, &labels, &options).unwrap();
            vec![backward(&saved, &loss).unwrap(), loss]
        });
    }
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        for (n, classes) in [(1, 1), (7, 5), (40, 3), (3, 300)] {
            let logits = (normal("logits", &[n, classes]) * 3.0).unwrap();
            let labels = drawn_labels(n, classes);
            let as_read = read_labels(&labels).unwrap();
            for options in options(classes) {
                graphs_agree(
                    "cross_entropy",
                    std::slice::from_ref(&logits),
                    2e-5,
                    |t| cross_entropy(&t[0], &labels, &options),
                    |t| reference::cross_entropy(&t[0], &as_read, &options),
                );
            }
        }
        // What the CPU refuses is seen as a loss that is not finite.
        let labels = Tensor::new(&[0u32, 3], &device()).unwrap();
        let (loss, _) = forward(&normal("x", &[2, 3]), &labels, &CrossEntropy::default()).unwrap();
        assert!(loss.to_scalar::<f32>().unwrap().is_nan());
    });
}

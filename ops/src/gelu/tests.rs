use super::*;
use crate::path::Path;
use crate::testing::*;

const KINDS: [Kind; 2] = [Kind::Erf, Kind::Tanh];

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for shape in [vec![1, 1], vec![3, 5, 7], vec![130, 33], vec![9, 1536]] {
        let width = shape[shape.len() - 1];
        let x = (normal("x", &shape) * 2.0).unwrap();
        let b = normal("b", &[width]);
        for kind in KINDS {
            let exact = reference::bias_gelu(&wide(&x), Some(&wide(&b)), kind).unwrap();
            for x in [x.clone(), strided(&x)] {
                assert_close("gelu", &forward(&x, Some(&b), kind).unwrap(), &exact, 1e-6);
            }
            graphs_agree(
                "bias_gelu",
                &[x.clone(), b.clone()],
                1e-5,
                |t| bias_gelu(&t[0], Some(&t[1]), kind),
                |t| reference::bias_gelu(&t[0], Some(&t[1]), kind),
            );
            graphs_agree(
                "gelu",
                std::slice::from_ref(&x),
                2e-6,
                |t| bias_gelu(&t[0], None, kind),
                |t| reference::bias_gelu(&t[0], None, kind),
            );
            let g = normal("g", &shape);
            let a = backward(&x, Some(&b), kind, &strided(&g)).unwrap();
            let c = backward(&wide(&x), Some(&wide(&b)), kind, &wide(&g)).unwrap();
            assert_close("x", &a.x, &c.x, 1e-6);
            assert_close("bias", &a.bias.unwrap(), &c.bias.unwrap(), 1e-5);
        }
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    for kind in KINDS {
        let inputs = [normal("x", &[4, 6]), normal("b", &[6])];
        finite_differences("bias_gelu", &inputs, |t| {
            bias_gelu(&t[0], Some(&t[1]), kind)
        });
    }
}

#[test]
fn every_path_is_within_the_stated_error() {
    let n = 100_001;
    let x: Vec<f32> = (0..n)
        .map(|i| -12.0 + 24.0 * i as f32 / (n - 1) as f32)
        .collect();
    let ones = vec![1f32; n];
    for path in Path::all() {
        for kind in KINDS {
            let (mut y, mut dy) = (vec![0f32; n], vec![0f32; n]);
            match kind {
                Kind::Erf => {
                    cpu::plain_erf(path, &x, &mut y);
                    cpu::plain_erf_back(path, &x, &ones, &mut dy);
                }
                Kind::Tanh => {
                    cpu::plain_tanh(path, &x, &mut y);
                    cpu::plain_tanh_back(path, &x, &ones, &mut dy);
                }
            }
            let t = Tensor::from_slice(&x, n, &candle_core::Device::Cpu).unwrap();
            let exact = values(&reference::bias_gelu(&wide(&t), None, kind).unwrap());
            let slope = values(
                &backward(&wide(&t), None, kind, &wide(&t.ones_like().unwrap()))
                    .unwrap()
                    .x,
            );
            let (mut worst, mut worst_slope) = (0f64, 0f64);
            for i in 0..n {
                let scale = f64::from(x[i]).abs().max(1.0);
                worst = worse(worst, (f64::from(y[i]) - exact[i]).abs() / scale);
                worst_slope = worse(worst_slope, (f64::from(dy[i]) - slope[i]).abs());
            }
            println!("gelu {kind:?} {path:?}: value {worst:.2e} slope {worst_slope:.2e}");
            assert!(worst <= 2e-7, "{kind:?} {path:?}: {worst:.2e}");
            assert!(worst_slope <= 5e-7, "{kind:?} {path:?}: {worst_slope:.2e}");
        }
    }
}

#[test]
fn every_path_sums_the_bias_gradient() {
    let (rows, width) = (3, 37);
    let (x, b, g) = (
        normal("x", &[rows, width]),
        normal("b", &[width]),
        normal("g", &[rows, width]),
    );
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for path in Path::all() {
        for kind in KINDS {
            let exact = backward(&wide(&x), Some(&wide(&b)), kind, &wide(&g)).unwrap();
            let (mut y, mut gx, mut gb) = (
                vec![0.; rows * width],
                vec![0.; rows * width],
                vec![0.; width],
            );
            let (x, b, g) = (flat(&x), flat(&b), flat(&g));
            match kind {
                Kind::Erf => {
                    cpu::biased_erf(path, &x, &b, &mut y);
                    cpu::biased_erf_back(path, &x, &b, &g, &mut gx, &mut gb);
                }
                Kind::Tanh => {
                    cpu::biased_tanh(path, &x, &b, &mut y);
                    cpu::biased_tanh_back(path, &x, &b, &g, &mut gx, &mut gb);
                }
            }
            assert!(y.iter().all(|y| *y > -0.2));
            assert_close("gx", &tensor(gx, (rows, width)).unwrap(), &exact.x, 1e-6);
            assert_close(
                "gb",
                &tensor(gb, width).unwrap(),
                &exact.bias.unwrap(),
                1e-6,
            );
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (x, b) = (normal("x", &[700, 300]), normal("b", &[300]));
    same_bits("bias_gelu", || {
        let y = forward(&x, Some(&b), Kind::Erf).unwrap();
        let grads = backward(&x, Some(&b), Kind::Erf, &y).unwrap();
        vec![y, grads.x, grads.bias.unwrap()]
    });
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        for shape in [vec![1, 1], vec![3, 5, 7], vec![70, 33]] {
            let width = shape[shape.len() - 1];
            let x = (normal("x", &shape) * 2.0).unwrap();
            let b = normal("b", &[width]);
            for kind in KINDS {
                let exact = reference::bias_gelu(&wide(&x), Some(&wide(&b)), kind).unwrap();
                let y = forward(&strided(&x), Some(&b), kind).unwrap();
                assert_close("gelu", &y, &exact, 1e-6);
                graphs_agree(
                    "bias_gelu",
                    &[x.clone(), b.clone()],
                    1e-5,
                    |t| bias_gelu(&t[0], Some(&t[1]), kind),
                    |t| reference::bias_gelu(&t[0], Some(&t[1]), kind),
                );
                graphs_agree(
                    "gelu",
                    std::slice::from_ref(&x),
                    2e-6,
                    |t| bias_gelu(&t[0], None, kind),
                    |t| reference::bias_gelu(&t[0], None, kind),
                );
                let (x, g) = (half(&x), half(&normal("g", &shape)));
                let y = forward(&x, Some(&b), kind).unwrap();
                let exact = reference::bias_gelu(&wide(&x), Some(&wide(&b)), kind).unwrap();
                assert_close("bf16", &y, &exact, 0.004);
                let by = backward(&x, Some(&b), kind, &g).unwrap();
                let by64 = backward(&wide(&x), Some(&wide(&b)), kind, &wide(&g)).unwrap();
                assert_close("bf16 x", &by.x, &by64.x, 0.004);
                assert_close("bf16 bias", &by.bias.unwrap(), &by64.bias.unwrap(), 1e-5);
            }
        }
    });
}

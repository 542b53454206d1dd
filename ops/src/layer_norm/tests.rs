use super::*;
use crate::path::Path;
use crate::random::Counter;
use crate::testing::*;

fn some() -> Dropout {
    Dropout::new(0.25, Counter::named(1, "layer norm")).unwrap()
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for shape in [vec![1, 1], vec![3, 5, 7], vec![130, 33], vec![2, 70, 384]] {
        let width = shape[shape.len() - 1];
        let x = normal("x", &shape).affine(3.0, 1.0).unwrap();
        let r = normal("r", &shape);
        let (w, b) = (normal("w", &[width]), normal("b", &[width]));
        let exact = reference::layer_norm(&wide(&x), &wide(&w), &wide(&b), 1e-12).unwrap();
        for x in [x.clone(), strided(&x)] {
            assert_close(
                "value",
                &forward(&x, &w, &b, 1e-12).unwrap().0,
                &exact,
                1e-5,
            );
        }
        // A width of one has no variance: its gradient of x is 0 times a huge number, so eps is larger there.
        let eps = if width == 1 { 1e-2 } else { 1e-12 };
        graphs_agree(
            "layer_norm",
            &[x.clone(), w.clone(), b.clone()],
            2e-5,
            |t| layer_norm(&t[0], &t[1], &t[2], eps),
            |t| reference::layer_norm(&t[0], &t[1], &t[2], eps),
        );
        graphs_agree(
            "residual_layer_norm",
            &[x.clone(), r.clone(), w.clone(), b.clone()],
            2e-5,
            |t| residual_layer_norm(&t[0], &t[1], &t[2], &t[3], eps, Some(&some())),
            |t| residual_layer_norm(&t[0], &t[1], &t[2], &t[3], eps, Some(&some())),
        );
        for dropout in [None, Some(some())] {
            let g = normal("g", &shape);
            let run = |to: fn(&Tensor) -> Tensor| {
                let (x, r, w, b, g) = (to(&x), to(&r), to(&w), to(&b), to(&g));
                let (y, saved) = residual_forward(&x, &r, &w, &b, eps, dropout.as_ref()).unwrap();
                (y, backward(&saved, &w, &g).unwrap())
            };
            let ((y, g), (y64, g64)) = (run(Tensor::clone), run(wide));
            assert_close("residual value", &y, &y64, 2e-5);
            assert_close("residual gradient", &g.x, &g64.x, 2e-5);
            assert_close("residual weight", &g.weight, &g64.weight, 2e-5);
            assert_close("residual bias", &g.bias, &g64.bias, 2e-5);
        }
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    let inputs = [normal("x", &[4, 6]), normal("w", &[6]), normal("b", &[6])];
    finite_differences("layer_norm", &inputs, |t| {
        layer_norm(&t[0], &t[1], &t[2], 1e-5)
    });
}

/// The kernels go by the weight's length.
#[test]
fn a_weight_of_another_width_is_refused() {
    let (x, w) = (normal("x", &[2, 5]), normal("w", &[5]));
    let (_, saved) = forward(&x, &w, &w, 1e-5).unwrap();
    let g = normal("g", &[2, 5]);
    assert!(backward(&saved, &w, &g).is_ok());
    for wrong in [&[6usize][..], &[4], &[5, 1]] {
        assert!(
            backward(&saved, &normal("v", wrong), &g).is_err(),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_constant_row_gives_the_bias_and_finite_gradients() {
    let x = Tensor::ones((2, 40), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let (w, b) = (normal("w", &[40]), normal("b", &[40]));
    let (y, saved) = forward(&x, &w, &b, 1e-12).unwrap();
    assert_close("bias", &y, &b.broadcast_as((2, 40)).unwrap(), 1e-6);
    let grads = backward(&saved, &w, &y).unwrap();
    assert!(values(&grads.x).iter().all(|g| g.is_finite()));
}

#[test]
fn every_path_agrees() {
    let (rows, width) = (5, 71);
    let (x, g) = (normal("x", &[rows, width]), normal("g", &[rows, width]));
    let (w, b) = (normal("w", &[width]), normal("b", &[width]));
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (xs, gs, ws, bs) = (flat(&x), flat(&g), flat(&w), flat(&b));
    let (y64, saved) = forward(&wide(&x), &wide(&w), &wide(&b), 1e-5).unwrap();
    let g64 = backward(&saved, &wide(&w), &wide(&g)).unwrap();
    for path in Path::all() {
        let (mut y, mut mean, mut rstd) = (vec![0.; rows * width], vec![0.; rows], vec![0.; rows]);
        cpu::normalise(path, &xs, &ws, &bs, 1e-5, &mut y, &mut mean, &mut rstd);
        assert_close("y", &tensor(y, (rows, width)).unwrap(), &y64, 1e-5);
        let (mut gx, mut gw, mut gb) = (vec![0.; rows * width], vec![0.; width], vec![0.; width]);
        cpu::pull_back(path, &xs, &mean, &rstd, &ws, &gs, &mut gx, &mut gw, &mut gb);
        assert_close("gx", &tensor(gx, (rows, width)).unwrap(), &g64.x, 1e-5);
        assert_close("gw", &tensor(gw, width).unwrap(), &g64.weight, 1e-5);
        assert_close("gb", &tensor(gb, width).unwrap(), &g64.bias, 1e-5);
        let mut sum = vec![0.; rows * width];
        cpu::add(path, &xs, &gs, &mut sum);
        assert_close(
            "sum",
            &tensor(sum, (rows, width)).unwrap(),
            &(&x + &g).unwrap(),
            0.0,
        );
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (x, r) = (normal("x", &[900, 96]), normal("r", &[900, 96]));
    let (w, b) = (normal("w", &[96]), normal("b", &[96]));
    same_bits("layer_norm", || {
        let (y, saved) = residual_forward(&x, &r, &w, &b, 1e-12, Some(&some())).unwrap();
        let grads = backward(&saved, &w, &r).unwrap();
        vec![y, saved.x, grads.x, grads.weight, grads.bias]
    });
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        for shape in [vec![1, 1], vec![3, 5, 7], vec![70, 33], vec![2, 3, 384]] {
            let width = shape[shape.len() - 1];
            let x = normal("x", &shape).affine(3.0, 1.0).unwrap();
            let r = normal("r", &shape);
            let (w, b, g) = (
                normal("w", &[width]),
                normal("b", &[width]),
                normal("g", &shape),
            );
            let eps = if width == 1 { 1e-2 } else { 1e-12 };
            graphs_agree(
                "layer_norm",
                &[x.clone(), w.clone(), b.clone()],
                2e-5,
                |t| layer_norm(&t[0], &t[1], &t[2], eps),
                |t| reference::layer_norm(&t[0], &t[1], &t[2], eps),
            );
            for dropout in [None, Some(some())] {
                let d = dropout.as_ref();
                let exact = |x: &Tensor, r: &Tensor| {
                    residual_forward(&wide(x), &wide(r), &wide(&w), &wide(&b), eps, d).unwrap()
                };
                let (y, saved) = residual_forward(&strided(&x), &r, &w, &b, eps, d).unwrap();
                let (y64, saved64) = exact(&x, &r);
                assert!(matches!(saved.kept, Kept::Device(..)));
                assert_close("sum", &saved.x, &saved64.x, 1e-6);
                assert_close("value", &y, &y64, 1e-5);
                let by = backward(&saved, &w, &strided(&g)).unwrap();
                let by64 = backward(&saved64, &wide(&w), &wide(&g)).unwrap();
                assert_close("x", &by.x, &by64.x, 2e-5);
                assert_close("weight", &by.weight, &by64.weight, 2e-5);
                assert_close("bias", &by.bias, &by64.bias, 2e-5);

                // Activations of bf16: numbers of eight bits, sums and parameters of f32.
                let (x, r, g) = (half(&x), half(&r), half(&g));
                let (y, saved) = residual_forward(&x, &r, &w, &b, eps, d).unwrap();
                let (y64, _) = exact(&x, &r);
                assert_eq!(y.dtype(), candle_core::DType::BF16);
                assert_close("bf16 value", &y, &y64, 0.03);
                let by = backward(&saved, &w, &g).unwrap();
                let (y64, saved64) = forward(&wide(&saved.x), &wide(&w), &wide(&b), eps).unwrap();
                let by64 = backward(&saved64, &wide(&w), &wide(&g)).unwrap();
                assert_close("bf16 value of the sum", &y, &y64, 0.005);
                assert_close("bf16 x", &by.x, &by64.x, 0.005);
                assert_close("bf16 weight", &by.weight, &by64.weight, 2e-5);
                assert_close("bf16 bias", &by.bias, &by64.bias, 2e-5);
            }
        }
    });
}

use super::*;
use crate::path::Path;
use crate::testing::*;

fn parts(width: usize) -> [Tensor; 4] {
    let (w, b) = (normal("w", &[width]), normal("b", &[width]));
    let var = (normal("v", &[width]).sqr().unwrap() + 0.1).unwrap();
    [w, b, normal("m", &[width]), var]
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for shape in [
        vec![7, 1],
        vec![2, 3, 5, 3],
        vec![4, 9, 7, 33],
        vec![2600, 64],
    ] {
        let width = shape[shape.len() - 1];
        let x = normal("x", &shape).affine(3.0, 1.0).unwrap();
        let [w, b, mean, var] = parts(width);
        let inputs = [x.clone(), w.clone(), b.clone()];
        let given = |t: &[Tensor]| {
            let (mean, var) = match t[0].dtype() {
                DType::F64 => (wide(&mean), wide(&var)),
                _ => (mean.clone(), var.clone()),
            };
            let statistics = Statistics::Given {
                mean: &mean,
                var: &var,
            };
            Ok(batch_norm(&t[0], &t[1], &t[2], statistics, 1e-5)?.0)
        };
        graphs_agree("given", &inputs, 3e-5, given, given);
        let batch = |t: &[Tensor]| Ok(batch_norm(&t[0], &t[1], &t[2], Statistics::Batch, 1e-5)?.0);
        graphs_agree("batch", &inputs, 3e-5, batch, batch);
        // By hand, with what may follow.
        let residual = normal("r", &shape);
        for statistics in [
            Statistics::Batch,
            Statistics::Given {
                mean: &mean,
                var: &var,
            },
        ] {
            let after = After {
                residual: Some(&residual),
                relu: true,
            };
            let (y, saved, _) = forward(&strided(&x), &w, &b, statistics, 1e-5, after).unwrap();
            let (plain, ..) = forward(&x, &w, &b, statistics, 1e-5, After::default()).unwrap();
            let expected = (plain + &residual).unwrap().relu().unwrap();
            assert_close("after", &y, &expected, 1e-6);
            let grad = normal("g", &shape);
            let grads = backward(&saved, &w, &strided(&grad)).unwrap();
            let (wm, wv) = (wide(&mean), wide(&var));
            let statistics = match statistics {
                Statistics::Batch => Statistics::Batch,
                Statistics::Given { .. } => Statistics::Given {
                    mean: &wm,
                    var: &wv,
                },
            };
            let (_, saved, _) = forward(
                &wide(&x),
                &wide(&w),
                &wide(&b),
                statistics,
                1e-5,
                After::default(),
            )
            .unwrap();
            let exact = backward(&saved, &wide(&w), &wide(&grad)).unwrap();
            assert_close("x", &grads.x, &exact.x, 3e-5);
            assert_close("weight", &grads.weight, &exact.weight, 3e-5);
            assert_close("bias", &grads.bias, &exact.bias, 3e-5);
        }
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    let [w, b, mean, var] = parts(3);
    let (mean, var) = (wide(&mean), wide(&var));
    let inputs = [normal("x", &[2, 2, 2, 3]), w, b];
    finite_differences("batch", &inputs, |t| {
        Ok(batch_norm(&t[0], &t[1], &t[2], Statistics::Batch, 1e-3)?.0)
    });
    finite_differences("given", &inputs, |t| {
        let statistics = Statistics::Given {
            mean: &mean,
            var: &var,
        };
        Ok(batch_norm(&t[0], &t[1], &t[2], statistics, 1e-3)?.0)
    });
}

/// `torch.nn.BatchNorm2d(2)` in training on one 2 x 2 image with channels 1..4 and 10, 20, 40, 80.
#[test]
fn running_statistics_are_pytorchs() {
    let x = [1f32, 10.0, 2.0, 20.0, 3.0, 40.0, 4.0, 80.0];
    let x = Tensor::from_slice(&x, (1, 2, 2, 2), &device()).unwrap();
    for x in [x.clone(), wide(&x)] {
        let one = Tensor::ones(2, x.dtype(), &device()).unwrap();
        let zero = one.zeros_like().unwrap();
        let (mean, var) = (zero.copy().unwrap(), one.copy().unwrap());
        let (y, _, moments) =
            forward(&x, &one, &zero, Statistics::Batch, 1e-5, After::default()).unwrap();
        moments.unwrap().follow(&mean, &var, 0.1).unwrap();
        let close = |t: &Tensor, expected: &[f64]| {
            let got = values(t);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-5 * b.abs().max(1.0);
            assert!(got.iter().zip(expected).all(near), "{got:?}");
        };
        close(&mean, &[0.25, 3.75]);
        close(&var, &[1.066_666_7, 96.733_33]);
        close(
            &y.flatten_all().unwrap().narrow(0, 0, 2).unwrap(),
            &[-1.341_635_5, -1.025_755_3],
        );
        let single = x.narrow(1, 0, 1).unwrap().narrow(2, 0, 1).unwrap();
        let moments = super::moments(&single).unwrap();
        assert!(moments.follow(&mean, &var, 0.1).is_err());
    }
}

/// What f64 on a GPU goes through, here on the CPU: into the tensor itself, which others share.
#[test]
fn statistics_that_no_kernel_takes_follow_by_candle() {
    for dtype in [DType::F64, DType::F32] {
        let to = normal("to", &[5]).to_dtype(dtype).unwrap();
        let from = normal("from", &[5]);
        let (shared, before) = (to.detach(), values(&to));
        follow_anywhere(&to, &from, 0.9, 0.25).unwrap();
        let expected = before.iter().zip(values(&from));
        for (got, (to, from)) in values(&shared).iter().zip(expected) {
            assert!((got - (0.9 * to + 0.25 * from)).abs() < 1e-6, "{got}");
        }
        assert!(follow_anywhere(&to, &normal("from", &[4]), 0.9, 0.25).is_err());
    }
}

#[test]
fn a_norm_folds_into_factor_and_shift() {
    let x = normal("x", &[6, 5]);
    let [w, b, mean, var] = parts(5);
    let statistics = Statistics::Given {
        mean: &mean,
        var: &var,
    };
    let (y, ..) = forward(&x, &w, &b, statistics, 1e-5, After::default()).unwrap();
    let (scale, shift) = fold(&w, &b, &mean, &var, 1e-5).unwrap();
    let folded = x
        .broadcast_mul(&scale)
        .unwrap()
        .broadcast_add(&shift)
        .unwrap();
    assert_close("fold", &folded, &y, 1e-6);
}

#[test]
fn every_path_agrees() {
    let (width, n) = (19, 50);
    let x = normal("x", &[n, width]);
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let exact = reference::moments(&wide(&x)).unwrap();
    for path in Path::all() {
        let (mut mean, mut squares) = (vec![0f64; width], vec![0f64; width]);
        cpu::chunk_moments(path, &flat(&x), &mut mean, &mut squares);
        assert_close("mean", &tensor(mean, width).unwrap(), &exact.0, 1e-6);
        let var = (tensor(squares, width).unwrap() / n as f64).unwrap();
        assert_close("variance", &var, &exact.1, 1e-6);
        let [w, b, mean, scale] = parts(width);
        let mut y = vec![0f32; n * width];
        let r = normal("r", &[n, width]);
        let (m, s, b) = (flat(&mean), flat(&scale), flat(&b));
        cpu::normalise(path, &flat(&x), &m, &s, &b, &flat(&r), true, &mut y);
        let expected = wide(&x)
            .broadcast_sub(&wide(&mean))
            .and_then(|t| t.broadcast_mul(&wide(&scale)))
            .and_then(|t| t.broadcast_add(&wide(&tensor(b.clone(), width).unwrap())))
            .and_then(|t| t + wide(&r))
            .and_then(|t| t.relu())
            .unwrap();
        assert_close("y", &tensor(y, (n, width)).unwrap(), &expected, 1e-6);
        let (g, w) = (flat(&r), flat(&w));
        let mut dx = vec![0f32; n * width];
        cpu::spread(path, &flat(&x), &m, &g, &s, &w, &b, &mut dx);
        let expected = (wide(&r).broadcast_mul(&wide(&scale)).unwrap()
            + wide(&x)
                .broadcast_sub(&wide(&mean))
                .and_then(|t| t.broadcast_mul(&wide(&tensor(w, width).unwrap())))
                .and_then(|t| t.broadcast_add(&wide(&tensor(b, width).unwrap())))
                .unwrap())
        .unwrap();
        assert_close("dx", &tensor(dx, (n, width)).unwrap(), &expected, 1e-6);
        let (mut products, mut plain) = (vec![0f64; width], vec![0f64; width]);
        cpu::sum_chunk(path, &flat(&x), &m, &g, &mut products, &mut plain);
        let centred = wide(&x).broadcast_sub(&wide(&mean)).unwrap();
        let expected = (centred * wide(&r)).unwrap().sum(0).unwrap();
        assert_close(
            "products",
            &tensor(products, width).unwrap(),
            &expected,
            1e-5,
        );
        assert_close(
            "sums",
            &tensor(plain, width).unwrap(),
            &wide(&r).sum(0).unwrap(),
            1e-5,
        );
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let x = normal("x", &[5000, 48]);
    let [w, b, ..] = parts(48);
    same_bits("batch_norm", || {
        let (y, saved, moments) =
            forward(&x, &w, &b, Statistics::Batch, 1e-5, After::default()).unwrap();
        let grads = backward(&saved, &w, &x).unwrap();
        let m = moments.unwrap();
        vec![y, grads.x, grads.weight, grads.bias, m.mean, m.var]
    });
}

#[test]
fn on_a_gpu_statistics_of_f32_follow_moments_of_f64_by_the_kernel() {
    let x = normal("x", &[20, 300]);
    // In double precision, and rounded once: other bits than the kernel's.
    let moments = super::moments(&wide(&x)).unwrap();
    let f32s = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
    let rounded = Moments {
        mean: f32s(&moments.mean),
        var: f32s(&moments.var),
        ..moments.clone()
    };
    let followed = |moments: &Moments| {
        let [_, _, mean, var] = parts(300);
        let there = |t: &Tensor| t.to_device(&device()).unwrap();
        let moments = Moments {
            mean: there(&moments.mean),
            var: there(&moments.var),
            ..moments.clone()
        };
        moments.follow(&mean, &var, 0.1).unwrap();
        [values(&mean), values(&var)]
    };
    let on_the_cpu = followed(&moments);
    crate::gpu::emulated::everywhere(|| {
        let by_the_kernel = followed(&moments);
        assert_eq!(by_the_kernel, followed(&rounded));
        assert_ne!(by_the_kernel, on_the_cpu);
    });
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        values_and_gradients_agree_with_the_reference();
        running_statistics_are_pytorchs();
        let shape = [2, 9, 7, 33];
        let (x, g) = (normal("x", &shape), normal("g", &shape));
        let (x, g) = (half(&x.affine(3.0, 1.0).unwrap()), half(&g));
        let [w, b, mean, var] = parts(33);
        let (wm, wv) = (wide(&mean), wide(&var));
        let given = |mean, var| Statistics::Given { mean, var };
        for (own, exact) in [
            (Statistics::Batch, Statistics::Batch),
            (given(&mean, &var), given(&wm, &wv)),
        ] {
            let after = After::default();
            let (y, saved, _) = forward(&x, &w, &b, own, 1e-5, after).unwrap();
            let (y64, saved64, _) =
                forward(&wide(&x), &wide(&w), &wide(&b), exact, 1e-5, after).unwrap();
            assert_close("bf16", &y, &y64, 0.005);
            let by = backward(&saved, &w, &g).unwrap();
            let by64 = backward(&saved64, &wide(&w), &wide(&g)).unwrap();
            assert_close("bf16 x", &by.x, &by64.x, 0.005);
            assert_close("bf16 weight", &by.weight, &by64.weight, 3e-5);
            assert_close("bf16 bias", &by.bias, &by64.bias, 3e-5);
        }
    });
}

use super::*;
use crate::testing::*;
use candle_core::DType;

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for shape in [vec![1], vec![3, 5, 7], vec![2, 100, 333]] {
        let x = normal("x", &shape);
        for x in [x.clone(), strided(&x)] {
            assert_close(
                "relu",
                &forward(&x).unwrap(),
                &wide(&x).relu().unwrap(),
                0.0,
            );
        }
        graphs_agree("relu", &[x], 1e-6, |t| relu(&t[0]), |t| t[0].relu());
    }
}

#[test]
fn every_path_agrees_and_nan_stays() {
    let x = [
        -1f32,
        0.0,
        2.0,
        f32::NAN,
        f32::INFINITY,
        -0.5,
        1e-40,
        3.0,
        -3.0,
    ];
    for path in Path::all() {
        let mut y = [9f32; 9];
        positive(path, &x, &mut y);
        assert_eq!(y[..3], [0.0, 0.0, 2.0]);
        assert!(y[3].is_nan() && y[4] == f32::INFINITY && y[6] == 1e-40);
        let mut g = [9f32; 9];
        mask(path, &x, &[5.0; 9], &mut g);
        assert_eq!(g, [0.0, 0.0, 5.0, 0.0, 5.0, 0.0, 5.0, 5.0, 0.0]);
    }
}

/// In f64 by Candle's own ops, as by the kernels.
#[test]
fn nan_stays_and_the_slope_at_zero_is_zero_in_any_type() {
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::new(&[f32::NAN, 0.0, -0.0, 2.0, -1.0], &device()).unwrap();
        let x = candle_core::Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
        let y = relu(x.as_tensor()).unwrap();
        let of = |t: &Tensor| t.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        let values = of(&y);
        assert!(
            values[0].is_nan() && values[1..] == [0.0, 0.0, 2.0, 0.0],
            "{values:?}"
        );
        assert!(of(&forward(x.as_tensor()).unwrap())[0].is_nan());
        let grads = y.sum_all().unwrap().backward().unwrap();
        assert_eq!(
            of(grads.get(&x).unwrap())[1..],
            [0.0, 0.0, 1.0, 0.0],
            "{dtype:?}"
        );
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    finite_differences("relu", &[normal("x", &[3, 7])], |t| relu(&t[0]));
    let (y, g) = (normal("y", &[4, 9]), normal("g", &[4, 9]));
    let exact = backward(&wide(&y), &wide(&g)).unwrap();
    assert_close(
        "pullback",
        &backward(&y, &strided(&g)).unwrap(),
        &exact,
        0.0,
    );
    assert!(backward(&y, &normal("g", &[4, 8])).is_err());
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        values_and_gradients_agree_with_the_reference();
        let x = normal("x", &[3, 50]);
        let y = forward(&half(&x)).unwrap();
        assert_close("bf16", &y, &wide(&half(&x)).relu().unwrap(), 0.0);
        let nan = Tensor::new(&[f32::NAN, -1.0], &device()).unwrap();
        let y: Vec<f32> = forward(&nan).unwrap().to_vec1().unwrap();
        assert!(y[0].is_nan() && y[1] == 0.0);
    });
}

use super::*;
use crate::testing::*;
use candle_core::Device;

#[test]
fn values_are_pytorchs() {
    // interpolate(x, size=(3, 5), mode="bilinear", align_corners=False) of arange(8) as 2 x 4.
    let x = Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap();
    let x = x.reshape((1, 2, 4, 1)).unwrap();
    let y = forward(&x, (3, 5)).unwrap().flatten_all().unwrap();
    let expected = [
        0.0f32, 0.7, 1.5, 2.3, 3.0, 2.0, 2.7, 3.5, 4.3, 5.0, 4.0, 4.7, 5.5, 6.3, 7.0,
    ];
    let expected = Tensor::new(&expected, &Device::Cpu).unwrap();
    assert_close("resize", &y, &expected, 1e-6);
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for (shape, size) in [
        ([1, 1, 1, 1], (3, 2)),
        ([2, 5, 7, 3], (9, 4)),
        ([1, 6, 6, 20], (6, 6)),
        ([2, 8, 3, 33], (3, 11)),
    ] {
        let x = normal("x", &shape);
        let exact = resize(&wide(&x), size).unwrap();
        for x in [x.clone(), strided(&x)] {
            assert_close("resize", &forward(&x, size).unwrap(), &exact, 1e-5);
        }
        let f = |t: &[Tensor]| resize(&t[0], size);
        graphs_agree("resize", &[x], 1e-5, f, f);
    }
    assert!(forward(&normal("x", &[1, 2, 2, 1]), (0, 1)).is_err());
}

#[test]
fn the_reference_passes_finite_differences() {
    let x = normal("x", &[2, 3, 4, 2]);
    finite_differences("resize", &[x], |t| resize(&t[0], (5, 3)));
}

#[test]
fn bits_do_not_depend_on_threads() {
    let x = normal("x", &[3, 9, 11, 5]);
    same_bits("resize", || {
        let y = forward(&x, (20, 6)).unwrap();
        let g = backward((9, 11), &y).unwrap();
        vec![y, g]
    });
}

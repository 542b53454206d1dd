use super::*;
use crate::testing::*;

#[test]
fn products_agree_with_candle_for_every_transpose_and_odd_shapes() {
    for (m, n, k) in [
        (1, 1, 1),
        (5, 7, 3),
        (1, 33, 65),
        (64, 1, 17),
        (129, 67, 255),
    ] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = normal("a", &if ta { [k, m] } else { [m, k] });
            let b = normal("b", &if tb { [n, k] } else { [k, n] });
            let exact = reference::matmul(&wide(&a), &wide(&b), ta, tb).unwrap();
            for a in [a.clone(), strided(&a)] {
                assert_close("f32", &forward(&a, &b, ta, tb).unwrap(), &exact, 1e-5);
            }
            let c = forward(&wide(&a), &wide(&b), ta, tb).unwrap();
            assert_close("f64", &c, &exact, 1e-13);
            graphs_agree(
                "matmul",
                &[a, b],
                1e-5,
                |x| matmul(&x[0], &x[1], ta, tb),
                |x| reference::matmul(&x[0], &x[1], ta, tb),
            );
        }
    }
}

#[test]
fn a_product_can_be_added_to_what_is_there() {
    let (a, b) = ([1f32, 2., 3., 4.], [5f32, 6., 7., 8.]);
    let mut c = [1f32; 4];
    into(&mut c, &a, false, &b, false, (2, 2, 2), 2.0);
    assert_eq!(c, [21., 24., 45., 52.]);
    into(&mut c, &a, false, &b, true, (2, 2, 2), 0.0);
    assert_eq!(c, [17., 23., 39., 53.]);
}

#[test]
fn a_batch_is_its_products() {
    let (batch, m, n, k) = (5, 3, 4, 2);
    let a = normal("a", &[batch, m, k]);
    let b = normal("b", &[batch, n, k]);
    let mut c = vec![0f32; batch * m * n];
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    into_batched(
        &mut c,
        &flat(&a),
        false,
        &flat(&b),
        true,
        batch,
        (m, n, k),
        0.0,
    );
    let exact = a.matmul(&b.t().unwrap()).unwrap();
    let c = Tensor::from_vec(c, (batch, m, n), &candle_core::Device::Cpu).unwrap();
    assert_close("batch", &c, &exact, 1e-6);
}

#[test]
fn an_empty_inner_dimension_gives_zeros() {
    let a = Tensor::zeros((2, 0), DType::F32, &candle_core::Device::Cpu).unwrap();
    let b = Tensor::zeros((0, 3), DType::F32, &candle_core::Device::Cpu).unwrap();
    assert_eq!(values(&forward(&a, &b, false, false).unwrap()), [0.0; 6]);
}

#[test]
fn bits_do_not_depend_on_threads() {
    for (m, n, k) in [
        (300, 200, 700),
        (1, 500, 600),
        (700, 1, 300),
        (512, 384, 384),
    ] {
        let (a, b) = (normal("a", &[m, k]), normal("b", &[n, k]));
        let at = a.t().unwrap().contiguous().unwrap();
        same_bits("matmul", || {
            vec![
                forward(&a, &b, false, true).unwrap(),
                forward(&at, &b, true, true).unwrap(),
            ]
        });
    }
}

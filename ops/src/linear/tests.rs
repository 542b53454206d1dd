use super::*;
use crate::path::Path;
use crate::testing::*;

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for (shape, width, out) in [
        (vec![1, 1], 1, 1),
        (vec![3, 5, 7], 7, 9),
        (vec![130, 33], 33, 65),
        (vec![2, 200, 48], 48, 3),
    ] {
        let x = normal("x", &shape);
        let w = normal("w", &[out, width]);
        let b = normal("b", &[out]);
        let exact = reference::linear(&wide(&x), &wide(&w), Some(&wide(&b))).unwrap();
        for x in [x.clone(), strided(&x)] {
            assert_close("linear", &forward(&x, &w, Some(&b)).unwrap(), &exact, 1e-5);
        }
        let with = |f: fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor>| {
            move |t: &[Tensor]| f(&t[0], &t[1], Some(&t[2]))
        };
        graphs_agree(
            "linear",
            &[x.clone(), w.clone(), b],
            1e-5,
            with(linear),
            with(reference::linear),
        );
        graphs_agree(
            "linear without bias",
            &[x, w],
            1e-5,
            |t| linear(&t[0], &t[1], None),
            |t| reference::linear(&t[0], &t[1], None),
        );
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    let inputs = [
        normal("x", &[2, 3, 4]),
        normal("w", &[5, 4]),
        normal("b", &[5]),
    ];
    finite_differences("linear", &inputs, |t| linear(&t[0], &t[1], Some(&t[2])));
}

#[test]
fn pullbacks_agree_between_f32_and_f64() {
    let (x, w, g) = (
        normal("x", &[4, 6, 5]),
        normal("w", &[3, 5]),
        normal("g", &[4, 6, 3]),
    );
    let a = backward(&x, &w, &strided(&g), true).unwrap();
    let b = backward(&wide(&x), &wide(&w), &wide(&g), true).unwrap();
    assert_close("x", &a.x.unwrap(), &b.x.unwrap(), 1e-5);
    assert_close("w", &a.weight, &b.weight, 1e-5);
    assert_close("b", &a.bias, &b.bias, 1e-5);
    assert!(backward(&x, &w, &g, false).unwrap().x.is_none());
    let mut sum = vec![1f32; 15];
    accumulate_weight(&mut sum, &x, &g).unwrap();
    let sum = tensor(sum, (3, 5)).unwrap();
    assert_close("sum", &sum, &(b.weight + 1.0).unwrap(), 1e-5);
}

#[test]
fn the_gradient_of_an_input_is_added_to_another() {
    let (w, g) = (normal("w", &[50, 33]), normal("g", &[4, 30, 50]));
    let start = normal("s", &[4, 30, 33]);
    for precision in [Precision::F32, Precision::Bf16] {
        let alone = backward_x_in(precision, &w, &g).unwrap();
        let exact = (&start + &alone).unwrap();
        for (sum, g) in [
            (start.copy().unwrap(), g.clone()),
            (strided(&start), strided(&g)),
        ] {
            let sum = add_backward_x_in(precision, sum, &w, &g).unwrap();
            assert_close("sum", &sum, &exact, 1e-5);
        }
    }
    let wide = add_backward_x_in(Precision::Bf16, wide(&start), &wide(&w), &wide(&g)).unwrap();
    let alone = backward_x(&w, &g).unwrap();
    assert_close("f64", &wide, &(&start + &alone).unwrap(), 1e-5);
    assert!(add_backward_x_in(Precision::F32, start, &w, &normal("g", &[3, 50])).is_err());
}

/// The gradient beside a residual connection is added to what comes through the layer; it may be the very tensor that goes in.
#[test]
fn a_gradient_is_added_to_itself() {
    let (w, g) = (normal("w", &[8, 8]), normal("g", &[4, 8]));
    for precision in [Precision::F32, Precision::Bf16] {
        let exact = (&g + backward_x_in(precision, &w, &g).unwrap()).unwrap();
        let before = values(&g);
        let sum = add_backward_x_in(precision, g.clone(), &w, &g).unwrap();
        assert_close("sum", &sum, &exact, 1e-5);
        assert_eq!(values(&g), before);
    }
}

#[test]
fn column_sums_agree_on_every_path() {
    for (n, width) in [(1, 1), (7, 3), (130, 17), (1001, 33)] {
        let x = normal("x", &[n, width]);
        let exact = wide(&x).sum(0).unwrap();
        let flat = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for path in Path::all() {
            let mut sums = vec![0f32; width];
            cpu::add_rows(path, &mut sums, &flat);
            assert_close("sums", &tensor(sums, width).unwrap(), &exact, 1e-5);
        }
        assert_close(
            "sums",
            &tensor(column_sums(&flat, width), width).unwrap(),
            &exact,
            1e-5,
        );
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (x, w, b) = (
        normal("x", &[900, 96]),
        normal("w", &[200, 96]),
        normal("b", &[200]),
    );
    same_bits("linear", || {
        let y = forward(&x, &w, Some(&b)).unwrap();
        let grads = backward(&x, &w, &y, true).unwrap();
        vec![y, grads.x.unwrap(), grads.weight, grads.bias]
    });
}

#[test]
fn what_is_frozen_gets_no_gradient() {
    use candle_core::Var;
    let (x, w, b) = (
        normal("x", &[4, 5]),
        normal("w", &[3, 5]),
        normal("b", &[3]),
    );
    let b = Var::from_tensor(&b).unwrap();
    let grads = linear(&x, &w, Some(b.as_tensor()))
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    assert!(grads.get(&b).is_some() && grads.get(&x).is_none() && grads.get(&w).is_none());
}

#[test]
fn bf16_rounds_every_product_and_nothing_else() {
    let (x, w) = (normal("x", &[4, 30, 33]), normal("w", &[50, 33]));
    let (b, g) = (normal("b", &[50]), normal("g", &[4, 30, 50]));
    let round = |t: &Tensor| wide(&t.to_dtype(candle_core::DType::BF16).unwrap());
    let exact = reference::linear(&round(&x), &round(&w), Some(&wide(&b))).unwrap();
    for x in [x.clone(), strided(&x)] {
        let y = forward_in(Precision::Bf16, &x, &w, Some(&b)).unwrap();
        assert_close("y", &y, &exact, 1e-5);
    }
    let grads = backward_in(Precision::Bf16, &x, &w, &strided(&g), true).unwrap();
    let rounded = backward(&round(&x), &round(&w), &round(&g), true).unwrap();
    let (gx, exact_x) = (grads.x.unwrap(), rounded.x.unwrap());
    assert_close("x", &gx, &exact_x, 1e-5);
    assert_close("w", &grads.weight, &rounded.weight, 1e-5);
    assert_close("b", &grads.bias, &backward_bias(&wide(&g)).unwrap(), 1e-5);
    // The node in Candle's graph: the same kernels.
    let x = candle_core::Var::from_tensor(&x).unwrap();
    let y = linear_in(Precision::Bf16, x.as_tensor(), &w, Some(&b)).unwrap();
    let by_graph = (y * &g).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(values(by_graph.get(&x).unwrap()), values(&gx));
}

#[test]
fn the_gpu_products_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        for (shape, width, out) in [
            (vec![1, 1], 1, 1),
            (vec![3, 5, 7], 7, 9),
            (vec![130, 33], 33, 20),
        ] {
            let x = normal("x", &shape);
            let (w, b) = (normal("w", &[out, width]), normal("b", &[out]));
            for bias in [None, Some(&b)] {
                let mut inputs = vec![x.clone(), w.clone()];
                inputs.extend(bias.cloned());
                graphs_agree(
                    "linear",
                    &inputs,
                    1e-5,
                    |t| linear(&t[0], &t[1], t.get(2)),
                    |t| reference::linear(&t[0], &t[1], t.get(2)),
                );
            }
            let mut of = shape.clone();
            of[shape.len() - 1] = out;
            let (g, sum) = (normal("g", &of), normal("sum", &shape));
            let dx = backward_x(&w, &g).unwrap();
            let added = add_backward_x_in(Precision::F32, sum.copy().unwrap(), &w, &g).unwrap();
            assert_close("sum", &added, &(&sum + &dx).unwrap(), 1e-6);
            assert!(backward_x(&w, &x).is_err() || width == out);

            // Factors of bf16, whether they are rounded here or came so; sums and the weight's gradient are f32.
            let rounded = |t: &Tensor| wide(&half(t));
            let exact = reference::linear(&rounded(&x), &rounded(&w), Some(&wide(&b))).unwrap();
            let y = forward_in(Precision::Bf16, &x, &w, Some(&b)).unwrap();
            assert_close("rounded", &y, &exact, 1e-5);
            let y = forward_in(Precision::Bf16, &half(&x), &w, Some(&b)).unwrap();
            assert_eq!(y.dtype(), candle_core::DType::BF16);
            assert_close("bf16", &y, &exact, 0.01);
            let (hx, hg) = (half(&x), half(&g));
            let by = backward_in(Precision::Bf16, &hx, &w, &hg, true).unwrap();
            let by64 = backward(&wide(&hx), &rounded(&w), &wide(&hg), true).unwrap();
            assert_close("bf16 x", &by.x.unwrap(), &by64.x.unwrap(), 0.005);
            assert_close("bf16 weight", &by.weight, &by64.weight, 1e-5);
            assert_close("bf16 bias", &by.bias, &by64.bias, 1e-5);
        }
    });
}

#[test]
fn no_rows_give_no_rows() {
    let w = normal("w", &[384, 384]);
    let b = normal("b", &[384]);
    let x = Tensor::zeros((0, 384), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    assert_eq!(linear(&x, &w, Some(&b)).unwrap().dims(), [0, 384]);
}

use super::*;
use crate::random::Counter;
use crate::testing::*;
use candle_core::Device;

fn some_dropout() -> Dropout {
    Dropout::new(0.2, Counter::named(1, "attention")).unwrap()
}

fn masks(batch: usize, length: usize) -> Vec<KeyMask> {
    let key = Counter::named(1, "attention mask");
    let lengths = (0..batch)
        .map(|i| if i == 0 { 0 } else { length - i % length })
        .collect();
    let keep = (0..batch * length)
        .map(|i| i >= length && key.uniform(i as u64) > 0.4)
        .collect();
    vec![
        KeyMask::None,
        KeyMask::Lengths(lengths),
        KeyMask::Keep(keep),
    ]
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for (batch, length, heads, dim) in [(1, 1, 1, 1), (3, 7, 2, 5), (2, 33, 3, 8), (2, 140, 1, 16)]
    {
        let shape = [batch, length, heads * dim];
        let (q, k, v) = (
            normal("q", &shape),
            normal("k", &shape),
            normal("v", &shape),
        );
        for mask in masks(batch, length) {
            for dropout in [None, Some(some_dropout())] {
                let d = dropout.as_ref();
                graphs_agree(
                    "attention",
                    &[q.clone(), k.clone(), v.clone()],
                    1e-5,
                    |t| attention(&t[0], &t[1], &t[2], heads, &mask, d),
                    |t| reference::attention(&t[0], &t[1], &t[2], heads, &mask, d),
                );
                let g = normal("g", &shape);
                let (y, saved) = forward(&q, &strided(&k), &v, heads, &mask, d).unwrap();
                let (y64, saved64) =
                    forward(&wide(&q), &wide(&k), &wide(&v), heads, &mask, d).unwrap();
                assert_close("value", &y, &y64, 1e-5);
                let (dq, dk, dv) = backward(&saved, &strided(&g)).unwrap();
                let (eq, ek, ev) = backward(&saved64, &wide(&g)).unwrap();
                assert_close("dq", &dq, &eq, 1e-5);
                assert_close("dk", &dk, &ek, 1e-5);
                assert_close("dv", &dv, &ev, 1e-5);
                let packed = Tensor::cat(&[&dq, &dk, &dv], 2).unwrap();
                assert_close(
                    "packed",
                    &backward_packed(&saved, &g).unwrap(),
                    &packed,
                    0.0,
                );
            }
        }
    }
}

/// The first tokens as queries, among all and alone: outputs, and gradients where no loss looks at the others.
fn first_queries_are_as_among_all() {
    for (batch, length, heads, dim, asked) in [(3, 7, 2, 5, 1), (2, 140, 1, 16, 3), (2, 4, 2, 4, 4)]
    {
        let shape = [batch, length, heads * dim];
        let all = ["q", "k", "v"].map(|name| normal(name, &shape));
        let first = |t: &Tensor| first_of(t, asked);
        let g = normal("g", &[batch, asked, heads * dim]);
        for mask in masks(batch, length) {
            for dropout in [None, Some(some_dropout())] {
                let run = |[q, k, v]: &[Tensor; 3], g: &Tensor| {
                    let (y, saved) = forward(q, k, v, heads, &mask, dropout.as_ref()).unwrap();
                    (y, backward(&saved, g).unwrap())
                };
                let padded = g.pad_with_zeros(1, 0, length - asked).unwrap();
                let (y, (q, k, v)) = run(&all.each_ref().map(wide), &wide(&padded));
                let expected = [first(&y), first(&q), k, v];
                let mut some = all.clone();
                some[0] = first(&all[0]);
                // A slice of all, contiguous, and in the reference.
                for (some, g) in [
                    (some.clone(), g.clone()),
                    (
                        some.each_ref().map(|t| t.contiguous().unwrap()),
                        strided(&g),
                    ),
                    (some.each_ref().map(wide), wide(&g)),
                ] {
                    let (y, (q, k, v)) = run(&some, &g);
                    for (got, expected) in [y, q, k, v].iter().zip(&expected) {
                        assert_close("the first queries", got, expected, 1e-5);
                    }
                }
                let (_, saved) = forward(&some[0], &some[1], &some[2], heads, &mask, None).unwrap();
                assert_eq!(backward_packed(&saved, &g).is_ok(), asked == length);
            }
        }
    }
    let q = normal("q", &[2, 4, 6]);
    let k = first_of(&q, 3);
    assert!(forward(&q, &k, &k, 2, &KeyMask::None, None).is_err());
}

fn first_of(t: &Tensor, n: usize) -> Tensor {
    t.narrow(1, 0, n).unwrap()
}

#[test]
fn the_first_queries_are_as_among_all() {
    first_queries_are_as_among_all();
}

#[test]
fn on_a_gpu_the_first_queries_are_as_among_all_too() {
    crate::gpu::emulated::everywhere(first_queries_are_as_among_all);
}

#[test]
fn slices_of_a_joint_product_need_no_copy() {
    let (batch, length, heads, dim) = (2, 9, 2, 4);
    let qkv = normal("qkv", &[batch, length, 3 * heads * dim]);
    let part = |i: usize| qkv.narrow(2, i * heads * dim, heads * dim).unwrap();
    let whole = |i: usize| part(i).contiguous().unwrap();
    let run = |q, k, v| forward(&q, &k, &v, heads, &KeyMask::None, None).unwrap();
    let (y, saved) = run(part(0), part(1), part(2));
    let (z, other) = run(whole(0), whole(1), whole(2));
    assert_close("slices", &y, &z, 0.0);
    let (a, b) = (backward_packed(&saved, &y), backward_packed(&other, &y));
    assert_close("slices", &a.unwrap(), &b.unwrap(), 0.0);
    // Last dimension strided, too.
    let t = part(0)
        .contiguous()
        .unwrap()
        .transpose(1, 2)
        .unwrap()
        .contiguous()
        .unwrap();
    let (z, _) = run(t.transpose(1, 2).unwrap(), whole(1), whole(2));
    assert_close("transposed", &y, &z, 0.0);
}

#[test]
fn the_reference_passes_finite_differences() {
    let inputs = [
        normal("q", &[2, 3, 4]),
        normal("k", &[2, 3, 4]),
        normal("v", &[2, 3, 4]),
    ];
    for mask in masks(2, 3) {
        finite_differences("attention", &inputs, |t| {
            attention(&t[0], &t[1], &t[2], 2, &mask, Some(&some_dropout()))
        });
    }
}

#[test]
fn padding_changes_nothing_and_gives_zeros() {
    let (heads, dim, length) = (2, 8, 5);
    let short = normal("x", &[1, length, heads * dim]);
    let noise = (normal("noise", &[1, 4, heads * dim]) * f64::NAN).unwrap();
    let long = Tensor::cat(&[&short, &noise], 1).unwrap();
    let (y, _) = forward(&short, &short, &short, heads, &KeyMask::None, None).unwrap();
    let mask = KeyMask::Lengths(vec![length]);
    let (z, saved) = forward(&long, &long, &long, heads, &mask, None).unwrap();
    assert_close(
        "kept",
        &z.narrow(1, 0, length).unwrap().contiguous().unwrap(),
        &y,
        0.0,
    );
    assert!(
        values(&z.narrow(1, length, 4).unwrap())
            .iter()
            .all(|&z| z == 0.0)
    );
    let packed = backward_packed(&saved, &z).unwrap();
    assert!(values(&packed).iter().all(|g| g.is_finite()));
}

#[test]
fn masks_are_read_from_tensors() {
    let of = |rows: [[u32; 3]; 2]| {
        KeyMask::from_tensor(&Tensor::new(&rows, &Device::Cpu).unwrap()).unwrap()
    };
    assert_eq!(of([[1, 1, 1], [1, 1, 1]]), KeyMask::None);
    assert_eq!(of([[1, 1, 0], [0, 0, 0]]), KeyMask::Lengths(vec![2, 0]));
    let keep = vec![true, false, true, true, true, true];
    assert_eq!(of([[1, 0, 1], [1, 1, 1]]), KeyMask::Keep(keep));
    let x = normal("x", &[2, 3, 4]);
    for wrong in [
        KeyMask::Lengths(vec![4, 1]),
        KeyMask::Lengths(vec![1]),
        KeyMask::Keep(vec![true]),
    ] {
        assert!(forward(&x, &x, &x, 2, &wrong, None).is_err());
    }
    assert!(forward(&x, &x, &x, 3, &KeyMask::None, None).is_err());
}

#[test]
fn sentences_without_a_token_give_nothing() {
    for (batch, length) in [(2, 0), (0, 3), (0, 0)] {
        let qkv = normal("qkv", &[batch, length, 12]);
        let part = |i: usize| qkv.narrow(2, i * 4, 4).unwrap();
        let whole = |i: usize| part(i).contiguous().unwrap();
        for [q, k, v] in [[0, 1, 2].map(part), [0, 1, 2].map(whole)] {
            let d = Some(some_dropout());
            let (y, saved) = forward(&q, &k, &v, 2, &KeyMask::None, d.as_ref()).unwrap();
            assert_eq!(y.dims(), [batch, length, 4]);
            let packed = backward_packed(&saved, &y).unwrap();
            assert_eq!(packed.dims(), [batch, length, 12]);
            let (dq, ..) = backward(&saved, &y).unwrap();
            assert_eq!(dq.dims(), [batch, length, 4]);
        }
    }
}

/// Which outputs are NaN where all of a query's scores are, there as on the CPU.
#[test]
fn on_a_gpu_a_query_of_nan_is_not_hidden_either() {
    let (length, heads, dim) = (4, 2, 3);
    let shape = [2, length, heads * dim];
    let n = shape.iter().product::<usize>();
    // The first head of the second sentence's third query.
    let spoilt: Vec<f32> = (0..n)
        .map(|i| if i / 3 == 8 + 4 { f32::NAN } else { 1.0 })
        .collect();
    let run = |mask: &KeyMask, dtype: DType| {
        let spoilt = Tensor::from_slice(&spoilt, &shape, &device()).unwrap();
        let q = (normal("q", &shape) * spoilt).unwrap();
        let [q, k, v] =
            [q, normal("k", &shape), normal("v", &shape)].map(|t| t.to_dtype(dtype).unwrap());
        let (y, _) = forward(&q, &k, &v, heads, mask, None).unwrap();
        let nan: Vec<_> = values(&y).into_iter().map(f64::is_nan).collect();
        nan
    };
    let expected: Vec<_> = spoilt.iter().map(|x| x.is_nan()).collect();
    let mut keep = vec![true; 2 * length];
    keep[length + 1] = false;
    for mask in [
        KeyMask::None,
        KeyMask::Lengths(vec![4, 3]),
        KeyMask::Keep(keep),
    ] {
        assert_eq!(run(&mask, DType::F32), expected, "{mask:?}");
        crate::gpu::emulated::everywhere(|| {
            for dtype in [DType::F32, DType::BF16] {
                assert_eq!(run(&mask, dtype), expected, "{mask:?} {dtype:?}");
            }
        });
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let shape = [3, 65, 48];
    let (q, k, v) = (
        normal("q", &shape),
        normal("k", &shape),
        normal("v", &shape),
    );
    for mask in masks(3, 65) {
        same_bits("attention", || {
            let (y, saved) = forward(&q, &k, &v, 3, &mask, Some(&some_dropout())).unwrap();
            vec![backward_packed(&saved, &q).unwrap(), y]
        });
    }
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        // cuBLAS may sum in another order where the rows of a factor lie elsewhere.
        let alike = if device().is_cpu() { 0.0 } else { 1e-6 };
        for (batch, length, heads, dim) in [
            (1, 1, 1, 1),
            (3, 7, 2, 5),
            (2, 33, 3, 8),
            (1, 130, 1, 4),
            (3, 8, 3, 5),
        ] {
            let shape = [batch, length, heads * dim];
            let (q, k, v) = (
                normal("q", &shape),
                normal("k", &shape),
                normal("v", &shape),
            );
            let g = normal("g", &shape);
            for mask in masks(batch, length) {
                for dropout in [None, Some(some_dropout())] {
                    let d = dropout.as_ref();
                    let exact = |q: &Tensor, k: &Tensor, v: &Tensor, g: &Tensor| {
                        let (y, saved) = forward(q, k, v, heads, &mask, d).unwrap();
                        (y, backward_packed(&saved, g).unwrap())
                    };
                    let (y64, by64) = exact(&wide(&q), &wide(&k), &wide(&v), &wide(&g));
                    let (y, saved) = forward(&q, &strided(&k), &v, heads, &mask, d).unwrap();
                    assert_eq!(saved.device.is_some(), length <= 128);
                    assert_close("value", &y, &y64, 1e-5);
                    let by = backward_packed(&saved, &strided(&g)).unwrap();
                    assert_close("packed", &by, &by64, 1e-5);
                    // Parts of one wider tensor, as a joint product leaves them.
                    let qkv = Tensor::cat(&[&q, &k, &v], 2).unwrap();
                    let part = |i: usize| qkv.narrow(2, i * heads * dim, heads * dim).unwrap();
                    let (z, parts) =
                        forward(&part(0), &part(1), &part(2), heads, &mask, d).unwrap();
                    assert_close("parts", &z, &y, alike);
                    assert_close("parts", &backward_packed(&parts, &g).unwrap(), &by, alike);

                    let [q, k, v, g] = [&q, &k, &v, &g].map(half);
                    let (y64, by64) = exact(&wide(&q), &wide(&k), &wide(&v), &wide(&g));
                    let (y, saved) = forward(&q, &k, &v, heads, &mask, d).unwrap();
                    assert_close("bf16 value", &y, &y64, 0.02);
                    let by = backward_packed(&saved, &g).unwrap();
                    assert_close("bf16 packed", &by, &by64, 0.03);
                }
                graphs_agree(
                    "attention",
                    &[q.clone(), k.clone(), v.clone()],
                    1e-5,
                    |t| attention(&t[0], &t[1], &t[2], heads, &mask, None),
                    |t| reference::attention(&t[0], &t[1], &t[2], heads, &mask, None),
                );
            }
        }
    });
}

use super::*;
use crate::testing::*;
use candle_core::Device;

fn drawn_ids(shape: &[usize], vocabulary: u64) -> Tensor {
    let key = crate::random::Counter::named(1, "ids");
    let n = shape.iter().product::<usize>() as u64;
    let ids: Vec<u32> = (0..n).map(|i| key.below(i, vocabulary) as u32).collect();
    Tensor::from_vec(ids, shape, &device()).unwrap()
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for (shape, vocabulary, width) in [(vec![1], 1, 1), (vec![3, 7], 5, 3), (vec![4, 50], 90, 65)] {
        let table = normal("table", &[vocabulary, width]);
        let ids = drawn_ids(&shape, vocabulary as u64);
        for padding in [None, Some(0)] {
            graphs_agree(
                "embedding",
                std::slice::from_ref(&table),
                1e-5,
                |t| embedding(&t[0], &ids, padding),
                |t| reference::embedding(&t[0], &ids, padding),
            );
        }
        let y = forward(&strided(&table), &ids).unwrap();
        assert_close("rows", &y, &forward(&wide(&table), &ids).unwrap(), 0.0);
        let g = normal("g", y.dims());
        let a = backward(&ids, &strided(&g), vocabulary, Some(1)).unwrap();
        let b = backward(&ids, &wide(&g), vocabulary, Some(1)).unwrap();
        assert_close("dense", &a, &b, 1e-5);
        same_bits("embedding", || {
            vec![backward(&ids, &g, vocabulary, None).unwrap()]
        });
    }
}

#[test]
fn the_sparse_gradient_holds_the_used_rows_sorted() {
    let ids = Tensor::new(&[[5u32, 2], [5, 9]], &Device::Cpu).unwrap();
    let grad = Tensor::new(&[[[1f32], [2.]], [[3.], [4.]]], &Device::Cpu).unwrap();
    let sparse = sparse_backward(&ids, &grad, None).unwrap();
    assert_eq!(sparse.ids, [2, 5, 9]);
    assert_eq!(values(&sparse.rows), [2., 4., 4.]);
    let mut table = vec![1f32; 10];
    sparse.add_to(&mut table).unwrap();
    assert_eq!(table, [1., 1., 3., 1., 1., 5., 1., 1., 1., 5.]);
    assert!(sparse.add_to(&mut table[..9]).is_err());
    assert_eq!(sparse_backward(&ids, &grad, Some(5)).unwrap().ids, [2, 9]);
    assert!(backward(&ids, &grad, 9, None).is_err());
    let nothing = sparse_backward(
        &ids.narrow(0, 0, 0).unwrap(),
        &grad.narrow(0, 0, 0).unwrap(),
        None,
    );
    assert!(nothing.unwrap().ids.is_empty());
}

#[test]
fn an_id_outside_the_table_is_an_error() {
    let table = normal("table", &[3, 2]);
    let ids = Tensor::new(&[3u32], &Device::Cpu).unwrap();
    let message = forward(&table, &ids).unwrap_err().to_string();
    assert!(message.contains("id 3 of 3"), "{message}");
}

#[test]
fn the_reference_passes_finite_differences() {
    let ids = drawn_ids(&[2, 3], 4);
    finite_differences("embedding", &[normal("table", &[4, 2])], |t| {
        embedding(&t[0], &ids, None)
    });
}

#[test]
fn a_sum_of_tables_is_the_sum_of_their_rows() {
    let (a, b) = (normal("a", &[90, 65]), normal("b", &[3, 65]));
    let (x, y) = (drawn_ids(&[4, 50], 90), drawn_ids(&[200], 3));
    let want = (forward(&a, &x).unwrap() + forward(&b, &y).unwrap().reshape((4, 50, 65)).unwrap())
        .unwrap();
    let got = sum_forward(&[(&strided(&a), &x), (&b, &y)]).unwrap();
    assert_close("sum", &got, &want, 1e-6);
    let y = y.reshape((4, 50)).unwrap();
    let got = sum_forward(&[(&wide(&a), &x), (&wide(&b), &y)]).unwrap();
    assert_close("sum", &got, &want, 1e-6);
    assert!(sum_forward(&[(&a, &x), (&b, &drawn_ids(&[199], 3))]).is_err());
    assert!(sum_forward(&[(&a, &x), (&b, &x)]).is_err());
    assert!(sum_forward(&[]).is_err());
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        for (shape, vocabulary, width) in [
            (vec![1], 1, 1),
            (vec![3, 7], 5, 3),
            (vec![4, 50], 90, 37),
            (vec![150], 20, 5),
        ] {
            let table = normal("table", &[vocabulary, width]);
            let ids = drawn_ids(&shape, vocabulary as u64);
            for padding in [None, Some(0)] {
                graphs_agree(
                    "embedding",
                    std::slice::from_ref(&table),
                    1e-5,
                    |t| embedding(&t[0], &ids, padding),
                    |t| reference::embedding(&t[0], &ids, padding),
                );
            }
            let other = normal("other", &[3, width]);
            let kinds = drawn_ids(&shape, 3);
            let sum = sum_forward(&[(&strided(&table), &ids), (&other, &kinds)]).unwrap();
            let one = forward(&wide(&table), &ids).unwrap();
            let both = (one + forward(&wide(&other), &kinds).unwrap()).unwrap();
            assert_close("sum", &sum, &both, 1e-6);
            let g = half(&normal("g", sum.dims()));
            let a = backward(&ids, &g, vocabulary, Some(1)).unwrap();
            let b = backward(&ids, &wide(&g), vocabulary, Some(1)).unwrap();
            assert_close("bf16", &a, &b, 1e-5);
        }
    });
}

#[test]
fn gradients_of_one_table_together_are_the_sum_of_both() {
    use candle_core::{DType, Device};
    let sparse = |name: &str, ids: &[u32]| Sparse {
        ids: ids.to_vec(),
        rows: normal(name, &[ids.len(), 3]),
    };
    for (one, more) in [
        (&[1u32, 4, 6][..], &[0u32, 4, 5, 6][..]),
        (&[], &[2]),
        (&[0], &[]),
    ] {
        let (one, more) = (sparse("one", one), sparse("more", more));
        let sum = one.plus(&more).unwrap();
        assert!(sum.ids.windows(2).all(|w| w[0] < w[1]), "{:?}", sum.ids);
        let dense = |s: &Sparse| s.to_dense(7).unwrap();
        let expected = (dense(&one) + dense(&more)).unwrap();
        assert_close("sum", &dense(&sum), &wide(&expected), 0.0);
    }
    let narrow = Sparse {
        ids: vec![0],
        rows: Tensor::zeros((1, 2), DType::F32, &Device::Cpu).unwrap(),
    };
    assert!(sparse("one", &[1]).plus(&narrow).is_err());
}

use super::*;
use crate::path::Path;
use crate::testing::*;
use candle_core::{DType, Device};

/// Input, weight, and how.
pub(super) type Case = ([usize; 4], [usize; 4], Conv2d);

pub(super) fn cases() -> Vec<Case> {
    let strided = |s: (usize, usize), p: (usize, usize)| Conv2d {
        stride: s,
        padding: p,
        ..Conv2d::default()
    };
    vec![
        ([1, 1, 1, 1], [1, 1, 1, 1], Conv2d::default()),
        // A plain product.
        ([2, 5, 7, 20], [33, 20, 1, 1], Conv2d::default()),
        ([2, 6, 7, 19], [70, 19, 3, 3], Conv2d::new(1, 1)),
        ([1, 9, 8, 64], [64, 64, 3, 3], Conv2d::new(1, 1)),
        ([2, 9, 10, 17], [16, 17, 3, 3], Conv2d::new(2, 1)),
        // A stem: few channels.
        ([2, 13, 11, 3], [48, 3, 7, 7], Conv2d::new(2, 3)),
        ([1, 6, 5, 4], [5, 4, 3, 2], strided((3, 1), (0, 1))),
        ([2, 7, 8, 24], [40, 24, 1, 1], Conv2d::new(2, 0)),
        // Of Inception: one row, one column.
        ([1, 8, 9, 20], [24, 20, 1, 7], strided((1, 1), (0, 3))),
        ([1, 9, 8, 20], [24, 20, 7, 1], strided((1, 1), (3, 0))),
        (
            [2, 11, 10, 18],
            [12, 6, 3, 3],
            Conv2d {
                groups: 3,
                dilation: (2, 1),
                ..Conv2d::new(2, 2)
            },
        ),
        // Groups of whole 16 bytes.
        (
            [2, 5, 6, 16],
            [6, 8, 3, 3],
            Conv2d {
                groups: 2,
                ..Conv2d::new(1, 1)
            },
        ),
        (
            [1, 7, 7, 10],
            [20, 1, 3, 3],
            Conv2d {
                groups: 10,
                ..Conv2d::new(1, 1)
            },
        ),
        (
            [2, 9, 9, 3],
            [7, 3, 3, 3],
            Conv2d {
                dilation: (2, 2),
                ..Conv2d::new(1, 2)
            },
        ),
        // A stride larger than the kernel leaves pixels that nobody saw.
        ([1, 8, 8, 16], [3, 16, 2, 2], Conv2d::new(3, 0)),
        ([1, 3, 4, 300], [5, 300, 2, 3], Conv2d::new(1, 1)),
        // Enough pixels for slices and blocks.
        ([3, 40, 31, 16], [32, 16, 3, 3], Conv2d::new(1, 1)),
    ]
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for (x, w, conv) in cases() {
        let what = format!("{x:?} {w:?} {conv:?}");
        let (x, w) = (normal("x", &x), normal("w", &w));
        let b = normal("b", &[w.dims()[0]]);
        let exact = reference::conv2d(&wide(&x), &wide(&w), Some(&wide(&b)), &conv).unwrap();
        for x in [x.clone(), strided(&x)] {
            let y = forward(&x, &w, Some(&b), &conv).unwrap();
            assert_close(&what, &y, &exact, 1e-5);
        }
        graphs_agree(
            &what,
            &[x.clone(), w.clone(), b],
            1e-5,
            |t| conv2d(&t[0], &t[1], Some(&t[2]), &conv),
            |t| reference::conv2d(&t[0], &t[1], Some(&t[2]), &conv),
        );
        let grad = normal("g", exact.dims());
        let got = backward(&strided(&x), &strided(&w), &strided(&grad), &conv, true).unwrap();
        let exact = backward(&wide(&x), &wide(&w), &wide(&grad), &conv, true).unwrap();
        assert_close(&what, &got.x.unwrap(), &exact.x.unwrap(), 1e-5);
        assert_close(&what, &got.weight, &exact.weight, 1e-5);
        assert_close(&what, &got.bias, &exact.bias, 1e-5);
    }
}

/// Every instruction path against the reference, through the kernels' own doors.
#[test]
fn every_path_agrees() {
    for path in Path::all() {
        for (x, w, conv) in cases() {
            let what = format!("{path:?} {x:?} {w:?} {conv:?}");
            let s = Shape::new(&x, &w, &conv).unwrap();
            let (x, w) = (normal("x", &x), normal("w", &w));
            let dims = [s.n, s.oh, s.ow, s.o];
            let (residual, bias, scale) =
                (normal("r", &dims), normal("b", &[s.o]), normal("s", &[s.o]));
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let (xs, ws, rs, bs, ss) = (
                flat(&x),
                flat(&w),
                flat(&residual),
                flat(&bias),
                flat(&scale),
            );
            let finish = Finish {
                bias: Some(&bs),
                add: Some(&rs),
                relu: true,
                keep: None,
                exact: false,
            };
            let y = cpu::forward(path, &xs, &ws, Some(&ss), &s, finish);
            let fused = |x: &Tensor, w: &Tensor, s: &Tensor, b: &Tensor, r: &Tensor| {
                let fused = Fused {
                    scale: Some(s),
                    bias: Some(b),
                    residual: Some(r),
                    relu: true,
                    exact: false,
                };
                forward_fused(x, w, &conv, &fused).unwrap()
            };
            let exact = fused(
                &wide(&x),
                &wide(&w),
                &wide(&scale),
                &wide(&bias),
                &wide(&residual),
            );
            assert_close(&what, &tensor(y, &dims).unwrap(), &exact, 1e-5);
            // f64 sums: nothing but the last rounding, and that of the scaled weights, is left.
            let finish = Finish {
                exact: true,
                ..finish
            };
            let ones = vec![1f32; s.o];
            let y = cpu::forward(path, &xs, &ws, Some(&ones), &s, finish);
            let one = wide(&scale.ones_like().unwrap());
            let exact = fused(&wide(&x), &wide(&w), &one, &wide(&bias), &wide(&residual));
            assert_close(&what, &tensor(y, &dims).unwrap(), &exact, 7e-8);
            let (add, keep) = (normal("a", x.dims()), normal("k", x.dims()));
            let (adds, keeps) = (flat(&add), flat(&keep));
            let finish = Finish {
                add: Some(&adds),
                keep: Some(&keeps),
                ..Finish::default()
            };
            let dx = cpu::backward_x(path, &ws, Some(&ss), &rs, &s, finish);
            let exact = backward_x_fused(
                &wide(&w),
                &wide(&residual),
                (s.h, s.w),
                &conv,
                Some(&wide(&scale)),
                Some(&wide(&add)),
                Some(&wide(&keep)),
            )
            .unwrap();
            assert_close(&what, &tensor(dx, x.dims()).unwrap(), &exact, 1e-5);
            let (dw, ds) = weights::backward_weight(path, &xs, &rs, &s, Some((&ws, &ss)));
            let exact = backward_weight_scaled(
                &wide(&x),
                &wide(&w),
                &wide(&scale),
                &wide(&residual),
                &conv,
            )
            .unwrap();
            assert_close(&what, &tensor(dw, w.dims()).unwrap(), &exact.0, 1e-5);
            assert_close(&what, &tensor(ds, s.o).unwrap(), &exact.1, 1e-5);
        }
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    for (x, w, conv) in [
        ([2, 4, 5, 2], [3, 2, 3, 2], Conv2d::new(2, 1)),
        (
            [1, 5, 4, 4],
            [6, 2, 2, 2],
            Conv2d {
                groups: 2,
                dilation: (2, 1),
                ..Conv2d::new(1, 1)
            },
        ),
    ] {
        let inputs = [normal("x", &x), normal("w", &w), normal("b", &[w[0]])];
        finite_differences("conv2d", &inputs, |t| {
            conv2d(&t[0], &t[1], Some(&t[2]), &conv)
        });
    }
}

/// `torch.nn.functional.conv2d` of arange(48) / 10 as (1, 2, 4, 6), weight (arange(36) - 17) / 10 as (2, 2, 3, 3), stride (1, 2),
/// padding (1, 0).
#[test]
fn values_are_pytorchs() {
    let x = Tensor::arange(0f32, 48.0, &Device::Cpu).unwrap();
    let x = (x / 10.0).unwrap().reshape((1, 2, 4, 6)).unwrap();
    let w = Tensor::arange(-17f32, 19.0, &Device::Cpu).unwrap();
    let w = (w / 10.0).unwrap().reshape((2, 2, 3, 3)).unwrap();
    let conv = Conv2d {
        stride: (1, 2),
        padding: (1, 0),
        ..Conv2d::default()
    };
    let x = x.permute((0, 2, 3, 1)).unwrap();
    let y = forward(&x, &w, None, &conv).unwrap();
    let y = y.permute((0, 3, 1, 2)).unwrap();
    let expected = Tensor::new(&PYTORCH, &Device::Cpu).unwrap();
    let expected = expected.reshape(y.dims()).unwrap();
    assert_close("conv2d", &y, &expected, 1e-6);
}

const PYTORCH: [f32; 16] = [
    -6.34, -8.02, -17.07, -20.13, -26.25, -29.31, -26.5, -28.9, 28.22, 30.86, 44.49, 47.91, 54.75,
    58.17, 33.98, 35.9,
];

#[test]
fn bits_do_not_depend_on_threads() {
    for (x, w, conv) in [
        ([3, 40, 31, 16], [32, 16, 3, 3], Conv2d::new(1, 1)),
        ([2, 60, 51, 3], [40, 3, 7, 7], Conv2d::new(2, 3)),
        ([2, 9, 9, 130], [140, 130, 3, 3], Conv2d::new(2, 1)),
    ] {
        let (x, w) = (normal("x", &x), normal("w", &w));
        same_bits("conv2d", || {
            let y = forward(&x, &w, None, &conv).unwrap();
            let grads = backward(&x, &w, &y, &conv, true).unwrap();
            vec![y, grads.x.unwrap(), grads.weight, grads.bias]
        });
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let (x, w) = (normal("x", &[1, 4, 4, 3]), normal("w", &[2, 3, 3, 3]));
    let fails =
        |x: &Tensor, w: &Tensor, conv: &Conv2d| forward(x, w, None, conv).unwrap_err().to_string();
    let text = fails(&normal("x", &[1, 4, 4, 4]), &w, &Conv2d::default());
    assert!(
        text.contains("channels do not fit") && text.contains("[1, 4, 4, 4]"),
        "{text}"
    );
    let text = fails(&normal("x", &[1, 2, 2, 3]), &w, &Conv2d::default());
    assert!(text.contains("larger than the padded input"), "{text}");
    assert!(forward(&x, &w, Some(&normal("b", &[3])), &Conv2d::default()).is_err());
    assert!(backward_weight(&x, &w, &normal("g", &[1, 3, 2, 2]), &Conv2d::default()).is_err());
}

#[test]
fn what_is_frozen_gets_no_gradient() {
    let (x, w) = (normal("x", &[1, 4, 4, 3]), normal("w", &[2, 3, 3, 3]));
    let b = candle_core::Var::from_tensor(&normal("b", &[2])).unwrap();
    let y = conv2d(&x, &w, Some(b.as_tensor()), &Conv2d::default()).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&b).is_some() && grads.get(&x).is_none() && grads.get(&w).is_none());
}

/// Which kernel makes the patches, and how far apart their rows are.
#[test]
fn patches_are_copied_by_16_bytes_where_channels_are_whole_ones() {
    let of = |x: [usize; 4], w: [usize; 4], conv: Conv2d, from: usize| {
        let n: usize = x.iter().product();
        let all = normal("x", &[from + n]).narrow(0, from, n).unwrap();
        let s = Shape::new(&x, &w, &conv).unwrap();
        let kinds = [all.clone(), half(&all)].map(|t| s.patcher(&t) == "conv_patches_by_16");
        (kinds, [DType::F32, DType::BF16].map(|d| s.pitch(d)))
    };
    let same = Conv2d::new(1, 1);
    assert_eq!(
        of([1, 4, 4, 8], [2, 8, 3, 3], same, 0),
        ([true, true], [72, 72])
    );
    // `half` makes a new tensor, which begins at its storage's first byte.
    assert_eq!(
        of([1, 4, 4, 8], [2, 8, 3, 3], same, 1).0,
        [false, true],
        "no part of 16 bytes before it"
    );
    assert_eq!(
        of([1, 4, 4, 4], [2, 4, 3, 3], same, 4),
        ([true, false], [36, 40])
    );
    assert_eq!(
        of([1, 9, 9, 3], [2, 3, 7, 7], same, 0),
        ([false, false], [147, 152])
    );
    // The image itself, and groups, have no room between rows.
    assert_eq!(
        of([1, 4, 4, 3], [2, 3, 1, 1], Conv2d::default(), 0).1,
        [3, 3]
    );
    let groups = Conv2d { groups: 3, ..same };
    assert_eq!(of([1, 4, 4, 6], [3, 2, 3, 3], groups, 0).1, [54, 54]);
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        // The last, large case is for the slices and blocks of the CPU.
        for (x, w, conv) in cases().into_iter().rev().skip(1) {
            let what = format!("{x:?} {w:?} {conv:?}");
            let (x, w) = (normal("x", &x), normal("w", &w));
            let b = normal("b", &[w.dims()[0]]);
            graphs_agree(
                &what,
                &[x.clone(), w.clone(), b.clone()],
                1e-5,
                |t| conv2d(&t[0], &t[1], Some(&t[2]), &conv),
                |t| reference::conv2d(&t[0], &t[1], Some(&t[2]), &conv),
            );
            let s = Shape::new(x.dims(), w.dims(), &conv).unwrap();
            let dims = [s.n, s.oh, s.ow, s.o];
            let (residual, scale) = (normal("r", &dims), normal("s", &[s.o]));
            let (add, keep) = (normal("a", x.dims()), normal("k", x.dims()));
            let all = |of: &dyn Fn(&Tensor) -> Tensor, own: &dyn Fn(&Tensor) -> Tensor| {
                let (x, residual) = (of(&x), of(&residual));
                let (w, scale, bias) = (own(&w), own(&scale), own(&b));
                let fused = Fused {
                    scale: Some(&scale),
                    bias: Some(&bias),
                    residual: Some(&residual),
                    relu: true,
                    exact: false,
                };
                let y = forward_fused(&x, &w, &conv, &fused).unwrap();
                let (add, keep) = (of(&add), of(&keep));
                let dx = backward_x_fused(
                    &w,
                    &residual,
                    (s.h, s.w),
                    &conv,
                    Some(&scale),
                    Some(&add),
                    Some(&keep),
                )
                .unwrap();
                let (dw, ds) = backward_weight_scaled(&x, &w, &scale, &residual, &conv).unwrap();
                [y, dx, dw, ds]
            };
            let exact = all(&wide, &wide);
            for (got, exact) in all(&strided, &Clone::clone).iter().zip(&exact) {
                assert_close(&what, got, exact, 1e-5);
            }
            let exact = all(&|t| wide(&half(t)), &|t| wide(&half(t)));
            let own = |t: &Tensor| half(t).to_dtype(DType::F32).unwrap();
            for (got, exact) in all(&half, &own).iter().zip(&exact) {
                assert_close(&format!("bf16 {what}"), got, exact, 0.02);
            }
        }
    });
}

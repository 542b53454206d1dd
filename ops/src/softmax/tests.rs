use super::*;
use crate::path::Path;
use crate::testing::*;
use candle_core::Device;

/// About a third masked, and row 0 entirely.
fn some_mask(shape: &[usize]) -> Tensor {
    let width = shape[shape.len() - 1];
    let key = crate::random::Counter::named(1, "softmax mask");
    let keep: Vec<u8> = (0..shape.iter().product::<usize>())
        .map(|i| u8::from(i >= width && key.uniform(i as u64) > 0.3))
        .collect();
    Tensor::from_vec(keep, shape, &device()).unwrap()
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for shape in [vec![1, 1], vec![3, 5, 7], vec![40, 33], vec![2, 3, 128]] {
        let x = (normal("x", &shape) * 5.0).unwrap();
        for keep in [None, Some(some_mask(&shape))] {
            let keep = keep.as_ref();
            let exact = reference::softmax(&wide(&x), keep).unwrap();
            for x in [x.clone(), strided(&x)] {
                assert_close("softmax", &forward(&x, keep).unwrap(), &exact, 1e-6);
            }
            graphs_agree(
                "softmax",
                std::slice::from_ref(&x),
                1e-6,
                |t| softmax(&t[0], keep),
                |t| reference::softmax(&t[0], keep),
            );
            let (y, g) = (forward(&x, keep).unwrap(), normal("g", &shape));
            let a = backward(&y, &strided(&g)).unwrap();
            assert_close("pullback", &a, &backward(&exact, &wide(&g)).unwrap(), 1e-6);
        }
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    let keep = some_mask(&[3, 5]);
    for keep in [None, Some(&keep)] {
        finite_differences("softmax", &[normal("x", &[3, 5])], |t| softmax(&t[0], keep));
    }
}

#[test]
fn every_path_agrees_and_masked_rows_are_zeros() {
    let x = (normal("x", &[53]) * 5.0).unwrap();
    let exact = reference::softmax(&wide(&x), None).unwrap();
    for path in Path::all() {
        let mut row = x.to_vec1::<f32>().unwrap();
        cpu::softmax_rows(path, &mut row, 53);
        assert_close("row", &tensor(row, 53).unwrap(), &exact, 1e-6);
        let mut row = vec![1e30f32; 20];
        cpu::mask(path, &mut row, &[0; 20]);
        cpu::softmax_rows(path, &mut row, 20);
        assert_eq!(row, [0.0; 20]);
        let mut row = [f32::NAN, 0.0, 1.0];
        cpu::softmax_rows(path, &mut row, 3);
        assert!(row.iter().all(|x| x.is_nan()), "a NaN must not be hidden");
        let (y, mut g) = (x.to_vec1::<f32>().unwrap(), vec![1f32; 53]);
        cpu::pull_back_rows(path, &y, &mut g, 53);
        assert!(g.iter().all(|g| g.is_finite()));
    }
    let x = normal("x", &[300, 90]);
    same_bits("softmax", || {
        let y = forward(&x, None).unwrap();
        vec![backward(&y, &x).unwrap(), y]
    });
}

#[test]
fn a_gpu_hides_no_nan_either() {
    let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
    let x = [
        [nan, nan, nan],
        [nan, low, low],
        [nan, 0.0, 1.0],
        [low, low, low],
        [nan, nan, 2.0],
    ];
    let keep = Tensor::new(&[1u8, 1, 0], &Device::Cpu).unwrap();
    let x = Tensor::new(&x, &Device::Cpu).unwrap();
    let run = |keep: Option<&Tensor>| {
        let there = |t: &Tensor| t.to_device(&device()).unwrap();
        let keep = keep.map(there);
        let y = forward(&there(&x), keep.as_ref()).unwrap();
        let half = forward(&half(&there(&x)), keep.as_ref()).unwrap();
        [y, half].map(|y| values(&y).into_iter().map(f64::is_nan).collect::<Vec<_>>())
    };
    let [whole, _] = run(None);
    let of_rows = [
        [true; 3],
        [true, false, false],
        [true; 3],
        [false; 3],
        [true; 3],
    ];
    assert_eq!(whole, of_rows.concat());
    let masked = of_rows.map(|[a, b, _]| [a, b, false]).concat();
    crate::gpu::emulated::everywhere(|| {
        assert_eq!(run(None), [whole.clone(), whole.clone()]);
        assert_eq!(run(Some(&keep)), [masked.clone(), masked.clone()]);
    });
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        for shape in [vec![1, 1], vec![3, 5, 7], vec![9, 33], vec![2, 3, 128]] {
            let x = (normal("x", &shape) * 5.0).unwrap();
            for keep in [None, Some(some_mask(&shape))] {
                let keep = keep.as_ref();
                let exact = reference::softmax(&wide(&x), keep).unwrap();
                let y = forward(&strided(&x), keep).unwrap();
                assert_close("softmax", &y, &exact, 1e-6);
                graphs_agree(
                    "softmax",
                    std::slice::from_ref(&x),
                    1e-6,
                    |t| softmax(&t[0], keep),
                    |t| reference::softmax(&t[0], keep),
                );
                let x = half(&x);
                let exact = reference::softmax(&wide(&x), keep).unwrap();
                assert_close("bf16", &forward(&x, keep).unwrap(), &exact, 0.004);
            }
        }
    });
}

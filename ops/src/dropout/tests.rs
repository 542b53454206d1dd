use super::*;
use crate::path::Path;
use crate::testing::*;

fn some() -> Dropout {
    Dropout::new(0.3, Counter::named(1, "dropout").at(4)).unwrap()
}

#[test]
fn the_kernel_is_the_reference_bit_for_bit() {
    for shape in [vec![1], vec![63], vec![5, 13], vec![300, 111]] {
        let x = normal("x", &shape);
        let exact = values(&reference::dropout(&x, &some()).unwrap());
        for x in [x.clone(), strided(&x)] {
            assert_eq!(values(&forward(&x, &some()).unwrap()), exact);
        }
        graphs_agree(
            "dropout",
            &[x],
            1e-6,
            |t| dropout(&t[0], &some()),
            |t| reference::dropout(&t[0], &some()),
        );
    }
    finite_differences("dropout", &[normal("x", &[7, 3])], |t| {
        dropout(&t[0], &some())
    });
}

#[test]
fn every_path_draws_the_same_mask_at_any_offset() {
    let x = vec![1f32; 500];
    let mask: Vec<f32> = reference::mask(700, &some()).unwrap().to_vec1().unwrap();
    for path in Path::all() {
        for first in [0usize, 1, 64, 100] {
            let mut out = vec![9f32; 500];
            let (key, t, s) = (some().key, some().threshold(), some().scale());
            cpu::masked(path, &x, &mut out, key, first as u64, t, s);
            assert_eq!(out, mask[first..first + 500]);
            let mut out = x.clone();
            cpu::mask_in_place(path, &mut out, key, first as u64, t, s);
            assert_eq!(out, mask[first..first + 500]);
            let mut out = vec![9f32; 500];
            cpu::masked_add(path, &x, &x, &mut out, key, first as u64, t, s);
            assert!(out.iter().zip(&mask[first..]).all(|(o, m)| *o == 1.0 + m));
        }
    }
}

#[test]
fn the_share_of_zeros_is_p_and_the_mean_stays() {
    let x = Tensor::ones(1 << 20, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let y = values(&forward(&x, &some()).unwrap());
    let n = y.len() as f64;
    let zeros = y.iter().filter(|&&y| y == 0.0).count() as f64 / n;
    assert!((zeros - 0.3).abs() < 2e-3, "{zeros}");
    assert!((y.iter().sum::<f64>() / n - 1.0).abs() < 3e-3);
    assert!(Dropout::new(1.0, Counter::new(0, 0)).is_err());
    let none = Dropout::new(0.0, Counter::new(0, 0)).unwrap();
    assert_eq!(values(&forward(&x, &none).unwrap()), values(&x));
    same_bits("dropout", || vec![forward(&x, &some()).unwrap()]);
}

#[test]
fn the_gpu_kernel_draws_the_mask_of_the_cpu_bit_for_bit() {
    crate::gpu::emulated::everywhere(|| {
        for shape in [vec![1], vec![63], vec![129], vec![5, 13], vec![30, 111]] {
            let x = normal("x", &shape);
            let exact = values(&reference::dropout(&x, &some()).unwrap());
            for x in [x.clone(), strided(&x)] {
                assert_eq!(values(&forward(&x, &some()).unwrap()), exact);
            }
            graphs_agree(
                "dropout",
                std::slice::from_ref(&x),
                1e-6,
                |t| dropout(&t[0], &some()),
                |t| reference::dropout(&t[0], &some()),
            );
            let exact = reference::dropout(&wide(&half(&x)), &some()).unwrap();
            let y = forward(&half(&x), &some()).unwrap();
            assert_close("bf16", &y, &exact, 0.004);
        }
    });
}

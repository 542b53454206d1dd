use super::*;
use crate::testing::*;
use candle_core::Device;

fn windows() -> Vec<Window> {
    let mut all = vec![
        Window::new(3, 2, 1),
        Window::new(2, 2, 0),
        Window::new(3, 1, 1),
        Window::new(5, 3, 2),
    ];
    all.push(Window {
        kernel: (2, 3),
        stride: (3, 2),
        padding: (1, 0),
        ceil: true,
        count_padding: true,
    });
    all.push(Window {
        ceil: true,
        count_padding: false,
        ..Window::new(3, 2, 1)
    });
    all.push(Window {
        ceil: true,
        ..Window::new(3, 2, 0)
    });
    all
}

#[test]
fn values_and_gradients_agree_with_the_reference() {
    for window in windows() {
        for shape in [[1, 5, 6, 1], [2, 7, 8, 3], [1, 12, 9, 40]] {
            let x = normal("x", &shape);
            for x in [x.clone(), strided(&x)] {
                let (y, saved) = max_forward(&x, &window).unwrap();
                assert_close("max", &y, &reference::max(&wide(&x), &window).unwrap(), 0.0);
                let grad = normal("g", y.dims());
                let dx = max_backward(&saved, &strided(&grad)).unwrap();
                let (_, saved) = max_forward(&wide(&x), &window).unwrap();
                let exact = max_backward(&saved, &wide(&grad)).unwrap();
                assert_close("max's gradient", &dx, &exact, 1e-6);
                let exact = average_pool(&wide(&x), &window).unwrap();
                assert_close("mean", &average_forward(&x, &window).unwrap(), &exact, 1e-5);
            }
            let f = |t: &[Tensor]| max_pool(&t[0], &window);
            graphs_agree("max_pool", std::slice::from_ref(&x), 1e-5, f, f);
            let f = |t: &[Tensor]| average_pool(&t[0], &window);
            graphs_agree("average_pool", std::slice::from_ref(&x), 1e-5, f, f);
            for size in [(1, 1), (2, 3), (7, 7)] {
                let f = |t: &[Tensor]| adaptive_average_pool(&t[0], size);
                graphs_agree(
                    "adaptive_average_pool",
                    std::slice::from_ref(&x),
                    1e-5,
                    f,
                    f,
                );
            }
        }
    }
}

/// `torch.nn.functional` of arange(20) as 4 x 5, with 1 for 11 so that one window has equal maxima.
#[test]
fn values_are_pytorchs() {
    let mut x: Vec<f32> = (0..20).map(|i| ((i * 7) % 20) as f32).collect();
    x[11] = 1.0;
    let x = Tensor::from_vec(x, (1, 4, 5, 1), &Device::Cpu).unwrap();
    let flat = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    // max_pool2d(x, 3, 2, 1, ceil_mode=True)
    let ceil = Window {
        ceil: true,
        ..Window::new(3, 2, 1)
    };
    let (y, _) = max_forward(&x, &ceil).unwrap();
    assert_eq!(y.dims(), [1, 3, 3, 1]);
    assert_eq!(flat(y), MAX);
    // avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=True), then False
    let y = average_forward(&x, &ceil).unwrap();
    let close = |a: Vec<f32>, b: &[f32]| {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?}");
    };
    close(flat(y), &AVERAGE);
    let bare = Window {
        count_padding: false,
        ..ceil
    };
    close(flat(average_forward(&x, &bare).unwrap()), &AVERAGE_BARE);
    // adaptive_avg_pool2d(x, (3, 2))
    close(flat(adaptive_forward(&x, (3, 2)).unwrap()), &ADAPTIVE);
}

const MAX: [f32; 9] = [15.0, 16.0, 16.0, 15.0, 19.0, 18.0, 12.0, 19.0, 13.0];
const AVERAGE: [f32; 9] = [
    2.666667, 5.444445, 3.111111, 5.0, 8.888889, 7.444445, 2.833333, 6.166667, 3.166667,
];
const AVERAGE_BARE: [f32; 9] = [
    6.0, 8.166667, 7.0, 7.5, 8.888889, 11.166667, 8.5, 12.333333, 9.5,
];
const ADAPTIVE: [f32; 6] = [7.833333, 8.5, 6.833333, 10.166667, 8.5, 11.833333];

#[test]
fn the_gradient_of_equal_maxima_goes_to_the_first() {
    let x = Tensor::new(&[3f32, 3.0, 3.0, 1.0], &device()).unwrap();
    let x = x.reshape((1, 2, 2, 1)).unwrap();
    for x in [x.clone(), wide(&x)] {
        let (y, saved) = max_forward(&x, &Window::new(2, 2, 0)).unwrap();
        let dx = max_backward(&saved, &y.ones_like().unwrap()).unwrap();
        assert_eq!(values(&dx), [1.0, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn the_reference_passes_finite_differences() {
    let x = normal("x", &[2, 5, 4, 2]);
    for window in windows() {
        finite_differences("max", std::slice::from_ref(&x), |t| {
            max_pool(&t[0], &window)
        });
        finite_differences("mean", std::slice::from_ref(&x), |t| {
            average_pool(&t[0], &window)
        });
    }
    finite_differences("adaptive", &[x], |t| adaptive_average_pool(&t[0], (3, 3)));
}

#[test]
fn bits_do_not_depend_on_threads() {
    let x = normal("x", &[2, 23, 17, 19]);
    same_bits("pool", || {
        let window = Window::new(3, 2, 1);
        let (y, saved) = max_forward(&x, &window).unwrap();
        let a = average_forward(&x, &window).unwrap();
        let da = average_backward((23, 17), &window, &a).unwrap();
        let all = adaptive_forward(&x, (1, 1)).unwrap();
        vec![max_backward(&saved, &y).unwrap(), y, a, da, all]
    });
}

#[test]
fn a_window_that_does_not_fit_is_an_error() {
    let x = normal("x", &[1, 2, 2, 1]);
    assert!(max_forward(&x, &Window::new(3, 1, 0)).is_err());
    assert!(max_forward(&x, &Window::new(2, 1, 2)).is_err());
    assert!(average_forward(&x, &Window::new(2, 0, 0)).is_err());
}

#[test]
fn the_gpu_kernels_agree_with_the_reference() {
    crate::gpu::emulated::everywhere(|| {
        values_and_gradients_agree_with_the_reference();
        the_gradient_of_equal_maxima_goes_to_the_first();
        for window in windows() {
            let x = half(&normal("x", &[2, 7, 8, 3]));
            let (y, saved) = max_forward(&x, &window).unwrap();
            assert_close(
                "bf16",
                &y,
                &reference::max(&wide(&x), &window).unwrap(),
                0.0,
            );
            let grad = half(&normal("g", y.dims()));
            let dx = max_backward(&saved, &grad).unwrap();
            let (_, saved) = max_forward(&wide(&x), &window).unwrap();
            let exact = max_backward(&saved, &wide(&grad)).unwrap();
            assert_close("bf16 gradient", &dx, &exact, 0.005);
        }
    });
}

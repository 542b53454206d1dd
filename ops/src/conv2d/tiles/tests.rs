use super::*;
use crate::conv2d::tests::cases;
use crate::conv2d::{Conv2d, cpu, reference, weights};
use crate::path::Level;
use crate::tensors::tensor;
use crate::testing::*;
use candle_core::{DType, Tensor};

/// Input, weight, and how.
type Case = ([usize; 4], [usize; 4], Conv2d);

/// What multiplies here and with which precision, each with its path; says what is not there.
fn engines() -> Vec<(Engine, Precision, Path)> {
    let all = [
        (Precision::F32, Level::Amx),
        (Precision::Bf16, Level::Amx),
        (Precision::Bf16, Level::Avx512Bf16),
    ];
    let there = |(precision, level)| match Path::at(level) {
        Some(path) => {
            let engine = Engine::of(path, precision == Precision::Bf16);
            Some((engine.expect("its path has one"), precision, path))
        }
        None => {
            println!(
                "skipped: no {} on this machine, and so not its path",
                level.name()
            );
            None
        }
    };
    all.into_iter().filter_map(there).collect()
}

/// What splits f32 into three, and its path.
fn tiles() -> Option<(Engine, Path)> {
    let f32s = |&(_, precision, _): &(Engine, Precision, Path)| precision == Precision::F32;
    let (engine, _, path) = engines().into_iter().find(f32s)?;
    Some((engine, path))
}

fn at(precision: Precision, s: Shape) -> Shape {
    let conv = Conv2d {
        precision,
        ..s.conv
    };
    Shape { conv, ..s }
}

/// Channels beside whole blocks, strides, dilations, outputs of one pixel, more columns than pixels and the other way round, several blocks of the
/// inner dimension, slices of pixels.
fn awkward() -> Vec<Case> {
    let dilated = |stride, padding| Conv2d {
        dilation: (2, 3),
        ..Conv2d::new(stride, padding)
    };
    vec![
        ([1, 3, 3, 31], [33, 31, 3, 3], Conv2d::new(1, 0)),
        ([2, 1, 1, 33], [31, 33, 1, 1], Conv2d::default()),
        ([1, 1, 1, 64], [96, 64, 3, 3], Conv2d::new(1, 1)),
        ([2, 5, 4, 160], [33, 160, 3, 3], Conv2d::new(2, 1)),
        ([1, 4, 3, 40], [400, 40, 3, 3], Conv2d::new(1, 1)),
        ([3, 12, 13, 33], [64, 33, 3, 3], dilated(1, 3)),
        ([2, 12, 13, 64], [31, 64, 3, 2], dilated(2, 2)),
        ([2, 7, 7, 31], [160, 31, 1, 1], Conv2d::new(2, 0)),
        ([2, 33, 36, 32], [32, 32, 3, 3], Conv2d::new(1, 1)),
        ([1, 8, 8, 32], [64, 32, 2, 2], Conv2d::new(3, 0)),
        ([0, 8, 8, 32], [64, 32, 3, 3], Conv2d::new(1, 1)),
    ]
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

/// For every shape, whether or not it would come here. What is rounded has numbers that rounding leaves as they are.
#[test]
fn they_agree_with_the_reference_whatever_the_shape() {
    for (engine, precision, path) in engines() {
        let as_is = |t: Tensor| match precision {
            Precision::F32 => t,
            Precision::Bf16 => half(&t).to_dtype(DType::F32).unwrap(),
        };
        for (x, w, conv) in cases().into_iter().chain(awkward()) {
            let what = format!("{engine:?} {x:?} {w:?} {conv:?}");
            if conv.groups > 1 {
                continue;
            }
            let s = at(precision, Shape::new(&x, &w, &conv).unwrap());
            let (x, w) = (as_is(normal("x", &x)), as_is(normal("w", &w)));
            let y = [s.n, s.oh, s.ow, s.o];
            let (residual, bias) = (as_is(normal("r", &y)), normal("b", &[s.o]));
            let scale = match precision {
                Precision::F32 => normal("s", &[s.o]),
                // A product with a power of two is exact.
                Precision::Bf16 => {
                    let powers = (0..s.o).map(|i| [0.5f32, -1.0, 4.0][i % 3]).collect();
                    tensor(powers, s.o).unwrap()
                }
            };
            let (add, keep) = (normal("a", x.dims()), normal("k", x.dims()));
            let [xs, ws, rs, bs, ss, adds, keeps] =
                [&x, &w, &residual, &bias, &scale, &add, &keep].map(flat);
            let fused = Finish {
                bias: Some(&bs),
                add: Some(&rs),
                relu: true,
                ..Finish::default()
            };
            let masked = Finish {
                add: Some(&adds),
                keep: Some(&keeps),
                ..Finish::default()
            };
            let got_y = forward(engine, &xs, &ws, Some(&ss), &s, fused);
            let got_x = backward_x(engine, &ws, Some(&ss), &rs, &s, masked);
            let (got_w, got_s) = backward_weight(engine, path, &xs, &rs, &s, Some((&ws, &ss)));
            if s.n == 0 {
                assert!(got_y.is_empty() && got_x.is_empty(), "{what}");
                assert!(got_w.iter().chain(&got_s).all(|&w| w == 0.0), "{what}");
                continue;
            }
            // By a path below, whose own tests compare it with the reference.
            let below = Path::at(Level::Avx512).unwrap();
            let close = |got: Vec<f32>, want: Vec<f32>, dims: &[usize]| {
                let [got, want] = [got, want].map(|v| tensor(v, dims).unwrap());
                assert_close(&what, &got, &wide(&want), 1e-5);
            };
            let want = cpu::forward(below, &xs, &ws, Some(&ss), &s, fused);
            close(got_y, want, &y);
            let want = cpu::backward_x(below, &ws, Some(&ss), &rs, &s, masked);
            close(got_x, want, x.dims());
            let want = weights::backward_weight(below, &xs, &rs, &s, Some((&ws, &ss)));
            close(got_w, want.0, w.dims());
            close(got_s, want.1, &[s.o]);
            let plain = forward(engine, &xs, &ws, None, &s, Finish::default());
            let exact = reference::conv2d(&wide(&x), &wide(&w), None, &conv).unwrap();
            assert_close(&what, &tensor(plain, &y).unwrap(), &exact, 1e-6);
        }
    }
}

/// Calls `f` with the places of each product in input, weight and output.
fn each(s: &Shape, mut f: impl FnMut(usize, usize, usize)) {
    for n in 0..s.n {
        for (i, j) in (0..s.oh).flat_map(|i| (0..s.ow).map(move |j| (i, j))) {
            for (k, l) in (0..s.kh).flat_map(|k| (0..s.kw).map(move |l| (k, l))) {
                let y =
                    (i * s.conv.stride.0 + k * s.conv.dilation.0).wrapping_sub(s.conv.padding.0);
                let x =
                    (j * s.conv.stride.1 + l * s.conv.dilation.1).wrapping_sub(s.conv.padding.1);
                if y >= s.h || x >= s.w {
                    continue;
                }
                for (o, c) in (0..s.o).flat_map(|o| (0..s.c).map(move |c| (o, c))) {
                    f(
                        ((n * s.h + y) * s.w + x) * s.c + c,
                        ((o * s.c + c) * s.kh + k) * s.kw + l,
                        ((n * s.oh + i) * s.ow + j) * s.o + o,
                    );
                }
            }
        }
    }
}

/// Sums of products in f64, their sizes without signs, and a plain f32 sum from the first to the last.
fn sums(n: usize, products: impl FnOnce(&mut dyn FnMut(usize, f32, f32))) -> Vec<(f64, f64, f32)> {
    let mut all = vec![(0f64, 0f64, 0f32); n];
    products(&mut |at, a, b| {
        let product = f64::from(a) * f64::from(b);
        let (sum, size, plain) = &mut all[at];
        *sum += product;
        *size += product.abs();
        *plain = a.mul_add(b, *plain);
    });
    all
}

/// No larger errors than those of a plain f32 sum, the worst and on average, on numbers of one size and on numbers of many.
#[test]
fn tiles_are_as_exact_as_f32() {
    let Some((engine, path)) = tiles() else {
        return;
    };
    for (x, w, conv) in [
        ([2, 9, 8, 160], [96, 160, 3, 3], Conv2d::new(1, 1)),
        ([3, 30, 28, 32], [32, 32, 3, 3], Conv2d::new(2, 1)),
        ([2, 12, 12, 256], [64, 256, 1, 1], Conv2d::default()),
    ] {
        for spread in [0.0, 6.0] {
            let of = |name: &str, dims: &[usize]| -> Vec<f32> {
                let sizes = flat(&normal(&format!("{name} sizes"), dims));
                let numbers = flat(&normal(name, dims));
                let both = numbers.iter().zip(sizes);
                both.map(|(x, s)| x * (spread * s).exp()).collect()
            };
            let s = Shape::new(&x, &w, &conv).unwrap();
            let y = [s.n, s.oh, s.ow, s.o];
            let (x, w, g) = (of("x", &x), of("w", &w), of("g", &y));
            let none = Finish::default();
            for (name, got, want) in [
                (
                    "forward",
                    forward(engine, &x, &w, None, &s, none),
                    sums(g.len(), |f| each(&s, |i, j, k| f(k, x[i], w[j]))),
                ),
                (
                    "input",
                    backward_x(engine, &w, None, &g, &s, none),
                    sums(x.len(), |f| each(&s, |i, j, k| f(i, g[k], w[j]))),
                ),
                (
                    "weights",
                    backward_weight(engine, path, &x, &g, &s, None).0,
                    sums(w.len(), |f| each(&s, |i, j, k| f(j, x[i], g[k]))),
                ),
            ] {
                assert_eq!(got.len(), want.len());
                let errors = |of: &dyn Fn(usize) -> f32| {
                    let all = want.iter().enumerate().map(|(i, (sum, size, _))| {
                        let error = (f64::from(of(i)) - sum).abs() / size.max(1e-300);
                        assert!(!error.is_nan(), "{name}: NaN at {i}");
                        error
                    });
                    let all: Vec<f64> = all.collect();
                    let squares = all.iter().map(|e| e * e).sum::<f64>();
                    let worst = all.iter().fold(0f64, |a, &b| a.max(b));
                    (worst, (squares / all.len() as f64).sqrt())
                };
                let (worst, mean) = errors(&|i| got[i]);
                let (plain_worst, plain_mean) = errors(&|i| want[i].2);
                println!(
                    "{s:?} {name}, spread {spread}: {worst:.2e} {mean:.2e} against {plain_worst:.2e} {plain_mean:.2e}"
                );
                assert!(mean <= plain_mean, "{name}: {mean} and {plain_mean}");
                assert!(worst <= plain_worst, "{name}: {worst} and {plain_worst}");
            }
        }
    }
}

/// Products of rounded numbers are exact: nothing but the rounding of sums is left.
#[test]
fn bf16_is_that_of_rounded_factors() {
    for (engine, precision, path) in engines() {
        if precision == Precision::F32 {
            continue;
        }
        for (x, w, conv) in awkward() {
            let s = at(precision, Shape::new(&x, &w, &conv).unwrap());
            if s.n == 0 {
                continue;
            }
            let what = format!("{engine:?} {s:?}");
            let half = |t: Tensor| wide(&half(&t));
            let y = [s.n, s.oh, s.ow, s.o];
            let (x, w, g) = (normal("x", &x), normal("w", &w), normal("g", &y));
            let [xs, ws, gs] = [&x, &w, &g].map(flat);
            let (x, w, g) = (half(x), half(w), half(g));
            let none = Finish::default();
            let got = tensor(forward(engine, &xs, &ws, None, &s, none), &y).unwrap();
            let exact = reference::conv2d(&x, &w, None, &conv).unwrap();
            assert_close(&what, &got, &exact, 1e-6);
            let got = backward_x(engine, &ws, None, &gs, &s, none);
            let exact = crate::conv2d::backward(&x, &w, &g, &conv, true).unwrap();
            let got = tensor(got, x.dims()).unwrap();
            assert_close(&what, &got, &exact.x.unwrap(), 1e-6);
            let (got, _) = backward_weight(engine, path, &xs, &gs, &s, None);
            let got = tensor(got, w.dims()).unwrap();
            assert_close(&what, &got, &exact.weight, 1e-6);
        }
    }
}

/// Through the door that networks take: rounding is asked for, and holds on a path that has an engine for it and on no other.
#[test]
fn bf16_is_taken_where_it_is_asked_for() {
    let path = Precision::Bf16.path();
    let (x, w) = (normal("x", &[2, 6, 6, 64]), normal("w", &[64, 64, 3, 3]));
    for (precision, width) in [
        (Precision::F32, 64),
        (Precision::Bf16, 64),
        (Precision::Bf16, 3),
    ] {
        let (x, w) = (
            x.narrow(3, 0, width).unwrap(),
            w.narrow(1, 0, width).unwrap(),
        );
        let conv = Conv2d {
            precision,
            ..Conv2d::new(1, 1)
        };
        let s = Shape::new(x.dims(), w.dims(), &conv).unwrap();
        let rounds = precision == Precision::Bf16 && engine(path, &s).is_some();
        assert_eq!(
            rounds,
            precision == Precision::Bf16 && width == 64 && path.level() >= Level::Avx512Bf16
        );
        let (of, off) = match rounds {
            true => (wide(&half(&x)), wide(&half(&w))),
            false => (wide(&x), wide(&w)),
        };
        let got = crate::conv2d::forward(&x, &w, None, &conv).unwrap();
        let exact = reference::conv2d(&of, &off, None, &conv).unwrap();
        assert_close(&format!("{s:?}"), &got, &exact, 1e-5);
    }
}

/// By rows or by columns, alone or beside others: an image has the same bits.
#[test]
fn bits_do_not_depend_on_the_batch() {
    for (engine, precision, path) in engines() {
        for (x, w, conv) in [
            ([5, 9, 7, 64], [128, 64, 3, 3], Conv2d::new(1, 1)),
            ([9, 7, 7, 96], [160, 96, 3, 3], Conv2d::new(2, 1)),
            ([3, 14, 14, 64], [256, 64, 1, 1], Conv2d::default()),
        ] {
            let s = at(precision, Shape::new(&x, &w, &conv).unwrap());
            assert_eq!(super::engine(path, &s), Some(engine));
            let one = Shape { n: 1, ..s };
            let [x, w] = [flat(&normal("x", &x)), flat(&normal("w", &w))];
            let all = forward(engine, &x, &w, None, &s, Finish::default());
            let back = backward_x(engine, &w, None, &all, &s, Finish::default());
            let (images, outputs) = (s.h * s.w * s.c, s.oh * s.ow * s.o);
            for (i, x) in x.chunks(images).enumerate() {
                let y = forward(engine, x, &w, None, &one, Finish::default());
                assert!(y == all[i * outputs..][..outputs], "{s:?}: image {i}");
                let dx = backward_x(engine, &w, None, &y, &one, Finish::default());
                assert!(dx == back[i * images..][..images], "{s:?}: gradient {i}");
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for (engine, precision, path) in engines() {
        for (x, w, conv) in awkward() {
            let s = at(precision, Shape::new(&x, &w, &conv).unwrap());
            let g = flat(&normal("g", &[s.n, s.oh, s.ow, s.o]));
            let [x, w] = [flat(&normal("x", &x)), flat(&normal("w", &w))];
            same_bits(&format!("{s:?}"), || {
                let none = Finish::default();
                let all = [
                    forward(engine, &x, &w, None, &s, none),
                    backward_x(engine, &w, None, &g, &s, none),
                    backward_weight(engine, path, &x, &g, &s, None).0,
                ];
                all.map(|v| tensor(v.clone(), v.len()).unwrap()).to_vec()
            });
        }
    }
}

/// Pixels that see what is not finite are not, and no others.
#[test]
fn what_is_not_finite_stays_so() {
    for (engine, precision, _) in engines() {
        let s = Shape::new(&[1, 6, 6, 32], &[32, 32, 3, 3], &Conv2d::new(1, 1)).unwrap();
        let s = at(precision, s);
        let w = vec![1f32; 32 * 32 * 9];
        for bad in [f32::NAN, f32::from_bits(0xff80_0001), f32::INFINITY] {
            let mut x = vec![1f32; 36 * 32];
            x[(2 * 6 + 3) * 32 + 5] = bad;
            let y = forward(engine, &x, &w, None, &s, Finish::default());
            for (pixel, y) in y.chunks(32).enumerate() {
                let near = (pixel / 6).abs_diff(2) <= 1 && (pixel % 6).abs_diff(3) <= 1;
                assert!(
                    y.iter().all(|y| y.is_finite() != near),
                    "{engine:?} {bad}: {pixel} is {y:?}"
                );
            }
        }
    }
}

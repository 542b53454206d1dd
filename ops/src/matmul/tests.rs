use super::*;
use crate::path::Path;
use crate::testing::*;
#[cfg(target_arch = "x86_64")]
use bf16::Start;

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

/// A network's answer to a row is that to the row in any batch, from some rows on: very small products sum in another order.
#[test]
fn bits_of_a_row_do_not_depend_on_the_rows_beside_it() {
    for (n, k) in [(384, 384), (1536, 384), (130, 1100), (10, 384), (96, 96)] {
        let (a, b) = (normal("a", &[300, k]), normal("b", &[n, k]));
        let all = values(&forward(&a, &b, false, true).unwrap());
        for (from, rows) in [(0, 32), (37, 130), (5, 200), (260, 40)] {
            let few = a.narrow(0, from, rows).unwrap();
            let few = values(&forward(&few, &b, false, true).unwrap());
            assert!(few == all[from * n..(from + rows) * n], "{n} x {k}: {rows}");
        }
    }
}

/// What rounding both operands to bf16 can change in an element: each factor is off by at most 2^-8 of itself.
fn bf16_bound(a: &Tensor, b: &Tensor, k: usize) -> f64 {
    let most = |t: &Tensor| values(t).into_iter().fold(0f64, |m, x| m.max(x.abs()));
    // Two roundings of half a unit in the eighth bit each, and f32 sums.
    most(a)
        * most(b)
        * k as f64
        * (2.0 * 2f64.powi(-9) + 2f64.powi(-18) + k as f64 * 2f64.powi(-24))
}

#[test]
fn bf16_products_are_within_what_rounding_the_operands_implies() {
    for (m, n, k) in [
        (1, 1, 1),
        (5, 7, 3),
        (9, 49, 65),
        (64, 1, 17),
        (129, 67, 255),
        (40, 100, 900),
        (300, 97, 33),
    ] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = normal("a", &if ta { [k, m] } else { [m, k] });
            let b = normal("b", &if tb { [n, k] } else { [k, n] });
            let exact = values(&reference::matmul(&wide(&a), &wide(&b), ta, tb).unwrap());
            // What the rounded operands give in f64: the kernel's sums must be that but for their own rounding.
            let round = |t: &Tensor| wide(&t.to_dtype(DType::BF16).unwrap());
            let rounded = reference::matmul(&round(&a), &round(&b), ta, tb).unwrap();
            let bound = bf16_bound(&a, &b, k);
            for a in [a.clone(), strided(&a)] {
                for b in [b.clone(), strided(&b)] {
                    let c = forward_in(Precision::Bf16, &a, &b, ta, tb).unwrap();
                    assert_close("bf16", &c, &rounded, 2e-6 * (k as f64).sqrt());
                    let worst = values(&c)
                        .iter()
                        .zip(&exact)
                        .fold(0f64, |w, (x, y)| w.max((x - y).abs()));
                    assert!(worst <= bound, "{m} {n} {k}: {worst} > {bound}");
                }
            }
        }
    }
}

#[test]
fn every_path_gives_the_same_bf16_product_from_any_start() {
    use super::bf16::{Start, product_on};
    if Path::at(crate::path::Level::Amx).is_none() {
        println!("skipped: no AMX on this machine, and so not its path");
    }
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (m, n, k) in [
        (3, 5, 1),
        (70, 130, 401),
        (64, 96, 64),
        (40, 50, 1100),
        (33, 48, 0),
    ] {
        let a = flat(&normal("a", &[m, k]));
        let b = flat(&normal("b", &[n, k]));
        let (bias, kept) = (flat(&normal("bias", &[n])), flat(&normal("kept", &[m, n])));
        // Neither stride is one: every third element of every row.
        let apart: Vec<f32> = a.iter().flat_map(|&x| [x, f32::NAN, f32::NAN]).collect();
        let apart = View {
            data: &apart,
            rows: m,
            columns: k,
            row_stride: 3 * k,
            column_stride: 3,
        };
        let bt = View::new(&b, n, k).t();
        let round = |x: &[f32]| -> Vec<f64> {
            let round = |&x: &f32| half::bf16::from_f32(x).to_f64();
            x.iter().map(round).collect()
        };
        let (ra, rb) = (round(&a), round(&b));
        for path in crate::Path::all() {
            for a in [View::new(&a, m, k), apart] {
                for (start, first) in [
                    (Start::Zero, vec![0.0; m * n]),
                    (Start::Bias(&bias), bias.repeat(m)),
                    (Start::Kept, kept.clone()),
                ] {
                    let mut c = kept.clone();
                    product_on(path, &mut c, a, bt, start);
                    for i in 0..m {
                        for j in 0..n {
                            let dot: f64 = (0..k).map(|p| ra[i * k + p] * rb[j * k + p]).sum();
                            let want = dot + f64::from(first[i * n + j]);
                            let got = f64::from(c[i * n + j]);
                            assert!((got - want).abs() < 1e-4, "{path:?}: {got} and {want}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn bits_of_bf16_products_do_not_depend_on_threads() {
    for (m, n, k) in [
        (300, 200, 700),
        (1, 500, 600),
        (700, 1, 300),
        (512, 384, 384),
    ] {
        let (a, b) = (normal("a", &[m, k]), normal("b", &[n, k]));
        let at = a.t().unwrap().contiguous().unwrap();
        same_bits("bf16 matmul", || {
            vec![
                forward_in(Precision::Bf16, &a, &b, false, true).unwrap(),
                forward_in(Precision::Bf16, &at, &b, true, true).unwrap(),
            ]
        });
    }
}

#[test]
fn what_is_no_f32_is_not_rounded() {
    let a = wide(&normal("a", &[7, 7]));
    let exact = values(&forward(&a, &a, false, false).unwrap());
    let c = forward_in(Precision::Bf16, &a, &a, false, false).unwrap();
    assert_eq!(values(&c), exact);
}

/// The product of the paths below AVX-512, called by name: this machine may have more.
fn by_panels(
    path: Path,
    dst: &mut [f32],
    a: View<'_, f32>,
    b: View<'_, f32>,
    keep: bool,
    scale: f32,
) {
    assert_eq!(dst.len(), a.rows * b.columns);
    a.check();
    b.check();
    // SAFETY: checked above.
    unsafe { panels::run(path, dst.as_mut_ptr(), b.columns, keep, a, b, scale, false) };
}

#[test]
fn panels_agree_with_f64_for_every_transpose_and_odd_shapes() {
    let shapes = [
        (1, 1, 1),
        (5, 7, 3),
        (7, 33, 65),
        (64, 1, 17),
        (129, 67, 255),
        (13, 100, 900),
        (300, 97, 33),
        (50, 410, 9),
    ];
    for path in Path::all().into_iter().filter(|p| panels::takes(*p)) {
        for (m, n, k) in shapes {
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                let a = normal("a", &if ta { [k, m] } else { [m, k] });
                let b = normal("b", &if tb { [n, k] } else { [k, n] });
                let exact = reference::matmul(&wide(&a), &wide(&b), ta, tb).unwrap();
                let (ra, rb) = (Reading::of(&a), Reading::of(&b));
                let (va, vb) = (
                    View::of(&ra, &a, ta).unwrap(),
                    View::of(&rb, &b, tb).unwrap(),
                );
                let name = format!("{path:?} {m} x {n} x {k}, {ta} {tb}");
                let mut c = vec![f32::NAN; m * n];
                by_panels(path, &mut c, va, vb, false, 1.0);
                let once = tensor(c.clone(), (m, n)).unwrap();
                assert_close(&name, &once, &exact, 1e-5);
                by_panels(path, &mut c, va, vb, true, -0.5);
                let half = tensor(c, (m, n)).unwrap();
                assert_close(&name, &half, &(exact * 0.5).unwrap(), 1e-5);
            }
        }
    }
}

#[test]
fn panels_give_the_same_bits_on_any_number_of_threads() {
    for path in Path::all().into_iter().filter(|p| panels::takes(*p)) {
        for (m, n, k) in [(300, 200, 700), (700, 40, 300), (96, 900, 96)] {
            let (a, b) = (normal("a", &[m, k]), normal("b", &[n, k]));
            same_bits("panels", || {
                let (ra, rb) = (Reading::of(&a), Reading::of(&b));
                let (va, vb) = (
                    View::of(&ra, &a, false).unwrap(),
                    View::of(&rb, &b, true).unwrap(),
                );
                let mut c = vec![0f32; m * n];
                by_panels(path, &mut c, va, vb, false, 1.0);
                vec![tensor(c, (m, n)).unwrap()]
            });
        }
    }
}

/// The f32 product of the tiles, called by name, for whatever shape.
#[cfg(target_arch = "x86_64")]
fn by_thirds(dst: &mut [f32], a: View<'_, f32>, b: View<'_, f32>, start: Start<'_>, alone: bool) {
    assert_eq!(dst.len(), a.rows * b.columns);
    a.check();
    b.check();
    // SAFETY: checked above, and callers look for the tiles.
    unsafe { amx::thirds::run(dst.as_mut_ptr(), b.columns, start, a, b, alone) };
}

/// Whether the tiles are there; says so if not.
#[cfg(target_arch = "x86_64")]
fn tiles() -> bool {
    let there = Path::at(crate::path::Level::Amx).is_some();
    if !there {
        println!("skipped: no AMX on this machine, and so not its path");
    }
    there
}

/// The largest error of any element, and the root of their mean square, as parts of what the element's terms sum to without signs.
#[cfg(target_arch = "x86_64")]
fn errors(c: &[f32], a: View<'_, f32>, b: View<'_, f32>) -> (f64, f64) {
    let (mut worst, mut squares) = (0f64, 0f64);
    for i in 0..a.rows {
        for j in 0..b.columns {
            let (mut sum, mut size) = (0f64, 0f64);
            for p in 0..a.columns {
                let x = f64::from(a.data[i * a.row_stride + p * a.column_stride]);
                let y = f64::from(b.data[p * b.row_stride + j * b.column_stride]);
                sum += x * y;
                size += (x * y).abs();
            }
            let error = (f64::from(c[i * b.columns + j]) - sum).abs() / size.max(1e-300);
            assert!(!error.is_nan(), "NaN at {i}, {j}");
            worst = worst.max(error);
            squares += error * error;
        }
    }
    (worst, (squares / c.len() as f64).sqrt())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn thirds_agree_with_f64_for_every_transpose_and_odd_shapes() {
    if !tiles() {
        return;
    }
    let shapes = [
        (1, 1, 1),
        (5, 7, 3),
        (31, 47, 33),
        (64, 1, 17),
        (129, 67, 255),
        (13, 100, 900),
        (300, 97, 33),
        (50, 410, 9),
        (32, 48, 384),
    ];
    for (m, n, k) in shapes {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = normal("a", &if ta { [k, m] } else { [m, k] });
            let b = normal("b", &if tb { [n, k] } else { [k, n] });
            let (ra, rb) = (Reading::of(&a), Reading::of(&b));
            let (va, vb) = (
                View::of(&ra, &a, ta).unwrap(),
                View::of(&rb, &b, tb).unwrap(),
            );
            let mut c = vec![f32::NAN; m * n];
            by_thirds(&mut c, va, vb, Start::Zero, false);
            let (worst, _) = errors(&c, va, vb);
            assert!(worst < 4e-7, "{m} x {n} x {k}, {ta} {tb}: {worst}");
            let once = c.clone();
            by_thirds(&mut c, va, vb, Start::Kept, true);
            c.iter_mut().for_each(|x| *x /= 2.0);
            let (worst, _) = errors(&c, va, vb);
            assert!(worst < 4e-7, "added, {m} x {n} x {k}, {ta} {tb}: {worst}");
            let bias: Vec<f32> = (0..n).map(|j| j as f32 / 8.0).collect();
            by_thirds(&mut c, va, vb, Start::Bias(&bias), false);
            let rows = c.chunks_mut(n);
            rows.for_each(|row| row.iter_mut().zip(&bias).for_each(|(x, b)| *x -= b));
            let worst = c
                .iter()
                .zip(once)
                .fold(0f32, |w, (x, y)| w.max((x - y).abs()));
            assert!(worst < 1e-4, "biased, {m} x {n} x {k}, {ta} {tb}: {worst}");
        }
    }
}

/// The claim of the kernel's documentation, on numbers of one size and on numbers of many: no larger errors than the f32 product that it
/// stands in for.
#[cfg(target_arch = "x86_64")]
#[test]
fn thirds_are_as_exact_as_f32() {
    if !tiles() {
        return;
    }
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (m, n, k) in [(64, 96, 384), (64, 96, 1536), (64, 96, 3000)] {
        for spread in [0.0, 6.0] {
            let of = |name: &str, dims: &[usize]| -> Vec<f32> {
                let sizes = flat(&normal(&format!("{name} sizes"), dims));
                let numbers = flat(&normal(name, dims));
                let both = numbers.iter().zip(sizes);
                both.map(|(x, s)| x * (spread * s).exp()).collect()
            };
            let (a, b) = (of("a", &[m, k]), of("b", &[k, n]));
            let (va, vb) = (View::new(&a, m, k), View::new(&b, k, n));
            let mut c = vec![f32::NAN; m * n];
            by_thirds(&mut c, va, vb, Start::Zero, false);
            let (worst, mean) = errors(&c, va, vb);
            let mut plain = vec![f32::NAN; m * n];
            for (row, a) in plain.chunks_mut(n).zip(a.chunks(k)) {
                for (j, x) in row.iter_mut().enumerate() {
                    *x = (0..k).fold(0.0, |sum, p| a[p].mul_add(b[p * n + j], sum));
                }
            }
            let (plain_worst, plain_mean) = errors(&plain, va, vb);
            println!(
                "{m} x {n} x {k}, spread {spread}: {worst:.2e} {mean:.2e} against {plain_worst:.2e} {plain_mean:.2e}"
            );
            assert!(mean <= plain_mean, "{mean} and {plain_mean}");
            assert!(worst <= plain_worst, "{worst} and {plain_worst}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_is_not_finite_stays_so_in_thirds() {
    if !tiles() {
        return;
    }
    let b = vec![1f32; 32 * 48];
    for bad in [
        f32::NAN,
        f32::from_bits(0x7fff_ffff),
        f32::from_bits(0xff80_0001),
        f32::INFINITY,
    ] {
        let mut a = vec![1f32; 32 * 32];
        a[33] = bad;
        let mut c = vec![0f32; 32 * 48];
        by_thirds(
            &mut c,
            View::new(&a, 32, 32),
            View::new(&b, 32, 48),
            Start::Zero,
            true,
        );
        for (i, row) in c.chunks(48).enumerate() {
            let want = if i == 1 { f32::NAN } else { 32.0 };
            let same = |x: &f32| *x == want || x.is_nan() && want.is_nan();
            assert!(row.iter().all(same), "{bad}: row {i} is {row:?}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn thirds_give_the_same_bits_on_any_number_of_threads() {
    if !tiles() {
        return;
    }
    for (m, n, k) in [(300, 200, 700), (700, 40, 300), (96, 900, 96)] {
        let (a, b) = (normal("a", &[m, k]), normal("b", &[n, k]));
        same_bits("thirds", || {
            let (ra, rb) = (Reading::of(&a), Reading::of(&b));
            let (va, vb) = (
                View::of(&ra, &a, false).unwrap(),
                View::of(&rb, &b, true).unwrap(),
            );
            let mut c = vec![0f32; m * n];
            by_thirds(&mut c, va, vb, Start::Zero, false);
            vec![tensor(c, (m, n)).unwrap()]
        });
    }
}

/// What an overflow would bring back into the slice lies outside.
#[test]
#[should_panic(expected = "matrix reaches past its slice")]
fn a_view_that_wraps_is_refused() {
    let numbers = [0f32; 4];
    let wraps = View {
        row_stride: usize::MAX,
        column_stride: 2,
        ..View::new(&numbers, 2, 2)
    };
    wraps.check();
}

use super::*;
use crate::embedding::Sparse;
use crate::random::{Counter, fill_normal};

fn rules() -> Vec<Rule> {
    let adamw = AdamW {
        weight_decay: 0.1,
        ..AdamW::default()
    };
    let sgd = |momentum, nesterov| {
        Rule::Sgd(Sgd {
            lr: 0.1,
            momentum,
            nesterov,
            weight_decay: 0.01,
        })
    };
    let rmsprop = |momentum| {
        Rule::RmsProp(RmsProp {
            momentum,
            weight_decay: 0.01,
            ..RmsProp::default()
        })
    };
    vec![
        Rule::AdamW(adamw),
        sgd(0.0, false),
        sgd(0.9, false),
        sgd(0.9, true),
        rmsprop(0.0),
        rmsprop(0.9),
    ]
}

fn drawn(name: &str, n: usize) -> Vec<f32> {
    let mut x = vec![0f32; n];
    fill_normal(&mut x, Counter::named(5, name), 0.0, 1.0);
    x
}

/// Three steps of each rule from p = (0.5, -1.0), with gradients (0.1, -0.2), (0.3, 0.0), (-0.4, 0.05), in f64.
///
/// ```python
/// import torch
/// for make in [lambda p: torch.optim.AdamW(p, weight_decay=.1),
///              lambda p: torch.optim.SGD(p, lr=.1, weight_decay=.01),
///              lambda p: torch.optim.SGD(p, lr=.1, momentum=.9, weight_decay=.01),
///              lambda p: torch.optim.SGD(p, lr=.1, momentum=.9, nesterov=True, weight_decay=.01),
///              lambda p: torch.optim.RMSprop(p, weight_decay=.01),
///              lambda p: torch.optim.RMSprop(p, momentum=.9, weight_decay=.01)]:
///     p = torch.tensor([.5, -1.], dtype=torch.float64, requires_grad=True)
///     o = make([p])
///     for g in [[.1, -.2], [.3, 0.], [-.4, .05]]:
///         p.grad = torch.tensor(g, dtype=torch.float64); o.step()
///     print(p.tolist())
/// ```
const PYTORCH: [[f64; 2]; 6] = [
    [0.4979939267869766, -0.9976828574050611],
    [0.4985514895, -0.982042979],
    [0.45316538949999996, -0.945270779],
    [0.4565036619805, -0.9328907239609999],
    [0.38329685820566334, -0.9150473638604409],
    [0.12725234611065467, -0.7405823932131246],
];

#[test]
fn the_rules_are_those_of_pytorch() {
    for (rule, expected) in rules().into_iter().zip(PYTORCH) {
        let mut p = [0.5, -1.0];
        let mut p32 = [0.5f32, -1.0];
        let mut state = vec![vec![0f64; 2]; rule.state_names().len()];
        let mut state32 = vec![vec![0f32; 2]; rule.state_names().len()];
        for (t, g) in [[0.1, -0.2], [0.3, 0.0], [-0.4, 0.05]]
            .into_iter()
            .enumerate()
        {
            let slot = Slot {
                param: &mut p[..],
                grad: &g,
                state: state.iter_mut().map(Vec::as_mut_slice).collect(),
                rule,
                step: t as u64 + 1,
            };
            step(slot, 1.0);
            // The same with gradients twice as large, halved by the scale.
            let g32 = g.map(|g| 2.0 * g as f32);
            let slot = Slot {
                param: &mut p32[..],
                grad: &g32,
                state: state32.iter_mut().map(Vec::as_mut_slice).collect(),
                rule,
                step: t as u64 + 1,
            };
            step(slot, 0.5);
        }
        for i in 0..2 {
            assert!(
                (p[i] - expected[i]).abs() < 1e-12,
                "{rule:?}: {p:?} {expected:?}"
            );
            assert!(
                (f64::from(p32[i]) - expected[i]).abs() < 1e-6,
                "{rule:?}: {p32:?}"
            );
        }
    }
}

#[test]
fn every_path_agrees_with_f64_over_odd_lengths() {
    for n in [1, 17, 1003] {
        for rule in rules() {
            for path in Path::all() {
                let mut p = drawn("p", n);
                let mut p64: Vec<f64> = p.iter().map(|&p| p.into()).collect();
                let names = rule.state_names().len();
                let (mut state, mut state64) =
                    (vec![vec![0f32; n]; names], vec![vec![0f64; n]; names]);
                for t in 1..=3 {
                    let g = drawn(&format!("g{t}"), n);
                    let g64: Vec<f64> = g.iter().map(|&g| g.into()).collect();
                    let mut s: Vec<&mut [f32]> = state.iter_mut().map(Vec::as_mut_slice).collect();
                    f32::step(path, &mut p, &g, &mut s, &rule, t, 0.5);
                    let mut s: Vec<&mut [f64]> =
                        state64.iter_mut().map(Vec::as_mut_slice).collect();
                    reference::step(&mut p64, &g64, &mut s, &rule, t, 0.5);
                }
                for i in 0..n {
                    assert!(
                        (f64::from(p[i]) - p64[i]).abs() < 5e-6,
                        "{rule:?} {path:?} {i}"
                    );
                }
            }
        }
    }
}

#[test]
fn many_tensors_step_as_each_alone_with_any_number_of_threads() {
    let sizes = [3, CHUNK, CHUNK + 5, 3 * CHUNK + 1];
    let rule = rules()[0];
    let run = |threads: usize| {
        let grads: Vec<Vec<f32>> = sizes.iter().map(|&n| drawn("g", n)).collect();
        let mut params: Vec<Vec<f32>> = sizes.iter().map(|&n| drawn("p", n)).collect();
        let mut state: Vec<[Vec<f32>; 2]> =
            sizes.iter().map(|&n| [vec![0.; n], vec![0.; n]]).collect();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let norm = pool.install(|| {
            let norm = global_norm(&grads.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let slots: Vec<Slot<'_, f32>> = params
                .iter_mut()
                .zip(&grads)
                .zip(&mut state)
                .map(|((param, grad), state)| Slot {
                    param,
                    grad,
                    state: state.iter_mut().map(Vec::as_mut_slice).collect(),
                    rule,
                    step: 1,
                })
                .collect();
            if threads == 1 {
                slots
                    .into_iter()
                    .for_each(|slot| step(slot, clip_scale(norm, 1.0)));
            } else {
                step_all(slots, clip_scale(norm, 1.0));
            }
            norm
        });
        (norm, params, state)
    };
    let one = run(1);
    let exact: f64 = sizes
        .iter()
        .flat_map(|&n| drawn("g", n))
        .map(|g| f64::from(g).powi(2))
        .sum();
    assert!((one.0 - exact.sqrt()).abs() < 1e-9 * one.0);
    assert!(one == run(2) && one == run(3));
}

#[test]
fn clipping_scales_down_and_never_up() {
    assert_eq!(clip_scale(0.5, 1.0), 1.0);
    assert!((clip_scale(4.0, 1.0) - 0.25).abs() < 1e-6);
    assert!(clip_scale(f64::NAN, 1.0).is_nan());
}

#[test]
fn variables_step_in_place_as_slices_do() {
    use candle_core::{Device, Tensor, Var};
    let sizes = [5, CHUNK + 3, 1];
    let rule = rules()[0];
    let grads: Vec<Tensor> = sizes
        .iter()
        .map(|&n| Tensor::from_vec(drawn("g", n), n, &Device::Cpu).unwrap())
        .collect();
    let vars: Vec<Var> = sizes
        .iter()
        .map(|&n| Var::from_vec(drawn("p", n), n, &Device::Cpu).unwrap())
        .collect();
    let views: Vec<Tensor> = vars.iter().map(Var::as_detached_tensor).collect();
    let mut state: Vec<[Vec<f32>; 2]> = sizes.iter().map(|&n| [vec![0.; n], vec![0.; n]]).collect();
    let norm = global_norm_of::<f32>(&grads.iter().map(Grad::from).collect::<Vec<_>>()).unwrap();
    // The second lies with somebody else, and is read there.
    let elsewhere = drawn("g", sizes[1]);
    let places = [
        Grad::from(&grads[0]),
        Grad::Slice(&elsewhere),
        Grad::from(&grads[2]),
    ];
    assert_eq!(global_norm_of(&places).unwrap(), norm);
    let updates: Vec<Update<'_, f32>> = vars
        .iter()
        .zip(places)
        .zip(&mut state)
        .map(|((param, grad), state)| Update {
            param,
            grad,
            state: state.iter_mut().map(Vec::as_mut_slice).collect(),
            rule,
            step: 1,
            touched: None,
        })
        .collect();
    step_tensors(updates, clip_scale(norm, 1.0)).unwrap();
    for (i, &n) in sizes.iter().enumerate() {
        let (mut p, g) = (drawn("p", n), drawn("g", n));
        let (mut m, mut v) = (vec![0f32; n], vec![0f32; n]);
        let slot = Slot {
            param: &mut p[..],
            grad: &g,
            state: vec![&mut m, &mut v],
            rule,
            step: 1,
        };
        step(slot, clip_scale(norm, 1.0));
        assert_eq!(views[i].to_vec1::<f32>().unwrap(), p);
        assert_eq!(state[i], [m, v]);
    }
    // A gradient that is the parameter itself must not block, and one of another shape is an error.
    fn update<'a>(param: &'a Tensor, grad: &'a Tensor) -> Update<'a, f32> {
        Update {
            param,
            grad: Grad::Tensor(grad),
            state: vec![],
            rule: Rule::Sgd(Sgd {
                lr: 1.0,
                ..Sgd::default()
            }),
            step: 1,
            touched: None,
        }
    }
    let update = |grad| update(&vars[0], grad);
    step_tensors::<f32>(vec![update(&views[0])], 1.0).unwrap();
    assert_eq!(views[0].to_vec1::<f32>().unwrap(), [0.0; 5]);
    assert!(step_tensors::<f32>(vec![update(&views[2])], 1.0).is_err());
    assert!(step_tensors::<f32>(vec![update(&grads[0]), update(&grads[0])], 1.0).is_err());
    let short = Update {
        grad: Grad::Slice(&elsewhere),
        ..update(&grads[0])
    };
    assert!(step_tensors::<f32>(vec![short], 1.0).is_err());
    assert_eq!(views[0].to_vec1::<f32>().unwrap(), [0.0; 5]);
}

/// Five steps of a table, each with a gradient for a few rows: the table, its state, and which rows were touched.
fn table_steps<T: Stepped>(
    rule: Rule,
    (rows, width): (usize, usize),
    sparse: bool,
    mut touched: Option<Vec<bool>>,
) -> (Vec<T>, Vec<Vec<T>>, Option<Vec<bool>>) {
    use candle_core::{Device, Tensor, Var};
    let narrow = |name: &str, n: usize| -> Vec<T> {
        drawn(name, n)
            .into_iter()
            .map(|x| T::of(x.into()))
            .collect()
    };
    let table = Var::from_vec(narrow("table", rows * width), (rows, width), &Device::Cpu).unwrap();
    let mut state = vec![vec![T::default(); rows * width]; rule.state_names().len()];
    for step in 1..=5u64 {
        // Rows here and there, neighbours among them, the first and the last; other ones at other steps.
        let ids: Vec<u32> = (0..rows as u32)
            .filter(|i| {
                (u64::from(*i) * 7 + step * 5) % 11 < 2
                    || u64::from(*i) == step - 1
                    || *i + 1 == rows as u32
            })
            .collect();
        let values = narrow(&format!("g{step}"), ids.len() * width);
        let given = Tensor::from_vec(values, (ids.len(), width), &Device::Cpu).unwrap();
        let gradient = Sparse { ids, rows: given };
        let dense = gradient.to_dense(rows).unwrap();
        let norms = [Grad::<T>::Rows(&gradient), Grad::Tensor(&dense)]
            .map(|g| global_norm_of(&[g]).unwrap());
        assert!((norms[0] - norms[1]).abs() < 1e-12 * norms[1], "{norms:?}");
        let update = Update {
            param: table.as_tensor(),
            grad: if sparse {
                Grad::Rows(&gradient)
            } else {
                Grad::Tensor(&dense)
            },
            state: state.iter_mut().map(Vec::as_mut_slice).collect(),
            rule,
            step,
            touched: touched.as_deref_mut(),
        };
        step_tensors(vec![update], 0.7).unwrap();
    }
    let table = table.flatten_all().unwrap().to_vec1().unwrap();
    (table, state, touched)
}

#[test]
fn some_rows_of_a_table_step_as_the_whole_table_does_bit_for_bit() {
    let bits =
        |all: &[Vec<f32>]| -> Vec<u32> { all.iter().flatten().map(|x| x.to_bits()).collect() };
    let decays = |rule: Rule| match rule {
        Rule::AdamW(h) => [0.0, 0.3].map(|weight_decay| Rule::AdamW(AdamW { weight_decay, ..h })),
        rule => [rule; 2],
    };
    for rule in rules().into_iter().flat_map(decays) {
        for shape in [(1, 5), (40, 33), (700, 64), (9, CHUNK + 7)] {
            let (table, state, _) = table_steps::<f32>(rule, shape, false, None);
            let whole = (bits(&[table]), bits(&state));
            // Whether it is known which rows were touched, and by any number of threads.
            for touched in [None, Some(vec![false; shape.0]), Some(vec![true; shape.0])] {
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new()
                        .num_threads(threads)
                        .build()
                        .unwrap();
                    let known = touched.clone();
                    let (table, state, after) =
                        pool.install(|| table_steps::<f32>(rule, shape, true, known));
                    assert_eq!(
                        (bits(&[table]), bits(&state)),
                        whole,
                        "{rule:?} {shape:?} {touched:?}"
                    );
                    if let (Some(after), Rule::AdamW(_)) = (after, rule) {
                        // What is said not to have been touched has no state.
                        let none = |r: usize| state_of(&state, r, shape.1).all(|x| x == 0.0);
                        assert!((0..shape.0).all(|r| after[r] || none(r)));
                        // After five steps one row in eleven has had no gradient.
                        if shape.0 == 700 && touched.as_ref().is_some_and(|t| !t[0]) {
                            assert!(after.contains(&false));
                        }
                    }
                }
            }
            let whole = table_steps::<f64>(rule, shape, false, None);
            let some = table_steps::<f64>(rule, shape, true, Some(vec![false; shape.0]));
            assert_eq!((whole.0, whole.1), (some.0, some.1));
        }
    }
}

fn state_of(state: &[Vec<f32>], row: usize, width: usize) -> impl Iterator<Item = f32> {
    state
        .iter()
        .flat_map(move |s| s[row * width..][..width].iter().copied())
}

#[test]
fn rows_that_the_table_does_not_have_are_an_error_and_nothing_moves() {
    use candle_core::{Device, Tensor, Var};
    let table = Var::from_vec(drawn("p", 12), (4, 3), &Device::Cpu).unwrap();
    let before = table.to_vec2::<f32>().unwrap();
    for (ids, width) in [
        (vec![1, 4], 3),
        (vec![2, 1], 3),
        (vec![1, 1], 3),
        (vec![0, 1], 2),
        (vec![0], 3),
    ] {
        let rows = Tensor::ones((2, width), candle_core::DType::F32, &Device::Cpu).unwrap();
        let sparse = Sparse { ids, rows };
        let update = Update::<f32> {
            param: table.as_tensor(),
            grad: Grad::Rows(&sparse),
            state: vec![],
            rule: Rule::Sgd(Sgd::default()),
            step: 1,
            touched: None,
        };
        assert!(step_tensors(vec![update], 1.0).is_err(), "{sparse:?}");
    }
    assert_eq!(table.to_vec2::<f32>().unwrap(), before);
}

#[test]
fn one_launch_steps_every_tensor_as_the_cpu_does() {
    use crate::testing::{assert_close, device, normal, values};
    use candle_core::Tensor;
    crate::gpu::emulated::everywhere(|| {
        // Candle makes no tensor without elements on a GPU.
        let none: &[usize] = if device().is_cpu() { &[0] } else { &[2] };
        let shapes: [&[usize]; 4] = [&[1], &[33, 5], none, &[2, 4099]];
        let rules = rules();
        let params: Vec<Vec<Tensor>> = (0..rules.len())
            .map(|r| shapes.iter().map(|s| normal(&format!("p{r}"), s)).collect())
            .collect();
        let states: Vec<Vec<Vec<Tensor>>> = rules
            .iter()
            .map(|rule| {
                let zeros = |s: &&[usize]| {
                    let zero = |_| Tensor::zeros(*s, candle_core::DType::F32, &device());
                    rule.state_names()
                        .iter()
                        .map(zero)
                        .map(Result::unwrap)
                        .collect()
                };
                shapes.iter().map(zeros).collect()
            })
            .collect();
        let mut expected: Vec<Vec<Vec<f64>>> = params
            .iter()
            .map(|p| p.iter().map(values).collect())
            .collect();
        let mut kept: Vec<Vec<Vec<Vec<f64>>>> = states
            .iter()
            .map(|s| s.iter().map(|s| s.iter().map(values).collect()).collect())
            .collect();
        for step in 1..=3 {
            let grads: Vec<Vec<Tensor>> = (0..rules.len())
                .map(|r| {
                    let name = format!("g{r}{step}");
                    shapes.iter().map(|s| normal(&name, s)).collect()
                })
                .collect();
            let mut updates = Vec::new();
            for (r, rule) in rules.iter().enumerate() {
                for i in 0..shapes.len() {
                    updates.push(DeviceUpdate {
                        param: &params[r][i],
                        grad: &grads[r][i],
                        state: &states[r][i],
                        rule: *rule,
                        step,
                    });
                    let mut state: Vec<&mut [f64]> =
                        kept[r][i].iter_mut().map(Vec::as_mut_slice).collect();
                    let g = values(&grads[r][i]);
                    reference::step(&mut expected[r][i], &g, &mut state, rule, step, 0.5);
                }
            }
            let all: Vec<&Tensor> = grads.iter().flatten().collect();
            let places: Vec<Grad<'_, f32>> = all.iter().map(|g| Grad::Tensor(g)).collect();
            let norm = global_norm_of(&places).unwrap();
            let squares = all.iter().flat_map(|g| values(g)).map(|x| x * x);
            assert!((norm - squares.sum::<f64>().sqrt()).abs() < 1e-9 * norm);
            step_on_device(&updates, 0.5).unwrap();
            let twice = [updates[1], updates[1]];
            assert!(step_on_device(&twice, 1.0).is_err());
        }
        for (r, rule) in rules.iter().enumerate() {
            for i in 0..shapes.len() {
                let n = expected[r][i].len();
                let exact = |v: &[f64]| {
                    Tensor::from_slice(v, shapes[i], &candle_core::Device::Cpu).unwrap()
                };
                if n == 0 {
                    continue;
                }
                let what = format!("{rule:?}");
                assert_close(&what, &params[r][i], &exact(&expected[r][i]), 1e-6);
                for (s, k) in states[r][i].iter().zip(&kept[r][i]) {
                    assert_close(&what, s, &exact(k), 1e-6);
                }
            }
        }
    });
}

//! What the tests of every op share: data, comparisons, finite differences, thread pools.

use candle_core::{DType, Device, Result, Tensor, Var};
use std::cell::RefCell;

thread_local! {
    static DEVICE: RefCell<Device> = const { RefCell::new(Device::Cpu) };
}

/// Where the tensors of a test are: the CPU, but within [`on`].
pub(crate) fn device() -> Device {
    DEVICE.with_borrow(Clone::clone)
}

/// Runs a test on another device.
pub(crate) fn on(device: Device, f: impl Fn()) {
    /// Also where the test fails: the next one may come on the same thread.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            DEVICE.set(Device::Cpu);
        }
    }
    let _reset = Reset;
    DEVICE.set(device);
    f();
}

/// Normal numbers drawn from a name.
pub(crate) fn normal(name: &str, shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let mut x = vec![0f32; n];
    crate::random::fill_normal(&mut x, crate::random::Counter::named(7, name), 0.0, 1.0);
    Tensor::from_vec(x, shape, &device()).unwrap()
}

/// The same values, laid out so that the tensor is not contiguous.
pub(crate) fn strided(t: &Tensor) -> Tensor {
    let last = t.rank() - 1;
    let wide = Tensor::cat(&[t, t, t], last).unwrap();
    let width = t.dim(last).unwrap();
    let view = wide.narrow(last, width, width).unwrap();
    assert!(t.elem_count() <= width || !view.is_contiguous());
    view
}

pub(crate) fn wide(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F64).unwrap()
}

pub(crate) fn values(t: &Tensor) -> Vec<f64> {
    wide(t).flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference over max(1, largest reference value).
pub(crate) fn gap(got: &Tensor, reference: &Tensor) -> f64 {
    assert_eq!(got.dims(), reference.dims());
    let (a, b) = (values(got), values(reference));
    assert!(a.iter().chain(&b).all(|x| x.is_finite()));
    let scale = b.iter().fold(1f64, |m, x| m.max(x.abs()));
    a.iter()
        .zip(&b)
        .fold(0f64, |m, (x, y)| m.max((x - y).abs()))
        / scale
}

/// The larger error; one that is no number is the largest of all.
pub(crate) fn worse(a: f64, b: f64) -> f64 {
    match a.is_nan() || b <= a {
        true => a,
        false => b,
    }
}

pub(crate) fn assert_close(what: &str, got: &Tensor, reference: &Tensor, tolerance: f64) {
    let gap = gap(got, reference);
    assert!(gap <= tolerance, "{what}: gap {gap:.2e} > {tolerance:.0e}");
}

/// Checks the gradients that Candle's graph gives for `f` at f64 `inputs` by central differences along a few
/// coordinates of each input.
pub(crate) fn finite_differences(
    what: &str,
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|t| Var::from_tensor(&wide(t)).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let weights = wide(&normal("finite differences", y.dims()));
    let grads = (&y * &weights)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let objective = |x: &[Tensor]| -> f64 {
        (f(x).unwrap() * &weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar()
            .unwrap()
    };
    for (i, input) in inputs.iter().enumerate() {
        let grad = values(
            grads
                .get(&vars[i])
                .unwrap_or_else(|| panic!("{what}: input {i} has no gradient")),
        );
        let x = values(input);
        let stride = (x.len() / 7).max(1);
        for j in (0..x.len()).step_by(stride) {
            let h = 1e-5;
            let shifted = |by: f64| {
                let mut x = x.clone();
                x[j] += by;
                let mut all: Vec<Tensor> = inputs.iter().map(wide).collect();
                all[i] = Tensor::from_vec(x, input.dims(), &device()).unwrap();
                objective(&all)
            };
            let slope = (shifted(h) - shifted(-h)) / (2.0 * h);
            let error = (slope - grad[j]).abs() / slope.abs().max(1.0);
            assert!(
                error < 1e-6,
                "{what}: input {i}[{j}]: {slope} against {}",
                grad[j]
            );
        }
    }
}

/// Checks the graph door on f32 against the graph of `reference` on f64: values and every gradient.
pub(crate) fn graphs_agree(
    what: &str,
    inputs: &[Tensor],
    tolerance: f64,
    door: impl Fn(&[Tensor]) -> Result<Tensor>,
    reference: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let run = |dtype: DType, f: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
        let vars: Vec<Var> = inputs
            .iter()
            .map(|t| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap())
            .collect();
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let y = f(&tensors).unwrap();
        let weights = normal("graphs agree", y.dims()).to_dtype(dtype).unwrap();
        let grads = (&y * &weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let grads: Vec<Tensor> = vars
            .iter()
            .map(|v| grads.get(v).expect("a gradient for every input").clone())
            .collect();
        (y, grads)
    };
    let (y, grads) = run(DType::F32, &door);
    let (y64, grads64) = run(DType::F64, &reference);
    assert_close(&format!("{what}: value"), &y, &y64, tolerance);
    for (i, (g, g64)) in grads.iter().zip(&grads64).enumerate() {
        assert_close(&format!("{what}: gradient {i}"), g, g64, tolerance);
    }
}

/// Runs `f` on one thread and on two (and three), and checks that it gives the same bits.
pub(crate) fn same_bits(what: &str, f: impl Fn() -> Vec<Tensor> + Send + Sync) {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(|| {
                f().iter()
                    .map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
                    .map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
                    .collect::<Vec<_>>()
            })
    };
    let one = run(1);
    for threads in [2, 3] {
        assert!(
            one == run(threads),
            "{what}: {threads} threads differ from one"
        );
    }
}

/// The same values to eight bits.
pub(crate) fn half(t: &Tensor) -> Tensor {
    t.to_dtype(DType::BF16).unwrap()
}

//! What adversarial methods share: a discriminator between domains, the reversal of its gradient, and what the curves show of both.

use std::sync::Arc;

use candle_core::{D, DType, Tensor};
use serde_json::json;
use tlkit_core::nn::{Activation, Dense, Linear, Scope, Select, Stage, scale_gradient};
use tlkit_core::recipe::Keys;
use tlkit_core::strategy::{State, Step, Transfer};
use tlkit_core::task::Head;
use tlkit_core::{Error, Result};

/// The scope and name of the discriminator.
pub(crate) const DISCRIMINATOR: &str = "discriminator";

/// Keys of every adversarial method.
#[derive(Clone, Debug)]
pub(crate) struct Adversary {
    /// The reversal coefficient at its largest.
    pub lambda: f64,
    /// How fast it rises; 0: it is constant.
    pub gamma: f64,
    /// Widths of the discriminator's hidden layers.
    pub hidden: Vec<usize>,
}

impl Adversary {
    pub fn read(keys: &Keys, lambda: f64, why: &str, on: &'static [&'static str]) -> Self {
        let lambda = keys
            .f64("lambda")
            .range(0.0..)
            .default(lambda, why)
            .tuned_on(on)
            .help(
                "the largest reversal coefficient; 0 trains the discriminator and reverses nothing",
            )
            .read();
        let gamma = keys
            .f64("gamma")
            .range(0.0..)
            .default(10.0, "Ganin et al. 2016")
            .help("how fast the coefficient rises, `2 / (1 + exp(-gamma p)) - 1` over the phase; 0: it is constant")
            .read();
        let hidden = keys
            .numbers("discriminator")
            .default(vec![256.0, 256.0], "DeepDA")
            .help("widths of the discriminator's hidden layers; an empty list is a linear one")
            .check(|widths| {
                match widths
                    .iter()
                    .all(|w| *w >= 1.0 && *w <= 65536.0 && w.fract() == 0.0)
                {
                    true => Ok(()),
                    false => Err("whole numbers from 1 to 65536".into()),
                }
            })
            .read();
        Adversary {
            lambda,
            gamma,
            hidden: hidden.into_iter().map(|w| w as usize).collect(),
        }
    }

    /// Adds the discriminator, of inputs of a width, to a transfer.
    pub fn arrange(&self, transfer: &mut Transfer<'_>, width: usize) -> Result<()> {
        let select =
            transfer.add_head(DISCRIMINATOR, |_, scope| mlp(scope, width, &self.hidden, 2))?;
        let _: Select = select;
        Ok(())
    }

    /// The coefficient at a share of the phase.
    pub fn coefficient(&self, progress: f64) -> f64 {
        match self.gamma > 0.0 {
            true => self.lambda * (2.0 / (1.0 + (-self.gamma * progress).exp()) - 1.0),
            false => self.lambda,
        }
    }
}

/// Dense layers with ReLU between them, the last plain.
pub(crate) fn mlp(
    scope: &Scope<'_>,
    width: usize,
    hidden: &[usize],
    outputs: usize,
) -> Result<Head> {
    let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
    let mut from = width;
    for (i, &to) in hidden.iter().enumerate() {
        let name = format!("hidden.{i}");
        let linear = Linear::new(&scope.sub(&name), from, to, (2.0 / from as f64).sqrt())?;
        stages.push(Arc::new(Dense::new(&name, linear, Activation::Relu)));
        from = to;
    }
    let linear = Linear::new(
        &scope.sub("output"),
        from,
        outputs,
        (1.0 / from as f64).sqrt(),
    )?;
    stages.push(Arc::new(Dense::new("output", linear, Activation::None)));
    Ok(Head { stages, pool: 0 })
}

/// What the discriminator says of an epoch so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    right: f64,
    rows: f64,
    coefficient: f64,
}

impl Watched {
    /// The discriminator's logits of inputs `(source rows + target rows, width)` whose gradient is turned around, and the domains
    /// `(rows,)`: 0 the source, 1 the target.
    pub fn discriminate(
        &mut self,
        step: &mut dyn Step,
        adversary: &Adversary,
        inputs: &Tensor,
        source: usize,
    ) -> Result<(Tensor, Tensor)> {
        let coefficient = adversary.coefficient(step.progress());
        let reversed = scale_gradient(inputs, -coefficient)?;
        let logits = step.head(DISCRIMINATOR, &reversed)?;
        let rows = inputs.dim(0)?;
        let device = inputs.device();
        let domains = Tensor::cat(
            &[
                Tensor::zeros(source, DType::U32, device)?,
                Tensor::ones(rows - source, DType::U32, device)?,
            ],
            0,
        )?;
        let said = logits.detach().argmax(D::Minus1)?;
        let right = said.eq(&domains)?.to_dtype(DType::F64)?.sum_all()?;
        self.note(right.to_scalar::<f64>()?, rows as f64, coefficient);
        Ok((logits, domains))
    }

    /// Counts the rows of a batch that were told right.
    pub fn note(&mut self, right: f64, rows: f64, coefficient: f64) {
        self.right += right;
        self.rows += rows;
        self.coefficient = coefficient;
    }

    /// For the curves; a new epoch begins.
    pub fn curves(&mut self) -> Vec<(String, f64)> {
        self.curves_of("discriminator_accuracy")
    }

    /// The same by another name.
    pub fn curves_of(&mut self, name: &str) -> Vec<(String, f64)> {
        let accuracy = self.right / self.rows.max(1.0);
        (self.right, self.rows) = (0.0, 0.0);
        vec![
            (name.into(), accuracy),
            ("reversal".into(), self.coefficient),
        ]
    }

    pub fn state(&self) -> State {
        State {
            tensors: Vec::new(),
            json: json!([self.right, self.rows, self.coefficient]).to_string(),
        }
    }

    pub fn restore(&mut self, state: &State) -> Result<()> {
        let [right, rows, coefficient] = serde_json::from_str(&state.json)
            .map_err(|e| Error::msg(format!("the state of an adversary: {e}")))?;
        *self = Watched {
            right,
            rows,
            coefficient,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::backprop::GradStore;
    use candle_core::{Device, Var};
    use tlkit_core::data::View;
    use tlkit_core::nn::{Batch, Store, Taps};
    use tlkit_core::random::Stream;

    /// A step at a share of its phase whose discriminator is one matrix.
    struct At {
        progress: f64,
        weight: Tensor,
        store: Store,
    }

    impl Step for At {
        fn head(&mut self, name: &str, features: &Tensor) -> Result<Tensor> {
            assert_eq!(name, DISCRIMINATOR);
            Ok(features.matmul(&self.weight)?)
        }
        fn progress(&self) -> f64 {
            self.progress
        }
        fn batch(&mut self, _: usize, _: View) -> Result<Arc<Batch>> {
            unreachable!("the inputs are given")
        }
        fn labels(&self, _: usize) -> Result<Tensor> {
            unreachable!("domains need none")
        }
        fn labelled(&self, _: usize) -> bool {
            false
        }
        fn rows(&self, _: usize) -> &[u32] {
            &[]
        }
        fn view(&self, _: usize) -> View {
            View::Plain
        }
        fn encode(&mut self, _: &str, _: &[(usize, View)]) -> Result<Vec<Taps>> {
            unreachable!("the inputs are given")
        }
        fn task_loss(&mut self, _: usize, _: View, _: &Tensor) -> Result<Tensor> {
            unreachable!("domains have their own")
        }
        fn number(&self) -> u64 {
            0
        }
        fn random(&self, _: &str) -> Stream {
            Stream::new(0)
        }
        fn store(&self) -> &Store {
            &self.store
        }
    }

    fn of(grads: &GradStore, x: &Var) -> Vec<f64> {
        let grad = grads.get(x).expect("a gradient");
        grad.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// What comes before the discriminator is pushed against what it learns, by the coefficient of that moment; it learns unchanged.
    #[test]
    fn the_gradient_is_turned_around_before_the_discriminator_alone() {
        let cpu = Device::Cpu;
        let x = Tensor::new(&[[1f64, 0.5], [0.2, -1.0], [-2.0, 0.1]], &cpu).unwrap();
        let weight = Tensor::new(&[[0.3f64, -0.4], [0.7, 0.2]], &cpu).unwrap();
        let adversary = Adversary {
            lambda: 0.6,
            gamma: 10.0,
            hidden: Vec::new(),
        };
        for progress in [0.0, 0.05, 0.5] {
            let (x, weight) = (
                Var::from_tensor(&x).unwrap(),
                Var::from_tensor(&weight).unwrap(),
            );
            let loss = |logits: &Tensor| logits.sin().unwrap().sum_all().unwrap();
            let mut step = At {
                progress,
                weight: weight.as_tensor().clone(),
                store: Store::new(&cpu, DType::F64, 0),
            };
            let mut watched = Watched::default();
            let (logits, domains) = watched
                .discriminate(&mut step, &adversary, x.as_tensor(), 1)
                .unwrap();
            assert_eq!(domains.to_vec1::<u32>().unwrap(), [0, 1, 1]);
            let turned = loss(&logits).backward().unwrap();
            let plain = loss(&x.matmul(&weight).unwrap()).backward().unwrap();
            let expected = 0.6 * (2.0 / (1.0 + (-10.0 * progress).exp()) - 1.0);
            for (got, plain) in of(&turned, &x).into_iter().zip(of(&plain, &x)) {
                assert!((got + expected * plain).abs() < 1e-12, "{got} {plain}");
            }
            assert_eq!(of(&turned, &weight), of(&plain, &weight));
            let [(_, accuracy), (_, reversal)] = watched.curves().try_into().unwrap();
            assert_eq!(reversal, expected);
            // Each row's larger logit is that of its domain.
            assert_eq!(accuracy, 1.0);
        }
    }
}

//! Runs a model's stages in order, records the part that trains, and pulls gradients back through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

use super::gradients::Gradients;
use super::stage::{Batch, Flow, Pass, Pullback, Stage};
use crate::{Error, Result};

/// Leaf tensors at the borders of a recorded pass. A loss written on them with ordinary Candle operations is pulled back
/// through the stages by [`Recording::pull`]. They are f32 where a GPU keeps the activations themselves in bf16, so that losses are.
pub struct Taps {
    named: BTreeMap<String, Tensor>,
    /// The pooled features, `(batch, width)`.
    pub features: Tensor,
    /// The head's output.
    pub logits: Tensor,
}

impl Taps {
    /// The output of a stage that was asked for by name.
    pub fn get(&self, stage: &str) -> Result<&Tensor> {
        self.named.get(stage).ok_or_else(|| {
            let there: Vec<_> = self.named.keys().map(String::as_str).collect();
            Error::msg(format!(
                "no tap `{stage}` was asked for; there are {}",
                there.join(", ")
            ))
        })
    }

    /// Rows `from..from + n` of the features and logits, still attached to the same leaves.
    pub fn rows(&self, from: usize, n: usize) -> Result<Taps> {
        let cut = |t: &Tensor| t.narrow(0, from, n).map_err(Error::from);
        let named = self
            .named
            .iter()
            .map(|(k, t)| Ok((k.clone(), cut(t)?)))
            .collect::<Result<_>>()?;
        Ok(Taps {
            named,
            features: cut(&self.features)?,
            logits: cut(&self.logits)?,
        })
    }
}

/// A forward pass that can be pulled back once.
pub struct Recording {
    steps: Vec<Recorded>,
}

struct Recorded {
    pullback: Box<dyn Pullback>,
    /// The type of its output, and thus of the gradient that it takes: the stage above may compute in another, and so may a loss.
    dtype: DType,
    /// The leaf that stands for this stage's output, where somebody looks at it.
    leaf: Option<Var>,
}

/// A chain of stages, and where in it the features are.
#[derive(Clone, Default)]
pub struct Chain {
    stages: Vec<Arc<dyn Stage>>,
    features: usize,
}

impl Chain {
    /// All stages from input to output; `features` is the index of the stage whose output is the pooled features.
    pub fn new(stages: Vec<Arc<dyn Stage>>, features: usize) -> Self {
        Chain { stages, features }
    }

    /// The stages, input to output.
    pub fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    /// Index of the stage whose output is the features.
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many stages at the start have nothing that trains.
    pub fn frozen_prefix(&self) -> usize {
        self.stages
            .iter()
            .position(|s| s.params().iter().any(|p| p.trains()))
            .unwrap_or(self.stages.len())
    }

    /// Runs stages `from..to` without recording.
    pub fn run(&self, from: usize, to: usize, x: Flow, pass: &Pass) -> Result<Flow> {
        let mut x = x;
        let pass = Pass {
            graph: false,
            ..*pass
        };
        for (i, stage) in self.stages[..to].iter().enumerate().skip(from) {
            let pass = Pass {
                first_only: self.next_reads_first(i, to),
                ..pass
            };
            let y = stage.forward(&x, &pass)?;
            // Detached at each border: what is not recorded frees its activations as it goes.
            x = y.with(y.hidden.detach());
        }
        Ok(x)
    }

    /// Whether the stage behind stage `i`, if it is before `to`, reads only the first position of what that gives.
    fn next_reads_first(&self, i: usize, to: usize) -> bool {
        i + 1 < to && self.stages[i + 1].reads_first()
    }

    /// Features and logits for prediction.
    pub fn predict(&self, batch: &Arc<Batch>, pass: &Pass) -> Result<(Tensor, Tensor)> {
        self.predict_from(0, Flow::start(batch), pass)
    }

    /// The same from a stage on: what comes out of the stages before it, at most the features, enters there.
    pub fn predict_from(&self, first: usize, x: Flow, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let f = self.run(first, self.features + 1, x, pass)?;
        let logits = self.run(self.features + 1, self.stages.len(), f.clone(), pass)?;
        Ok((f.hidden, logits.hidden))
    }

    /// Runs the chain, recording from the first stage that trains. `taps` names further stages whose output is wanted.
    /// `first` and `x` start in the middle: cached features enter there.
    pub fn record(
        &self,
        first: usize,
        x: Flow,
        pass: &Pass,
        taps: &[String],
    ) -> Result<(Taps, Recording)> {
        let last = self.stages.len() - 1;
        let mut steps = Vec::new();
        let mut recording = false;
        let mut named = BTreeMap::new();
        let (mut features, mut x) = (None, x);
        if first == self.features + 1 {
            features = Some(x.hidden.detach());
        }
        for (i, stage) in self.stages.iter().enumerate().skip(first) {
            let trains = stage.params().iter().any(|p| p.trains());
            let wanted = i == self.features || i == last || taps.iter().any(|t| t == stage.name());
            let pass = Pass {
                input_gradient: recording,
                first_only: !wanted && self.next_reads_first(i, self.stages.len()),
                ..*pass
            };
            if !recording && !trains {
                let plain = Pass {
                    graph: false,
                    ..pass
                };
                let y = stage.forward(&x, &plain)?;
                x = y.with(y.hidden.detach());
                if wanted {
                    named.insert(stage.name().to_string(), looked_at(&x.hidden)?);
                }
                if i == self.features {
                    features = Some(looked_at(&x.hidden)?);
                }
                continue;
            }
            recording = true;
            let (y, pullback) = stage.record(&x, &pass)?;
            let leaf = if wanted {
                Some(Var::from_tensor(&looked_at(&y.hidden)?)?)
            } else {
                None
            };
            if let Some(leaf) = &leaf {
                named.insert(stage.name().to_string(), leaf.as_tensor().clone());
                if i == self.features {
                    features = Some(leaf.as_tensor().clone());
                }
            }
            let dtype = y.hidden.dtype();
            x = y;
            steps.push(Recorded {
                pullback,
                dtype,
                leaf,
            });
        }
        let logits = named
            .get(self.stages[last].name())
            .cloned()
            .unwrap_or_else(|| x.hidden.clone());
        let features =
            features.ok_or_else(|| Error::msg("a pass must start at or before the features"))?;
        Ok((
            Taps {
                named,
                features,
                logits,
            },
            Recording { steps },
        ))
    }
}

/// A stage's output as losses see it: f32 where it is bf16.
fn looked_at(hidden: &Tensor) -> Result<Tensor> {
    Ok(match hidden.dtype() {
        DType::BF16 => hidden.to_dtype(DType::F32)?,
        _ => hidden.clone(),
    })
}

impl Recording {
    /// Pulls what the loss's graph says about the taps back through the stages, last to first.
    pub fn pull(self, grads: &GradStore, into: &mut Gradients) -> Result<()> {
        let mut gradient: Option<Tensor> = None;
        for step in self.steps.into_iter().rev() {
            let here = step
                .leaf
                .as_ref()
                .and_then(|leaf| grads.get(leaf))
                .map(|g| g.detach().to_dtype(step.dtype))
                .transpose()?;
            let above = gradient.take().map(|g| g.to_dtype(step.dtype));
            let total = match (above.transpose()?, here) {
                (Some(a), Some(b)) => Some((a + b)?),
                (a, b) => a.or(b),
            };
            // No loss looks above this stage: nothing to pull through it.
            let Some(total) = total else { continue };
            gradient = step.pullback.pull(&total, into)?;
        }
        Ok(())
    }

    /// Whether nothing was recorded: the whole model is frozen.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether the gradient at some tap is other than zero.
    pub fn moved_by(&self, grads: &GradStore) -> Result<bool> {
        for leaf in self.steps.iter().filter_map(|s| s.leaf.as_ref()) {
            if let Some(g) = grads.get(leaf)
                && g.abs()?
                    .flatten_all()?
                    .max(0)?
                    .to_dtype(DType::F64)?
                    .to_scalar::<f64>()?
                    > 0.0
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the loss's graph says anything about a tap.
    pub fn touched(&self, grads: &GradStore) -> bool {
        self.steps.iter().any(|s| {
            s.leaf
                .as_ref()
                .is_some_and(|leaf| grads.get(leaf).is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::param::{Init, Param, Role};
    use super::super::store::Store;
    use super::*;
    use candle_core::Device;

    /// `w x`, computed in one type, its output kept in that: as a GPU's stages under bf16.
    struct Times {
        name: &'static str,
        weight: Param,
        dtype: DType,
    }

    struct Back {
        x: Tensor,
        weight: Param,
        dtype: DType,
    }

    impl Stage for Times {
        fn name(&self) -> &str {
            self.name
        }

        fn params(&self) -> Vec<Param> {
            vec![self.weight.clone()]
        }

        fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
            let x32 = x.hidden.to_dtype(DType::F32)?;
            let y = x32.broadcast_mul(&self.weight.tensor())?;
            Ok(x.with(y.to_dtype(self.dtype)?))
        }

        fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
            let y = self.forward(x, pass)?;
            let back = Back {
                x: x.hidden.detach().to_dtype(self.dtype)?,
                weight: self.weight.clone(),
                dtype: self.dtype,
            };
            Ok((y.with(y.hidden.detach()), Box::new(back)))
        }
    }

    impl Pullback for Back {
        fn pull(self: Box<Self>, grad: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
            // Fails where the gradient is of another type, as kernels do.
            let by_weight = (&self.x * grad)?.to_dtype(DType::F32)?.sum_all()?;
            into.add(&self.weight, by_weight.reshape(1)?)?;
            let weight = self.weight.detached().to_dtype(self.dtype)?;
            Ok(Some(grad.broadcast_mul(&weight)?))
        }
    }

    #[test]
    fn stages_may_compute_in_different_types_and_losses_are_of_f32() -> Result<()> {
        const HALF: DType = DType::BF16;
        for types in [
            [DType::F32, HALF, DType::F32],
            [HALF, DType::F32, HALF],
            [HALF; 3],
            [DType::F32; 3],
        ] {
            let store = Store::new(&Device::Cpu, DType::F32, 1);
            let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
            for (name, dtype) in ["a", "b", "c"].into_iter().zip(types) {
                let weight = store
                    .scope(name)
                    .param("weight", &[1], Role::Weight, Init::Ones)?;
                weight.var().set(&Tensor::new(&[2f32], &Device::Cpu)?)?;
                stages.push(Arc::new(Times {
                    name,
                    weight,
                    dtype,
                }));
            }
            let chain = Chain::new(stages, 1);
            let x = Tensor::new(&[[1f32, 3.0]], &Device::Cpu)?;
            let start = Flow::start(&Arc::new(Batch::new(1, x)));
            let pass = Pass::evaluation();
            let all = ["a".to_string()];
            let (taps, recording) = chain.record(0, start, &pass, &all)?;
            let seen = [taps.get("a")?, &taps.features, &taps.logits];
            let mut loss = Tensor::zeros((), DType::F32, &Device::Cpu)?;
            for tap in seen {
                assert_eq!(tap.dtype(), DType::F32);
                loss = (loss + tap.sum_all()?)?;
            }
            let mut into = Gradients::default();
            recording.pull(&loss.backward()?, &mut into)?;
            // a + b a + c b a of x = 4 in sum, by each weight at 2: small integers, exact in bf16.
            for (stage, expected) in chain.stages().iter().zip([28f32, 24.0, 16.0]) {
                let weight = &stage.params()[0];
                let got = into
                    .get(weight.name())
                    .expect("a gradient")
                    .to_vec1::<f32>()?;
                assert_eq!(got, [expected], "{types:?} {}", stage.name());
            }
        }
        Ok(())
    }
}

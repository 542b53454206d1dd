//! L2-SP (Li et al. 2018): fine-tuning that is pulled back to where it started.
//!
//! ```text
//! task loss + alpha / 2 * |w - w0|^2 + beta / 2 * |v|^2
//! ```
//!
//! with `w` the encoder's weights and those of a pooler, or of a head of masked language modelling, that the checkpoint has, `w0` the checkpoint's, and `v` those of the head that it does not
//! have. Word embeddings that a head is tied to are the encoder's. `beta` is 0.01 as in the paper;
//! `alpha` is 0.01 as in the transfer learning library that reproduced it (the paper chose it by cross-validation for each data set). Weight decay, which pulls to zero,
//! is off in this method.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::View;
use tlkit_core::nn::{Param, Stage, Store};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer};
use tlkit_core::{Error, nn::Select};

use crate::fine_tune::supervised;

/// Where the checkpoint's weights are kept.
const START: &str = "start";

/// One phase with two penalties.
pub struct L2Sp {
    alpha: f64,
    beta: f64,
}

impl L2Sp {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let alpha = keys
            .f64("alpha")
            .range(0.0..)
            .default(0.01, "usual; Li et al. 2018 choose it by cross-validation")
            .help("how strongly the encoder is pulled to where it started")
            .read();
        let beta = keys
            .f64("beta")
            .range(0.0..)
            .default(0.01, "Li et al. 2018")
            .help("how strongly the head is pulled to zero")
            .read();
        Some(Box::new(L2Sp { alpha, beta }))
    }
}

impl Strategy for L2Sp {
    fn needs(&self) -> Needs {
        Needs {
            own_decay: Some((
                "draws weights to where they started, not to 0",
                "leave `weight_decay` out; `strategy.alpha` and `strategy.beta` say how hard",
            )),
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        transfer.store.fork("model", START)
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let (encoder, head) = started(transfer.model.encoder.stages(), &transfer.model.head.stages);
        let objective = Pulled {
            view: transfer.target.view(),
            alpha: self.alpha,
            beta: self.beta,
            encoder,
            head,
        };
        let mut s = transfer.settings.clone();
        s.optimizer = s.optimizer.with_decay(0.0);
        let trains = Select::name("model.*");
        let mut phase = supervised("l2-sp", transfer, trains, &s);
        if let Phase::Train(train) = &mut phase {
            for update in &mut train.updates {
                update.objective = Box::new(objective.clone());
            }
        }
        Ok(vec![phase])
    }
}

/// The names of what is pulled to where it started, and of what is pulled to zero: the encoder's, and the head's. Of the head a part may be as
/// pretrained as the encoder, as a pooler that the checkpoint has, and a part may be the encoder's own, as tied embeddings.
fn started(encoder: &[Arc<dyn Stage>], head: &[Arc<dyn Stage>]) -> (Vec<String>, Vec<String>) {
    let name = |p: &Param| p.name().to_string();
    let below = encoder.iter().flat_map(|s| s.params());
    let mut below: Vec<String> = below.map(|p| name(&p)).collect();
    let above = head.iter().flat_map(|s| s.params());
    let above = above.filter(|p| !below.iter().any(|n| n == p.name()));
    let (loaded, drawn): (Vec<Param>, Vec<Param>) = above.partition(Param::loaded);
    below.extend(loaded.iter().map(name));
    (below, drawn.iter().map(name).collect())
}

/// The task's loss and the penalties.
#[derive(Clone)]
struct Pulled {
    view: View,
    alpha: f64,
    beta: f64,
    encoder: Vec<String>,
    head: Vec<String>,
}

impl Objective for Pulled {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, self.view)])?.remove(0);
        let loss = step.task_loss(0, self.view, &taps.logits)?;
        let mut terms = vec![Term::new("loss", 1.0, loss)];
        let store = step.store();
        let penalties = [
            (
                "start",
                self.alpha,
                half_squares(store, &self.encoder, true)?,
            ),
            ("head", self.beta, half_squares(store, &self.head, false)?),
        ];
        for (name, weight, value) in penalties {
            if let (true, Some(value)) = (weight > 0.0, value) {
                terms.push(Term {
                    // Weights and not what the network says of a batch.
                    reaches_model: false,
                    ..Term::new(name, weight, value)
                });
            }
        }
        Ok(terms)
    }
}

/// `1/2 |w - w0|^2` over parameters of the model, with `w0` where they started or zero; `None` over none.
fn half_squares(store: &Store, names: &[String], from_start: bool) -> Result<Option<Tensor>> {
    let find = |name: &str| -> Result<Param> {
        let found = store.get(name);
        found.ok_or_else(|| Error::msg(format!("no parameter {name}")))
    };
    let mut sum: Option<Tensor> = None;
    for name in names {
        let p = find(name)?;
        if !p.trains() {
            continue;
        }
        let w = match from_start {
            true => {
                let start = name.replacen("model", START, 1);
                (p.tensor() - find(&start)?.detached())?
            }
            false => p.tensor(),
        };
        let half = (w.sqr()?.sum_all()? * 0.5)?;
        sum = Some(match sum {
            Some(s) => (s + half)?,
            None => half,
        });
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use tlkit_core::nn::{Flow, Init, Pass, Role, Scope, Weights};

    fn names() -> Vec<String> {
        vec!["model.a.weight".into(), "model.b.bias".into()]
    }

    /// Two parameters that have moved away from where they started, and a third that is frozen.
    fn store() -> Result<Store> {
        let store = Store::new(&Device::Cpu, DType::F64, 0);
        let scope = store.scope("model");
        scope
            .sub("a")
            .param("weight", &[3, 2], Role::Weight, Init::Normal(1.0))?;
        scope
            .sub("b")
            .param("bias", &[4], Role::Bias, Init::Normal(1.0))?;
        scope
            .sub("frozen")
            .param("weight", &[2], Role::Weight, Init::Normal(1.0))?;
        store.fork("model", START)?;
        for (k, name) in names()
            .iter()
            .chain([&"model.frozen.weight".to_string()])
            .enumerate()
        {
            let p = store.get(name).expect("it was made");
            p.var().set(&p.detached().affine(0.5, 0.3 + k as f64)?)?;
        }
        store.train_only(&Select::Names(names()));
        Ok(store)
    }

    fn value(store: &Store, from_start: bool) -> Result<f64> {
        let mut all = names();
        all.push("model.frozen.weight".into());
        let sum = half_squares(store, &all, from_start)?.expect("something trains");
        Ok(sum.to_scalar::<f64>()?)
    }

    #[test]
    fn both_pulls_pass_finite_differences_and_are_the_distance() -> Result<()> {
        for from_start in [true, false] {
            let store = store()?;
            let sum = half_squares(&store, &names(), from_start)?.expect("something trains");
            let gradients = sum.backward()?;
            for name in names() {
                let p = store.get(&name).expect("it was made");
                let gradient = gradients.get(p.var()).expect("it reaches every weight");
                let start = store
                    .get(&name.replacen("model", START, 1))
                    .expect("a copy");
                let apart = match from_start {
                    true => (p.detached() - start.detached())?,
                    false => p.detached(),
                };
                let (gradient, apart) = (gradient.flatten_all()?, apart.flatten_all()?);
                // A copy: a detached view would follow the weight.
                let at = p.detached().copy()?;
                for i in 0..p.count() {
                    let nudged = |by: f64| -> Result<f64> {
                        let mut values = at.flatten_all()?.to_vec1::<f64>()?;
                        values[i] += by;
                        p.var()
                            .set(&Tensor::from_vec(values, p.dims(), &Device::Cpu)?)?;
                        value(&store, from_start)
                    };
                    let step = 1e-4;
                    let slope = (nudged(step)? - nudged(-step)?) / (2.0 * step);
                    p.var().set(&at)?;
                    let analytic = gradient.get(i)?.to_scalar::<f64>()?;
                    assert!(
                        (slope - analytic).abs() < 1e-7,
                        "{name}[{i}]: {slope} and {analytic}"
                    );
                    let apart = apart.get(i)?.to_scalar::<f64>()?;
                    assert!((analytic - apart).abs() < 1e-12, "{name}[{i}]");
                }
            }
        }
        Ok(())
    }

    /// A stage that only has parameters.
    struct Holds(Vec<Param>);

    impl Stage for Holds {
        fn name(&self) -> &str {
            "holds"
        }

        fn params(&self) -> Vec<Param> {
            self.0.clone()
        }

        fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
            Ok(x.with(x.hidden.clone()))
        }
    }

    /// Embeddings that the head is tied to are not pulled to zero, nor twice to where they started; a part of the head that was loaded is.
    #[test]
    fn what_a_head_shares_with_the_encoder_is_the_encoders() -> Result<()> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let two = Tensor::zeros(2, DType::F32, &Device::Cpu)?;
        let file =
            [("m.words", &two), ("m.transform", &two)].map(|(n, t)| (n.to_string(), t.clone()));
        let loaded = store
            .scope("m")
            .with_weights(Arc::new(Weights::from_tensors("file", file.into())));
        let param =
            |scope: &Scope<'_>, name: &str| scope.param(name, &[2], Role::Weight, Init::Zeros);
        let words = param(&loaded, "words")?;
        let (transform, fresh) = (param(&loaded, "transform")?, loaded.fresh());
        let below: Vec<Arc<dyn Stage>> = vec![Arc::new(Holds(vec![
            words.clone(),
            param(&fresh, "layer")?,
        ]))];
        let head: Vec<Arc<dyn Stage>> = vec![Arc::new(Holds(vec![
            transform,
            words,
            param(&fresh, "bias")?,
        ]))];
        let (encoder, head) = started(&below, &head);
        assert_eq!(encoder, ["m.words", "m.layer", "m.transform"]);
        assert_eq!(head, ["m.bias"]);
        Ok(())
    }

    #[test]
    fn what_is_frozen_is_not_pulled() -> Result<()> {
        let store = store()?;
        let before = value(&store, true)?;
        let p = store.get("model.frozen.weight").expect("it was made");
        p.var().set(&p.detached().affine(3.0, 1.0)?)?;
        assert_eq!(before, value(&store, true)?);
        Ok(())
    }
}

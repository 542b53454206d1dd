//! A dense layer with batch norm before its activation.

use tlkit_core::Result;
use tlkit_core::nn::{Activation, Flow, Init, Linear, NormMode, Param, Pass, Role, Scope, Stage};
use tlkit_ops::batch_norm::{Statistics, batch_norm};

/// Inside the root.
const EPS: f64 = 1e-5;

/// `activation(norm(W x + b))`. The bias stands still while the batch's own mean takes it out again.
pub(crate) struct Normed {
    name: String,
    linear: Linear,
    weight: Param,
    bias: Param,
    mean: Param,
    var: Param,
    activation: Activation,
}

impl Normed {
    pub fn new(
        name: &str,
        linear: Linear,
        scope: &Scope<'_>,
        activation: Activation,
    ) -> Result<Self> {
        let width = linear.bias.dims()[0];
        let make = |name, role, init| scope.param(name, &[width], role, init);
        Ok(Normed {
            name: name.to_string(),
            weight: make("weight", Role::NormWeight, Init::Ones)?,
            bias: make("bias", Role::NormBias, Init::Zeros)?,
            mean: make("running_mean", Role::Statistic, Init::Zeros)?,
            var: make("running_var", Role::Statistic, Init::Ones)?,
            linear,
            activation,
        })
    }
}

impl Stage for Normed {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        let mut all = self.linear.params();
        all.extend([&self.weight, &self.bias, &self.mean, &self.var].map(Clone::clone));
        all
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let y = self.linear.forward(&x.hidden)?;
        let trains = self.params().iter().any(|p| p.trains());
        let batch = match pass.norm {
            NormMode::Frozen => false,
            // What is frozen keeps its statistics, and prediction uses the running ones.
            NormMode::Train => pass.training && trains,
            NormMode::Adapt => true,
        };
        let (mean, var) = (self.mean.detached(), self.var.detached());
        let statistics = match batch {
            true => Statistics::Batch,
            false => Statistics::Given {
                mean: &mean,
                var: &var,
            },
        };
        let (weight, bias) = (self.weight.tensor(), self.bias.tensor());
        let (y, moments) = batch_norm(&y, &weight, &bias, statistics, EPS)?;
        if let Some(moments) = moments {
            pass.running.put(&moments, &self.mean, &self.var)?;
        }
        Ok(x.with(self.activation.apply(&y)?))
    }

    fn output(&self) -> String {
        format!("({})", self.linear.weight.dims()[0])
    }
}

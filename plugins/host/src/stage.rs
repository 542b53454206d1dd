//! A stage of a stranger's encoder, in a chain like any other.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use tlkit_abi::{self as abi, Head};
use tlkit_core::nn::{Flow, Gradients, Param, Pass, Pullback, Stage};
use tlkit_core::{Error, Result};

use crate::lend::plain;
use crate::made::Left;
use crate::network::{At, Network};

/// One stage. Its parameters are those of the run's store, with their numbers in the plugin's memory or, where it lends none, in the host's:
/// optimizer, checkpoints and averages need to know nothing of the border.
pub(crate) struct CStage {
    network: Arc<Network>,
    index: usize,
    params: Vec<Param>,
}

impl CStage {
    /// By its number, on parameters in the order of the description.
    pub fn new(network: &Arc<Network>, index: usize, params: Vec<Param>) -> Self {
        CStage {
            network: network.clone(),
            index,
            params,
        }
    }

    fn pass(&self, pass: &Pass, record: u32) -> abi::Pass {
        abi::Pass {
            head: Head::of::<abi::Pass>(),
            seed: pass.random.purpose(self.name()).at(pass.step).key(),
            step: pass.step,
            weights: self.params.first().map_or(0, Param::version),
            training: u32::from(pass.training),
            record,
        }
    }

    fn lent(&self) -> Result<Vec<Tensor>> {
        let params: Vec<Tensor> = self.params.iter().map(Param::detached).collect();
        plain(&params)
    }

    /// The input as it crosses, where it is what this stage takes.
    fn input(&self, x: &Flow) -> Result<Tensor> {
        let about = &self.network.about;
        let expected = match self.index {
            0 => &about.input,
            i => &about.stages[i - 1].output,
        };
        let dims = x.hidden.dims();
        if dims.is_empty() || dims[1..] != expected[..] {
            return Err(Error::msg(format!(
                "{}: the stage `{}` takes rows of the shape {expected:?}, and these are {dims:?}",
                self.network.who(),
                self.name()
            )));
        }
        let mut input = plain(std::slice::from_ref(&x.hidden))?;
        input
            .pop()
            .ok_or_else(|| Error::msg("one tensor is one tensor"))
    }
}

impl Stage for CStage {
    fn name(&self) -> &str {
        &self.network.about.stages[self.index].name
    }

    fn params(&self) -> Vec<Param> {
        self.params.clone()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        // What Candle's graph does not see has no gradient there: better an error than half a network that trains.
        if pass.graph && (x.hidden.track_op() || self.params.iter().any(Param::trains)) {
            return Err(Error::msg(format!(
                "{}: gradients through the stage `{}` come from its recording",
                self.network.who(),
                self.name()
            )));
        }
        let (params, input) = (self.lent()?, self.input(x)?);
        let at = At {
            stage: self.index,
            params: &params,
            input: &input,
            pass: self.pass(pass, 0),
        };
        let (output, _) = self.network.forward(&at)?;
        Ok(x.with(output.to_dtype(dtype(&x.hidden))?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let (params, input) = (self.lent()?, self.input(x)?);
        let of_input = pass.input_gradient && x.hidden.dtype().is_float();
        let record = match of_input {
            true => abi::RECORD_VJP | abi::RECORD_INPUT,
            false => abi::RECORD_VJP,
        };
        let c_pass = self.pass(pass, record);
        let at = At {
            stage: self.index,
            params: &params,
            input: &input,
            pass: c_pass,
        };
        let (output, handle) = self.network.forward(&at)?;
        let left = Some(handle.leave());
        let y = x.with(output.to_dtype(dtype(&x.hidden))?);
        let wanted = std::iter::once(of_input)
            .chain(self.params.iter().map(Param::trains))
            .collect();
        let back = Back {
            network: self.network.clone(),
            stage: self.index,
            params: self.params.clone(),
            lent: params,
            input,
            pass: c_pass,
            wanted,
            dtype: dtype(&x.hidden),
            left,
        };
        Ok((y, Box::new(back)))
    }

    fn output(&self) -> String {
        let sides = &self.network.about.stages[self.index].output;
        let sides: Vec<String> = sides.iter().map(usize::to_string).collect();
        sides.join(" x ")
    }
}

/// What activations after `x` are made of.
fn dtype(x: &Tensor) -> DType {
    match x.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

/// The way back.
struct Back {
    network: Arc<Network>,
    stage: usize,
    params: Vec<Param>,
    lent: Vec<Tensor>,
    input: Tensor,
    pass: abi::Pass,
    wanted: Vec<bool>,
    dtype: DType,
    left: Option<Left>,
}

impl Pullback for Back {
    fn pull(mut self: Box<Self>, output: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let left = self
            .left
            .take()
            .ok_or_else(|| Error::msg("a pullback is pulled once"))?;
        let handle = self.network.handle(left);
        let gradient = plain(std::slice::from_ref(output))?;
        let at = At {
            stage: self.stage,
            params: &self.lent,
            input: &self.input,
            pass: self.pass,
        };
        let (of_input, gradients) = self.network.vjp(&at, &handle, &gradient[0], &self.wanted)?;
        for (p, g) in self.params.iter().zip(gradients) {
            if let Some(g) = g {
                into.add_elsewhere(p, g)?;
            }
        }
        Ok(match of_input {
            Some(g) => Some(g.to_dtype(self.dtype)?),
            None => None,
        })
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        if let Some(left) = self.left.take() {
            drop(self.network.handle(left));
        }
    }
}

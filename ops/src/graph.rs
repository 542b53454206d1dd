//! Putting a hand-written gradient into Candle's graph.
//!
//! The output is computed first, by the op's own kernels; [`record`] then hands it to Candle as the result of a custom
//! operation on the inputs, whose backward is the op's own. No kernel runs twice and nothing is copied.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Error, Layout, Result, Shape, Tensor,
};
use std::sync::Mutex;

/// The gradients of the inputs, from the inputs and the gradient of the output (contiguous). `None` is allowed only for
/// an input that no graph tracks.
type Pullback = dyn Fn(&[&Tensor], &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync;

struct Recorded {
    name: &'static str,
    output: Mutex<Option<(Vec<f32>, Shape)>>,
    pullback: Box<Pullback>,
}

impl Recorded {
    fn take(&self) -> Result<(CpuStorage, Shape)> {
        let mut output = self.output.lock().unwrap_or_else(|e| e.into_inner());
        match output.take() {
            Some((data, shape)) => Ok((CpuStorage::F32(data), shape)),
            None => Err(Error::Msg(format!("{}: recorded twice", self.name)).bt()),
        }
    }

    fn back<const N: usize>(
        &self,
        args: [&Tensor; N],
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let mut grads = (self.pullback)(&args, &grad.contiguous()?)?.into_iter();
        Ok(std::array::from_fn(|_| grads.next().flatten()))
    }
}

impl CustomOp1 for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.take()
    }
    fn bwd(&self, a: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.back([a], grad)?;
        Ok(a)
    }
}

impl CustomOp2 for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.take()
    }
    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.back([a, b], grad)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.take()
    }
    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = self.back([a, b, c], grad)?;
        Ok((a, b, c))
    }
}

/// Records `output` as computed from one to three `inputs`; `pullback` gives one gradient for each input.
pub(crate) fn record<S: Into<Shape>>(
    name: &'static str,
    inputs: &[&Tensor],
    output: Vec<f32>,
    shape: S,
    pullback: impl Fn(&[&Tensor], &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> Result<Tensor> {
    let op = Recorded {
        name,
        output: Mutex::new(Some((output, shape.into()))),
        pullback: Box::new(pullback),
    };
    match inputs {
        [a] => a.apply_op1(op),
        [a, b] => a.apply_op2(b, op),
        [a, b, c] => a.apply_op3(b, c, op),
        _ => Err(Error::Msg(format!("{name}: {} inputs", inputs.len())).bt()),
    }
}

//! Putting a hand-written gradient into Candle's graph.
//!
//! The output is computed first, by the op's own kernels; [`record`] then hands it to Candle as the result of a custom
//! operation on the inputs, whose backward is the op's own. No kernel runs twice. What is a vector is not copied; what is a
//! tensor already, as on a GPU, is copied once, on its device: others may hold it, and Candle does not say whether. (The
//! layers of BERT and the blocks of a ResNet do not come through here: they record what they did, and go back by hand.)

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Error, Layout, Result, Shape, Storage, Tensor,
};
use std::sync::Mutex;

/// The gradients of the inputs, from the inputs and the gradient of the output (contiguous). `None` is allowed only for
/// an input that no graph tracks.
type Pullback = dyn Fn(&[&Tensor], &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync;

/// What an op made: numbers on the CPU, or a tensor on any device.
pub(crate) enum Output {
    Data(Vec<f32>),
    Tensor(Tensor),
}

impl From<Vec<f32>> for Output {
    fn from(data: Vec<f32>) -> Self {
        Output::Data(data)
    }
}

impl From<Tensor> for Output {
    fn from(t: Tensor) -> Self {
        Output::Tensor(t)
    }
}

struct Recorded {
    name: &'static str,
    output: Mutex<Option<(Output, Shape)>>,
    pullback: Box<Pullback>,
}

impl Recorded {
    fn output(&self) -> Result<(Output, Shape)> {
        let mut output = self.output.lock().unwrap_or_else(|e| e.into_inner());
        output
            .take()
            .ok_or_else(|| Error::Msg(format!("{}: recorded twice", self.name)).bt())
    }

    fn take(&self) -> Result<(CpuStorage, Shape)> {
        match self.output()? {
            (Output::Data(data), shape) => Ok((CpuStorage::F32(data), shape)),
            (Output::Tensor(t), shape) => match &*t.storage_and_layout().0 {
                Storage::Cpu(storage) => Ok((storage.clone(), shape)),
                _ => Err(Error::Msg(format!("{}: two devices", self.name)).bt()),
            },
        }
    }

    /// A copy of what a kernel made, on the device: a storage cannot be taken out of its tensor.
    #[cfg(feature = "cuda")]
    fn take_cuda(&self) -> Result<(CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        match self.output()? {
            (Output::Tensor(t), shape) => match &*t.storage_and_layout().0 {
                Storage::Cuda(storage) => Ok((storage.try_clone(t.layout())?, shape)),
                _ => Err(Error::Msg(format!("{}: two devices", self.name)).bt()),
            },
            _ => Err(Error::Msg(format!("{}: two devices", self.name)).bt()),
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
    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.take_cuda()
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
    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.take_cuda()
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
    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.take_cuda()
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
    output: impl Into<Output>,
    shape: S,
    pullback: impl Fn(&[&Tensor], &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> Result<Tensor> {
    let op = Recorded {
        name,
        output: Mutex::new(Some((output.into(), shape.into()))),
        pullback: Box::new(pullback),
    };
    match inputs {
        [a] => a.apply_op1(op),
        [a, b] => a.apply_op2(b, op),
        [a, b, c] => a.apply_op3(b, c, op),
        _ => Err(Error::Msg(format!("{name}: {} inputs", inputs.len())).bt()),
    }
}

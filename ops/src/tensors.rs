//! Reading Candle tensors as slices and making tensors from vectors, without copies.

use candle_core::{
    CpuStorage, DType, Device, Error, InplaceOp1, Layout, Result, Shape, Storage, StorageRef,
    Tensor, Var, WithDType,
};
use std::cell::RefCell;

use crate::matmul::View;

/// A tensor held for reading: its storage stays locked while this lives.
pub(crate) struct Reading<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Reading<'a> {
    /// Locks a CPU tensor for reading.
    pub(crate) fn of(t: &'a Tensor) -> Self {
        let (storage, layout) = t.storage_and_layout();
        Reading { storage, layout }
    }

    /// The elements from the tensor's first one on, whatever the strides.
    pub(crate) fn unstrided<T: WithDType>(&self) -> Result<&[T]> {
        match &*self.storage {
            // A part of an empty tensor may begin beyond its end.
            Storage::Cpu(cpu) => {
                let from = self.layout.start_offset()..;
                Ok(cpu.as_slice::<T>()?.get(from).unwrap_or(&[]))
            }
            _ => Err(Error::Msg("expected a tensor on the CPU".into()).bt()),
        }
    }

    /// The elements of a contiguous tensor, in order.
    pub(crate) fn slice<T: WithDType>(&self) -> Result<&[T]> {
        if !self.layout.is_contiguous() {
            return Err(Error::Msg("expected a contiguous tensor".into()).bt());
        }
        Ok(&self.unstrided()?[..self.layout.shape().elem_count()])
    }
}

/// Whether the f32 CPU kernels apply to these tensors.
pub(crate) fn on_kernels(tensors: &[&Tensor]) -> bool {
    tensors
        .iter()
        .all(|t| t.dtype() == DType::F32 && matches!(t.device(), Device::Cpu))
}

/// A plain tensor on the CPU, part of no graph.
pub(crate) fn tensor<S: Into<Shape>, T: WithDType>(data: Vec<T>, shape: S) -> Result<Tensor> {
    Tensor::from_vec(data, shape, &Device::Cpu)
}

/// Rows and width of a tensor seen as rows of its last dimension.
pub(crate) fn rows(t: &Tensor) -> Result<(usize, usize)> {
    let width = t.dim(candle_core::D::Minus1)?;
    let rows = t.dims()[..t.rank() - 1].iter().product();
    Ok((rows, width))
}

/// The output of `f`, recorded by Candle, and the gradients of `inputs` for the output gradient `grad`.
///
/// It is the backward of every reference: exact on any dtype and device, and slow.
pub(crate) fn pull_back(
    inputs: &[&Tensor],
    grad: &Tensor,
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let vars = inputs
        .iter()
        .map(|t| Var::from_tensor(&t.detach().copy()?))
        .collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let grads = (y * grad.detach())?.sum_all()?.backward()?;
    vars.iter()
        .map(|v| match grads.get(v) {
            Some(g) => g.detach().contiguous(),
            None => v.as_tensor().zeros_like(),
        })
        .collect()
}

/// Lends the elements of a contiguous CPU tensor, a `Var` for instance, for writing in place.
///
/// Every tensor that shares the storage (a detached view, say) sees the change, and no graph notices it: this is for
/// optimizers and for loading. The storage is locked while `f` runs, so `f` must not read the same tensor.
///
/// ```
/// # use candle_core::{Device, Tensor, Var};
/// let v = Var::from_tensor(&Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu)?)?;
/// tlkit_ops::with_mut(&v, |x: &mut [f32]| x[1] = 2.0)?;
/// assert_eq!(v.to_vec1::<f32>()?, [0.0, 2.0, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn with_mut<T: Element, R>(t: &Tensor, f: impl FnOnce(&mut [T]) -> R) -> Result<R> {
    struct Lend<F, R>(RefCell<(Option<F>, Option<R>)>);
    impl<F, R> Lend<F, R> {
        fn run<T: Element>(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()>
        where
            F: FnOnce(&mut [T]) -> R,
        {
            let Some((from, to)) = layout.contiguous_offsets() else {
                return Err(Error::Msg("with_mut: expected a contiguous tensor".into()).bt());
            };
            let slice = &mut T::storage_mut(storage)?[from..to];
            let mut cell = self.0.borrow_mut();
            if let Some(f) = cell.0.take() {
                cell.1 = Some(f(slice));
            }
            Ok(())
        }
    }
    struct Op<F, R, T>(Lend<F, R>, std::marker::PhantomData<T>);
    impl<F: FnOnce(&mut [T]) -> R, R, T: Element> InplaceOp1 for Op<F, R, T> {
        fn name(&self) -> &'static str {
            "with_mut"
        }
        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            self.0.run::<T>(storage, layout)
        }
    }
    let op = Op::<_, R, T>(
        Lend(RefCell::new((Some(f), None))),
        std::marker::PhantomData,
    );
    t.inplace_op1(&op)?;
    match op.0.0.into_inner().1 {
        Some(result) => Ok(result),
        None => Err(Error::Msg("with_mut: the tensor is not on the CPU".into()).bt()),
    }
}

/// Lends the vector that a float32 tensor on the CPU is made of, to be exchanged for another of the same length: for memory that
/// somebody else owns. Everything that shares the storage then reads and writes the other vector.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// let t = Tensor::zeros(2, candle_core::DType::F32, &Device::Cpu)?;
/// let view = t.detach();
/// tlkit_ops::with_vec(&t, &mut |v| *v = vec![3.0, 4.0])?;
/// assert_eq!(view.to_vec1::<f32>()?, [3.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// It is not float32 on the CPU, or is a part of a larger tensor; `f` has then not been called. Or `f` leaves another number of elements: they are cut, or zeros
/// follow.
pub fn with_vec(t: &Tensor, f: &mut dyn FnMut(&mut Vec<f32>)) -> Result<()> {
    /// Has its number of elements in the end, whatever happens: nobody who reads the tensor looks again.
    struct Whole<'v> {
        own: &'v mut Vec<f32>,
        n: usize,
    }
    impl Drop for Whole<'_> {
        fn drop(&mut self) {
            self.own.resize(self.n, 0.0);
        }
    }
    struct Lend<'f>(RefCell<&'f mut dyn FnMut(&mut Vec<f32>)>);
    impl InplaceOp1 for Lend<'_> {
        fn name(&self) -> &'static str {
            "with_vec"
        }
        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            match storage {
                CpuStorage::F32(own)
                    if layout.is_contiguous()
                        && layout.start_offset() == 0
                        && layout.shape().elem_count() == own.len() =>
                {
                    let n = own.len();
                    let whole = Whole { own, n };
                    (self.0.borrow_mut())(whole.own);
                    match whole.own.len() == n {
                        true => Ok(()),
                        false => {
                            Err(Error::Msg("with_vec: another number of elements".into()).bt())
                        }
                    }
                }
                _ => Err(Error::Msg("expected float32 on the CPU, whole".into()).bt()),
            }
        }
    }
    t.inplace_op1(&Lend(RefCell::new(f)))
}

/// Whether two tensors lie in one block of memory: to write one is to change the other, and on the CPU to wait for oneself while the other is read.
pub(crate) fn same_storage(a: &Tensor, b: &Tensor) -> bool {
    let block = |t: &Tensor| {
        let (storage, _) = t.storage_and_layout();
        &raw const *storage
    };
    block(a) == block(b)
}

/// Lends the elements of a contiguous CPU tensor for reading.
pub fn with_ref<T: WithDType, R>(t: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let reading = Reading::of(t);
    Ok(f(reading.slice()?))
}

/// The two float types that kernels with a generic body take.
pub trait Element:
    WithDType
    + Default
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
{
    /// Rounds an f64 to this type.
    fn of(x: f64) -> Self;
    /// This number as f64.
    fn wide(self) -> f64;
    /// The square root.
    fn root(self) -> Self;
    /// This number, if the type is f32.
    #[doc(hidden)]
    fn f32(_: Self) -> Option<f32> {
        None
    }
    /// This matrix, if the type is f32.
    #[doc(hidden)]
    fn f32s(_: View<'_, Self>) -> Option<View<'_, f32>> {
        None
    }
    /// The elements of a storage of this type.
    fn storage_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;
}

macro_rules! element {
    ($t:ty, $variant:ident $($own:item)*) => {
        impl Element for $t {
            $($own)*
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            fn storage_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
                match storage {
                    CpuStorage::$variant(v) => Ok(v),
                    other => {
                        use candle_core::backend::BackendStorage;
                        Err(Error::UnexpectedDType {
                            msg: "storage",
                            expected: DType::$variant,
                            got: other.dtype(),
                        }
                        .bt())
                    }
                }
            }
        }
    };
}
element!(f32, F32
    fn f32(x: f32) -> Option<f32> {
        Some(x)
    }
    fn f32s(matrix: View<'_, f32>) -> Option<View<'_, f32>> {
        Some(matrix)
    }
);
element!(f64, F64);

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_vector_that_is_lent_comes_back_as_long() {
        for other in [vec![], vec![1f32; 5]] {
            let t = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
            assert!(with_vec(&t, &mut |v| *v = other.clone()).is_err());
            assert_eq!(t.to_vec1::<f32>().unwrap().len(), 3);
        }
        let t = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        let panics = std::panic::AssertUnwindSafe(|| {
            with_vec(&t, &mut |v| {
                v.clear();
                panic!("on purpose")
            })
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(t.to_vec1::<f32>().unwrap(), [0.0; 3]);
    }
}

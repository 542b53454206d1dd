//! Where the kernels of `kernel.cu` run: one way to launch them, and one to multiply matrices.
//!
//! An op's `cuda.rs` says which kernels, with which blocks and arguments; it does not know what runs them. With the feature `cuda` that is a
//! CUDA device (`cuda.rs`); in the tests it is the processor: the same kernels compiled as C++, called through the same launches
//! (`emulated.rs`). In any other build there is nothing to run them, [`Gpu::of`] is always `None`, and the compiler drops all of it.
//!
//! Activations are f32 or bf16. Parameters, their gradients, statistics and losses are f32.

mod gemm;

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
pub(crate) mod emulated;

pub use cuda_or_not::{available, free, memory, model, open};
pub(crate) use gemm::{Factor, Gemm};

use crate::dropout::Dropout;
use candle_core::{DType, Error, Result, Shape, Tensor, WithDType};

/// Whether an error says that the device's memory is used up.
pub fn is_out_of_memory(error: &str) -> bool {
    error.contains("CUDA_ERROR_OUT_OF_MEMORY") || error.contains("CUBLAS_STATUS_ALLOC_FAILED")
}

/// What runs kernels.
#[derive(Clone)]
pub(crate) enum Gpu {
    #[cfg(feature = "cuda")]
    Cuda(candle_core::CudaDevice),
    #[cfg(test)]
    Emulated(emulated::Emulator),
}

/// An argument of a kernel.
#[derive(Clone, Copy)]
#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
pub(crate) enum Arg<'a> {
    /// A contiguous tensor that is read.
    In(&'a Tensor),
    /// A contiguous tensor that is written, and may be read.
    Out(&'a Tensor),
    /// A null pointer.
    Null,
    /// An array of pointers to contiguous f32 tensors that may be written, null where there is none.
    Pointers(&'a [Option<&'a Tensor>]),
    F32(f32),
    U32(u32),
    U64(u64),
}

impl<'a> Arg<'a> {
    /// A tensor that is read, if there is one.
    pub(crate) fn read(t: Option<&'a Tensor>) -> Self {
        t.map_or(Arg::Null, Arg::In)
    }

    /// A tensor that is written, if there is one.
    pub(crate) fn write(t: Option<&'a Tensor>) -> Self {
        t.map_or(Arg::Null, Arg::Out)
    }

    /// Seed, stream, step, threshold and factor of a mask; a threshold of 0 without one.
    pub(crate) fn mask(dropout: Option<&Dropout>) -> [Arg<'static>; 5] {
        match dropout {
            None => [
                Arg::U64(0),
                Arg::U64(0),
                Arg::U32(0),
                Arg::U32(0),
                Arg::F32(1.0),
            ],
            Some(d) => [
                Arg::U64(d.key.seed),
                Arg::U64(d.key.stream),
                Arg::U32(d.key.step),
                Arg::U32(d.threshold()),
                Arg::F32(d.scale()),
            ],
        }
    }
}

/// How many blocks of how many threads, with how much shared memory.
#[derive(Clone, Copy)]
#[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code))]
pub(crate) struct Grid {
    pub(crate) blocks: [u32; 3],
    pub(crate) threads: u32,
    pub(crate) bytes: u32,
}

/// Threads of a block that goes through elements.
const THREADS: u32 = 256;
/// Threads of a block of column sums: 32 columns, 8 rows at a time.
const COLUMN_THREADS: u32 = 256;
/// Rows of partial sums that a reduction over many rows leaves behind.
const CHUNKS: usize = 128;

impl Grid {
    /// A thread for each of `n`.
    pub(crate) fn elements(n: usize) -> Result<Self> {
        Ok(Grid {
            blocks: [count(n.div_ceil(THREADS as usize))?, 1, 1],
            threads: THREADS,
            bytes: 0,
        })
    }

    /// A block for each of `rows`, with room for the sums of its warps.
    pub(crate) fn rows(rows: usize, width: usize) -> Result<Self> {
        Ok(Grid {
            blocks: [count(rows)?, 1, 1],
            threads: (width.div_ceil(4).next_multiple_of(32)).clamp(32, 256) as u32,
            bytes: 32 * 8,
        })
    }

    /// A warp for each of `rows`.
    pub(crate) fn warps(rows: usize) -> Result<Self> {
        Ok(Grid {
            blocks: [count(rows.div_ceil(4))?, 1, 1],
            threads: 128,
            bytes: 0,
        })
    }

    /// 32 columns a block, and chunks of rows.
    pub(crate) fn columns(width: usize, chunks: usize) -> Result<Self> {
        Ok(Grid {
            blocks: [count(width.div_ceil(32))?, count(chunks)?, 1],
            threads: COLUMN_THREADS,
            bytes: COLUMN_THREADS * 4,
        })
    }

    /// One block.
    pub(crate) fn one() -> Self {
        Grid {
            blocks: [1, 1, 1],
            threads: THREADS,
            bytes: 32 * 8,
        }
    }
}

/// A count as kernels take it.
pub(crate) fn count(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Error::Msg(format!("{n} are too many for one kernel")).bt())
}

/// How many rows each chunk of a reduction has, and how many chunks: functions of the rows alone.
pub(crate) fn chunked(rows: usize) -> (usize, usize) {
    let per_chunk = rows.div_ceil(CHUNKS).max(64);
    (per_chunk, rows.div_ceil(per_chunk).max(1))
}

impl Gpu {
    /// What runs kernels on these tensors: activations of one type, f32 or bf16, and f32 parameters, all on one device that has kernels.
    #[inline]
    pub(crate) fn of(activations: &[&Tensor], parameters: &[&Tensor]) -> Option<Gpu> {
        let first = activations.first()?;
        let fit = || {
            matches!(first.dtype(), DType::F32 | DType::BF16)
                && activations.iter().all(|t| t.dtype() == first.dtype())
                && parameters.iter().all(|t| t.dtype() == DType::F32)
        };
        Self::at(first).filter(|_| fit())
    }

    #[allow(unused_variables)]
    #[inline]
    fn at(t: &Tensor) -> Option<Gpu> {
        #[cfg(test)]
        if let Some(emulator) = emulated::current().filter(|_| t.device().is_cpu()) {
            return Some(Gpu::Emulated(emulator));
        }
        #[cfg(feature = "cuda")]
        if let candle_core::Device::Cuda(device) = t.device() {
            return Some(Gpu::Cuda(device.clone()));
        }
        None
    }

    /// A tensor whose elements a kernel will write, every one.
    #[allow(unused_variables)]
    pub(crate) fn empty<S: Into<Shape>>(&self, shape: S, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        match *self {
            #[cfg(feature = "cuda")]
            // SAFETY: device memory, which no one reads before the kernel that it is made for has written it.
            Gpu::Cuda(ref device) => unsafe {
                Tensor::empty(shape, dtype, &candle_core::Device::Cuda(device.clone()))
            },
            #[cfg(test)]
            Gpu::Emulated(_) => emulated::poisoned(shape, dtype),
        }
    }

    /// Numbers of the host on the device.
    #[allow(unused_variables)]
    pub(crate) fn upload<T: WithDType>(&self, data: &[T]) -> Result<Tensor> {
        match *self {
            #[cfg(feature = "cuda")]
            Gpu::Cuda(ref device) => {
                Tensor::from_slice(data, data.len(), &candle_core::Device::Cuda(device.clone()))
            }
            #[cfg(test)]
            Gpu::Emulated(_) => Tensor::from_slice(data, data.len(), &candle_core::Device::Cpu),
        }
    }

    /// Runs a kernel of the module for activations of type `dtype`. Nothing is launched where a grid has no blocks.
    #[allow(unused_variables)]
    pub(crate) fn launch(
        &self,
        kernel: &'static str,
        dtype: DType,
        grid: Grid,
        args: &[Arg<'_>],
    ) -> Result<()> {
        if grid.blocks.contains(&0) {
            return Ok(());
        }
        match *self {
            #[cfg(feature = "cuda")]
            Gpu::Cuda(ref device) => cuda::launch(device, kernel, dtype, grid, args),
            #[cfg(test)]
            Gpu::Emulated(ref emulator) => emulator.launch(kernel, dtype, grid, args),
        }
    }

    /// Multiplies matrices.
    #[allow(unused_variables)]
    pub(crate) fn multiply(&self, gemm: &Gemm<'_>) -> Result<()> {
        if gemm.is_empty() {
            return Ok(());
        }
        match *self {
            #[cfg(feature = "cuda")]
            Gpu::Cuda(ref device) => cuda::multiply(device, gemm),
            #[cfg(test)]
            Gpu::Emulated(_) => emulated::multiply(gemm),
        }
    }

    /// The sums of the columns of `x` (rows, width), f32.
    pub(crate) fn column_sums(&self, x: &Tensor, rows: usize, width: usize) -> Result<Tensor> {
        let (per_chunk, chunks) = chunked(rows);
        let partials = self.empty((chunks, width), DType::F32)?;
        self.launch(
            "column_sums",
            x.dtype(),
            Grid::columns(width, chunks)?,
            &[
                Arg::In(x),
                Arg::Out(&partials),
                Arg::U32(count(rows)?),
                Arg::U32(count(width)?),
                Arg::U32(count(per_chunk)?),
            ],
        )?;
        self.sum_partials(&partials)
    }

    /// The sum of the rows of `partials` (chunks, width), in order.
    pub(crate) fn sum_partials(&self, partials: &Tensor) -> Result<Tensor> {
        let (chunks, width) = partials.dims2()?;
        let out = self.empty(width, DType::F32)?;
        self.launch(
            "sum_partials",
            DType::F32,
            Grid::elements(width)?,
            &[
                Arg::In(partials),
                Arg::Out(&out),
                Arg::U32(count(chunks)?),
                Arg::U32(count(width)?),
            ],
        )?;
        Ok(out)
    }
}

#[cfg(feature = "cuda")]
mod cuda_or_not {
    pub use super::cuda::{available, free, memory, model, open};
}

#[cfg(not(feature = "cuda"))]
mod cuda_or_not {
    use candle_core::{Device, Error, Result};

    /// How many CUDA devices there are: in a build without the feature `cuda`, none.
    pub fn available() -> usize {
        0
    }

    /// Bytes of a device's memory that are free, and all of them. In a build without the feature `cuda`, nothing.
    pub fn memory(_: &Device) -> Option<(u64, u64)> {
        None
    }

    /// Bytes that are free on the CUDA device of this number, opened or not. In a build without the feature `cuda`, nothing.
    pub fn free(_: usize) -> Option<u64> {
        None
    }

    /// Which GPU a device is. In a build without the feature `cuda`, nothing.
    pub fn model(_: &Device) -> Option<String> {
        None
    }

    /// A CUDA device. In a build without the feature `cuda`, an error.
    pub fn open(ordinal: usize) -> Result<Device> {
        Err(Error::Msg(format!(
            "this build has no CUDA device {ordinal}: it was built without the feature `cuda`"
        ))
        .bt())
    }
}

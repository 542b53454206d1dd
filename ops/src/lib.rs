//! Differentiable kernels that Candle lacks.
//!
//! Candle gives tensors, a tape and a matrix product. What stands between it and fast training on a CPU is here: layer
//! normalisation, GELU, attention, dropout and the rest as single passes over memory on all threads, *with their
//! gradients*. (`candle_nn`'s fused versions have none: they cut the graph without a word.)
//!
//! # Two doors
//!
//! Every op lives in a module of its own and can be entered in two ways.
//!
//! - `forward` and `backward` work outside any graph. `forward` gives the output and whatever `backward` needs;
//!   `backward` gives the gradients of the inputs for a gradient of the output. Inputs may be `Var`s or part of a
//!   graph: they are read as they are, and results belong to no graph. Layers with a hand-written pullback use these.
//! - The function with the op's own name, [`layer_norm::layer_norm`] for instance, is a node in Candle's graph:
//!   `loss.backward()` runs the same `backward`.
//!
//! ```
//! use candle_core::{DType, Device, Tensor, Var};
//! use tlkit_ops::layer_norm;
//!
//! let x = Var::from_tensor(&Tensor::new(&[[1f32, 2., 3.], [4., 0., 1.]], &Device::Cpu)?)?;
//! let (w, b) = (Tensor::ones(3, DType::F32, &Device::Cpu)?, Tensor::zeros(3, DType::F32, &Device::Cpu)?);
//!
//! // In Candle's graph.
//! let y = layer_norm::layer_norm(&x, &w, &b, 1e-5)?;
//! let grads = (&y * &y)?.sum_all()?.backward()?;
//! assert!(grads.get(&x).is_some());
//!
//! // By hand: the same numbers.
//! let (z, saved) = layer_norm::forward(&x, &w, &b, 1e-5)?;
//! let by_hand = layer_norm::backward(&saved, &w, &(&z * 2.0)?)?;
//! assert_eq!(by_hand.x.to_vec2::<f32>()?, grads.get(&x).unwrap().to_vec2::<f32>()?);
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! # What runs where
//!
//! f32 on the CPU runs on the kernels (`cpu.rs` of each op). Activations of f32 and bf16 on a CUDA device, with f32 parameters, run on
//! `kernel.cu`, launched by `cuda.rs` ([`gpu`]; the feature `cuda`). Any other type or device runs on `reference.rs`, the same
//! mathematics in plain Candle operations, differentiated by Candle: slow, exact, and the oracle that the kernels are
//! tested against. In f64 it is what finite differences check.
//!
//! Each kernel is compiled for several instruction sets and the best one is chosen at run time; `TLKIT_CPU` caps the
//! choice ([`Path`]). Inputs need not be contiguous.
//!
//! # Same bits
//!
//! Results do not depend on the number of threads. Work is cut into chunks by shape, never by thread, and partial sums
//! are added in chunk order. They may differ between instruction sets, which fuse roundings.
//!
//! Random numbers are functions of a key and an index ([`random`]): a dropout mask is drawn again in the backward pass.

pub mod gpu;
mod graph;
mod math;
mod parallel;
mod path;
mod resample;
mod simd;
mod slices;
mod tensors;
#[cfg(test)]
mod testing;

pub mod attention;
pub mod batch_norm;
pub mod conv2d;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod gelu;
pub mod layer_norm;
pub mod layout;
pub mod linear;
pub mod mapped;
pub mod matmul;
pub mod optim;
pub mod pool;
pub mod random;
pub mod relu;
pub mod resize;
pub mod softmax;
pub mod vectors;

pub use matmul::Precision;
pub use path::{Level, Path};
pub use slices::{copied, copy, first_not_finite};
pub use tensors::{Element, with_mut, with_ref, with_vec};

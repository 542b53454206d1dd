//! ResNet, VGG and Inception: images in, features out.
//!
//! Trainable networks on tlkit's own differentiable operations (Candle's ResNet cannot be fine-tuned: its max-pooling has no
//! backward, its batch norm is fixed to evaluation, and it is one closure without stages). Activations lie channels last.
//!
//! - [`Network`]: an encoder of named stages by [`Architecture`]: ResNet-18 to 152, the ResNets for 32 pixels, VGG-16 and 19,
//!   Inception v3
//! - [`Checkpoint`]: weights from safetensors and from PyTorch's `.pth`, under torchvision's, timm's or transformers' names;
//!   which network they are is read from the file
//!
//! Batch norm follows the pass ([`tlkit_core::nn::NormMode`]): `Frozen` uses the running statistics and lets them be; `Train` uses
//! the batch's in training passes and lets the running ones follow, but not in a stage of which nothing trains; `Adapt` uses the
//! batch's in every pass, prediction too, and lets the running ones follow whatever trains. Running statistics are saved
//! and loaded with the weights and are no parameters.
//!
//! Where to look: `node` is what networks are made of, `conv` its main unit with the hand-written way back; `resnet`, `vgg` and
//! `inception` put them together; `checkpoint` and `pickle` read files.

mod checkpoint;
mod conv;
mod inception;
mod network;
mod node;
mod pickle;
mod resnet;
mod stage;
mod vgg;

pub use checkpoint::Checkpoint;
pub use network::{Architecture, Network};

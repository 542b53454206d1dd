//! ResNet, VGG and Inception, and frozen vision transformers: images in, features out.
//!
//! Trainable networks on tlkit's own differentiable operations (Candle's ResNet cannot be fine-tuned: its max-pooling has no
//! backward, its batch norm is fixed to evaluation, and it is one closure without stages). Activations lie channels last.
//!
//! - source task `image-network` ([`ImageSource`]): a checkpoint, or fresh weights of a named architecture
//! - target task `image-classification` ([`ImageClassification`]): images to classes, with a head by recipe
//! - source task `vision-transformer` ([`VisionTransformer`]): ViT and DINOv2, computed by candle-transformers, as frozen encoders
//! - [`Network`]: an encoder of named stages by [`Architecture`]: ResNet-18 to 152, the ResNets for 32 pixels, VGG-16 and 19,
//!   Inception v3, a small network for digits
//! - [`Checkpoint`]: weights from safetensors and from PyTorch's `.pth`, under torchvision's, timm's or transformers' names;
//!   which network they are is read from the file
//!
//! Batch norm follows the pass ([`tlkit_core::nn::NormMode`]): `Frozen` uses the running statistics and lets them be; `Train` uses
//! the batch's in training passes and lets the running ones follow, but not in a stage of which nothing trains; `Adapt` uses the
//! batch's in every pass, prediction too, and lets the running ones follow whatever trains. Running statistics are saved
//! and loaded with the weights and are no parameters.
//!
//! Where to look: `node` is what networks are made of, `conv` its main unit with the hand-written way back; `resnet`, `vgg`,
//! `inception`, `shallow` and `lenet` put them together; `checkpoint` reads files, `export` writes them; `preparation` and `prepare` make batches of images; `vit` lends
//! candle-transformers' modules the store's parameters.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::Registry;

mod checkpoint;
mod classification;
mod conv;
mod export;
mod inception;
mod lenet;
mod network;
mod node;
mod preparation;
mod prepare;
mod resnet;
mod shallow;
mod source;
mod stage;
mod vgg;
mod vit;

pub use checkpoint::Checkpoint;
pub use classification::ImageClassification;
pub use network::{Architecture, Network, POOLINGS};
pub use prepare::ImagePrepare;
pub use source::ImageSource;
pub use vit::VisionTransformer;

/// The `model_type` in config.json of networks that no other library has.
pub(crate) const MODEL_TYPE: &str = "tlkit-image-network";

/// Adds `image-network`, `vision-transformer` and `image-classification`.
pub fn register(registry: &mut Registry) -> Result<()> {
    // transformers' type, ours, and what timm calls `architecture`.
    let mut types = vec!["resnet", MODEL_TYPE];
    types.extend(Architecture::NAMES);
    registry.source("image-network", &types, Arc::new(ImageSource::make))?;
    registry.source(
        "vision-transformer",
        &vit::TYPES,
        Arc::new(VisionTransformer::make),
    )?;
    registry.target("image-classification", Arc::new(ImageClassification::make))
}

//! Vision transformers as frozen encoders: ViT (Dosovitskiy et al. 2020) and DINOv2 (Oquab et al. 2023), computed by candle-transformers.

use std::path::Path;
use std::sync::Arc;

use candle_core::{IndexOp, Module};
use candle_transformers::models::vit;
use tlkit_core::data::{Prepare, note_unresolved};
use tlkit_core::model::Model;
use tlkit_core::nn::{Activation, Dense, Flow, Linear, Param, Pass, Scope, Stage, Store, Weights};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::Defaults;
use tlkit_core::task::{Encoder, Export, Head, SourceTask};
use tlkit_core::train::OptimizerSpec;
use tlkit_core::{Error, Result};
use tlkit_image::Transform;

use crate::network::POOLINGS;
use crate::prepare::ImagePrepare;
use crate::source::digest;

mod checkpoint;
mod export;
mod lent;
mod positions;

use checkpoint::{Checkpoint, Size};
use lent::Lent;

/// The values of `model_type`, or timm's `architecture`, that this reads.
pub(crate) const TYPES: [&str; 10] = [
    "vit",
    "dinov2",
    "vit_tiny_patch16_224",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "vit_large_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_base_patch14_dinov2",
    "vit_large_patch14_dinov2",
    "vit_small_patch16_384",
];

/// How features are made of a class token and patches: the class token; the mean of the patches.
const POOLS: [&str; 2] = [FIRST, POOLINGS[0]];
/// The class token, as both papers use it.
pub(crate) const FIRST: &str = "first-token";

/// A vision transformer that stays as it is.
pub struct VisionTransformer {
    checkpoint: Checkpoint,
    transform: Transform,
    digest: String,
}

impl VisionTransformer {
    /// From the keys of `[source]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn SourceTask>> {
        let name = keys.string("checkpoint").optional();
        let architecture = keys
            .string("architecture")
            .one_of(["vit", "dinov2"])
            .help("which vision transformer; its size is read from the checkpoint's tensors")
            .unset("read from the checkpoint's config.json")
            .optional();
        let Some(found) = &cx.checkpoint else {
            // For the schema; a name that was not found is noted already.
            crate::preparation::Preparation::imagenet(224, "ImageNet's").read(keys);
            if name.is_none() && !keys.is_blank() {
                keys.error(
                    keys.here(),
                    "a vision transformer is a frozen encoder here, and there is no checkpoint",
                )
                .help("write `checkpoint = \"hf:facebook/dinov2-small\"`, or a folder");
            }
            return None;
        };
        let name = name.unwrap_or_default();
        let checkpoint = match Checkpoint::open(&name, found) {
            Ok(c) => c,
            Err(e) => {
                note_unresolved(keys, keys.at("checkpoint"), &e);
                return None;
            }
        };
        if let (Some(asked), Some(is)) = (architecture, found.model_type())
            && ["vit", "dinov2"].contains(&is.as_str())
            && asked != is
        {
            keys.conflict(
                &[
                    (keys.at("checkpoint"), &format!("this is {is}")),
                    (keys.at("architecture"), "and not this"),
                ],
                "the checkpoint is of another network",
            )
            .help("leave `architecture` out: the checkpoint says it");
            return None;
        }
        let transform = checkpoint.preparation.read(keys);
        let patch = checkpoint.size.patch;
        if transform.crop % patch != 0 {
            let near = (transform.crop / patch).max(1) * patch;
            let at = match keys.has("image_size") {
                true => keys.at("image_size"),
                false => keys.at("checkpoint"),
            };
            keys.error(
                at,
                format!(
                    "images of {0} pixels are not a whole number of patches of {patch}",
                    transform.crop
                ),
            )
            .help(format!("write `image_size = {near}`"));
            return None;
        }
        let digest = match cx.saved.is_some() {
            true => String::new(),
            false => match digest(found) {
                Ok(digest) => format!("vision transformer 1, {digest} {:?}", checkpoint.size),
                Err(e) => {
                    note_unresolved(keys, keys.at("checkpoint"), &e);
                    return None;
                }
            },
        };
        Some(Box::new(VisionTransformer {
            checkpoint,
            transform,
            digest,
        }))
    }

    fn size(&self) -> &Size {
        &self.checkpoint.size
    }

    /// Patches a side.
    fn grid(&self) -> usize {
        self.transform.crop / self.size().patch
    }

    fn config(&self) -> vit::Config {
        let s = self.size();
        vit::Config {
            hidden_size: s.width,
            num_hidden_layers: 1,
            num_attention_heads: s.heads,
            intermediate_size: s.hidden,
            hidden_act: candle_nn::Activation::Gelu,
            layer_norm_eps: s.epsilon,
            image_size: self.transform.crop,
            patch_size: s.patch,
            num_channels: 3,
            qkv_bias: s.bias,
        }
    }

    fn stages(&self, scope: &Scope<'_>) -> Result<Frozen> {
        let config = self.config();
        let (tokens, width) = (self.grid().pow(2) + 1, self.size().width);
        let shape = format!("({tokens}, {width})");
        let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
        stages.push(Arc::new(Lent::new(
            "embeddings",
            shape.clone(),
            &scope.sub("embeddings"),
            str::to_string,
            |vb| vit::Embeddings::new(&config, false, vb),
            // Batches are channels last.
            |m, x| m.forward(&x.permute((0, 3, 1, 2))?.contiguous()?, None, false),
        )?));
        for i in 0..self.size().depth {
            let name = format!("encoder.{i}");
            stages.push(Arc::new(Lent::new(
                &name,
                shape.clone(),
                &scope.sub(&format!("encoder.layer.{i}")),
                // Candle's encoder of one layer calls it the first.
                |asked| asked.trim_start_matches("layer.0.").to_string(),
                |vb| vit::Encoder::new(&config, vb),
                |m, x| m.forward(x),
            )?));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing here trains, and this is the norm within Candle's layers"
        )]
        stages.push(Arc::new(Lent::new(
            "layernorm",
            shape,
            &scope.sub("layernorm"),
            str::to_string,
            |vb| candle_nn::layer_norm(width, config.layer_norm_eps, vb),
            |m, x| m.forward(x),
        )?));
        Ok(Frozen { stages, width })
    }
}

/// Of the names under a prefix that nobody took, those that are not the classifier's. (A pooler and a mask token are left out when the file is read.)
fn left_over<'a>(unexpected: &'a [String], prefix: &str) -> Vec<&'a str> {
    let names = unexpected.iter().map(|name| {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        name.trim_start_matches('.')
    });
    names.filter(|n| !n.starts_with("classifier.")).collect()
}

struct Frozen {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
}

impl Encoder for Frozen {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// Tokens `(batch, 1 + patches, width)` to features `(batch, width)`.
struct Pool {
    name: &'static str,
    width: usize,
}

impl Stage for Pool {
    fn name(&self) -> &str {
        self.name
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let features = match self.name {
            FIRST => x.hidden.i((.., 0))?.contiguous()?,
            _ => x.hidden.i((.., 1..))?.mean(1)?,
        };
        Ok(x.with(features))
    }

    fn output(&self) -> String {
        format!("({})", self.width)
    }
}

impl SourceTask for VisionTransformer {
    fn defaults(&self) -> Defaults {
        Defaults {
            family: "vision transformer, frozen".into(),
            optimizer: OptimizerSpec::named("adamw"),
            learning_rate: 1e-3,
            head_multiple: 1.0,
            schedule: "cosine",
            warmup: 0.0,
            batch_size: 32,
            clip: None,
        }
    }

    fn trains(&self) -> bool {
        false
    }

    fn reads(&self) -> Option<&'static str> {
        Some("an image")
    }

    fn shape(&self) -> Option<Vec<usize>> {
        Some(vec![self.grid(), self.grid(), self.size().width])
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(ImagePrepare::new(self.transform.clone())))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let c = &self.checkpoint;
        let mut tensors = c.tensors.clone();
        if let Some(positions) = tensors.get_mut("embeddings.position_embeddings") {
            *positions = positions::interpolated(positions, self.grid())?;
        }
        let under = |(k, t): (String, _)| (format!("{}.{k}", scope.prefix()), t);
        let tensors = tensors.into_iter().map(under).collect();
        let weights = Arc::new(Weights::from_tensors(&c.name, tensors));
        let made = self.stages(&scope.clone().with_weights(weights.clone()))?;
        let report = weights.finish()?;
        let odd = left_over(&report.unexpected, scope.prefix());
        if let Some(first) = odd.first() {
            eprintln!(
                "note: {} tensors of {} are not used, {first} first among them",
                odd.len(),
                c.name
            );
        }
        if c.absent_layers > 0 {
            eprintln!(
                "note: {} has {} layers fewer than its config.json says; the encoder is that much shorter",
                c.name, c.absent_layers
            );
        }
        Ok(Arc::new(made))
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        Ok(Arc::new(self.stages(&scope.fresh())?))
    }

    fn pooling(&self, _: &Scope<'_>, choice: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        let choice = choice.unwrap_or(FIRST);
        let name = POOLS
            .into_iter()
            .find(|p| *p == choice)
            .ok_or_else(|| Error::msg(format!("a vision transformer has no pooling `{choice}`")))?;
        Ok(vec![Arc::new(Pool {
            name,
            width: self.size().width,
        })])
    }

    fn poolings(&self) -> &[&'static str] {
        &POOLS
    }

    fn source_head(&self, scope: &Scope<'_>) -> Result<Option<(Head, Vec<String>)>> {
        let c = &self.checkpoint;
        if c.classes == 0 {
            return Ok(None);
        }
        let pooling = match &c.head[..] {
            [pool, last] if POOLS.contains(&pool.as_str()) && last == "classifier" => pool,
            other => {
                return Err(Error::msg(format!(
                    "{}: a head of {} cannot be read back; a pooling and the classifier can",
                    c.name,
                    other.join(", ")
                )));
            }
        };
        let own = |part: &str| {
            let tensor = c.tensors.get(&format!("classifier.{part}"))?;
            Some((
                format!("{}.classifier.{part}", scope.prefix()),
                tensor.clone(),
            ))
        };
        let tensors = ["weight", "bias"].into_iter().filter_map(own).collect();
        let weights = Arc::new(Weights::from_tensors(&c.name, tensors));
        let at = scope.clone().with_weights(weights.clone());
        let linear = Linear::new(&at.sub("classifier"), self.size().width, c.classes, 0.0)?;
        weights.finish()?;
        let mut stages = self.pooling(scope, Some(pooling), true)?;
        let pool = stages.len();
        stages.push(Arc::new(Dense::new("classifier", linear, Activation::None)));
        let names = match c.preparation.labels.is_empty() {
            true => (0..c.classes).map(|i| format!("LABEL_{i}")).collect(),
            false => c.preparation.labels.clone(),
        };
        Ok(Some((Head { stages, pool }, names)))
    }

    fn export(&self, model: &Model, store: &Store, labels: &[String], to: &Path) -> Result<Export> {
        export::write(self.size(), &self.transform, model, store, labels, to)
    }

    fn exported(&self, folder: &Path) -> Result<Weights> {
        Weights::read(&folder.join("model.safetensors"), &|name| {
            Some(format!(
                "model.{}",
                name.strip_prefix("vit.").unwrap_or(name)
            ))
        })
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classifier_is_expected_to_be_left_and_nothing_else() {
        let names = [
            "m.classifier.weight",
            "m.encoder.layer.0.attention.attention.relative_position_bias",
        ];
        assert_eq!(
            left_over(&names.map(String::from), "m"),
            ["encoder.layer.0.attention.attention.relative_position_bias"]
        );
    }
}

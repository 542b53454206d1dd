//! `model/` as transformers' ViT has it. DINOv2 is one too, its scales within its weights.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::json;
use tlkit_core::Result;
use tlkit_core::model::Model;
use tlkit_core::nn::Store;
use tlkit_core::run::{write_json, write_tensors};
use tlkit_core::task::Export;
use tlkit_image::{Interpolation, Resize, Transform};

use super::FIRST;
use super::checkpoint::Size;
use crate::export::at_prediction;

pub(crate) fn write(
    size: &Size,
    transform: &Transform,
    model: &Model,
    store: &Store,
    labels: &[String],
    to: &Path,
) -> Result<Export> {
    let names: Vec<&str> = model.head.stages.iter().map(|s| s.name()).collect();
    let own = at_prediction(&names);
    let mapped = model.maps().len() + model.adjust().len() > 0;
    let export = if mapped {
        let why = "the strategy left maps on features or logits, which transformers does not have";
        Export::Ours { why: why.into() }
    } else if own == [FIRST, "classifier"] {
        let by = "transformers AutoModelForImageClassification.from_pretrained";
        Export::Loadable { by: by.into() }
    } else {
        let why = format!("transformers' ViT has no head {}", names.join(", "));
        Export::Ours { why }
    };
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for p in store.all() {
        let Some(name) = p.name().strip_prefix("model.") else {
            continue;
        };
        let encoder = ["embeddings.", "encoder.", "layernorm."];
        let name = match encoder.iter().any(|e| name.starts_with(e)) {
            true => format!("vit.{name}"),
            false => name.to_string(),
        };
        tensors.insert(name, p.detached().to_dtype(DType::F32)?.contiguous()?);
    }
    let by_number: serde_json::Map<String, serde_json::Value> = labels
        .iter()
        .enumerate()
        .map(|(i, label)| (i.to_string(), json!(label)))
        .collect();
    let by_label: serde_json::Map<String, serde_json::Value> = labels
        .iter()
        .enumerate()
        .map(|(i, label)| (label.clone(), json!(i)))
        .collect();
    let config = json!({
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "hidden_size": size.width,
        "num_hidden_layers": size.depth,
        "num_attention_heads": size.heads,
        "intermediate_size": size.hidden,
        "hidden_act": "gelu",
        "layer_norm_eps": size.epsilon,
        "image_size": transform.crop,
        "patch_size": size.patch,
        "num_channels": 3,
        "qkv_bias": size.bias,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "id2label": by_number,
        "label2id": by_label,
        "tlkit": { "head": own },
    });
    write_json(to, "config.json", &config)?;
    write_json(to, "preprocessor_config.json", &processor(transform))?;
    write_tensors(to, &tensors)?;
    Ok(export)
}

/// How images are prepared, in transformers' words: its ViT's processor squashes, DeiT's cuts out the middle then, the one of DINOv2 cuts
/// without squashing.
fn processor(transform: &Transform) -> serde_json::Value {
    let side = transform.crop;
    let mut out = json!({
        "do_resize": true,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": transform.mean,
        "image_std": transform.std,
        "resample": match transform.interpolation { Interpolation::Bilinear => 2, Interpolation::Bicubic => 3 },
    });
    match transform.resize {
        Resize::Exact(width, height) => {
            out["image_processor_type"] = "ViTImageProcessor".into();
            out["size"] = json!({"height": height, "width": width});
            if side < width.min(height) {
                out["image_processor_type"] = "DeiTImageProcessor".into();
                out["do_center_crop"] = true.into();
                out["crop_size"] = json!({"height": side, "width": side});
            }
        }
        Resize::Shorter(shorter) => {
            out["image_processor_type"] = "BitImageProcessor".into();
            out["size"] = json!({"shortest_edge": shorter});
            out["do_center_crop"] = true.into();
            out["crop_size"] = json!({"height": side, "width": side});
            out["do_convert_rgb"] = true.into();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlkit_image::Interpolation;

    #[test]
    fn each_preparation_has_the_processor_that_does_it() {
        let of = |resize| {
            processor(&Transform {
                resize,
                interpolation: Interpolation::Bicubic,
                ..Transform::imagenet()
            })
        };
        let whole = of(Resize::Exact(224, 224));
        assert_eq!(whole["image_processor_type"], "ViTImageProcessor");
        assert_eq!(whole["size"], json!({"height": 224, "width": 224}));
        assert!(whole.get("crop_size").is_none());
        // ViT's own processor would not cut.
        let cut = of(Resize::Exact(256, 256));
        assert_eq!(cut["image_processor_type"], "DeiTImageProcessor");
        assert_eq!(cut["crop_size"], json!({"height": 224, "width": 224}));
        let shorter = of(Resize::Shorter(256));
        assert_eq!(shorter["image_processor_type"], "BitImageProcessor");
        assert_eq!(shorter["size"], json!({"shortest_edge": 256}));
    }
}

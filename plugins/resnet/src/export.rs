//! `model/`: timm's names and configuration where timm has the network, torchvision's names otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::json;
use tlkit_core::Result;
use tlkit_core::model::Model;
use tlkit_core::nn::{NormMode, Store};
use tlkit_core::run::{write_json, write_tensors};
use tlkit_core::task::Export;
use tlkit_image::{Resize, Transform};

use crate::network::{Architecture, POOLINGS};

/// Writes config.json and model.safetensors.
pub(crate) fn write(
    architecture: &Architecture,
    transform: &Transform,
    model: &Model,
    store: &Store,
    labels: &[String],
    to: &Path,
) -> Result<Export> {
    let names: Vec<&str> = model.head.stages.iter().map(|s| s.name()).collect();
    let own = at_prediction(&names);
    let dense = architecture.ends_dense();
    let usual = match dense {
        true => own == ["classifier"],
        false => own == [POOLINGS[0], "classifier"],
    };
    let timm = architecture.name().filter(|_| architecture.is_timms());
    let mapped = model.maps().len() + model.adjust().len() > 0;
    let export = if mapped {
        let why =
            "the strategy left maps on features or logits, which timm does not have".to_string();
        Export::Ours { why }
    } else if model.norm == NormMode::Adapt {
        let why = "its batch norms use each batch's statistics at prediction".to_string();
        Export::Ours { why }
    } else if let Some(why) = pooled_otherwise(architecture, transform.crop) {
        Export::Ours { why }
    } else if let (Some(name), true) = (timm, usual) {
        let by = format!(
            "timm.create_model(\"{name}\", num_classes={}, checkpoint_path=\"model.safetensors\")",
            labels.len()
        );
        Export::Loadable { by }
    } else if timm.is_none() {
        let why = format!("no other library has {}", architecture.words());
        Export::Ours { why }
    } else {
        let why = format!(
            "timm has no such network with the head {}",
            names.join(", ")
        );
        Export::Ours { why }
    };
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for p in store.all() {
        let Some(name) = p.name().strip_prefix("model.") else {
            continue;
        };
        let value = p.detached().to_dtype(DType::F32)?;
        let (name, value) = match (timm.is_some() && dense, usual) {
            (true, true) => vgg(name, value)?,
            (_, true) => (plain(architecture, name), value),
            _ => (name.to_string(), value),
        };
        tensors.insert(name, value.contiguous()?);
    }
    let side = transform.crop;
    let resized = match transform.resize {
        Resize::Shorter(n) => n,
        Resize::Exact(w, h) => w.min(h),
    };
    let three = |v: [f32; 3]| v.map(|x| (f64::from(x) * 1e6).round() / 1e6);
    let mut config = json!({
        "architecture": timm.or(architecture.name()).unwrap_or("part of a network"),
        "num_classes": labels.len(),
        "pretrained_cfg": {
            "input_size": [3, side, side],
            "interpolation": transform.interpolation.name(),
            "crop_pct": share(side, resized),
            "crop_mode": if matches!(transform.resize, Resize::Exact(..)) { "squash" } else { "center" },
            "mean": three(transform.mean),
            "std": three(transform.std),
            "num_classes": labels.len(),
            "label_names": labels,
            "classifier": if dense { "head.fc" } else { architecture.classifier() },
        },
    });
    if timm.is_none() {
        config["model_type"] = crate::MODEL_TYPE.into();
    }
    config["tlkit"] = json!({ "version": env!("CARGO_PKG_VERSION") });
    write_json(to, "config.json", &config)?;
    write_tensors(to, &tensors)?;
    Ok(export)
}

/// What is cut out of an image as a share of what it is resized to, so that `floor(side / share)`, as readers work it out, is that again.
pub(crate) fn share(side: usize, resized: usize) -> f64 {
    let share = side as f64 / resized as f64;
    match (side as f64 / share).floor() as usize == resized {
        true => share,
        false => share.next_down(),
    }
}

/// Side of the map that VGG's dense layers look at.
const VGG_MAP: usize = 7;

/// Why timm's VGG gives other numbers for images of this side, where it does: torchvision's dense layers, and ours, look at a map that is
/// brought to 7 x 7; timm's (`ConvMlp`) are moved over larger maps, and their outputs averaged.
fn pooled_otherwise(architecture: &Architecture, side: usize) -> Option<String> {
    let Architecture::Vgg { dense: true, .. } = architecture else {
        return None;
    };
    let map = side / 32;
    (map > VGG_MAP).then(|| {
        format!(
            "images of {side} x {side} pixels give VGG's dense layers a map of {map} x {map}, which timm does not bring to {VGG_MAP} x {VGG_MAP} \
             first; up to 255 pixels timm loads it"
        )
    })
}

/// Dropout does nothing at prediction: the stages of a head without it.
pub(crate) fn at_prediction<'a>(head: &[&'a str]) -> Vec<&'a str> {
    let stages = head.iter().copied();
    stages.filter(|n| !n.starts_with("head.dropout")).collect()
}

/// The classifier under its network's name.
fn plain(architecture: &Architecture, name: &str) -> String {
    match name.strip_prefix("classifier.") {
        Some(rest @ ("weight" | "bias")) => format!("{}.{rest}", architecture.classifier()),
        _ => name.to_string(),
    }
}

/// timm's VGG has convolutions where torchvision's has dense layers.
fn vgg(name: &str, value: Tensor) -> Result<(String, Tensor)> {
    Ok(match name {
        "classifier.0.weight" => {
            let value = value.reshape(((), 512, 7, 7))?;
            ("pre_logits.fc1.weight".into(), value)
        }
        "classifier.3.weight" => {
            let value = value.reshape(((), 4096, 1, 1))?;
            ("pre_logits.fc2.weight".into(), value)
        }
        "classifier.0.bias" => ("pre_logits.fc1.bias".into(), value),
        "classifier.3.bias" => ("pre_logits.fc2.bias".into(), value),
        "classifier.weight" => ("head.fc.weight".into(), value),
        "classifier.bias" => ("head.fc.bias".into(), value),
        _ => (name.to_string(), value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timm_looks_at_large_maps_otherwise() {
        let vgg = Architecture::named("vgg16").unwrap();
        for side in [32, 224, 255] {
            assert_eq!(pooled_otherwise(&vgg, side), None, "{side}");
        }
        let why = pooled_otherwise(&vgg, 256).unwrap();
        assert!(why.contains("a map of 8 x 8"), "{why}");
        let part = vgg.until("block5").unwrap();
        assert_eq!(pooled_otherwise(&part, 256), None);
        let resnet = Architecture::named("resnet18").unwrap();
        assert_eq!(pooled_otherwise(&resnet, 512), None);
    }

    #[test]
    fn what_an_image_is_resized_to_comes_back_from_its_share() {
        for side in 16..512 {
            for resized in side..(side + 160) {
                let back = (side as f64 / share(side, resized)).floor() as usize;
                assert_eq!(back, resized, "{side}");
            }
        }
    }
}

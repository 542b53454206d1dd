//! Checkpoints: which file, which network, under whose names.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::data::{Blob, Found};
use tlkit_core::nn::Weights;
use tlkit_core::{Error, Result};

use crate::network::Architecture;
use crate::preparation::{CONFIGURATIONS, Preparation};

/// Files that hold weights, in the order they are looked for.
pub(crate) const FILES: [&str; 6] = [
    "model.safetensors",
    "pytorch_model.bin",
    "model.pth",
    "model.pt",
    "checkpoint.pth",
    "weights.pth",
];

/// An image network's weights.
pub struct Checkpoint {
    /// How the recipe calls it.
    pub name: String,
    /// The network, as the tensors say.
    pub architecture: Architecture,
    /// How it wants its images.
    pub preparation: Preparation,
    /// Classes of the classifier in the file; 0 where there is none.
    pub classes: usize,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Opens a folder (weights, and `config.json` or `preprocessor_config.json` for mean and std) or one file of weights.
    pub fn open(name: &str, found: &Found) -> Result<Self> {
        let (file, blob) = match found {
            Found::File(blob) => (name.to_string(), blob.clone()),
            folder => {
                let file = FILES.iter().find_map(|f| Some((*f, folder.file(f)?)));
                let (f, blob) = file.ok_or_else(|| {
                    Error::msg(format!(
                        "{name} has no weights; one of {} is looked for",
                        FILES.join(", ")
                    ))
                })?;
                (format!("{name}/{f}"), blob)
            }
        };
        let tensors = canonical(&file, read(&file, &blob)?)?;
        let architecture = recognise(&file, &tensors)?;
        finite(&file, &tensors)?;
        let classifier = format!("{}.weight", architecture.classifier());
        let classes = tensors.get(&classifier).map_or(0, |t| t.dims()[0]);
        let mut checkpoint = Checkpoint {
            name: name.to_string(),
            preparation: match architecture {
                // torchvision's weights, as their only preset has them: `transform_input` brings what is normalised as elsewhere back to -1 to 1.
                Architecture::Inception => Preparation {
                    mean: [0.5; 3],
                    std: [0.5; 3],
                    crop: Some(299.0 / 342.0),
                    origin: "Inception's: the checkpoint says nothing".into(),
                    ..Preparation::imagenet(architecture.size(), "")
                },
                _ => Preparation::imagenet(
                    architecture.size(),
                    "ImageNet's: the checkpoint says nothing",
                ),
            },
            architecture,
            classes,
            tensors,
        };
        for config in CONFIGURATIONS {
            if let Some(blob) = found.file(config) {
                let text = blob.text(config)?;
                other_arithmetic(name, &text)?;
                checkpoint
                    .preparation
                    .configure(name, config, &text, classes)?;
            }
        }
        Ok(checkpoint)
    }

    /// Its tensors under `prefix`, with torchvision's names.
    pub fn weights(&self, prefix: &str) -> Arc<Weights> {
        let under = |(k, t): (&String, &Tensor)| (format!("{prefix}.{k}"), t.clone());
        let tensors = self.tensors.iter().map(under).collect();
        Arc::new(Weights::from_tensors(&self.name, tensors))
    }

    /// Its tensors under `prefix`, the classifier's under the name that heads of this tool give it.
    pub(crate) fn own(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let classifier = format!("{}.", self.architecture.classifier());
        let named = |(name, t): (&String, &Tensor)| {
            let name = match name.strip_prefix(&classifier) {
                Some(rest) => format!("{prefix}.classifier.{rest}"),
                None => format!("{prefix}.{name}"),
            };
            (name, t.clone())
        };
        self.tensors.iter().map(named).collect()
    }

    /// Whether a batch norm of it has statistics of data. Of one that was folded into its convolution they are left out, or the identity's, a mean of
    /// zero.
    pub fn has_statistics(&self) -> bool {
        let mut means = (self.tensors.iter()).filter(|(name, _)| name.ends_with("running_mean"));
        means.any(|(_, mean)| {
            let values = mean.to_dtype(DType::F32).and_then(|t| t.to_vec1::<f32>());
            values.is_ok_and(|v| v.iter().any(|m| *m != 0.0))
        })
    }
}

/// A network with a weight that is no number says the same of every image.
pub(crate) fn finite(file: &str, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    for (name, tensor) in tensors {
        if !tensor.dtype().is_float() {
            continue;
        }
        let values = tensor
            .flatten_all()?
            .to_dtype(DType::F32)?
            .to_vec1::<f32>()?;
        let bad = values.iter().filter(|v| !v.is_finite()).count();
        if bad > 0 {
            return Err(Error::msg(format!(
                "{file}: {bad} of {} numbers of {name} are NaN or infinite, so nothing can be learned from it; get the file again, or choose \
                 another checkpoint",
                values.len()
            )));
        }
    }
    Ok(())
}

pub(crate) fn read(file: &str, blob: &Blob) -> Result<BTreeMap<String, Tensor>> {
    let bytes = blob.bytes()?;
    // (The first byte of safetensors is of a length.)
    let named = file.ends_with(".safetensors") && !bytes.starts_with(b"PK");
    if tlkit_pickle::is_one(&bytes) && !named {
        return tlkit_pickle::read(file, &bytes).map_err(Error::msg);
    }
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|e| {
        Error::msg(format!(
            "{file}: neither a whole safetensors file ({e}) nor a PyTorch archive"
        ))
    })?;
    // Candle's map has no order; ours has.
    let mut names: Vec<_> = tensors.keys().cloned().collect();
    names.sort();
    Ok(names
        .into_iter()
        .filter_map(|n| tensors.get(&n).cloned().map(|t| (n, t)))
        .collect())
}

/// The tensors under torchvision's names and in its shapes.
fn canonical(file: &str, tensors: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let mut out = BTreeMap::new();
    for (name, tensor) in tensors {
        let name = name.strip_prefix("module.").unwrap_or(&name);
        let Some(name) = rename(name) else { continue };
        // timm writes VGG's dense layers as convolutions.
        let tensor = match name.starts_with("classifier.") && tensor.rank() == 4 {
            true => tensor.flatten_from(1)?,
            false => tensor,
        };
        if out.insert(name.clone(), tensor).is_some() {
            return Err(Error::msg(format!("{file}: two tensors for {name}")));
        }
    }
    Ok(out)
}

/// A tensor's name in torchvision, from torchvision's, timm's or transformers'; none for what no encoder takes.
fn rename(name: &str) -> Option<String> {
    if name.ends_with("num_batches_tracked") || name.starts_with("AuxLogits.") {
        return None;
    }
    for (timm, torchvision) in [
        ("pre_logits.fc1.", "classifier.0."),
        ("pre_logits.fc2.", "classifier.3."),
        ("head.fc.", "classifier.6."),
    ] {
        if let Some(rest) = name.strip_prefix(timm) {
            return Some(format!("{torchvision}{rest}"));
        }
    }
    let part = |rest: &str, (conv, norm): (String, String)| {
        if let Some(rest) = rest.strip_prefix("convolution.") {
            return Some(format!("{conv}.{rest}"));
        }
        Some(format!("{norm}.{}", rest.strip_prefix("normalization.")?))
    };
    let inner = name.strip_prefix("resnet.").unwrap_or(name);
    if let Some(rest) = inner.strip_prefix("embedder.embedder.") {
        return part(rest, ("conv1".into(), "bn1".into()));
    }
    if let Some(rest) = inner.strip_prefix("encoder.stages.") {
        let mut words = rest.splitn(4, '.');
        let stage: usize = words.next()?.parse().ok()?;
        let block = words.next().filter(|w| *w == "layers").and(words.next())?;
        let at = format!("layer{}.{block}", stage + 1);
        let rest = words.next()?;
        if let Some(rest) = rest.strip_prefix("shortcut.") {
            let names = (format!("{at}.downsample.0"), format!("{at}.downsample.1"));
            return part(rest, names);
        }
        let (i, rest) = rest.strip_prefix("layer.")?.split_once('.')?;
        let i = i.parse::<usize>().ok()? + 1;
        return part(rest, (format!("{at}.conv{i}"), format!("{at}.bn{i}")));
    }
    if let Some(rest) = name.strip_prefix("classifier.1.") {
        return Some(format!("fc.{rest}"));
    }
    Some(name.to_string())
}

/// Which network the tensors are of.
/// timm has networks whose tensors are a ResNet's and whose strides are blurred, or pooled by means: the weights alone do not tell them apart.
fn other_arithmetic(name: &str, config: &str) -> Result<()> {
    let json: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
    let said = json["architecture"].as_str().unwrap_or_default();
    // transformers' ResNet has variants with the same tensors.
    let is = |key: &str| json[key].as_bool() == Some(true);
    let activation = json["hidden_act"].as_str().filter(|a| *a != "relu");
    let variant = match activation {
        _ if json["model_type"] != "resnet" => None,
        Some(other) => Some(format!("`hidden_act` is `{other}`")),
        None => ["downsample_in_bottleneck", "downsample_in_first_stage"]
            .into_iter()
            .find(|key| is(key))
            .map(|key| format!("`{key}` is true")),
    };
    if let Some(variant) = variant {
        return Err(Error::msg(format!(
            "{name}: {variant} in its config.json: its tensors are those of a ResNet, and what is computed with them is not; there is no such network here"
        )));
    }
    match ["netaa", "nextaa", "blur"]
        .iter()
        .any(|part| said.contains(part))
    {
        false => Ok(()),
        true => Err(Error::msg(format!(
            "{name} is a `{said}`: its tensors are those of a ResNet, and its strides are not; there is no such network here"
        ))),
    }
}

fn recognise(file: &str, tensors: &BTreeMap<String, Tensor>) -> Result<Architecture> {
    let dims = |name: &str| tensors.get(name).map(Tensor::dims);
    let has = |name: &str| tensors.contains_key(name);
    let blocks = |layer: usize| {
        (0..)
            .take_while(|b| has(&format!("layer{layer}.{b}.conv1.weight")))
            .count()
    };
    if has("Conv2d_1a_3x3.conv.weight") {
        return Ok(Architecture::Inception);
    }
    if has("features.0.weight") {
        let norm = dims("features.1.weight").is_some_and(|d| d.len() == 1);
        let convolutions = tensors
            .iter()
            .filter(|(n, t)| n.starts_with("features.") && t.rank() == 4)
            .count();
        let dense = has("classifier.0.weight") && has("classifier.3.weight");
        if let 13 | 16 = convolutions {
            return Ok(Architecture::Vgg {
                depth: convolutions + 3,
                norm,
                dense,
            });
        }
    }
    match dims("conv1.weight") {
        Some([32, 3, 3, 3]) if has("fc1.weight") && has("conv2.weight") => {
            return Ok(Architecture::Shallow {
                norm: has("bn1.weight"),
            });
        }
        Some([20, 3, 5, 5]) if has("conv2.weight") && has("bn.weight") => {
            return Ok(Architecture::Lenet);
        }
        Some(&[width, 3, 3, 3])
            if blocks(1) > 0
                && blocks(3) == blocks(1)
                && !has("layer1.0.conv3.weight")
                && !has("layer2.0.downsample.0.weight") =>
        {
            return Ok(Architecture::Cifar {
                blocks: blocks(1),
                width,
            });
        }
        Some([64, 3, 7, 7]) if blocks(1) > 0 => {
            return Ok(Architecture::Resnet {
                blocks: (1..=4).map(blocks).take_while(|&n| n > 0).collect(),
                bottleneck: has("layer1.0.conv3.weight"),
            });
        }
        _ => {}
    }
    let first: Vec<&str> = tensors.keys().take(4).map(String::as_str).collect();
    Err(Error::msg(format!(
        "{file}: not a ResNet, VGG or Inception v3 in torchvision's, timm's or transformers' names; it begins with {}",
        first.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_other_arithmetic_are_refused_by_name() {
        let of = |name: &str| other_arithmetic("net", &format!("{{\"architecture\": {name:?}}}"));
        for other in ["resnetblur18", "resnetaa50d", "seresnextaa101d_32x8d"] {
            assert!(
                of(other).is_err_and(|e| e.to_string().contains(other)),
                "{other}"
            );
        }
        for plain in ["resnet18", "tv_resnet34", "wide_resnet50_2", "vgg16_bn"] {
            assert!(of(plain).is_ok(), "{plain}");
        }
    }

    #[test]
    fn names_of_transformers_and_timm_are_torchvisions() {
        for (theirs, ours) in [
            (
                "resnet.embedder.embedder.convolution.weight",
                "conv1.weight",
            ),
            (
                "resnet.embedder.embedder.normalization.running_mean",
                "bn1.running_mean",
            ),
            (
                "resnet.encoder.stages.1.layers.0.layer.2.convolution.weight",
                "layer2.0.conv3.weight",
            ),
            (
                "encoder.stages.3.layers.11.layer.0.normalization.bias",
                "layer4.11.bn1.bias",
            ),
            (
                "resnet.encoder.stages.0.layers.0.shortcut.normalization.weight",
                "layer1.0.downsample.1.weight",
            ),
            ("classifier.1.bias", "fc.bias"),
            ("pre_logits.fc2.weight", "classifier.3.weight"),
            ("layer1.0.conv1.weight", "layer1.0.conv1.weight"),
        ] {
            assert_eq!(rename(theirs).as_deref(), Some(ours));
        }
        assert_eq!(rename("bn1.num_batches_tracked"), None);
    }

    #[test]
    fn what_is_no_image_network_says_what_it_begins_with() {
        let t = Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap();
        let tensors = [("bert.x".to_string(), t)].into();
        let text = recognise("a.safetensors", &tensors)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("not a ResNet") && text.contains("bert.x"),
            "{text}"
        );
    }
}

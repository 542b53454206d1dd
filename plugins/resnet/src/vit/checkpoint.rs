//! Vision transformers' checkpoints: transformers' ViT and DINOv2 and timm's, all brought to the names of transformers' ViT.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use tlkit_core::data::Found;
use tlkit_core::{Error, Result};

use crate::checkpoint::{FILES, finite, read};
use crate::preparation::{CONFIGURATIONS, Preparation};

/// What the tensors are of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) depth: usize,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    pub(crate) patch: usize,
    /// Patches a side that the position embeddings are for.
    pub(crate) grid: usize,
    /// Of the layer norms.
    pub(crate) epsilon: f64,
    pub(crate) bias: bool,
}

/// Weights of a vision transformer.
pub(crate) struct Checkpoint {
    pub(crate) name: String,
    pub(crate) size: Size,
    pub(crate) preparation: Preparation,
    pub(crate) tensors: BTreeMap<String, Tensor>,
    /// Layers that config.json promises and the file does not have.
    pub(crate) absent_layers: usize,
    /// Of a classifier on a pooled token; 0 where there is none.
    pub(crate) classes: usize,
    /// The stages of the head that the classifier is the last of, as [`super::export`] names them; transformers' where nothing is said.
    pub(crate) head: Vec<String>,
}

impl Checkpoint {
    pub(crate) fn open(name: &str, found: &Found) -> Result<Self> {
        let file = FILES.iter().find_map(|f| Some((*f, found.file(f)?)));
        let (f, blob) = file.ok_or_else(|| {
            Error::msg(format!(
                "{name} is no folder with weights; one of {} is looked for",
                FILES.join(", ")
            ))
        })?;
        let file = format!("{name}/{f}");
        let config = match found.file("config.json") {
            Some(blob) => serde_json::from_str(&blob.text("config.json")?)
                .map_err(|e| Error::msg(format!("{name}/config.json: not JSON ({e})")))?,
            None => serde_json::Value::Null,
        };
        let tensors = canonical(&file, read(&file, &blob)?)?;
        finite(&file, &tensors)?;
        let size = size(&file, &tensors, &config)?;
        let promised = config["num_hidden_layers"].as_u64().map(|n| n as usize);
        let absent_layers = promised.map_or(0, |n| n.saturating_sub(size.depth));
        let classes = match tensors.get("classifier.weight").map(Tensor::dims) {
            Some(&[classes, width]) if width == size.width => classes,
            _ => 0,
        };
        let head = match config["tlkit"]["head"].as_array() {
            Some(own) => own
                .iter()
                .filter_map(|v| v.as_str())
                .map(str::to_string)
                .collect(),
            None => vec![super::FIRST.to_string(), "classifier".to_string()],
        };
        let side = config["image_size"].as_u64().map(|s| s as usize);
        let side = side.unwrap_or(size.grid * size.patch);
        let mut preparation =
            Preparation::imagenet(side, "ImageNet's: the checkpoint says nothing");
        for config in CONFIGURATIONS {
            if let Some(blob) = found.file(config) {
                let text = blob.text(config)?;
                preparation.configure(name, config, &text, classes)?;
            }
        }
        Ok(Checkpoint {
            name: name.to_string(),
            size,
            preparation,
            tensors,
            absent_layers,
            classes,
            head,
        })
    }
}

fn size(
    file: &str,
    tensors: &BTreeMap<String, Tensor>,
    config: &serde_json::Value,
) -> Result<Size> {
    let dims = |name: &str| {
        tensors
            .get(name)
            .map(Tensor::dims)
            .ok_or_else(|| Error::Missing {
                file: file.to_string(),
                missing: vec![name.to_string()],
                unexpected: tensors.keys().take(4).cloned().collect(),
            })
    };
    let odd = |name: &str, dims: &[usize]| {
        Error::msg(format!(
            "{file}: {name} has the shape {dims:?}, which is no vision transformer's"
        ))
    };
    let projection = "embeddings.patch_embeddings.projection.weight";
    let (width, patch) = match dims(projection)? {
        &[width, 3, patch, square] if patch == square => (width, patch),
        other => return Err(odd(projection, other)),
    };
    let tokens = match dims("embeddings.position_embeddings")? {
        &[1, tokens, w] if w == width && tokens > 1 => tokens,
        other => return Err(odd("embeddings.position_embeddings", other)),
    };
    let depth = (0..)
        .take_while(|i| tensors.contains_key(&format!("encoder.layer.{i}.layernorm_before.weight")))
        .count();
    // As transformers does it: what is in the file beyond that is not used.
    let promised = config["num_hidden_layers"].as_u64().filter(|&n| n > 0);
    let depth = promised.map_or(depth, |n| depth.min(n as usize));
    let dense = "encoder.layer.0.intermediate.dense.weight";
    let hidden = match dims(dense)? {
        &[hidden, w] if w == width => hidden,
        other => return Err(odd(dense, other)),
    };
    if let Some(activation) = config["hidden_act"].as_str()
        && activation != "gelu"
    {
        return Err(Error::msg(format!(
            "{file}: its activation is `{activation}`, and only `gelu` is known"
        )));
    }
    let heads = heads(file, width, config)?;
    if heads == 0 || width % heads != 0 {
        return Err(Error::msg(format!(
            "{file}: {heads} heads do not divide a width of {width}"
        )));
    }
    Ok(Size {
        width,
        depth,
        heads,
        hidden,
        patch,
        grid: ((tokens - 1) as f64).sqrt().round() as usize,
        epsilon: config["layer_norm_eps"].as_f64().unwrap_or(1e-6),
        bias: tensors.contains_key("encoder.layer.0.attention.attention.query.bias"),
    })
}

/// timm's networks whose heads are not 64 wide, by how their names begin.
const WIDE_HEADS: [(&str, usize); 3] = [
    ("vit_huge_patch", 80),
    ("vit_giant_patch", 88),
    ("vit_gigantic_patch", 104),
];

/// How many attention heads. transformers' files say it; timm's and Meta's have heads of 64, up to the width of ViT-L, and those of DINOv2 of 1536 too.
fn heads(file: &str, width: usize, config: &serde_json::Value) -> Result<usize> {
    if let Some(heads) = config["num_attention_heads"].as_u64() {
        return Ok(heads as usize);
    }
    if width <= 1024 || width == 1536 {
        return Ok((width / 64).max(1));
    }
    let name = config["architecture"].as_str().unwrap_or_default();
    let wide = WIDE_HEADS
        .iter()
        .find(|(start, wide)| name.starts_with(start) && width.is_multiple_of(*wide));
    wide.map(|(_, wide)| width / wide).ok_or_else(|| {
        Error::msg(format!(
            "{file}: nothing says how many attention heads a width of {width} is divided into; write it into the config.json beside it, `\"num_attention_heads\": 16`"
        ))
    })
}

/// Under the names of transformers' ViT. DINOv2 scales what a block adds to its input; those scales go into the weights before them, which is the same.
fn canonical(file: &str, tensors: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let mut out = BTreeMap::new();
    let mut scales = Vec::new();
    for (name, tensor) in tensors {
        if let Some(part) = [
            "register_tokens",
            "reg_token",
            "weights_in",
            "q_norm",
            "fc_norm",
            "dist_token",
            "distillation_token",
            "norm_pre",
        ]
        .iter()
        .find(|p| name.contains(*p))
        {
            return Err(Error::msg(format!(
                "{file}: {name} belongs to a kind of vision transformer that is not known here ({part}); ViT and DINOv2 without registers are"
            )));
        }
        let Some(name) = rename(&name) else { continue };
        if let Some(layer) = name
            .strip_suffix(".qkv.weight")
            .or(name.strip_suffix(".qkv.bias"))
        {
            let end = &name[layer.len() + 4..];
            for (i, part) in ["query", "key", "value"].iter().enumerate() {
                let third = tensor.chunk(3, 0)?[i].contiguous()?;
                out.insert(format!("{layer}.{part}{end}"), third);
            }
        } else if name.ends_with(".scale") {
            scales.push((name, tensor));
        } else {
            out.insert(name, tensor);
        }
    }
    for (name, scale) in scales {
        let dense = name.trim_end_matches(".scale");
        for (part, shape) in [
            ("weight", vec![scale.elem_count(), 1]),
            ("bias", vec![scale.elem_count()]),
        ] {
            let name = format!("{dense}.{part}");
            if let Some(t) = out.get_mut(&name) {
                let to = t.dtype();
                let scale = scale.to_dtype(DType::F32)?.reshape(shape)?;
                *t = t
                    .to_dtype(DType::F32)?
                    .broadcast_mul(&scale)?
                    .to_dtype(to)?;
            }
        }
    }
    Ok(out)
}

/// `None` for what no encoder takes.
fn rename(name: &str) -> Option<String> {
    let inner = ["vit.", "dinov2.", "model."]
        .iter()
        .find_map(|p| name.strip_prefix(p))
        .unwrap_or(name);
    if inner.ends_with("mask_token") || inner.starts_with("pooler.") {
        return None;
    }
    let layered = inner
        .strip_prefix("encoder.layer.")
        .or(inner.strip_prefix("blocks."));
    if let Some((i, rest)) = layered.and_then(|l| l.split_once('.')) {
        let parts = [
            ("norm1.", "layernorm_before."),
            ("norm2.", "layernorm_after."),
            ("attn.qkv.", "attention.attention.qkv."),
            ("attn.proj.", "attention.output.dense."),
            ("mlp.fc1.", "intermediate.dense."),
            ("mlp.fc2.", "output.dense."),
            ("layer_scale1.lambda1", "attention.output.dense.scale"),
            ("layer_scale2.lambda1", "output.dense.scale"),
            ("ls1.gamma", "attention.output.dense.scale"),
            ("ls2.gamma", "output.dense.scale"),
        ];
        let known = parts
            .iter()
            .find_map(|(theirs, ours)| Some(format!("{ours}{}", rest.strip_prefix(theirs)?)));
        return Some(format!(
            "encoder.layer.{i}.{}",
            known.unwrap_or(rest.into())
        ));
    }
    let known = [
        ("cls_token", "embeddings.cls_token"),
        ("pos_embed", "embeddings.position_embeddings"),
        (
            "patch_embed.proj.",
            "embeddings.patch_embeddings.projection.",
        ),
        ("norm.", "layernorm."),
        ("head.", "classifier."),
    ];
    let known = known
        .iter()
        .find_map(|(theirs, ours)| Some(format!("{ours}{}", inner.strip_prefix(theirs)?)));
    Some(known.unwrap_or(inner.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file may have fewer layers than its configuration says, which is told, or more, which are left.
    #[test]
    fn the_depth_is_the_files_and_the_configurations() {
        let dir = tempfile::tempdir().unwrap();
        let zeros = |name: &str, shape: &[usize]| {
            let t = Tensor::zeros(shape, DType::F32, &candle_core::Device::Cpu).unwrap();
            (name.to_string(), t)
        };
        let tensors: BTreeMap<String, Tensor> = [
            zeros(
                "embeddings.patch_embeddings.projection.weight",
                &[8, 3, 4, 4],
            ),
            zeros("embeddings.position_embeddings", &[1, 5, 8]),
            zeros("encoder.layer.0.layernorm_before.weight", &[8]),
            zeros("encoder.layer.0.intermediate.dense.weight", &[16, 8]),
            zeros("encoder.layer.1.layernorm_before.weight", &[8]),
        ]
        .into();
        let bytes = safetensors::serialize(&tensors, None).unwrap();
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        for (config, depth, absent) in [
            ("{}", 2, 0),
            (r#"{"num_hidden_layers": 2}"#, 2, 0),
            (r#"{"num_hidden_layers": 5}"#, 2, 3),
            (r#"{"num_hidden_layers": 1}"#, 1, 0),
        ] {
            std::fs::write(dir.path().join("config.json"), config).unwrap();
            let found = Found::Folder(dir.path().to_path_buf());
            let c = Checkpoint::open("test", &found).unwrap();
            assert_eq!((c.size.depth, c.absent_layers), (depth, absent), "{config}");
        }
    }

    #[test]
    fn heads_that_are_not_64_wide_are_known_or_asked_for() {
        let of = |width, config: serde_json::Value| heads("vit.pth", width, &config);
        let timm = |name: &str| serde_json::json!({ "architecture": name });
        for (width, config, expected) in [
            (192, serde_json::Value::Null, 3),
            (1024, timm("vit_large_patch16_224"), 16),
            (1536, timm("vit_giant_patch14_dinov2"), 24),
            (1280, timm("vit_huge_patch14_224"), 16),
            (1408, timm("vit_giant_patch14_224"), 16),
            (1664, timm("vit_gigantic_patch14_224"), 16),
            (1280, serde_json::json!({ "num_attention_heads": 20 }), 20),
        ] {
            assert_eq!(of(width, config).unwrap(), expected, "{width}");
        }
        for config in [serde_json::Value::Null, timm("vit_huge_plus_patch16")] {
            let why = of(1280, config).unwrap_err().to_string();
            assert!(why.contains("num_attention_heads"), "{why}");
        }
    }

    #[test]
    fn names_of_timm_and_dinov2_are_those_of_vit() {
        for (theirs, ours) in [
            ("vit.embeddings.cls_token", "embeddings.cls_token"),
            ("cls_token", "embeddings.cls_token"),
            (
                "blocks.11.attn.qkv.bias",
                "encoder.layer.11.attention.attention.qkv.bias",
            ),
            (
                "blocks.0.mlp.fc2.weight",
                "encoder.layer.0.output.dense.weight",
            ),
            (
                "dinov2.encoder.layer.3.layer_scale2.lambda1",
                "encoder.layer.3.output.dense.scale",
            ),
            (
                "encoder.layer.3.attention.attention.key.weight",
                "encoder.layer.3.attention.attention.key.weight",
            ),
            ("norm.weight", "layernorm.weight"),
            ("head.bias", "classifier.bias"),
            ("layernorm.bias", "layernorm.bias"),
        ] {
            assert_eq!(rename(theirs).as_deref(), Some(ours));
        }
        assert_eq!(rename("embeddings.mask_token"), None);
    }
}

//! Vision transformers: the numbers of transformers' ViT and DINOv2 (`vit.py` prints them), what a recipe may do with them, what comes back.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use common::{check, folder, run, wrong};
use serde_json::json;
use tlkit_core::model::Model;
use tlkit_core::nn::{Batch, Flow, Pass, Store};
use tlkit_core::run::{Saved, summary};

const WIDTH: usize = 12;

fn shapes(kind: &str) -> Vec<(String, Vec<usize>)> {
    let (w, h) = (WIDTH, 2 * WIDTH);
    let mut out = vec![
        ("embeddings.cls_token".to_string(), vec![1, 1, w]),
        ("embeddings.position_embeddings".into(), vec![1, 10, w]),
        (
            "embeddings.patch_embeddings.projection.weight".into(),
            vec![w, 3, 4, 4],
        ),
        (
            "embeddings.patch_embeddings.projection.bias".into(),
            vec![w],
        ),
        ("layernorm.weight".into(), vec![w]),
        ("layernorm.bias".into(), vec![w]),
    ];
    let dense: &[(&str, usize, usize)] = &[
        ("attention.attention.query", w, w),
        ("attention.attention.key", w, w),
        ("attention.attention.value", w, w),
        ("attention.output.dense", w, w),
    ];
    let (names, norms) = match kind {
        "vit" => (
            ["intermediate.dense", "output.dense"],
            ["layernorm_before", "layernorm_after"],
        ),
        _ => (["mlp.fc1", "mlp.fc2"], ["norm1", "norm2"]),
    };
    for i in 0..2 {
        let mut add =
            |name: &str, shape: Vec<usize>| out.push((format!("encoder.layer.{i}.{name}"), shape));
        for (name, o, n) in dense
            .iter()
            .copied()
            .chain([(names[0], h, w), (names[1], w, h)])
        {
            add(&format!("{name}.weight"), vec![o, n]);
            add(&format!("{name}.bias"), vec![o]);
        }
        for name in norms {
            add(&format!("{name}.weight"), vec![w]);
            add(&format!("{name}.bias"), vec![w]);
        }
        if kind == "dinov2" {
            add("layer_scale1.lambda1", vec![w]);
            add("layer_scale2.lambda1", vec![w]);
        }
    }
    if kind == "dinov2" {
        out.push(("embeddings.mask_token".into(), vec![1, w]));
    }
    out
}

/// The formula of `vit.py`.
fn value(name: &str, shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let seed = name.bytes().map(u64::from).sum::<u64>() % 97;
    let mut more = 0.0;
    if name.contains("norm") && name.ends_with("weight") {
        more += 1.0;
    }
    if name.contains("lambda1") {
        more += 0.5;
    }
    let one = |i: usize| (0.2 * (0.7 * i as f64 + seed as f64).sin() + more) as f32;
    Tensor::from_vec((0..n).map(one).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

/// `vit` or `dinov2` in transformers' names, `timm` in timm's.
fn checkpoint(folder: &Path, kind: &str) -> PathBuf {
    let at = folder.join(kind);
    std::fs::create_dir_all(&at).unwrap();
    let tensors: HashMap<String, Tensor> = shapes(if kind == "timm" { "dinov2" } else { kind })
        .into_iter()
        .map(|(name, shape)| {
            let tensor = value(&name, &shape);
            (name, tensor)
        })
        .collect();
    let (tensors, config) = match kind {
        "timm" => (
            timms(tensors),
            json!({"architecture": "vit_small_patch14_dinov2", "num_attention_heads": 3}),
        ),
        _ => {
            let epsilon = if kind == "vit" { 1e-12 } else { 1e-6 };
            let config = json!({"model_type": kind, "hidden_size": WIDTH, "num_attention_heads": 3, "hidden_act": "gelu",
                                "image_size": 12, "layer_norm_eps": epsilon});
            (tensors, config)
        }
    };
    candle_core::safetensors::save(&tensors, at.join("model.safetensors")).unwrap();
    std::fs::write(at.join("config.json"), config.to_string()).unwrap();
    at
}

fn timms(theirs: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let mut out = HashMap::new();
    let mut put = |name: String, t: Tensor| {
        out.insert(name, t);
    };
    let get = |name: &str| theirs[name].clone();
    put("cls_token".into(), get("embeddings.cls_token"));
    put("pos_embed".into(), get("embeddings.position_embeddings"));
    for end in ["weight", "bias"] {
        put(
            format!("patch_embed.proj.{end}"),
            get(&format!("embeddings.patch_embeddings.projection.{end}")),
        );
        put(format!("norm.{end}"), get(&format!("layernorm.{end}")));
        for i in 0..2 {
            let of = |name: &str| get(&format!("encoder.layer.{i}.{name}.{end}"));
            let qkv = ["query", "key", "value"].map(|p| of(&format!("attention.attention.{p}")));
            put(
                format!("blocks.{i}.attn.qkv.{end}"),
                Tensor::cat(&qkv, 0).unwrap(),
            );
            put(
                format!("blocks.{i}.attn.proj.{end}"),
                of("attention.output.dense"),
            );
            for name in ["norm1", "norm2", "mlp.fc1", "mlp.fc2"] {
                put(format!("blocks.{i}.{name}.{end}"), of(name));
            }
        }
    }
    for i in 0..2 {
        for ls in 1..=2 {
            put(
                format!("blocks.{i}.ls{ls}.gamma"),
                get(&format!("encoder.layer.{i}.layer_scale{ls}.lambda1")),
            );
        }
    }
    out
}

fn images(side: usize) -> Tensor {
    let n = 2 * side * side * 3;
    let x: Vec<f32> = (0..n).map(|i| (i as f64 * 0.37).sin() as f32).collect();
    Tensor::from_vec(x, (2, side, side, 3), &Device::Cpu).unwrap()
}

fn recipe(kind: &str, side: usize, target: &str, strategy: &str) -> String {
    format!(
        "[source]\ncheckpoint = \"{kind}\"\nimage_size = {side}\n[target]\ntask = \"image-classification\"\ntrain = \"slants.drawn\"\n\
         test = \"slants-test.drawn\"\nsplit = {{ validation = 0.0 }}\n{target}\n[strategy]\nkind = \"inductive\"\n{strategy}\n[train]\ncache = false\n\
         [evaluate]\nbaselines = []\n"
    )
}

const FROZEN: &str = "method = \"feature-extraction\"";

/// The final hidden states of two images, `(2, tokens, width)`.
fn hidden(folder: &Path, kind: &str, side: usize) -> Vec<Vec<Vec<f32>>> {
    let checked = check(folder, &recipe(kind, side, "", FROZEN))
        .unwrap_or_else(|r| panic!("{}", r.to_text(false)));
    let store = Store::new(&Device::Cpu, candle_core::DType::F32, 0);
    let encoder = checked
        .source
        .encoder(&store.scope("model"))
        .expect("an encoder");
    let mut x = Flow::start(&Arc::new(Batch::new(2, images(side))));
    for stage in encoder.stages() {
        x = stage.forward(&x, &Pass::evaluation()).expect("a pass");
    }
    x.hidden.to_vec3::<f32>().unwrap()
}

fn near(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-4, "{what}: {a} {b}");
    }
}

#[test]
fn the_numbers_are_those_of_transformers() {
    let dir = folder();
    for kind in ["vit", "dinov2", "timm"] {
        checkpoint(dir.path(), kind);
    }
    // The class token of the second image, then the mean of the first image's patches, as `vit.py` prints them.
    let expected: [(&str, usize, [f32; 12], [f32; 3]); 4] = [
        (
            "vit",
            12,
            [
                0.307327, 1.063982, 0.304654, 1.399138, 0.782418, -1.998951, -1.106304, -0.728266,
                -1.593305, 0.245636, 1.403175, 0.061656,
            ],
            [0.320005, 1.280427, -0.11082],
        ),
        (
            "vit",
            16,
            [
                0.248951, 1.124258, 0.263858, 1.297467, 0.878167, -1.988785, -1.138621, -0.625376,
                -1.583112, 0.198114, 1.444963, 0.026337,
            ],
            [0.282846, 1.293333, -0.074941],
        ),
        (
            "dinov2",
            12,
            [
                -0.71191, 1.287867, 0.592366, 0.201984, 2.323015, -0.854307, -1.702556, -0.576925,
                -0.980326, -0.578408, 1.130019, 0.579941,
            ],
            [-0.221787, 1.204703, -0.423082],
        ),
        (
            "dinov2",
            16,
            [
                -0.69798, 1.313089, 0.493596, 0.134959, 2.37514, -0.903727, -1.665248, -0.46833,
                -0.968609, -0.570601, 1.163157, 0.47744,
            ],
            [-0.234108, 1.186951, -0.463537],
        ),
    ];
    for (kind, side, class, patches) in expected {
        let ours = hidden(dir.path(), kind, side);
        near(&ours[1][0], &class, kind);
        let n = (ours[0].len() - 1) as f32;
        let mean: Vec<f32> = (0..3)
            .map(|j| ours[0][1..].iter().map(|t| t[j]).sum::<f32>() / n)
            .collect();
        near(&mean, &patches, kind);
    }
    // The same weights under timm's names.
    let (one, other) = (
        hidden(dir.path(), "dinov2", 16),
        hidden(dir.path(), "timm", 16),
    );
    for (a, b) in one.iter().flatten().zip(other.iter().flatten()) {
        near(a, b, "timm");
    }
}

#[test]
fn a_run_comes_back_with_the_same_logits_here_and_in_transformers() {
    let dir = folder();
    checkpoint(dir.path(), "dinov2");
    for (name, target, strategy) in [
        ("plain", "", FROZEN),
        (
            "mean",
            "head = [\"global-average-pool\", { dense = 16, activation = \"relu\" }, \"classifier\"]",
            "method = \"fine-tune\"\ntrain_from = \"head\"",
        ),
    ] {
        let ran = run(dir.path(), name, &recipe("dinov2", 12, target, strategy));
        let model = ran.directory.join("model");
        let again = Saved::open(&model, &common::registry()).expect("it comes back");
        let batch = Arc::new(Batch::new(2, images(12)));
        let (_, logits) = again.model.predict(&batch, &Pass::evaluation()).unwrap();
        let ours = logits.to_vec2::<f32>().unwrap();
        let export = ran.result["model"].to_string();
        if name == "mean" {
            assert!(export.contains("no head"), "{export}");
            continue;
        }
        assert!(
            export.contains("AutoModelForImageClassification"),
            "{export}"
        );
        let python =
            std::env::var_os("TLKIT_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
        let able = Command::new(&python)
            .args(["-c", "import torch, transformers"])
            .output();
        if !able.is_ok_and(|o| o.status.success()) {
            println!(
                "skipped: no transformers for {} (set TLKIT_PYTHON)",
                python.display()
            );
            continue;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vit.py");
        let out = Command::new(&python)
            .args([script, "--load"])
            .arg(&model)
            .arg("12")
            .output()
            .expect("it runs");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let theirs: Vec<Vec<f32>> = serde_json::from_slice(&out.stdout).expect("logits");
        for (a, b) in ours.iter().zip(&theirs) {
            near(a, b, "transformers");
        }
    }
}

/// What a run's classifier stands on is kept with it: a teacher gives the answers of the run, whatever it pools by.
#[test]
fn the_head_of_a_run_comes_back_on_its_own_pooling() {
    let dir = folder();
    checkpoint(dir.path(), "vit");
    let batch = Arc::new(Batch::new(2, images(12)));
    let head = |model: &str| {
        let text = recipe(model, 12, "", FROZEN);
        let checked = check(dir.path(), &text).unwrap_or_else(|r| panic!("{}", r.to_text(false)));
        let store = Store::new(&Device::Cpu, candle_core::DType::F32, 0);
        let scope = store.scope("model");
        let encoder = checked.source.encoder(&scope).expect("an encoder");
        let head = checked.source.source_head(&scope)?;
        let (head, classes) = head.expect("a head");
        let model = Model::new(encoder, head);
        let (_, logits) = model.predict(&batch, &Pass::evaluation())?;
        Ok::<_, tlkit_core::Error>((logits.to_vec2::<f32>().unwrap(), classes))
    };
    let mut said = Vec::new();
    for (name, target) in [
        ("first", ""),
        (
            "average",
            "head = [\"global-average-pool\", \"classifier\"]",
        ),
    ] {
        let ran = run(dir.path(), name, &recipe("vit", 12, target, FROZEN));
        let again = Saved::open(&ran.directory.join("model"), &common::registry());
        let again = again.expect("it comes back");
        let (_, logits) = again.model.predict(&batch, &Pass::evaluation()).unwrap();
        let folder = ran.directory.join("model").display().to_string();
        let (theirs, classes) = head(&folder).expect("a teacher");
        assert_eq!(classes.len(), 3);
        for (a, b) in logits.to_vec2::<f32>().unwrap().iter().zip(&theirs) {
            near(a, b, name);
        }
        said.push(theirs);
    }
    assert_ne!(said[0], said[1]);
    let wide = "head = [\"first-token\", { dense = 12, activation = \"relu\" }, \"classifier\"]";
    let fine = "method = \"fine-tune\"\ntrain_from = \"head\"";
    let ran = run(dir.path(), "wide", &recipe("vit", 12, wide, fine));
    let refused = head(&ran.directory.join("model").display().to_string());
    let why = refused.expect_err("a layer between").to_string();
    assert!(why.contains("cannot be read back"), "{why}");
}

#[test]
fn the_summary_shows_tokens_and_nothing_of_the_encoder_trains() {
    let dir = folder();
    checkpoint(dir.path(), "vit");
    let checked = check(dir.path(), &recipe("vit", 16, "", FROZEN))
        .unwrap_or_else(|r| panic!("{}", r.to_text(false)));
    let rows = summary(&checked).unwrap();
    let shown: Vec<(&str, &str, usize)> = rows
        .iter()
        .map(|l| (l.stage.as_str(), l.output.as_str(), l.trainable))
        .collect();
    assert_eq!(shown[0], ("embeddings", "(17, 12)", 0));
    assert!(shown.contains(&("first-token", "(12)", 0)), "{shown:?}");
}

#[test]
fn what_cannot_be_is_said_at_its_place() {
    let dir = folder();
    checkpoint(dir.path(), "vit");
    for (recipe, expected) in [
        (
            recipe("vit", 12, "", "method = \"fine-tune\""),
            vec!["`fine-tune` trains the encoder", "feature-extraction"],
        ),
        (
            recipe("vit", 12, "", "method = \"from-scratch\""),
            vec!["`from-scratch` trains the encoder"],
        ),
        (
            recipe("vit", 15, "", FROZEN),
            vec!["not a whole number of patches of 4", "image_size = 12"],
        ),
        (
            recipe("vit", 12, "head = [\"flatten\", \"classifier\"]", FROZEN),
            vec!["this encoder has no `flatten`", "first-token"],
        ),
        (
            recipe("vit", 12, "", FROZEN)
                .replace("image_size", "architecture = \"dinov2\"\nimage_size"),
            vec!["this is vit", "and not this"],
        ),
    ] {
        let text = wrong(dir.path(), &recipe);
        for part in expected {
            assert!(text.contains(part), "{text}");
        }
    }
    // A kind that is not known is refused by name, a half one says what is missing.
    let at = checkpoint(dir.path(), "dinov2").join("model.safetensors");
    let tensors = candle_core::safetensors::load(&at, &Device::Cpu).unwrap();
    let mut more = tensors.clone();
    more.insert(
        "embeddings.register_tokens".into(),
        value("r", &[1, 4, WIDTH]),
    );
    candle_core::safetensors::save(&more, &at).unwrap();
    let text = wrong(dir.path(), &recipe("dinov2", 12, "", FROZEN));
    assert!(text.contains("not known here (register_tokens)"), "{text}");
    let mut less = tensors;
    less.remove("embeddings.cls_token");
    candle_core::safetensors::save(&less, &at).unwrap();
    let dir = dir.path();
    let text = match check(dir, &recipe("dinov2", 12, "", FROZEN)) {
        Err(report) => report.to_text(false),
        Ok(checked) => summary(&checked)
            .expect_err("a half checkpoint")
            .to_string(),
    };
    assert!(text.contains("cls_token"), "{text}");
}

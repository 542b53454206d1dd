//! What a recipe says wrong about image networks is said at its place; what it says right is what is built.

mod common;

use std::fs;
use std::path::Path;

use common::{check, folder, source, wrong};
use tlkit_core::run::summary;

fn scratch(source: &str, target: &str, strategy: &str) -> String {
    format!(
        r#"
[source]
task = "image-network"
{source}

[target]
task = "image-classification"
train = "slants.drawn"
{target}

[strategy]
kind = "inductive"
{strategy}
"#
    )
}

const VGG: &str = "architecture = \"vgg16\"\nuntil = \"block5\"\nimage_size = 32";
const SCRATCH: &str = "method = \"from-scratch\"";

fn layers(folder: &Path, recipe: &str) -> Vec<(String, String, usize, usize)> {
    let checked = check(folder, recipe).unwrap_or_else(|r| panic!("{}", r.to_text(false)));
    let rows = summary(&checked).unwrap();
    rows.into_iter()
        .map(|l| (l.stage, l.output, l.parameters, l.trainable))
        .collect()
}

#[test]
fn heads_of_the_tutorials_are_built_and_summed_up() {
    let dir = folder();
    let head = r#"head = ["global-average-pool", { dense = 1024, activation = "relu" }, { dropout = 0.5 }, "classifier"]"#;
    let rows = layers(
        dir.path(),
        &scratch("architecture = \"resnet18\"", head, SCRATCH),
    );
    let shown: Vec<(&str, &str)> = rows.iter().map(|r| (r.0.as_str(), r.1.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("stem", "(56, 56, 64)"),
            ("layer1", "(56, 56, 64)"),
            ("layer2", "(28, 28, 128)"),
            ("layer3", "(14, 14, 256)"),
            ("layer4", "(7, 7, 512)"),
            ("global-average-pool", "(512)"),
            ("head.dense.0", "(1024)"),
            ("head.dropout.1", ""),
            ("classifier", "(3)"),
        ]
    );
    assert_eq!(rows[6].2, 512 * 1024 + 1024);
    let head = r#"head = ["flatten", { dense = 16 }, "classifier"]"#;
    let strategy = "method = \"fine-tune\"\ntrain_from = \"head\"";
    let rows = layers(dir.path(), &scratch(VGG, head, strategy));
    assert_eq!(
        (rows[5].0.as_str(), rows[5].1.as_str()),
        ("flatten", "(512)")
    );
    assert_eq!(rows[4].1, "(1, 1, 512)");
    let trains: usize = rows.iter().map(|r| r.3).sum();
    assert_eq!(trains, 512 * 16 + 16 + 16 * 3 + 3);
    // What the shapes say is what comes out.
    let rows = layers(
        dir.path(),
        &scratch("architecture = \"inception_v3\"", "", SCRATCH),
    );
    assert_eq!(rows[3].1, "(8, 8, 2048)");
}

#[test]
fn a_probe_is_refused_at_its_key_where_the_head_has_dense_layers() {
    let dir = folder();
    let head = |layers: &str| {
        let head = format!("head = [\"global-average-pool\", {layers}\"classifier\"]");
        let strategy = "method = \"fine-tune\"\n[train]\nlinear_probe = true";
        scratch("architecture = \"resnet18\"", &head, strategy)
    };
    let said = wrong(dir.path(), &head("{ dense = 8 }, "));
    for part in [
        "this head has dense layers",
        "linear_probe = true",
        "leave `linear_probe` out",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    layers(dir.path(), &head("{ dropout = 0.5 }, "));
}

#[test]
fn a_layer_that_does_not_fit_shows_both_shapes_at_its_line() {
    let dir = folder();
    let said = wrong(
        dir.path(),
        &scratch(
            "architecture = \"resnet18\"",
            "head = [{ dense = 1024 }, \"classifier\"]",
            SCRATCH,
        ),
    );
    assert!(
        said.contains("`dense` takes (n), and the encoder gives (7, 7, 512)"),
        "{said}"
    );
    assert!(said.contains("recipe.toml:9:9"), "{said}");
    assert!(
        said.contains("global-average-pool, global-max-pool, flatten"),
        "{said}"
    );
    let said = wrong(
        dir.path(),
        &scratch(
            "architecture = \"resnet18\"",
            "head = [\"flatten\", { dense = 8 }, \"global-average-pool\", \"classifier\"]",
            SCRATCH,
        ),
    );
    assert!(
        said.contains(
            "`global-average-pool` takes (height, width, channels), and the layer before it gives (8)"
        ),
        "{said}"
    );
    let said = wrong(
        dir.path(),
        &scratch(
            "architecture = \"resnet18\"",
            "head = [\"classifier\"]",
            SCRATCH,
        ),
    );
    assert!(
        said.contains("`classifier` takes (n), and the encoder gives (7, 7, 512)"),
        "{said}"
    );
    let said = wrong(
        dir.path(),
        &scratch(
            "architecture = \"vgg16\"",
            "head = [\"flatten\", \"classifier\"]",
            SCRATCH,
        ),
    );
    assert!(said.contains("and the encoder gives (4096)"), "{said}");
}

#[test]
fn keys_that_are_wrong_say_what_is_right() {
    let dir = folder();
    for (source, target, strategy, expected) in [
        ("", "", SCRATCH, "neither a checkpoint nor an architecture"),
        ("architecture = \"resnet19\"", "", SCRATCH, "resnet18"),
        (
            "architecture = \"resnet18\"\nuntil = \"layer7\"",
            "",
            SCRATCH,
            "layer1 or layer2 or layer3 or layer4",
        ),
        (
            "architecture = \"vgg16\"\nuntil = \"block5\"\nimage_size = 16",
            "",
            SCRATCH,
            "images of 16 x 16 pixels are too small for vgg16 without its dense layers",
        ),
        (
            "architecture = \"resnet18\"\nimage_size = 64\nresize = 32",
            "",
            SCRATCH,
            "images are resized to 32 pixels, and 64 are to be cut out of them",
        ),
        (
            "architecture = \"resnet18\"\nstd = [1.0, 0.0, 1.0]",
            "",
            SCRATCH,
            "three numbers above 0",
        ),
        (
            "architecture = \"vgg16\"",
            "",
            "method = \"from-scratch\"\nbatch_norm = \"train\"",
            "this network has no batch norm",
        ),
        (
            "architecture = \"resnet18\"",
            "",
            "method = \"from-scratch\"\nbatch_norm = \"off\"",
            "frozen",
        ),
    ] {
        let said = wrong(dir.path(), &scratch(source, target, strategy));
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn defaults_are_the_familys_and_say_where_they_come_from() {
    let dir = folder();
    source(dir.path());
    let explained = |recipe: &str| check(dir.path(), recipe).unwrap().explained;
    let tuned = explained(&common::recipe("", "method = \"fine-tune\"", ""));
    for line in [
        "batch_norm = \"frozen\"",
        "optimizer = \"sgd\"",
        "momentum = 0.9",
        "learning_rate = 0.001",
        "head_learning_rate = 0.01",
        "schedule = \"cosine\"",
        "the checkpoint's config.json",
        "image_size = 12",
    ] {
        assert!(tuned.contains(line), "{line}\n{tuned}");
    }
    let fresh = explained(&scratch(
        "architecture = \"resnet18\"",
        "",
        "method = \"fine-tune\"",
    ));
    for line in [
        "batch_norm = \"train\"",
        "fresh weights have no statistics yet",
        "resize = 256",
        "ImageNet's: there is no checkpoint that says another",
    ] {
        assert!(fresh.contains(line), "{line}\n{fresh}");
    }
    // Squashed is all of the image, and what is cut out of it must be asked for.
    for (keys, expected) in [
        ("squash = true", "resize = 224"),
        ("squash = true\nresize = 256", "resize = 256"),
    ] {
        let squashed = explained(&scratch(
            &format!("architecture = \"resnet18\"\n{keys}"),
            "",
            "method = \"fine-tune\"",
        ));
        assert!(squashed.contains(expected), "{squashed}");
    }
    let frozen = explained(&common::recipe("", "method = \"feature-extraction\"", ""));
    assert!(frozen.contains("the encoder is frozen"), "{frozen}");
    let scratch = explained(&common::recipe("", SCRATCH, ""));
    assert!(scratch.contains("batch_norm = \"train\""), "{scratch}");
    assert!(scratch.contains("ResNet, from scratch"), "{scratch}");
}

#[test]
fn bad_checkpoints_say_what_is_wrong_with_them() {
    let dir = folder();
    source(dir.path());
    let model = dir.path().join("stripes/model");
    let bytes = fs::read(model.join("model.safetensors")).unwrap();
    let recipe = |more: &str| {
        format!(
            "[source]\ntask = \"image-network\"\ncheckpoint = \"bad.safetensors\"\n{more}\n[target]\ntask = \"image-classification\"\n\
             train = \"slants.drawn\"\n[strategy]\nkind = \"inductive\"\nmethod = \"fine-tune\"\n"
        )
    };
    let bad = dir.path().join("bad.safetensors");
    let said = |bytes: &[u8], more: &str| {
        fs::write(&bad, bytes).unwrap();
        wrong(dir.path(), &recipe(more))
    };
    let text = said(&bytes[..bytes.len() / 2], "");
    assert!(text.contains("neither a whole safetensors file"), "{text}");
    assert!(text.contains("recipe.toml:3:"), "{text}");
    let text = said(b"", "");
    assert!(text.contains("neither a whole safetensors file"), "{text}");
    // Another network's.
    let text = said(&bytes, "architecture = \"resnet50\"");
    assert!(
        text.contains("the checkpoint is of another network")
            && text.contains("this is cifar_resnet20"),
        "{text}"
    );
    // Not a number, in the middle of a tensor.
    let mut tensors: std::collections::BTreeMap<String, candle_core::Tensor> =
        candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu)
            .unwrap()
            .into_iter()
            .collect();
    let name = "layer2.1.bn1.weight".to_string();
    let mut values = tensors[&name].to_vec1::<f32>().unwrap();
    values[3] = f32::NAN;
    values[5] = f32::INFINITY;
    let shape = values.len();
    let broken = candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap();
    tensors.insert(name, broken);
    let text = said(&safetensors::serialize(&tensors, None).unwrap(), "");
    assert!(
        text.contains("2 of 32 numbers of layer2.1.bn1.weight are NaN or infinite"),
        "{text}"
    );
    // A tensor within a layer that no part of the network is.
    let mut more: std::collections::BTreeMap<String, candle_core::Tensor> =
        candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu)
            .unwrap()
            .into_iter()
            .collect();
    more.insert(
        "layer1.0.se.fc1.weight".into(),
        candle_core::Tensor::zeros(2, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap(),
    );
    fs::write(&bad, safetensors::serialize(&more, None).unwrap()).unwrap();
    let checked = check(dir.path(), &recipe("")).unwrap();
    let text = summary(&checked).err().unwrap().to_string();
    assert!(
        text.contains("no part of cifar_resnet20 takes what stands within its layers as")
            && text.contains("layer1.0.se.fc1.weight; the file is of another network"),
        "{text}"
    );
    // A tensor of the network is gone.
    tensors.remove("layer2.1.bn1.weight");
    fs::write(&bad, safetensors::serialize(&tensors, None).unwrap()).unwrap();
    let checked = check(dir.path(), &recipe("")).unwrap();
    let text = summary(&checked).err().unwrap().to_string();
    assert!(
        text.contains("missing") && text.contains("layer2.1.bn1.weight"),
        "{text}"
    );
    // Text that calls itself weights.
    let text = said(b"these are no weights", "");
    assert!(text.contains("neither a whole safetensors file"), "{text}");
    // Of no image network at all.
    let t =
        candle_core::Tensor::zeros(2, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let other = [("encoder.layer.0.attention.self.query.weight".to_string(), t)];
    let text = said(&safetensors::serialize(other, None).unwrap(), "");
    assert!(text.contains("not a ResNet, VGG or Inception v3"), "{text}");
}

/// A stage without weights is no layer: each one with weights learns by the same factor less than the next.
#[test]
fn dropout_is_no_layer_to_unfreeze() {
    let dir = folder();
    let recipe = scratch(
        "architecture = \"lenet\"\nimage_size = 28",
        "",
        "method = \"gradual-unfreeze\"\n[train]\nepochs = 1\nlearning_rate = 1e-3\nhead_learning_rate = 1e-9\nschedule = \"constant\"\nwarmup = 0",
    );
    let ran = common::run(dir.path(), "unfrozen", &recipe);
    let text = fs::read_to_string(ran.directory.join("metrics.jsonl")).expect("metrics");
    let last: serde_json::Value = text
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .rfind(|l: &serde_json::Value| l["phase"] == "everything")
        .expect("the last phase");
    // The largest: that of fc1, with nothing but a dropout between it and the head.
    let rate = last["learning_rate"].as_f64().expect("a rate");
    assert!((rate / 1e-3 - 1.0).abs() < 1e-9, "{rate}");
}

//! A tiny BERT made by the test: gradients, padding, checkpoints, vocabularies.

mod first_token;
mod gradients;
mod rates;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_bert::{BertConfig, BertEncoder, Checkpoint, FirstToken, Max, Mean, TextPrepare, Tokens};
use tlkit_core::data::{Example, Found, Input, Prepare, Sampler, View};
use tlkit_core::model::Model;
use tlkit_core::nn::{
    Activation, Batch, Dense, Flow, Gradients, Linear, Param, Pass, Select, Stage, Store, segment,
};
use tlkit_core::random::Stream;
use tlkit_core::strategy::{Selection, Settings, Until};
use tlkit_core::task::Head;
use tlkit_core::train::{OptimizerSpec, Schedule, rate_groups};
use tlkit_ops::Precision;

const CONFIG: &str = r#"{"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 24, "model_type": "bert"}"#;

fn config() -> BertConfig {
    BertConfig::parse("config.json", CONFIG).unwrap()
}

fn vocabulary() -> String {
    let mut words: Vec<String> = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film", "##s", ",", ".",
    ]
    .map(String::from)
    .to_vec();
    words.extend((words.len()..40).map(|i| format!("w{i}")));
    words.join("\n") + "\n"
}

/// Writes a checkpoint whose tensors' names are changed by `rename`; `None` leaves one out.
fn checkpoint(dir: &Path, rename: &dyn Fn(&str) -> Option<String>) {
    let store = Store::new(&Device::Cpu, DType::F32, 7);
    BertEncoder::new(&store.scope(""), &config()).unwrap();
    let tensors: BTreeMap<String, Tensor> = store
        .all()
        .iter()
        .filter_map(|p| Some((rename(p.name())?, p.detached())))
        .collect();
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("config.json"), CONFIG).unwrap();
    std::fs::write(dir.join("vocab.txt"), vocabulary()).unwrap();
    std::fs::write(
        dir.join("model.safetensors"),
        safetensors::serialize(&tensors, None).unwrap(),
    )
    .unwrap();
}

fn load(dir: &Path) -> tlkit_core::Result<(Store, Arc<BertEncoder>, usize)> {
    let c = Checkpoint::open("test", &Found::Folder(dir.to_path_buf()))?;
    let store = Store::new(&Device::Cpu, DType::F32, 0);
    let weights = c.weights("model.bert")?;
    let encoder = BertEncoder::new(
        &store.scope("model.bert").with_weights(weights.clone()),
        &c.config,
    )?;
    weights.finish()?;
    Ok((store, Arc::new(encoder), c.absent_layers))
}

fn model(dtype: DType, pool: Arc<dyn Stage>) -> (Store, Model) {
    let store = Store::new(&Device::Cpu, dtype, 3);
    let scope = store.scope("model");
    // Larger weights than a fresh BERT's, so that no gradient drowns in rounding.
    let config = BertConfig {
        initializer_range: 0.3,
        ..config()
    };
    let encoder = BertEncoder::new(&scope.sub("bert"), &config).unwrap();
    let classifier = Linear::new(&scope.sub("classifier"), 16, 3, 0.3).unwrap();
    let classifier = Dense::new("classifier", classifier, Activation::None);
    let head = Head {
        stages: vec![pool, Arc::new(classifier)],
        pool: 1,
    };
    (store, Model::new(Arc::new(encoder), head))
}

fn prepare(dir: &Path) -> TextPrepare {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("vocab.txt"), vocabulary()).unwrap();
    TextPrepare::new(
        Tokens::of(&Found::Folder(dir.to_path_buf()), 24).unwrap(),
        0,
        0.15,
        String::new(),
    )
}

fn batch(p: &TextPrepare, texts: &[&str]) -> Arc<Batch> {
    let examples: Vec<Example> = texts
        .iter()
        .map(|t| p.example(&Input::Text((*t).into())).unwrap())
        .collect();
    Arc::new(
        p.collate(&examples.iter().collect::<Vec<_>>(), &Device::Cpu)
            .unwrap(),
    )
}

const TEXTS: [&str; 3] = ["a good film", "bad films , bad , bad w20 w21 .", "w30"];

fn loss(model: &Model, batch: &Arc<Batch>, pass: &Pass) -> (f64, Gradients) {
    let (taps, recording) = model
        .chain()
        .record(0, Flow::start(batch), pass, &[])
        .unwrap();
    let labels = Tensor::new(&[0u32, 2, 1], &Device::Cpu).unwrap();
    let loss = tlkit_ops::cross_entropy::cross_entropy(&taps.logits, &labels, &Default::default())
        .unwrap();
    let mut into = Gradients::default();
    recording
        .pull(&loss.backward().unwrap(), &mut into)
        .unwrap();
    (
        loss.to_dtype(DType::F64).unwrap().to_scalar().unwrap(),
        into,
    )
}

fn near(what: &str, a: &Tensor, b: &Tensor) {
    near_within(1e-4, what, a, b);
}

fn near_within(tolerance: f32, what: &str, a: &Tensor, b: &Tensor) {
    let worst = (a - b)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    let size = b
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(
        worst <= 0.1 * tolerance + tolerance * size,
        "{what}: {worst} of {size}"
    );
}

#[test]
fn a_text_means_the_same_alone_and_in_a_padded_batch() {
    let dir = tempfile::tempdir().unwrap();
    let p = prepare(dir.path());
    for pool in [
        Arc::new(FirstToken) as Arc<dyn Stage>,
        Arc::new(Mean),
        Arc::new(Max),
    ] {
        let (_, model) = model(DType::F32, pool);
        let together = model
            .predict(&batch(&p, &TEXTS), &Pass::evaluation())
            .unwrap()
            .1;
        for (i, text) in TEXTS.iter().enumerate() {
            let alone = model
                .predict(&batch(&p, &[text]), &Pass::evaluation())
                .unwrap()
                .1;
            near(text, &alone, &together.narrow(0, i, 1).unwrap());
        }
    }
}

#[test]
fn checkpoints_with_a_prefix_and_old_names_are_the_same_network() {
    let dir = tempfile::tempdir().unwrap();
    let renames: [(&str, &dyn Fn(&str) -> Option<String>); 2] = [
        ("plain", &|n| Some(n.to_string())),
        ("old", &|n| {
            Some(format!(
                "bert.{}",
                n.replace("LayerNorm.weight", "LayerNorm.gamma")
                    .replace("LayerNorm.bias", "LayerNorm.beta")
            ))
        }),
    ];
    let mut first = None;
    for (name, rename) in renames {
        checkpoint(&dir.path().join(name), rename);
        let (store, ..) = load(&dir.path().join(name)).unwrap();
        let hash = tlkit_core::run::weights_sha256(&store).unwrap();
        assert_eq!(*first.get_or_insert(hash.clone()), hash);
    }
}

#[test]
fn a_missing_tensor_is_an_error_that_lists_it() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), &|n| {
        (n != "encoder.layer.1.output.dense.weight").then(|| n.to_string())
    });
    let text = load(dir.path()).err().unwrap().to_string();
    assert!(
        text.contains("1 tensors that this model needs are missing")
            && text.contains("encoder.layer.1.output.dense.weight"),
        "{text}"
    );
}

#[test]
fn absent_last_layers_make_a_shorter_encoder_and_a_gap_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (short, gap) = (dir.path().join("short"), dir.path().join("gap"));
    checkpoint(&short, &|n| {
        (!n.starts_with("encoder.layer.1.")).then(|| n.to_string())
    });
    let (_, encoder, absent) = load(&short).unwrap();
    assert_eq!(
        (
            tlkit_core::task::Encoder::stages(encoder.as_ref()).len(),
            absent
        ),
        (2, 1)
    );
    checkpoint(&gap, &|n| {
        (!n.starts_with("encoder.layer.0.")).then(|| n.to_string())
    });
    assert!(load(&gap).is_err());
}

#[test]
fn a_half_written_file_says_so() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), &|n| Some(n.to_string()));
    let file = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let text = load(dir.path()).err().unwrap().to_string();
    assert!(text.contains("not a whole safetensors file"), "{text}");
}

#[test]
fn hidden_tokens_are_drawn_from_the_stream_and_spare_the_special_ones() {
    let dir = tempfile::tempdir().unwrap();
    let p = prepare(dir.path());
    let text = "a good film , a bad film , a good film , a bad film .";
    let plain = p.example(&Input::Text(text.into())).unwrap();
    let (mut kept, mut masked, mut total) = (0, 0, 0);
    for row in 0..500 {
        let stream = Stream::new(1).at(row);
        let view = p.view(&plain, View::Masked, stream).unwrap();
        assert_eq!(view, p.view(&plain, View::Masked, stream).unwrap());
        for (&at, &target) in view.ids("masked").iter().zip(view.ids("targets")) {
            assert_eq!(plain.ids("input")[at as usize], target);
            assert!(target > 4, "a special token was hidden");
            total += 1;
            masked += usize::from(view.ids("input")[at as usize] == 4);
            kept += usize::from(view.ids("input")[at as usize] == target);
        }
        let same = plain.ids("input").iter().zip(view.ids("input")).enumerate();
        assert!(
            same.into_iter()
                .all(|(i, (a, b))| a == b || view.ids("masked").contains(&(i as u32)))
        );
    }
    let share = |n: usize| n as f64 / total as f64;
    assert!(
        (share(masked) - 0.8).abs() < 0.05 && (share(kept) - 0.1).abs() < 0.05,
        "{} {}",
        share(masked),
        share(kept)
    );
}

#[test]
fn a_pair_of_texts_has_two_segments() {
    let dir = tempfile::tempdir().unwrap();
    let p = prepare(dir.path());
    let e = p
        .example(&Input::Pair("a film".into(), "good".into()))
        .unwrap();
    assert_eq!(e.ids("input"), [2, 5, 8, 3, 6, 3]);
    assert_eq!(e.ids("type_ids"), [0, 0, 0, 0, 1, 1]);
}

/// What `tokenizer_config.json` says of a `vocab.txt` holds, as in transformers.
#[test]
fn a_vocabulary_is_used_as_its_config_says() {
    let dir = tempfile::tempdir().unwrap();
    let words =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncafe\ncaf\u{e9}\nCafe\n\u{4e2d}\n\u{4e2d}\u{6587}\n";
    std::fs::write(dir.path().join("vocab.txt"), words).unwrap();
    let ids = |config: &str, text: &str| {
        std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        let tokens = Tokens::of(&Found::Folder(dir.path().to_path_buf()), 24).unwrap();
        let (ids, ..) = tokens.encode(text, None).unwrap();
        ids[1..ids.len() - 1].to_vec()
    };
    for (config, text, expected) in [
        ("{}", "Caf\u{e9}", vec![5]),
        (r#"{"strip_accents": false}"#, "Caf\u{e9}", vec![6]),
        (
            r#"{"do_lower_case": false, "strip_accents": true}"#,
            "Caf\u{e9}",
            vec![7],
        ),
        (r#"{"strip_accents": null}"#, "Caf\u{e9}", vec![5]),
        ("{}", "\u{4e2d}\u{6587}", vec![8, 1]),
        (
            r#"{"tokenize_chinese_chars": false}"#,
            "\u{4e2d}\u{6587}",
            vec![9],
        ),
    ] {
        assert_eq!(ids(config, text), expected, "{config} {text}");
    }
}

#[test]
fn a_long_text_is_cut_and_ends_in_a_separator() {
    let dir = tempfile::tempdir().unwrap();
    let p = prepare(dir.path());
    let e = p.example(&Input::Text("good ".repeat(100).into())).unwrap();
    assert_eq!((e.length(), e.ids("input").last()), (24, Some(&3)));
}

#[test]
fn a_config_that_cannot_be_is_refused_with_its_reason() {
    let refused = |text: &str| BertConfig::parse("c", text).unwrap_err().to_string();
    let text = CONFIG.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 5");
    assert_eq!(
        refused(&text),
        "c: a width of 16 cannot be cut into 5 heads"
    );
    let text = CONFIG.replace(
        "\"model_type\"",
        "\"hidden_act\": \"swish\", \"model_type\"",
    );
    assert!(refused(&text).contains("the activation `swish` is not supported"));
}

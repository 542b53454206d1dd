//! Ten cuts of an image: the mean of their probabilities is what is scored, written down, and said by the model that comes back.

mod common;

use std::sync::Arc;

use candle_core::{Device, Tensor};
use common::{folder, run, wrong};
use tlkit_core::data::{Input, Named};
use tlkit_core::nn::{Batch, Pass};
use tlkit_core::run::Saved;
use tlkit_core::train::Silent;
use tlkit_image::{Interpolation, Limits, Resize, Transform, decode};

fn recipe(evaluate: &str) -> String {
    format!(
        "[source]\ntask = \"image-network\"\narchitecture = \"cifar_resnet20\"\nimage_size = 8\nresize = 12\n\
         [target]\ntask = \"image-classification\"\ntrain = \"slants.drawn\"\ntest = \"slants-test.drawn\"\nsplit = {{ validation = 0.2 }}\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\n[train]\nepochs = 2\ncache = false\n\
         [evaluate]\nbaselines = []\n{evaluate}\n"
    )
}

#[test]
fn a_prediction_is_the_mean_over_ten_cuts() {
    let dir = folder();
    let ran = run(dir.path(), "ten", &recipe("crops = 10"));
    let again =
        Saved::open(&ran.directory.join("model"), &common::registry()).expect("it comes back");
    let text = std::fs::read_to_string(ran.directory.join("predictions.jsonl")).unwrap();
    let table = common::pictures(&dir.path().join("slants-test.drawn"));
    let rows = again
        .rows
        .find(vec![table.clone()], &Named::default())
        .unwrap();
    let said = again.probabilities(rows.inputs.clone(), &Silent).unwrap();
    let transform = Transform {
        resize: Resize::Shorter(12),
        interpolation: Interpolation::Bilinear,
        crop: 8,
        ..Transform::imagenet()
    };
    let mut differs = false;
    for (row, (line, said)) in text.lines().zip(&said).enumerate().take(20) {
        let Input::Image(bytes) = table.cell(row, 0).unwrap() else {
            panic!("no image");
        };
        let whole = transform.resized(&decode(&bytes, &Limits::default()).unwrap());
        let mut mean = vec![0f64; said.len()];
        let mut middle = vec![0f64; said.len()];
        for i in 0..10 {
            let cut = transform.cut(&whole, i);
            let mut planes = Vec::new();
            transform.normalise(&cut.rgb, &mut planes);
            let x = Tensor::from_vec(planes, (1, 3, 8, 8), &Device::Cpu).unwrap();
            let x = x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
            let (_, logits) = again
                .model
                .predict(&Arc::new(Batch::new(1, x)), &Pass::evaluation())
                .unwrap();
            let logits = logits.to_vec2::<f32>().unwrap().remove(0);
            let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
            for (c, l) in logits.iter().enumerate() {
                let p = f64::from(*l).exp() / total;
                mean[c] += p / 10.0;
                if i == 4 {
                    middle[c] = p;
                }
            }
        }
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for (c, mean) in mean.iter().enumerate() {
            let written = line["probabilities"][c].as_f64().unwrap();
            assert!((written - mean).abs() < 1e-5, "{row}: {written} {mean}");
            assert!((f64::from(said[c]) - mean).abs() < 1e-5, "{row}");
            differs |= (middle[c] - mean).abs() > 1e-3;
        }
    }
    assert!(differs, "the middle alone says the same");
}

#[test]
fn one_or_ten() {
    let dir = folder();
    let text = wrong(dir.path(), &recipe("crops = 5"));
    assert!(text.contains("1 or 10"), "{text}");
}

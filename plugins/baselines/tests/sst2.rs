//! Real sentences: what tf-idf reaches on SST-2, beside scikit-learn on the same rows.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use tlkit_baselines::{TfIdf, Vocabulary};
use tlkit_core::baseline::Baseline;
use tlkit_core::data::{Domain, Input, Labels, Samples};
use tlkit_core::logistic::Rows;
use tlkit_core::metrics::argmax;
use tlkit_core::random::Stream;
use tlkit_core::train::Silent;

struct Lines(Vec<String>);

impl Samples for Lines {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn id(&self, row: usize) -> String {
        row.to_string()
    }
    fn input(&self, row: usize) -> tlkit_core::Result<Input<'_>> {
        Ok(Input::Text(Cow::Borrowed(&self.0[row])))
    }
}

/// The first `limit` rows of a split; `None` where the data is not there.
fn split(name: &str, limit: usize) -> Option<Domain<Labels>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/text/sst2");
    let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.tsv"))) else {
        println!("skipped: no ../shared/data/text/sst2");
        return None;
    };
    let rows = text.lines().take(limit).map(|line| {
        let (text, label) = line.rsplit_once('\t').expect("a tab in each line");
        (text.to_string(), u32::from(label == "1"))
    });
    let (texts, classes) = rows.unzip();
    Some(Domain {
        name: "sst2".into(),
        inputs: Arc::new(Lines(texts)),
        labels: Labels {
            classes,
            names: Arc::new(vec!["0".into(), "1".into()]),
        },
    })
}

fn dev_accuracy(limit: usize) -> Option<f64> {
    let (train, dev) = (split("train", limit)?, split("dev", usize::MAX)?);
    let fitted = TfIdf
        .fit(&train, Stream::new(0), &Silent)
        .expect("it learns");
    let logits = fitted.logits(dev.inputs.as_ref()).expect("it predicts");
    let right = logits.iter().zip(&dev.labels.classes);
    let right = right.filter(|(l, y)| argmax(l).0 == **y as usize).count();
    println!(
        "{limit} rows: {}, {right} of {}",
        fitted.words(),
        logits.len()
    );
    Some(right as f64 / logits.len() as f64)
}

#[test]
fn all_of_sst2_and_500_sentences_of_it() {
    for (limit, wanted) in [(6920, 0.805), (500, 0.688)] {
        let Some(reached) = dev_accuracy(limit) else {
            return;
        };
        assert!(
            (reached - wanted).abs() < 0.005,
            "{limit}: {reached}, wanted {wanted}"
        );
    }
}

#[test]
fn as_many_terms_as_scikit_learn_finds() {
    let Some(train) = split("train", usize::MAX) else {
        return;
    };
    let (vocabulary, rows) = Vocabulary::learn(train.inputs.as_ref()).expect("texts");
    assert_eq!((vocabulary.len(), rows.len()), (81_394, 6920));
}

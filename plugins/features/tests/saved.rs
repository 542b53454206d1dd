//! A trained model made again: maps that a strategy left come back with their bits, and what cannot come back says so when
//! it is written.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use common::{At, data, go, registry};
use tlkit_core::data::{Blob, Found, Named, Resolve, open_tables};
use tlkit_core::model::{Affine, Map, Model};
use tlkit_core::nn::{Dropout, Stage, Store};
use tlkit_core::recipe::{Keys, Written};
use tlkit_core::registry::{Context, Kind, Registry};
use tlkit_core::run::{RunResult, Saved};
use tlkit_core::strategy::{Fit, Infer, Needs, Phase, State, Strategy, Transfer};
use tlkit_core::task::Head;
use tlkit_core::train::Silent;
use tlkit_core::{Checked, Result};

/// `x + c`: a map of a plugin's own kind, its number in JSON.
struct Shift(f64);

impl Map for Shift {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        Ok((x + self.0)?)
    }
    fn kind(&self) -> &str {
        "shift"
    }
    fn save(&self) -> State {
        State {
            tensors: Vec::new(),
            json: self.0.to_string(),
        }
    }
}

fn load_shift(state: &State) -> Result<Arc<dyn Map>> {
    Ok(Arc::new(Shift(state.json.parse().unwrap())))
}

/// Leaves three maps: two of features, one of logits.
struct Mapped;

impl Fit for Mapped {
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        _: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        let width = infer.features(tlkit_core::data::From::Target)?.dim(1)?;
        let numbers: Vec<f32> = (0..width * width).map(|i| (i as f32).sin() / 3.0).collect();
        model.add_map(Arc::new(Affine {
            weight: Tensor::from_vec(numbers, (width, width), &Device::Cpu)?,
            bias: Tensor::full(0.1f32, width, &Device::Cpu)?,
        }));
        model.add_map(Arc::new(Shift(-0.3)));
        model.add_adjust(Arc::new(Affine {
            weight: Tensor::new(&[[1.5f32, 0.25], [-0.5, 2.0]], &Device::Cpu)?,
            bias: Tensor::new(&[0.1f32, -0.2], &Device::Cpu)?,
        }));
        Ok(BTreeMap::new())
    }
}

/// Either leaves maps or adds a stage that nobody else knows of.
struct Odd {
    grows: bool,
}

impl Strategy for Odd {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        if self.grows {
            let mut stages = transfer.model.head.stages.clone();
            let more: Arc<dyn Stage> = Arc::new(Dropout::new("more", 0.5));
            stages.insert(stages.len() - 1, more);
            let pool = transfer.model.head.pool;
            transfer.model = Model::new(transfer.model.encoder.clone(), Head { stages, pool });
        }
        Ok(())
    }

    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        Ok(vec![Phase::Fit {
            name: "maps".into(),
            fit: Box::new(Mapped),
        }])
    }
}

struct Files;

impl Resolve for Files {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        Ok(Found::File(Blob::Path(base.join(name))))
    }
}

/// With the odd strategies; `shift` is known where the run is, and where `everything` is.
fn odd(everything: bool) -> Registry {
    let mut registry = registry();
    for (name, grows) in [("maps", false), ("grows", true)] {
        let make = move |keys: &Keys, _: &Context| -> Option<Box<dyn Strategy>> {
            (!keys.is_blank()).then(|| Box::new(Odd { grows }) as Box<dyn Strategy>)
        };
        registry
            .strategy(name, Kind::Inductive, "for the tests", Arc::new(make))
            .unwrap();
    }
    if everything {
        registry.map("shift", Arc::new(load_shift)).unwrap();
    }
    registry
}

fn run(folder: &Path, method: &str, ending: &str, registry: &Registry) -> RunResult {
    let text = format!(
        "[source]\ntask = \"features\"\n[target]\ntask = \"classification\"\ntrain = \"train.{ending}\"\ntest = \"test.{ending}\"\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"{method}\"\n"
    );
    let name = folder.join("recipe.toml").display().to_string();
    let written = Written::parse(&name, &text, &[]).unwrap();
    let resolve: Arc<dyn Resolve> = Arc::new(Files);
    let checked = Checked::new(&written, registry, &resolve).unwrap();
    go(&checked, &folder.join("run"), At::Never).unwrap()
}

/// Bits of the probabilities of a file's rows, by a model that is made again.
fn again(folder: &Path, file: &str, registry: &Registry) -> Vec<Vec<u32>> {
    let saved = Saved::open(&folder.join("run/model"), registry).unwrap();
    let files: Arc<dyn Resolve> = Arc::new(Files);
    let cx = Context::new(registry, &files, folder);
    let tables = open_tables(&cx, file, &saved.rows.options()).unwrap();
    let found = saved.rows.find(tables, &Named::default()).unwrap();
    let bits = |p: Vec<f32>| p.into_iter().map(f32::to_bits).collect();
    let rows = saved.probabilities(found.inputs, &Silent).unwrap();
    rows.into_iter().map(bits).collect()
}

fn predicted(folder: &Path) -> Vec<Vec<u32>> {
    let text = std::fs::read_to_string(folder.join("run/predictions.jsonl")).unwrap();
    let row = |line: &str| -> Vec<u32> {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let list = row["probabilities"].as_array().unwrap();
        list.iter()
            .map(|p| (p.as_f64().unwrap() as f32).to_bits())
            .collect()
    };
    text.lines().map(row).collect()
}

#[test]
fn maps_come_back_with_their_bits_from_csv_and_svmlight() {
    for ending in ["csv", "svmlight"] {
        let dir = data();
        let registry = odd(true);
        let result = run(dir.path(), "maps", ending, &registry);
        assert_eq!(result.model["reloads"], true, "{}", result.model);
        let test = format!("test.{ending}");
        assert_eq!(again(dir.path(), &test, &registry), predicted(dir.path()));
    }
}

#[test]
fn an_svmlight_file_without_the_lowest_index_has_the_columns_of_the_run() {
    let dir = data();
    let registry = odd(true);
    run(dir.path(), "maps", "svmlight", &registry);
    // The second feature alone; by itself the file would count from it.
    std::fs::write(dir.path().join("one.svmlight"), "left 2:1.5\n").unwrap();
    std::fs::write(dir.path().join("both.svmlight"), "left 1:0 2:1.5\n").unwrap();
    assert_eq!(
        again(dir.path(), "one.svmlight", &registry),
        again(dir.path(), "both.svmlight", &registry)
    );
}

#[test]
fn a_map_of_an_unknown_kind_is_refused_when_it_is_written() {
    let dir = data();
    let result = run(dir.path(), "maps", "csv", &odd(false));
    assert_eq!(result.model["reloads"], false);
    let why = result.model["reloads_why"].as_str().unwrap();
    assert!(why.contains("a map of the kind `shift`"), "{why}");
    let error = Saved::open(&dir.path().join("run/model"), &odd(true))
        .err()
        .unwrap();
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_network_that_the_strategy_changed_is_refused_when_it_is_written() {
    let dir = data();
    let result = run(dir.path(), "grows", "csv", &odd(true));
    assert_eq!(result.model["reloads"], false);
    let why = result.model["reloads_why"].as_str().unwrap();
    assert!(
        why.contains("`grows` changed the network") || why.contains("more"),
        "{why}"
    );
}

#[test]
fn a_tensor_that_is_missing_is_listed() {
    let dir = data();
    let registry = odd(true);
    run(dir.path(), "maps", "csv", &registry);
    let file = dir.path().join("run/model/model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    let mut tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
    tensors.remove("classifier.bias").unwrap();
    std::fs::write(&file, safetensors::serialize(&tensors, None).unwrap()).unwrap();
    let error = Saved::open(&dir.path().join("run/model"), &registry)
        .err()
        .unwrap();
    assert!(error.to_string().contains("classifier.bias"), "{error}");
    // Half a file is none.
    std::fs::write(&file, &bytes[..bytes.len() - 4]).unwrap();
    let error = Saved::open(&dir.path().join("run/model"), &registry)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("not a whole safetensors file"),
        "{error}"
    );
}

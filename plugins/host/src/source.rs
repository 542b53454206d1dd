//! A stranger's source task.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use tlkit_abi as abi;
use tlkit_core::data::{Found, Input, Prepare};
use tlkit_core::model::Model;
use tlkit_core::nn::{Param, Scope, Stage, Store, Weights};
use tlkit_core::run::write_network;
use tlkit_core::strategy::Defaults;
use tlkit_core::task::{Encoder, Export, SourceTask};
use tlkit_core::train::{OptimizerSpec, Schedule};
use tlkit_core::{Error, Result};

use crate::conformance::Rows;
use crate::library::Plugin;
use crate::manifest::ManifestEntry;
use crate::network::{Network, Reads};
use crate::prepare::CPrepare;
use crate::stage::CStage;

/// An encoder that a library brings, with the keys of a recipe.
pub(crate) struct CSource {
    table: &'static abi::SourceTask,
    who: String,
    name: String,
    keys: Map<String, Value>,
    /// Describes and prepares; each encoder has one of its own.
    network: Arc<Network>,
    checkpoint: Option<Found>,
    schedule: &'static str,
    digest: String,
}

/// Those of [`Schedule::parse`] whose names a default may have.
const SCHEDULES: [&str; 6] = [
    "constant",
    "linear",
    "cosine",
    "one-cycle",
    "step",
    "inverse-sqrt",
];

impl CSource {
    /// From checked keys and, where the recipe names one, a folder of weights.
    pub fn make(
        plugin: &Plugin,
        entry: &ManifestEntry,
        keys: &Map<String, Value>,
        checkpoint: Option<Found>,
    ) -> Result<Self> {
        let who = format!("{}: the source task `{}`", plugin.name(), entry.name);
        let table: &'static abi::SourceTask = plugin.table(entry)?;
        let network = Network::make(table, &who, keys)?;
        let wrong = |e: String| Error::msg(format!("{who} describes itself wrongly: {e}"));
        let training = &network.about.defaults;
        let said = training.schedule.as_deref().unwrap_or("constant");
        let schedule = SCHEDULES.into_iter().find(|s| *s == said);
        let schedule = schedule.ok_or_else(|| wrong(format!("there is no schedule `{said}`")))?;
        if let Some(name) = &training.optimizer
            && !OptimizerSpec::NAMES.contains(&name.as_str())
        {
            return Err(wrong(format!("there is no optimizer `{name}`")));
        }
        let numbers = [
            ("learning_rate", training.learning_rate, true),
            ("weight_decay", training.weight_decay, false),
            ("head_multiple", training.head_multiple, true),
            ("clip", training.clip, true),
        ];
        for (name, value, above) in numbers {
            if let Some(v) = value
                && !(v.is_finite() && v >= 0.0 && (v > 0.0 || !above))
            {
                return Err(wrong(format!("`{name}` is {v}")));
            }
        }
        if let Some(w) = training.warmup
            && !(0.0..=1.0).contains(&w)
        {
            return Err(wrong(format!("`warmup` is {w}")));
        }
        if training.batch_size == Some(0) {
            return Err(wrong("`batch_size` is 0".into()));
        }
        let digest = format!(
            "plugin {} {} {}",
            plugin.stamp.sha256,
            entry.name,
            Value::Object(keys.clone())
        );
        Ok(CSource {
            table,
            who,
            name: entry.name.clone(),
            keys: keys.clone(),
            network: Arc::new(network),
            checkpoint,
            schedule,
            digest,
        })
    }

    /// Makes one on parameters of a store.
    pub fn build(&self, scope: &Scope<'_>) -> Result<CEncoder> {
        let network = Arc::new(Network::make(self.table, &self.who, &self.keys)?);
        let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
        for (index, stage) in network.about.stages.iter().enumerate() {
            let scope = scope.sub(&stage.name);
            let params = stage.params.iter().enumerate().map(|(i, p)| {
                let param = scope.param(&p.name, &p.shape, p.role, p.init)?;
                network.settle(index, i, &param)?;
                Ok(param)
            });
            let params: Vec<Param> = params.collect::<Result<_>>()?;
            stages.push(Arc::new(CStage::new(&network, index, params)));
        }
        Ok(CEncoder {
            stages,
            width: network.about.features(),
            network,
        })
    }
}

/// Its stages, on parameters of a store.
pub(crate) struct CEncoder {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
    pub network: Arc<Network>,
}

impl Encoder for CEncoder {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    fn width(&self) -> usize {
        self.width
    }
}

impl SourceTask for CSource {
    fn defaults(&self) -> Defaults {
        let said = &self.network.about.defaults;
        let plain = Defaults::plain();
        let optimizer = said.optimizer.as_deref();
        let optimizer = optimizer.map_or(plain.optimizer, OptimizerSpec::named);
        let schedule =
            Schedule::parse(self.schedule, 0.0).map_or(plain.schedule, |_| self.schedule);
        Defaults {
            family: self.name.clone(),
            optimizer: match said.weight_decay {
                Some(decay) => optimizer.with_decay(decay),
                None => optimizer,
            },
            learning_rate: said.learning_rate.unwrap_or(plain.learning_rate),
            head_multiple: said.head_multiple.unwrap_or(plain.head_multiple),
            schedule,
            warmup: said.warmup.unwrap_or(plain.warmup),
            batch_size: said.batch_size.unwrap_or(plain.batch_size),
            clip: said.clip.or(plain.clip),
        }
    }

    fn expect_width(&mut self, width: Option<usize>) -> Result<()> {
        let about = &self.network.about;
        match width {
            Some(there) if about.reads == Reads::Features && there != about.width => {
                Err(Error::msg(format!(
                    "`{}` takes vectors of {} numbers, and the data has {there}",
                    self.name, about.width
                )))
            }
            _ => Ok(()),
        }
    }

    fn reads(&self) -> Option<&'static str> {
        Some(self.network.about.reads.kind())
    }

    fn shape(&self) -> Option<Vec<usize>> {
        Some(vec![self.network.about.features()])
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(CPrepare {
            network: self.network.clone(),
            digest: self.digest.clone(),
        }))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let Some(found) = &self.checkpoint else {
            return self.fresh_encoder(scope);
        };
        let file = found.file("model.safetensors").ok_or_else(|| {
            Error::msg("source.checkpoint: a folder with a `model.safetensors` is wanted")
        })?;
        let prefix = scope.prefix().to_string();
        let named = |n: &str| Some(format!("{prefix}.{n}"));
        let weights = Arc::new(Weights::open("model.safetensors", &file, &named)?);
        let encoder = self.build(&scope.clone().with_weights(weights.clone()))?;
        weights.finish()?;
        Ok(Arc::new(encoder))
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        Ok(Arc::new(self.build(scope)?))
    }

    fn pooling(&self, _: &Scope<'_>, choice: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        match choice {
            None => Ok(Vec::new()),
            Some(name) => Err(Error::msg(format!(
                "`{}` pools by itself; leave out `{name}`",
                self.name
            ))),
        }
    }

    fn head_dropout(&self) -> f64 {
        self.network.about.head_dropout
    }

    fn head_init(&self) -> f64 {
        self.network.about.head_init.unwrap_or(0.02)
    }

    fn export(&self, model: &Model, _: &Store, labels: &[String], to: &Path) -> Result<Export> {
        let config = serde_json::json!({
            "model_type": format!("tlkit-{}", self.name),
            "keys": self.keys,
            "labels": labels,
        });
        write_network(&config, model, to)?;
        Ok(Export::Ours {
            why: format!("its network is in a plugin, {}", self.who),
        })
    }

    fn digest(&self) -> String {
        match self.weights() {
            Some(sha) => format!("{} weights {sha}", self.digest),
            None => self.digest.clone(),
        }
    }

    /// The weights alone: the same head begins over them whatever build of the library reads them.
    fn ancestor(&self) -> Option<String> {
        let ours = self.checkpoint.as_ref().is_some_and(Found::is_ours);
        ours.then(|| self.weights()).flatten()
    }
}

impl CSource {
    /// SHA-256 of the checkpoint's weights, in hexadecimal.
    fn weights(&self) -> Option<String> {
        use sha2::Digest;
        let file = self.checkpoint.as_ref()?.file("model.safetensors")?;
        // What cannot be read now is an error when it is loaded.
        let bytes = file.bytes().unwrap_or_default();
        Some(tlkit_core::hex(&sha2::Sha256::digest(&bytes)))
    }

    /// Inputs to try it with: `file` where it reads images and there is one, and otherwise made up.
    pub fn rows(&self, file: Option<&Path>) -> Result<Rows> {
        let stream = tlkit_core::random::Stream::new(5);
        let about = &self.network.about;
        let words = [
            "good",
            "bad",
            "a film",
            "the end",
            "nobody",
            "again and again",
        ];
        let text = |i: u64| {
            let picked = (0..1 + stream.below(i, 8)).map(|k| stream.below(100 * i + k, 6) as usize);
            let picked: Vec<&str> = picked.map(|w| words[w]).collect();
            picked.join(" ")
        };
        let one = |i: u64| -> Result<Input<'static>> {
            Ok(match about.reads {
                Reads::Text => Input::Text(text(i).into()),
                Reads::Pair => Input::Pair(text(i).into(), text(i + 50).into()),
                Reads::Features => Input::Features(stream.at(i).normals(about.width).into()),
                Reads::Image => match file {
                    Some(file) => {
                        Input::Image(std::fs::read(file).map_err(Error::io(file))?.into())
                    }
                    None => Input::Image(picture(i).into()),
                },
            })
        };
        (0..4).map(one).collect::<Result<Vec<_>>>().map(Rows)
    }
}

/// A bitmap of 40 x 30 pixels that nobody else has: the one format that can be written in a few lines.
fn picture(seed: u64) -> Vec<u8> {
    let (width, height) = (40u32, 30u32);
    let pixels = width * height * 3;
    let mut out = b"BM".to_vec();
    for n in [
        54 + pixels,
        0,
        54,
        40,
        width,
        height,
        1 | 24 << 16,
        0,
        pixels,
        2835,
        2835,
        0,
        0,
    ] {
        out.extend(n.to_le_bytes());
    }
    let stream = tlkit_core::random::Stream::new(seed);
    out.extend((0..u64::from(pixels)).map(|i| stream.below(i, 256) as u8));
    out
}

//! MLP-Mixer (Tolstikhin et al. 2021) as a source task: patches of an image are tokens, and dense layers mix first the tokens, channel by
//! channel, then the channels, token by token. No attention, no convolution.
//!
//! - `lib.rs`: keys, defaults, what is exported
//! - `picture.rs`: from the bytes of an image to numbers
//! - `mixer.rs`: the stages

mod mixer;
mod picture;

use std::path::Path;
use std::sync::Arc;

use tlkit_plugin::core::data::Prepare;
use tlkit_plugin::core::model::Model;
use tlkit_plugin::core::nn::{Scope, Stage, Store};
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::strategy::Defaults;
use tlkit_plugin::core::task::{Encoder, Export, SourceTask};
use tlkit_plugin::core::train::OptimizerSpec;
use tlkit_plugin::core::{Error, Result};
use tlkit_plugin::{Plugin, Source};

use mixer::{Mixer, Shape};
use picture::Pictures;

/// `task = "mlp-mixer"`.
struct MlpMixer {
    shape: Shape,
}

impl Source for MlpMixer {
    fn make(keys: &Keys) -> Option<Self> {
        let side = keys.usize("side").range(8..=512).default(32usize, "enough for scenes").help("pixels a side of the images").read();
        let patch = keys.usize("patch").range(1..=64).default(4usize, "an eighth of the side").help("pixels a side of a patch").read();
        let width = keys.usize("width").range(4..=4096).default(64usize, "small enough for a CPU").help("channels of a token").read();
        let blocks = keys.usize("blocks").range(1..=64).default(3usize, "small enough for a CPU").help("mixer layers").read();
        if side % patch != 0 && !keys.is_blank() {
            keys.error(keys.at("patch"), format!("patches of {patch} pixels do not fill a side of {side}"));
            return None;
        }
        Some(MlpMixer { shape: Shape { side, patch, width, blocks } })
    }

    fn input(&self) -> Vec<usize> {
        vec![self.shape.side, self.shape.side, 3]
    }
}

impl SourceTask for MlpMixer {
    fn defaults(&self) -> Defaults {
        Defaults {
            family: "mlp-mixer".into(),
            optimizer: OptimizerSpec::named("adamw").with_decay(0.05),
            learning_rate: 3e-3,
            head_multiple: 1.0,
            schedule: "cosine",
            warmup: 0.1,
            batch_size: 32,
            clip: Some(1.0),
        }
    }

    fn reads(&self) -> Option<&'static str> {
        Some("an image")
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(Pictures { side: self.shape.side }))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.fresh_encoder(scope)
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        Ok(Arc::new(Mixer::new(scope, self.shape)?))
    }

    fn pooling(&self, _: &Scope<'_>, _: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        // The last stage is the mean over tokens.
        Ok(Vec::new())
    }

    fn export(&self, _: &Model, _: &Store, _: &[String], _: &Path) -> Result<Export> {
        Err(Error::msg("the host writes the model"))
    }

    fn digest(&self) -> String {
        format!("{:?}", self.shape)
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("mlp-mixer", env!("CARGO_PKG_VERSION"), "an example: an encoder for images in Rust")
        .source_task::<MlpMixer>("mlp-mixer", "patches mixed by dense layers (Tolstikhin et al. 2021)")
);

//! Sounds: a reader of folders of WAV files, an encoder of mel spectrograms, and the target task that puts the two together.
//!
//! - `folder.rs`: the reader; a class a folder, as image folders have it
//! - `wav.rs`: the format
//! - `mel.rs`: from samples to the logarithm of a mel spectrogram
//! - `encoder.rs`: the stages
//!
//! All sounds are taken as one second at 8 kHz: longer ones are cut, shorter ones end in silence.

mod encoder;
mod folder;
mod mel;
mod wav;

use std::path::Path;
use std::sync::Arc;

use tlkit_plugin::core::data::{Form, Prepare};
use tlkit_plugin::core::metrics::Metric;
use tlkit_plugin::core::model::Model;
use tlkit_plugin::core::nn::{Scope, Stage, Store};
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::strategy::Defaults;
use tlkit_plugin::core::task::{Encoder, Export, SourceTask};
use tlkit_plugin::core::{Error, Result};
use tlkit_plugin::{Measures, Plugin, Source, Target, Targets};

use encoder::Frames;
use folder::Folder;
use mel::{BANDS, FRAMES, SAMPLES, Spectrograms};

/// `task = "mel-spectrogram"`.
struct MelSpectrogram {
    width: usize,
}

impl Source for MelSpectrogram {
    fn make(keys: &Keys) -> Option<Self> {
        let width = keys.usize("width").range(4..=1024).default(48usize, "small enough for a CPU").help("channels of a frame").read();
        Some(MelSpectrogram { width })
    }

    fn input(&self) -> Vec<usize> {
        vec![FRAMES, BANDS]
    }

    fn width(&self) -> Option<usize> {
        Some(SAMPLES)
    }
}

impl SourceTask for MelSpectrogram {
    fn defaults(&self) -> Defaults {
        Defaults { family: "mel-spectrogram".into(), learning_rate: 2e-3, batch_size: 16, ..Defaults::plain() }
    }

    fn reads(&self) -> Option<&'static str> {
        Some("a feature vector")
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(Spectrograms::new()))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.fresh_encoder(scope)
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        Ok(Arc::new(Frames::new(scope, BANDS, self.width)?))
    }

    fn pooling(&self, _: &Scope<'_>, _: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        Ok(Vec::new())
    }

    fn export(&self, _: &Model, _: &Store, _: &[String], _: &Path) -> Result<Export> {
        Err(Error::msg("the host writes the model"))
    }

    fn digest(&self) -> String {
        format!("mel-spectrogram {}", self.width)
    }
}

/// `task = "wav-folder"`.
struct WavFolder {
    hidden: usize,
}

impl Targets for WavFolder {
    fn make(keys: &Keys) -> Option<Self> {
        let hidden = keys.usize("hidden").range(0..=4096).default(0usize, "a linear classifier").help("width of a dense layer before the classifier; 0: none").read();
        Some(WavFolder { hidden })
    }

    fn describe(&self) -> Target {
        use tlkit_plugin::core::nn::Activation::Relu;
        let target = Target::new(Form::Features).reader("wav-folder").metric("worst-recall", Default::default());
        match self.hidden {
            0 => target,
            width => target.dense(width, Relu),
        }
    }
}

/// The recall of the class that has the lowest.
struct WorstRecall;

impl Measures for WorstRecall {
    fn make(_: &Keys) -> Option<Self> {
        Some(WorstRecall)
    }
}

impl Metric for WorstRecall {
    fn score(&self, probabilities: &[Vec<f32>], truth: &[u32]) -> Result<f64> {
        let classes = probabilities.first().map_or(0, Vec::len);
        let (mut found, mut all) = (vec![0.0; classes], vec![0.0; classes]);
        for (p, &class) in probabilities.iter().zip(truth) {
            let class = class as usize;
            let said = (0..classes).fold(0, |best, c| if p[c] > p[best] { c } else { best });
            all[class] += 1.0;
            found[class] += f64::from(u8::from(said == class));
        }
        let recalls = found.iter().zip(&all).filter(|(_, n)| **n > 0.0).map(|(f, n)| f / n);
        recalls.reduce(f64::min).ok_or_else(|| Error::msg("no rows"))
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("wav-folder", env!("CARGO_PKG_VERSION"), "an example: sounds, from files to classes")
        .reader::<Folder>("wav-folder", "folders of WAV files, a class a folder")
        .source_task::<MelSpectrogram>("mel-spectrogram", "frames of a mel spectrogram, each with its neighbours")
        .metric::<WorstRecall>("worst-recall", "recall of the class that has the lowest")
        .target_task::<WavFolder>("wav-folder", "sounds to classes")
);

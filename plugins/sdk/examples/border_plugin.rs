//! An encoder of MiniLM's size, written with the SDK, that computes next to nothing: what `cargo run --release -p tlkit-host --example border`
//! loads to see what a step costs beside the plugin's own work. Its examples hold, as their first number, the seconds that were spent in its stages
//! since the last one was prepared.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tlkit_plugin::candle_core::{DType, Device, Tensor};
use tlkit_plugin::core::data::{Example, Field, Input, Prepare, View};
use tlkit_plugin::core::model::Model;
use tlkit_plugin::core::nn::{
    Batch, Flow, Gradients, Init, Param, Pass, Pullback, Role, Scope, Stage, Store,
};
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::strategy::Defaults;
use tlkit_plugin::core::task::{Encoder, Export, SourceTask};
use tlkit_plugin::core::{Error, Result};
use tlkit_plugin::{Plugin, Source};

const WIDTH: usize = 384;
const LENGTH: usize = 128;
const LAYERS: usize = 6;

/// Nanoseconds in stages.
static INSIDE: AtomicU64 = AtomicU64::new(0);

fn inside<T>(f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = f();
    INSIDE.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    done
}

/// `task = "minilm"`.
struct Still;

impl Source for Still {
    fn make(_: &Keys) -> Option<Self> {
        Some(Still)
    }

    fn input(&self) -> Vec<usize> {
        vec![LENGTH]
    }
}

impl SourceTask for Still {
    fn defaults(&self) -> Defaults {
        Defaults::plain()
    }

    fn reads(&self) -> Option<&'static str> {
        Some("a feature vector")
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(Clock))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.fresh_encoder(scope)
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let (w, up) = (WIDTH, 4 * WIDTH);
        let table = |name: &'static str, rows| (name, vec![rows, w]);
        let mut stages: Vec<Arc<dyn Stage>> = vec![Arc::new(StillStage::new(
            scope,
            "embeddings".into(),
            &[
                table("words", 30522),
                table("places", 512),
                table("norm", 2),
            ],
            vec![LENGTH, w],
        )?)];
        for layer in 0..LAYERS {
            let params = [
                table("query", w),
                table("key", w),
                table("value", w),
                table("output", w),
                table("biases", 4),
                table("up", up),
                ("up_bias", vec![up]),
                ("down", vec![w, up]),
                ("down_bias", vec![w]),
                table("norms", 4),
            ];
            let name = format!("layer.{layer}");
            let stage = StillStage::new(scope, name, &params, vec![LENGTH, w])?;
            stages.push(Arc::new(stage));
        }
        stages.push(Arc::new(StillStage::new(
            scope,
            "pool".into(),
            &[],
            vec![w],
        )?));
        Ok(Arc::new(StillEncoder(stages)))
    }

    fn pooling(&self, _: &Scope<'_>, _: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        Ok(Vec::new())
    }

    fn export(&self, _: &Model, _: &Store, _: &[String], _: &Path) -> Result<Export> {
        Err(Error::msg("the host writes the model"))
    }

    fn digest(&self) -> String {
        String::new()
    }
}

struct StillEncoder(Vec<Arc<dyn Stage>>);

impl Encoder for StillEncoder {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.0
    }

    fn width(&self) -> usize {
        WIDTH
    }
}

/// Puts out zeros, and has gradients of zeros, all of which were made beforehand.
struct StillStage {
    name: String,
    params: Vec<Param>,
    gradients: Vec<Tensor>,
    output: Vec<usize>,
    made: std::sync::Mutex<Vec<Tensor>>,
}

impl StillStage {
    fn new(
        scope: &Scope<'_>,
        name: String,
        params: &[(&str, Vec<usize>)],
        output: Vec<usize>,
    ) -> Result<Self> {
        let scope = scope.sub(&name);
        let params = params.iter();
        let params: Result<Vec<Param>> = params
            .map(|(name, shape)| scope.param(name, shape, Role::Weight, Init::Zeros))
            .collect();
        let params = params?;
        let gradients = params.iter().map(|p| Ok(p.detached().ones_like()?));
        Ok(StillStage {
            name,
            gradients: gradients.collect::<Result<_>>()?,
            params,
            output,
            made: Default::default(),
        })
    }

    /// A tensor of this shape, the same at every call.
    fn still(&self, shape: Vec<usize>) -> Result<Tensor> {
        let mut made = self.made.lock().map_err(|_| Error::msg("a panic"))?;
        if let Some(there) = made.iter().find(|t| t.dims() == shape) {
            return Ok(there.clone());
        }
        let new = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
        made.push(new.clone());
        Ok(new)
    }
}

impl Stage for StillStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        self.params.clone()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        inside(|| {
            let shape = [&[x.hidden.dim(0)?], &self.output[..]].concat();
            Ok(x.with(self.still(shape)?))
        })
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let y = self.forward(x, pass)?;
        inside(|| {
            let back = StillBack {
                of_input: self.still(x.hidden.dims().to_vec())?,
                params: self
                    .params
                    .iter()
                    .cloned()
                    .zip(self.gradients.clone())
                    .collect(),
            };
            Ok((y, Box::new(back) as Box<dyn Pullback>))
        })
    }
}

struct StillBack {
    of_input: Tensor,
    params: Vec<(Param, Tensor)>,
}

impl Pullback for StillBack {
    fn pull(self: Box<Self>, _: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        inside(|| {
            let mut all = self.params.into_iter();
            all.try_for_each(|(p, g)| into.add(&p, g))?;
            Ok(Some(self.of_input))
        })
    }
}

/// Examples that say how long stages took.
struct Clock;

impl Prepare for Clock {
    fn digest(&self) -> String {
        String::new()
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, _: &Input<'_>) -> Result<Example> {
        let mut numbers = vec![0.0; LENGTH];
        numbers[0] = INSIDE.swap(0, Ordering::Relaxed) as f32 * 1e-9;
        Ok(Example::new(1).with("input", Field::Floats(numbers)))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let values: Vec<f32> = examples
            .iter()
            .flat_map(|e| e.floats("input"))
            .copied()
            .collect();
        let input = Tensor::from_vec(values, (examples.len(), LENGTH), device)?;
        Ok(Batch::new(examples.len(), input))
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("border", "1", "stands still")
        .source_task::<Still>("minilm", "computes next to nothing")
);

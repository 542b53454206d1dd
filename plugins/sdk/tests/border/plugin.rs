//! A plugin of every kind, which panics where its key says.

use std::ptr::null;

use std::sync::Arc;

use tlkit_plugin::candle_core::{Device, Tensor};
use tlkit_plugin::core::data::{
    Blob, Example, Field, Input, Prepare, ReadOptions, Reader, Table, View,
};
use tlkit_plugin::core::metrics::Metric;
use tlkit_plugin::core::model::Model;
use tlkit_plugin::core::nn::{
    Batch, Flow, Gradients, Linear, Param, Pass, Pullback, Scope, Stage, Store,
};
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::registry::Kind;
use tlkit_plugin::core::strategy::{Defaults, LossTerm, Valued};
use tlkit_plugin::core::task::{Encoder, Export, SourceTask};
use tlkit_plugin::core::{Error, Result};
use tlkit_plugin::{
    Measures, Phase, Plugin, Source, Strategist, Target, Targets, Term, differentiate,
};

/// Panics where its key says.
pub(crate) struct Panics {
    pub(crate) taps: Vec<String>,
    pub(crate) at: String,
}

pub(crate) fn panic_at(here: &str, at: &str) {
    assert!(here != at, "a panic in {here}");
}

impl Term for Panics {
    fn make(keys: &Keys) -> Option<Self> {
        let at = keys.string("at").default("nowhere", "").read();
        panic_at("make", &at);
        Some(Panics {
            taps: vec!["features:0".into()],
            at,
        })
    }
}

impl LossTerm for Panics {
    fn taps(&self) -> &[String] {
        panic_at("taps", &self.at);
        &self.taps
    }

    fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> Result<Valued> {
        panic_at("value", &self.at);
        match self.at.as_str() {
            "error" => Err(Error::msg("not today")),
            "shape" => Ok(Valued {
                value: 1.0,
                taps: vec![taps[0].narrow(0, 0, 1)?],
                params: Vec::new(),
            }),
            "count" => Ok(Valued {
                value: 1.0,
                taps: Vec::new(),
                params: Vec::new(),
            }),
            _ => differentiate(taps, params, |taps, _| taps[0].sqr()?.sum_all()),
        }
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic_at("drop", &self.at);
    }
}

pub(crate) struct NoPhases;

impl Strategist for NoPhases {
    const KIND: Kind = Kind::Inductive;

    fn make(_: &Keys) -> Option<Self> {
        Some(NoPhases)
    }

    fn phases(&self) -> Vec<Phase> {
        panic!("a panic in phases")
    }
}

#[derive(Default)]
pub(crate) struct Lines;

pub(crate) struct Two(Vec<String>);

impl Reader for Lines {
    fn extensions(&self) -> &[&str] {
        &["lines"]
    }

    fn open(&self, name: &str, _: &Blob, _: &ReadOptions) -> Result<std::sync::Arc<dyn Table>> {
        assert!(name != "panic", "a panic in open");
        Ok(std::sync::Arc::new(Two(vec!["text".into()])))
    }
}

impl Table for Two {
    fn columns(&self) -> &[String] {
        &self.0
    }
    fn rows(&self) -> usize {
        2
    }
    fn cell(&self, row: usize, _: usize) -> Result<Input<'_>> {
        match row {
            0 => Ok(Input::Text("first".into())),
            _ => panic!("a panic in cell"),
        }
    }
    fn place(&self, _: usize) -> String {
        panic!("a panic in place")
    }
}

/// One dense layer, `y = x w^T + b`, that panics where its key says.
pub(crate) struct Net {
    pub(crate) at: String,
}

impl Source for Net {
    fn make(keys: &Keys) -> Option<Self> {
        let at = keys.string("at").default("nowhere", "").read();
        panic_at("make", &at);
        Some(Net { at })
    }

    fn input(&self) -> Vec<usize> {
        panic_at("input", &self.at);
        vec![3]
    }
}

impl SourceTask for Net {
    fn defaults(&self) -> Defaults {
        panic_at("defaults", &self.at);
        Defaults::plain()
    }

    fn reads(&self) -> Option<&'static str> {
        Some("a feature vector")
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(Rows(self.at.clone())))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.fresh_encoder(scope)
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let linear = Linear::new(&scope.sub("dense"), 3, 2, 0.5)?;
        let at = self.at.clone();
        Ok(Arc::new(One([Arc::new(Layer { linear, at })])))
    }

    fn pooling(&self, _: &Scope<'_>, _: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        Ok(Vec::new())
    }

    fn export(&self, _: &Model, _: &Store, _: &[String], _: &std::path::Path) -> Result<Export> {
        Err(Error::msg("the host does that"))
    }

    fn digest(&self) -> String {
        String::new()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        panic_at("drop", &self.at);
    }
}

pub(crate) struct One([Arc<dyn Stage>; 1]);

impl Encoder for One {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.0
    }

    fn width(&self) -> usize {
        2
    }
}

pub(crate) struct Layer {
    pub(crate) linear: Linear,
    pub(crate) at: String,
}

impl Stage for Layer {
    fn name(&self) -> &str {
        "dense"
    }

    fn params(&self) -> Vec<Param> {
        self.linear.params()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        // `describe` runs it too, on one row.
        assert!(
            x.hidden.dim(0)? == 1 || self.at != "forward",
            "a panic in forward"
        );
        assert!(!pass.training || self.at != "train", "a panic in train");
        Ok(x.with(self.linear.forward(&x.hidden)?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        if self.at == "pull" {
            return Ok((self.forward(x, pass)?, Box::new(NoWayBack)));
        }
        tlkit_plugin::core::nn::segment(self, x, pass)
    }
}

pub(crate) struct NoWayBack;

impl Pullback for NoWayBack {
    fn pull(self: Box<Self>, _: &Tensor, _: &mut Gradients) -> Result<Option<Tensor>> {
        panic!("a panic in pull")
    }
}

pub(crate) struct Rows(String);

impl Prepare for Rows {
    fn digest(&self) -> String {
        String::new()
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        panic_at("example", &self.0);
        let Input::Features(values) = input else {
            return Err(Error::msg("no numbers"));
        };
        Ok(Example::new(1).with("input", Field::Floats(values.to_vec())))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let values: Vec<f32> = examples
            .iter()
            .flat_map(|e| e.floats("input"))
            .copied()
            .collect();
        let width = values.len() / examples.len();
        let input = Tensor::from_vec(values, (examples.len(), width), device)?;
        Ok(Batch::new(examples.len(), input))
    }
}

pub(crate) struct Share;

impl Measures for Share {
    fn make(_: &Keys) -> Option<Self> {
        Some(Share)
    }
}

impl Metric for Share {
    fn score(&self, probabilities: &[Vec<f32>], truth: &[u32]) -> Result<f64> {
        assert!(truth[0] != 7, "a panic in score");
        Ok(f64::from(probabilities[0][truth[0] as usize]))
    }
}

pub(crate) struct Task;

impl Targets for Task {
    fn make(_: &Keys) -> Option<Self> {
        Some(Task)
    }

    fn describe(&self) -> Target {
        panic!("a panic in describe")
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("panics", "1", "panics")
        .loss_term::<Panics>("panics", "a term")
        .strategy::<NoPhases>("no-phases", "a strategy")
        .reader::<Lines>("lines", "a reader")
        .source_task::<Net>("net", "a source task")
        .metric::<Share>("share", "a metric")
        .target_task::<Task>("task", "a target task")
);

pub(crate) fn table<T>(index: usize) -> &'static T {
    // SAFETY: the table of this very file, which stays.
    unsafe {
        let plugin = &*tlkit_plugin_v1(null());
        assert_eq!(plugin.entries, 6);
        &*(**plugin.entry.add(index)).table.cast::<T>()
    }
}

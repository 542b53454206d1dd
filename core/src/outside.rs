//! A model from outside the transfer: a teacher. It has weights and a preparation of its own, never trains, and is gone once its outputs are known.

use candle_core::{DType, Device};

use crate::cache::{self, Cache, Key, Rows};
use crate::data::Samples;
use crate::model::Model;
use crate::nn::{Param, Store};
use crate::task::{Head, SourceTask};
use crate::train::{Observer, pass};
use crate::{Context, Error, Result};

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The pooled features, `(rows, width)`.
    Features,
    /// The logits of the head that its checkpoint brings, `(rows, classes)`.
    Logits,
}

/// A source task that only speaks.
pub struct Outside {
    name: String,
    source: Box<dyn SourceTask>,
    output: Output,
    width: usize,
    classes: Vec<String>,
}

impl Outside {
    /// Builds it once, to see that it can be built and what it gives. `name` is how the recipe calls it.
    pub fn new(name: &str, source: Box<dyn SourceTask>, output: Output) -> Result<Self> {
        let mut outside = Outside {
            name: name.to_string(),
            source,
            output,
            width: 0,
            classes: Vec::new(),
        };
        let built = outside.build()?;
        outside.width = match output {
            Output::Features => built.model.feature_width(),
            Output::Logits => built.classes.len(),
        };
        outside.classes = built.classes;
        Ok(outside)
    }

    /// How the recipe calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What its logits stand for, in their order; none where features are asked for.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What identifies it: its weights, and how it prepares inputs.
    pub fn digest(&self) -> Result<String> {
        let prepare = self.source.prepare()?.digest();
        Ok(format!(
            "{} {prepare} {:?}",
            self.source.digest(),
            self.output
        ))
    }

    /// Its output for every input, from the cache where it is there. Memory does not grow with the rows where there is a cache.
    pub fn rows(
        &self,
        inputs: &dyn Samples,
        cache: Option<&Cache>,
        observer: &dyn Observer,
    ) -> Result<Rows> {
        let built = self.build().context(&self.name)?;
        let prepare = self.source.prepare()?;
        let stages = built.model.chain().stages();
        let names: Vec<&str> = stages.iter().map(|s| s.name()).collect();
        let key = Key::new("outside")
            .with("source", &self.source.digest())
            .with("preparation", &prepare.digest())
            .with("stages", &names.join(" "))
            .with("output", &format!("{:?}", self.output))
            .with_params(&built.params())?
            .with_inputs(inputs)?;
        let what = match self.output {
            Output::Features => "teacher's features",
            Output::Logits => "teacher's logits",
        };
        cache::kept(cache, &key, inputs.len(), observer, &mut |sink| {
            let rows = pass::Rows {
                len: inputs.len(),
                example: &|row| {
                    Ok(std::sync::Arc::new(
                        prepare.example(&inputs.input(row as usize)?)?,
                    ))
                },
                prepare: prepare.as_ref(),
                device: built.store.device(),
            };
            rows.through(what, observer, sink, &|batch| {
                let (features, logits) = built.model.predict(batch, &built.model.evaluation())?;
                Ok(match self.output {
                    Output::Features => features,
                    Output::Logits => logits,
                })
            })
        })
    }

    fn build(&self) -> Result<Built> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let scope = store.scope("model");
        let encoder = self.source.encoder(&scope)?;
        let (head, classes) = match self.output {
            Output::Features => {
                let stages = self.source.pooling(&scope, None, true)?;
                let pool = stages.len();
                (Head { stages, pool }, Vec::new())
            }
            Output::Logits => self.source.source_head(&scope)?.ok_or_else(|| {
                Error::msg(format!(
                    "{} has no classification head to learn from; `of = \"features\"` learns from what it says of a text instead",
                    self.name
                ))
            })?,
        };
        Ok(Built {
            model: Model::new(encoder, head),
            store,
            classes,
        })
    }
}

struct Built {
    model: Model,
    store: Store,
    classes: Vec<String>,
}

impl Built {
    fn params(&self) -> Vec<Param> {
        self.store.all()
    }
}

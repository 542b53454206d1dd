//! The source task `features`.

use std::path::Path;
use std::sync::Arc;

use tlkit_core::data::Prepare;
use tlkit_core::model::Model;
use tlkit_core::nn::{Activation, NormMode, Scope, Stage, Store};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::Defaults;
use tlkit_core::task::{Encoder, Export, SourceTask};
use tlkit_core::train::OptimizerSpec;
use tlkit_core::{Error, Result};

use crate::export::export;
use crate::mlp::{Mlp, Shape};
use crate::prepare::Vectors;
use crate::scale::Scale;

/// A multi-layer perceptron with fresh weights, on feature vectors.
pub struct FeaturesSource {
    /// `inputs` is 0 until the target task's data has said.
    shape: Shape,
    scale: Scale,
}

impl FeaturesSource {
    /// From the keys of `[source]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn SourceTask>> {
        let (default, why) = match cx.frozen {
            true => (vec![], "the method trains no encoder"),
            false => (vec![64.0], "one layer"),
        };
        let hidden = keys
            .numbers("hidden")
            .default(default, why)
            .varies("`[64]`; `[]` where the method trains no encoder")
            .help("widths of the hidden layers; [] leaves the vectors as they are")
            .check(|widths| {
                let whole = |w: &f64| *w >= 1.0 && *w <= 65536.0 && w.fract() == 0.0;
                match widths.iter().all(whole) {
                    true => Ok(()),
                    false => Err("whole numbers from 1 to 65536".into()),
                }
            })
            .read();
        let activation = keys
            .string("activation")
            .one_of(Activation::NAMES)
            .default("relu", "the usual one")
            .help("after each hidden layer")
            .read();
        let dropout = keys
            .f64("dropout")
            .range(0.0..1.0)
            .default(0.0, "none")
            .help("share of each hidden layer's values dropped while training")
            .read();
        let scale = Scale::read(keys);
        let batch_norm = keys
            .bool("batch_norm")
            .default(false, "vectors of a few numbers need none")
            .help("batch norm before each activation, which `adabn` and `tent` adapt")
            .read();
        if cx.checkpoint.is_some() {
            keys.error(
                keys.at("checkpoint"),
                "`features` starts from fresh weights and reads no checkpoint in this version",
            )
            .help("leave out `checkpoint`");
            return None;
        }
        if keys.is_blank() {
            return None;
        }
        if hidden.is_empty() {
            for key in ["activation", "dropout", "batch_norm"] {
                if keys.differs(key) {
                    keys.warning(
                        keys.at(key),
                        format!("`{key}` does nothing where there is no hidden layer"),
                    )
                    .help("leave it out, or give the network layers: `hidden = [64]`");
                }
            }
        }
        let shape = Shape {
            inputs: 0,
            hidden: hidden.into_iter().map(|w| w as usize).collect(),
            activation: Activation::parse(&activation)?,
            dropout,
            batch_norm,
        };
        Some(Box::new(FeaturesSource { shape, scale }))
    }

    fn width(&self) -> usize {
        self.shape
            .hidden
            .last()
            .copied()
            .unwrap_or(self.shape.inputs)
            .max(1)
    }
}

impl SourceTask for FeaturesSource {
    fn defaults(&self) -> Defaults {
        Defaults {
            family: "features".into(),
            optimizer: OptimizerSpec::named("adamw").with_decay(0.0),
            learning_rate: 1e-3,
            head_multiple: 1.0,
            schedule: "constant",
            warmup: 0.0,
            batch_size: 32,
            clip: None,
        }
    }

    fn has_layers(&self) -> bool {
        !self.shape.hidden.is_empty()
    }

    fn untrained(&self) -> Option<&'static str> {
        self.has_layers().then_some("hidden")
    }

    fn expect_width(&mut self, width: Option<usize>) -> Result<()> {
        match width {
            Some(w) if w > 0 => {
                self.shape.inputs = w;
                Ok(())
            }
            Some(_) => Err(Error::msg(
                "the data has no features; every column but `label` should be a number",
            )),
            None => Err(Error::msg(
                "`features` takes feature vectors, and this target task has none: write `task = \"classification\"` under [target], or choose another source",
            )),
        }
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(Vectors::scaled(
            self.shape.inputs,
            self.scale.clone(),
        )))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        if self.shape.inputs == 0 {
            return Err(Error::msg(
                "how wide the inputs are is not known yet: call `expect_width` first",
            ));
        }
        Ok(Arc::new(Mlp::new(scope, &self.shape)?))
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.encoder(scope)
    }

    /// None: the last hidden layer is the features.
    fn pooling(&self, _: &Scope<'_>, choice: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        match choice {
            None => Ok(Vec::new()),
            Some(name) => Err(Error::msg(format!(
                "`features` has nothing to pool; leave out `pooling = \"{name}\"`"
            ))),
        }
    }

    /// A network with fresh weights has no statistics to keep.
    fn norm_mode(&self, _fresh: bool) -> Option<NormMode> {
        self.shape.batch_norm.then_some(NormMode::Train)
    }

    /// As wide as the features ask for: logits of a new classifier have a deviation of about 1.
    fn head_init(&self) -> f64 {
        1.0 / (self.width() as f64).sqrt()
    }

    fn export(&self, model: &Model, _: &Store, labels: &[String], to: &Path) -> Result<Export> {
        export(&self.shape, model, labels, to)
    }

    fn digest(&self) -> String {
        format!("features 2: {:?} {}", self.shape, self.scale.digest())
    }
}

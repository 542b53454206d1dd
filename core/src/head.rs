//! Heads that a recipe lists layer by layer: `head = ["global-average-pool", { dense = 128 }, { dropout = 0.5 }, "classifier"]`.

use std::sync::Arc;

use crate::Result;
use crate::nn::{Activation, Dense, Dropout, Linear, Scope, Stage};
use crate::recipe::{At, Keys, Value};
use crate::task::{Head, SourceTask};

/// A layer of a head.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// One of the family's poolings.
    Pool(String),
    /// A linear map and what follows it.
    Dense {
        /// Outputs.
        width: usize,
        /// After it.
        activation: Activation,
    },
    /// Dropout while training.
    Dropout(f64),
    /// The linear map to the classes.
    Classifier,
}

/// The layers that a recipe lists, each with its place.
#[derive(Clone, Debug)]
pub struct HeadLayers(Vec<(Layer, At)>);

/// Numbers an example has at some point of a head, as `(7, 7, 512)`.
fn shown(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("({})", sides.join(", "))
}

impl HeadLayers {
    /// Reads a list. `poolings` are those that may stand in it. `None` after an error was noted.
    pub fn read(keys: &Keys, list: &[Value], poolings: &[&str]) -> Option<Self> {
        let mut layers = Vec::new();
        for value in list {
            let at = value.at();
            if let Some(name) = value.as_str() {
                if name == "classifier" {
                    layers.push((Layer::Classifier, at));
                    continue;
                }
                if poolings.contains(&name) {
                    layers.push((Layer::Pool(name.to_string()), at));
                    continue;
                }
            }
            let Some(table) = value.as_keys() else {
                let names = poolings.iter().chain(&["classifier"]);
                let names: Vec<String> = names.map(|n| format!("\"{n}\"")).collect();
                value.error("not a layer").expected(format!(
                    "{}, {{dense = n}} or {{dropout = p}}",
                    names.join(", ")
                ));
                return None;
            };
            let layer = if table.has("dense") {
                let width = table.usize("dense").range(1..=65536).required();
                let activation = table
                    .string("activation")
                    .one_of(Activation::NAMES)
                    .default("relu", "the usual one")
                    .read();
                Layer::Dense {
                    width,
                    activation: Activation::parse(&activation)?,
                }
            } else {
                Layer::Dropout(table.f64("dropout").range(0.0..1.0).required())
            };
            layers.push((layer, at));
        }
        let classifiers = layers.iter().filter(|(l, _)| *l == Layer::Classifier);
        if classifiers.count() != 1 || layers.last().map(|(l, _)| l) != Some(&Layer::Classifier) {
            keys.error(keys.at("head"), "a head ends in exactly one \"classifier\"");
            return None;
        }
        Some(HeadLayers(layers))
    }

    /// The pooling that it names, if it names one.
    pub fn pooling(&self) -> Option<&str> {
        self.0.iter().find_map(|(l, _)| match l {
            Layer::Pool(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether the layers fit one behind the other on what an encoder gives, `shape` for an example; an error at the first that does not.
    pub fn fits(&self, keys: &Keys, source: &dyn SourceTask, shape: &[usize]) -> Option<()> {
        let mut now = shape.to_vec();
        let names = source.poolings();
        for (i, (layer, at)) in self.0.iter().enumerate() {
            let before = match i {
                0 => "the encoder".to_string(),
                _ => "the layer before it".to_string(),
            };
            match layer {
                Layer::Pool(name) if i > 0 && now.len() == 3 => {
                    keys.error(at.clone(), format!("`{name}` stands behind another layer"))
                        .help("write the pooling first: the layers behind it take one vector a picture");
                    return None;
                }
                Layer::Pool(name) if now.len() != 3 => {
                    keys.error(
                        at.clone(),
                        format!(
                            "`{name}` takes (height, width, channels), and {before} gives {}",
                            shown(&now)
                        ),
                    )
                    .help("pooling stands once, before every dense layer; leave it out where the encoder's last stage is dense");
                    return None;
                }
                Layer::Pool(name) if !names.contains(&name.as_str()) => {
                    keys.error(at.clone(), format!("this encoder has no `{name}`"))
                        .help(format!("write one of {}", names.join(", ")));
                    return None;
                }
                Layer::Pool(name) => now = vec![source.pooled(name).unwrap_or(now[2])],
                Layer::Dense { .. } | Layer::Classifier if now.len() != 1 => {
                    let name = match layer {
                        Layer::Classifier => "classifier",
                        _ => "dense",
                    };
                    keys.error(
                        at.clone(),
                        format!("`{name}` takes (n), and {before} gives {}", shown(&now)),
                    )
                    .help(format!("write one of {} before it", names.join(", ")));
                    return None;
                }
                Layer::Dense { width, .. } => now = vec![*width],
                Layer::Dropout(_) | Layer::Classifier => {}
            }
        }
        Some(())
    }

    /// Whether nothing with weights stands before the classifier.
    pub fn plain(&self) -> bool {
        !self.layers().any(|l| matches!(l, Layer::Dense { .. }))
    }

    /// The layers.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.0.iter().map(|(l, _)| l)
    }
}

/// Puts a head together: the pooling's stages, then the layers. `width` is that of the pooled features. Layers are called
/// `head.dense.0`, `head.dropout.1` by their place behind the pooling, and the last `classifier`.
pub fn build<'a>(
    scope: &Scope<'_>,
    source: &dyn SourceTask,
    pooling: Vec<Arc<dyn Stage>>,
    layers: impl Iterator<Item = &'a Layer>,
    width: usize,
    classes: usize,
) -> Result<Head> {
    let fresh = scope.fresh().apart(source.ancestor());
    let mut stages = pooling;
    let pool = stages.len();
    let mut width = width;
    let layers = layers.filter(|l| !matches!(l, Layer::Pool(_)));
    for (i, layer) in layers.enumerate() {
        let stage: Arc<dyn Stage> = match layer {
            Layer::Pool(_) => continue,
            Layer::Dropout(p) => Arc::new(Dropout::new(&format!("head.dropout.{i}"), *p)),
            Layer::Dense {
                width: out,
                activation,
            } => {
                let name = format!("head.dense.{i}");
                let scope = fresh.sub(&name);
                let linear = Linear::new(&scope, width, *out, (1.0 / width as f64).sqrt())?;
                width = *out;
                Arc::new(Dense::new(&name, linear, *activation))
            }
            Layer::Classifier => {
                let scope = fresh.sub("classifier");
                let linear = Linear::new(&scope, width, classes, source.head_init())?;
                Arc::new(Dense::new("classifier", linear, Activation::None))
            }
        };
        stages.push(stage);
    }
    Ok(Head { stages, pool })
}

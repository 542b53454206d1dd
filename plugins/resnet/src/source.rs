//! Image networks as a source task: a checkpoint, or fresh weights of a named architecture.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tlkit_core::data::{Found, Prepare, note_unresolved};
use tlkit_core::model::Model;
use tlkit_core::nn::{Activation, Dense, NormMode, Scope, Stage, Store, Weights};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::Defaults;
use tlkit_core::task::{Encoder, Export, Head, SourceTask};
use tlkit_core::train::OptimizerSpec;
use tlkit_core::{Error, Result};
use tlkit_image::Transform;

use crate::checkpoint::{Checkpoint, FILES};
use crate::network::{Architecture, Network, POOLINGS};
use crate::preparation::Preparation;
use crate::prepare::ImagePrepare;

/// A ResNet, VGG or Inception.
pub struct ImageSource {
    architecture: Architecture,
    checkpoint: Option<Checkpoint>,
    transform: Transform,
    digest: String,
    /// A run of tlkit trained it.
    ours: bool,
}

impl ImageSource {
    /// From the keys of `[source]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn SourceTask>> {
        let name = keys.string("checkpoint").optional();
        let named = keys
            .string("architecture")
            .one_of(Architecture::NAMES)
            .help("which network; without a checkpoint its weights are fresh")
            .unset("read from the checkpoint's tensors")
            .example("resnet18")
            .optional();
        let until = keys
            .string("until")
            .help("last stage that is carried over, `layer3` or `block5`; what is behind it is left out")
            .unset("the whole network")
            .optional();
        let mut checkpoint = None;
        match &cx.checkpoint {
            Some(found) => {
                let name = name.as_deref().unwrap_or("checkpoint");
                match Checkpoint::open(name, found) {
                    Ok(c) => checkpoint = Some(c),
                    Err(e) => {
                        note_unresolved(keys, keys.at("checkpoint"), &e);
                        return None;
                    }
                }
            }
            // It was named and not found, which is noted. The other keys are looked at all the same.
            None if name.is_some() => {
                transform(keys, &Architecture::named("resnet18")?, None);
                return None;
            }
            None => {}
        }
        let named = named.and_then(|n| Architecture::named(&n));
        let architecture = match (&checkpoint, named) {
            (Some(c), Some(asked)) if !c.architecture.is_part_of(&asked) => {
                let is = c.architecture.words();
                keys.conflict(
                    &[
                        (keys.at("checkpoint"), &format!("this is {is}")),
                        (keys.at("architecture"), "and not this"),
                    ],
                    "the checkpoint is of another network",
                )
                .help("leave `architecture` out: the checkpoint's tensors say it");
                return None;
            }
            (Some(c), _) => c.architecture.clone(),
            (None, Some(asked)) => asked,
            (None, None) if keys.is_blank() => Architecture::named("resnet18")?,
            (None, None) => {
                // An unknown name is noted where it was read.
                if !keys.has("architecture") {
                    keys.error(keys.here(), "which network? There is neither a checkpoint nor an architecture")
                        .help("write `checkpoint = \"...\"`, or `architecture = \"resnet18\"` for fresh weights");
                }
                return None;
            }
        };
        let architecture = match &until {
            None => architecture,
            Some(stage) => match architecture.until(stage) {
                Ok(part) => part,
                Err(ends) => {
                    keys.error(
                        keys.at("until"),
                        format!("{} cannot end at `{stage}`", architecture.words()),
                    )
                    .expected(ends.join(" or "));
                    return None;
                }
            },
        };
        let transform = transform(keys, &architecture, checkpoint.as_ref());
        if keys.is_blank() {
            return None;
        }
        if architecture.shapes(transform.crop).is_none() {
            let at = match keys.has("image_size") {
                true => keys.at("image_size"),
                false => keys.here(),
            };
            keys.error(
                at,
                format!(
                    "images of {0} x {0} pixels are too small for {1}",
                    transform.crop,
                    architecture.words()
                ),
            )
            .help("write a larger `image_size`, or end the network earlier with `until`");
            return None;
        }
        let digest = match (&cx.checkpoint, cx.saved.is_some()) {
            // A trained model that is made again starts no run, and nothing is kept under its digest.
            (_, true) => String::new(),
            (None, _) => format!("image network 1, fresh, {architecture:?}"),
            (Some(found), _) => match digest(found) {
                Ok(digest) => format!("{digest} {architecture:?}"),
                Err(e) => {
                    note_unresolved(keys, keys.at("checkpoint"), &e);
                    return None;
                }
            },
        };
        Some(Box::new(ImageSource {
            architecture,
            checkpoint,
            transform,
            digest,
            ours: cx.checkpoint.as_ref().is_some_and(Found::is_ours),
        }))
    }

    fn width(&self) -> usize {
        let shapes = self.architecture.shapes(self.transform.crop);
        let last = shapes.and_then(|s| s.last().and_then(|(_, shape)| shape.last().copied()));
        // The shapes were looked at when this was made.
        last.unwrap_or(0)
    }

    fn network(&self, scope: &Scope<'_>) -> Result<Network> {
        Network::sized(scope, &self.architecture, self.transform.crop)
    }
}

/// How images are prepared: by the keys, or as the checkpoint says.
fn transform(keys: &Keys, architecture: &Architecture, c: Option<&Checkpoint>) -> Transform {
    let nobody = "ImageNet's: there is no checkpoint that says another";
    let imagenet = || Preparation::imagenet(architecture.size(), nobody);
    c.map_or_else(imagenet, |c| c.preparation.clone())
        .read(keys)
}

/// Of the names under a prefix that nobody took: those within the layers that were built, and others that are not expected either. Expected are
/// those of the checkpoint's own classifier, and what stands behind `until`.
fn left_over<'a>(
    unexpected: &'a [String],
    prefix: &str,
    architecture: &Architecture,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let layers = match architecture {
        Architecture::Resnet { blocks, .. } => blocks.len(),
        Architecture::Cifar { .. } => 3,
        _ => 0,
    };
    let (mut foreign, mut odd) = (Vec::new(), Vec::new());
    for name in unexpected {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        let name = name.trim_start_matches('.');
        let classifier = ["fc.", "fc2.", "linear.", "classifier.", "head."];
        let layer = name
            .strip_prefix("layer")
            .and_then(|rest| rest.split_once('.')?.0.parse::<usize>().ok());
        match layer {
            Some(n) if (1..=layers).contains(&n) => foreign.push(name),
            Some(_) if layers > 0 => {}
            _ if classifier.iter().any(|start| name.starts_with(start)) => {}
            _ => odd.push(name),
        }
    }
    (foreign, odd)
}

/// The first few of many names.
fn some(names: &[&str]) -> String {
    const LISTED: usize = 8;
    let shown = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A hash of the weights.
pub(crate) fn digest(found: &Found) -> Result<String> {
    let mut sha = Sha256::new();
    let weights = match found {
        Found::File(blob) => Some(blob.clone()),
        folder => FILES.iter().find_map(|f| folder.file(f)),
    };
    if let Some(blob) = weights {
        blob.pieces(|piece| sha.update(piece))?;
    }
    Ok(tlkit_core::hex(&sha.finalize()))
}

impl SourceTask for ImageSource {
    fn untrained(&self) -> Option<&'static str> {
        self.checkpoint.is_none().then_some("architecture")
    }

    fn defaults(&self) -> Defaults {
        if self.checkpoint.is_none() {
            return self.scratch_defaults();
        }
        Defaults {
            family: format!("{}, carried over", self.architecture.family()),
            optimizer: OptimizerSpec::Sgd {
                momentum: 0.9,
                nesterov: false,
                weight_decay: 1e-4,
            },
            learning_rate: 1e-3,
            head_multiple: 10.0,
            schedule: "cosine",
            warmup: 0.0,
            batch_size: 32,
            clip: None,
        }
    }

    fn scratch_defaults(&self) -> Defaults {
        Defaults {
            family: format!("{}, from scratch", self.architecture.family()),
            optimizer: OptimizerSpec::Sgd {
                momentum: 0.9,
                nesterov: false,
                weight_decay: 5e-4,
            },
            // Without batch norm larger rates blow up.
            learning_rate: if self.architecture.has_batch_norm() {
                0.05
            } else {
                0.01
            },
            head_multiple: 1.0,
            schedule: "cosine",
            warmup: 0.05,
            batch_size: 32,
            clip: None,
        }
    }

    fn reads(&self) -> Option<&'static str> {
        Some("an image")
    }

    fn norm_mode(&self, fresh: bool) -> Option<NormMode> {
        let fresh = fresh || self.checkpoint.is_none();
        self.architecture.has_batch_norm().then_some(match fresh {
            true => NormMode::Train,
            false => NormMode::Frozen,
        })
    }

    /// As the tensors say: a norm that was folded into its convolution has no statistics that a domain could change.
    fn batch_norm(&self) -> bool {
        let folded = self
            .checkpoint
            .as_ref()
            .is_some_and(|c| !c.has_statistics());
        self.architecture.has_batch_norm() && !folded
    }

    fn shape(&self) -> Option<Vec<usize>> {
        let shapes = self.architecture.shapes(self.transform.crop)?;
        shapes.into_iter().next_back().map(|(_, shape)| shape)
    }

    fn pooled(&self, pooling: &str) -> Option<usize> {
        match pooling {
            "flatten" => Some(self.shape()?.iter().product()),
            _ => None,
        }
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(ImagePrepare::new(self.transform.clone())))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let Some(checkpoint) = &self.checkpoint else {
            return self.fresh_encoder(scope);
        };
        let weights = checkpoint.weights(scope.prefix());
        let network = self.network(&scope.clone().with_weights(weights.clone()))?;
        let report = weights.finish()?;
        let (foreign, odd) = left_over(&report.unexpected, scope.prefix(), &self.architecture);
        if !foreign.is_empty() {
            return Err(Error::msg(format!(
                "{}: no part of {} takes what stands within its layers as {}; the file is of another network, whose features this one would not give: \
                 choose another checkpoint",
                checkpoint.name,
                self.architecture.words(),
                some(&foreign)
            )));
        }
        if let Some(first) = odd.first() {
            eprintln!(
                "note: {} tensors of {} are not used, {first} first among them",
                odd.len(),
                checkpoint.name
            );
        }
        Ok(Arc::new(network))
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        Ok(Arc::new(self.network(&scope.fresh())?))
    }

    fn pooling(&self, _: &Scope<'_>, choice: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        let name = choice.unwrap_or(POOLINGS[0]);
        let width = self.pooled(name).unwrap_or_else(|| self.width());
        Ok(self.architecture.pooling(name, width))
    }

    fn poolings(&self) -> &[&'static str] {
        match self.architecture.ends_dense() {
            true => &[],
            false => &POOLINGS,
        }
    }

    fn source_head(&self, scope: &Scope<'_>) -> Result<Option<(Head, Vec<String>)>> {
        let Some(c) = self.checkpoint.as_ref().filter(|c| c.classes > 0) else {
            return Ok(None);
        };
        let whole = c.architecture == self.architecture;
        if !whole {
            return Ok(None);
        }
        let weights = Arc::new(Weights::from_tensors(&c.name, c.own(scope.prefix())));
        let own = scope
            .clone()
            .with_weights(weights.clone())
            .sub("classifier");
        let linear = tlkit_core::nn::Linear::new(&own, self.width(), c.classes, 0.0)?;
        let missing = weights.report().missing;
        if !missing.is_empty() {
            return Err(Error::Missing {
                file: c.name.clone(),
                missing,
                unexpected: Vec::new(),
            });
        }
        let mut stages = self.pooling(scope, None, true)?;
        let pool = stages.len();
        stages.push(Arc::new(Dense::new("classifier", linear, Activation::None)));
        let names = match c.preparation.labels.is_empty() {
            true => (0..c.classes).map(|i| format!("LABEL_{i}")).collect(),
            false => c.preparation.labels.clone(),
        };
        Ok(Some((Head { stages, pool }, names)))
    }

    /// As wide as the features ask for: logits of a new classifier have a deviation of about 1.
    fn head_init(&self) -> f64 {
        0.01
    }

    fn export(&self, model: &Model, store: &Store, labels: &[String], to: &Path) -> Result<Export> {
        crate::export::write(
            &self.architecture,
            &self.transform,
            model,
            store,
            labels,
            to,
        )
    }

    fn saved(&self, keys: &mut serde_json::Map<String, serde_json::Value>) {
        // The tensors say which network it is, and where it ends.
        keys.remove("architecture");
        keys.remove("until");
        keys.insert("checkpoint".into(), ".".into());
    }

    fn exported(&self, folder: &Path) -> Result<Weights> {
        let name = folder.display().to_string();
        let checkpoint = Checkpoint::open(&name, &Found::Folder(folder.to_path_buf()))?;
        Ok(Weights::from_tensors(&name, checkpoint.own("model")))
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn ancestor(&self) -> Option<String> {
        self.ours.then(|| self.digest.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_within_a_layer_is_told_from_what_is_behind_the_end() {
        let names = [
            "m.layer1.0.se.fc1.weight",
            "m.layer2.0.conv1.weight",
            "m.layer3.1.se.fc1.weight",
            "m.layerscale.weight",
            "m.fc.weight",
            "m.stem.extra",
        ]
        .map(String::from);
        let whole = Architecture::named("resnet18").unwrap();
        let (foreign, odd) = left_over(&names, "m", &whole);
        assert_eq!(
            foreign,
            [
                "layer1.0.se.fc1.weight",
                "layer2.0.conv1.weight",
                "layer3.1.se.fc1.weight"
            ]
        );
        assert_eq!(odd, ["layerscale.weight", "stem.extra"]);
        let first = whole.until("layer1").unwrap();
        let (foreign, odd) = left_over(&names, "m", &first);
        assert_eq!(foreign, ["layer1.0.se.fc1.weight"]);
        assert_eq!(odd, ["layerscale.weight", "stem.extra"]);
        assert_eq!(some(&["a"; 10]), "a, a, a, a, a, a, a, a and 2 more");
    }
}

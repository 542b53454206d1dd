//! Image classification as a target task.

use candle_core::Tensor;
use tlkit_core::audit::Audit;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading, RowForm, View};
use tlkit_core::head::{self, HeadLayers, Layer};
use tlkit_core::nn::{Batch, Scope};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_core::{ClassLoss, ClassLossKeys, Result};

use crate::network::POOLINGS;
use crate::vit::FIRST;

/// Images to classes.
pub struct ImageClassification {
    data: DataKeys,
    layers: Option<HeadLayers>,
    view: View,
    loss: ClassLoss,
}

impl ImageClassification {
    /// From the keys of `[target]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn TargetTask>> {
        let data = DataKeys::target(keys, cx, Form::Images);
        let layers = keys
            .values("head")
            .help("the layers behind the encoder: \"global-average-pool\", \"global-max-pool\" or \"flatten\" (\"first-token\" for a vision transformer), then {dense = 128, activation = \"relu\"}, {dropout = 0.5}, \"classifier\"")
            .unset("the encoder's own pooling, classifier")
            .optional();
        let layers = match layers {
            None => None,
            Some(list) => Some({
                let [average, max, flatten] = POOLINGS;
                HeadLayers::read(keys, &list, &[average, max, flatten, FIRST])?
            }),
        };
        let augment = keys
            .string("augment")
            .one_of(["none", "weak", "strong", "shift", "mixup", "cutmix"])
            .default("none", "each image as it is")
            .help("views to train on: `weak` cuts and mirrors at random, `strong` also changes colours and erases; `shift` moves by up to a seventh and turns by up to 10 degrees, and mirrors nothing: for digits and signs; `mixup` blends a weak view with one of another image, `cutmix` puts a part of one into it, and labels are mixed alike")
            .read();
        let loss = ClassLossKeys::read(keys);
        let data = data?;
        let loss = loss.check(keys, &data)?;
        Some(Box::new(ImageClassification {
            data,
            layers,
            view: match augment.as_str() {
                "weak" => View::Weak,
                "strong" => View::Strong,
                "shift" => View::Shifted,
                "mixup" => View::Mixup,
                "cutmix" => View::Cutmix,
                _ => View::Plain,
            },
            loss,
        }))
    }
}

impl TargetTask for ImageClassification {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        self.data.domain(split)
    }

    fn row_form(&self) -> Result<Option<RowForm>> {
        self.data.row_form().map(Some)
    }

    fn fits(&self, keys: &Keys, source: &dyn SourceTask) {
        if let (Some(layers), Some(shape)) = (&self.layers, source.shape()) {
            layers.fits(keys, source, &shape);
        }
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        frozen: bool,
    ) -> Result<Head> {
        let choice = self.layers.as_ref().and_then(HeadLayers::pooling);
        let pooling = source.pooling(scope, choice, frozen)?;
        let width = choice.and_then(|c| source.pooled(c)).unwrap_or(width);
        let classes = self.data.classes().len();
        match &self.layers {
            Some(l) => head::build(scope, source, pooling, l.layers(), width, classes),
            None => head::build(
                scope,
                source,
                pooling,
                [Layer::Classifier].iter(),
                width,
                classes,
            ),
        }
    }

    fn loss(&self, logits: &Tensor, labels: Option<&Tensor>, batch: &Batch) -> Result<Tensor> {
        self.loss.of(logits, labels, batch)
    }

    fn mass(&self, labels: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        self.loss.mass_of(labels, batch)
    }

    fn plain_head(&self) -> bool {
        self.layers.as_ref().is_none_or(HeadLayers::plain)
    }

    fn plain_loss(&self) -> bool {
        self.loss.is_plain()
    }

    fn scoring(&self) -> Scoring {
        Scoring::Classes(self.data.classes().to_vec())
    }

    fn digest(&self) -> String {
        self.data.digest().to_string()
    }

    fn audit(&self) -> Option<&Audit> {
        Some(self.data.audit())
    }

    fn view(&self) -> View {
        self.view
    }
}

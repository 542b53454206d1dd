//! From an input to what a model takes. Preparation belongs to the checkpoint: tokenizer, image transform, scaling.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Device;

use super::table::{Input, Samples};
use crate::Result;
use crate::nn::Batch;
use crate::random::Stream;

/// One value of a prepared example.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// Indices: token ids, targets.
    Ids(Vec<u32>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Bytes: pixels, which take a quarter of the memory of numbers. What they mean as numbers is settled in [`Prepare::collate`].
    Bytes(Vec<u8>),
}

/// A prepared example: named fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    fields: BTreeMap<&'static str, Field>,
    length: usize,
    cut: bool,
}

impl Example {
    /// `length` is what batches are grouped by: the number of tokens; 1 where all are alike.
    pub fn new(length: usize) -> Self {
        Example {
            fields: BTreeMap::new(),
            length,
            cut: false,
        }
    }

    /// Says whether some of the input was left out, since it was longer than the limit.
    pub fn cut(mut self, cut: bool) -> Self {
        self.cut = cut;
        self
    }

    /// Whether some of the input was left out.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let of = |f: &Field| match f {
            Field::Ids(v) => v.len() * 4,
            Field::Floats(v) => v.len() * 4,
            Field::Bytes(v) => v.len(),
        };
        // A tree's node holds eleven entries, used or not.
        600 + self.fields.values().map(of).sum::<usize>()
    }

    /// Adds a field.
    pub fn with(mut self, name: &'static str, field: Field) -> Self {
        self.fields.insert(name, field);
        self
    }

    /// What batches are grouped by.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Indices by name; empty when absent.
    pub fn ids(&self, name: &str) -> &[u32] {
        match self.fields.get(name) {
            Some(Field::Ids(v)) => v,
            _ => &[],
        }
    }

    /// Numbers by name; empty when absent.
    pub fn floats(&self, name: &str) -> &[f32] {
        match self.fields.get(name) {
            Some(Field::Floats(v)) => v,
            _ => &[],
        }
    }

    /// Bytes by name; empty when absent.
    pub fn raw(&self, name: &str) -> &[u8] {
        match self.fields.get(name) {
            Some(Field::Bytes(v)) => v,
            _ => &[],
        }
    }
}

/// How a sample is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum View {
    /// As for prediction.
    #[default]
    Plain,
    /// Lightly augmented.
    Weak,
    /// Heavily augmented.
    Strong,
    /// Moved and turned a little, never mirrored.
    Shifted,
    /// With tokens masked out, and the masked ones as targets.
    Masked,
    /// A weak view, blended with one of another row; so are the labels.
    Mixup,
    /// A weak view with a part of one of another row in it; labels by area.
    Cutmix,
    /// One of the [`CUTS`] fixed views that a prediction can be averaged over.
    Cut(u8),
}

/// Four corners and the middle of an image, and their mirror images (Krizhevsky et al. 2012).
pub const CUTS: usize = 10;

impl View {
    /// Whether it is made of two rows.
    pub fn is_mixed(self) -> bool {
        matches!(self, View::Mixup | View::Cutmix)
    }
}

/// Turns inputs into examples and examples into batches.
///
/// Three steps, each done where it costs least. [`Prepare::example`] is done once a row: it decodes, tokenises, resizes, and what it makes is kept
/// between epochs as far as memory is meant to go. [`Prepare::view`] is done each time a row is drawn, on any thread: it changes the
/// kept example at random. So the plain example must hold whatever views are made from: an image's is the resized image as bytes, not yet cut.
/// [`Prepare::collate`] makes tensors, and numbers of bytes.
pub trait Prepare: Send + Sync {
    /// Part of the feature cache's key: a text that changes whenever the outcome does.
    fn digest(&self) -> String;
    /// The views it can make.
    fn views(&self) -> &[View];
    /// The preparation of one domain, where what is done to a row depends on its domain: its mean, its deviation. `source` are the rows of the source
    /// domain where `own` are of another. No label is looked at. `None` where all domains are prepared alike.
    fn fitted(
        &self,
        _own: &dyn Samples,
        _source: Option<&dyn Samples>,
    ) -> Result<Option<Arc<dyn Prepare>>> {
        Ok(None)
    }
    /// What [`Prepare::fitted`] found, for a saved model.
    fn state(&self) -> Option<serde_json::Value> {
        None
    }
    /// The preparation with what was found before.
    fn restored(&self, _state: &serde_json::Value) -> Result<Option<Arc<dyn Prepare>>> {
        Ok(None)
    }
    /// The longest input, in tokens, where there is a limit; longer ones are cut.
    fn limit(&self) -> Option<usize> {
        None
    }
    /// How many tokens of an example stand for something that the vocabulary does not know.
    fn unknown(&self, _example: &Example) -> usize {
        0
    }
    /// The length of every example, where all have one: then no row is prepared to learn its length.
    fn length(&self) -> Option<usize> {
        None
    }
    /// Whether preparing a row is worth another thread, and worth being done before the row is asked for: decoding is, counting tokens is not.
    fn slow(&self) -> bool {
        false
    }
    /// The plain view of an input. A pure function.
    fn example(&self, input: &Input<'_>) -> Result<Example>;
    /// Another view. `random` is a function of seed, row and epoch. The default knows the plain view only.
    fn view(&self, plain: &Example, view: View, random: Stream) -> Result<Example> {
        match view {
            View::Plain => Ok(plain.clone()),
            _ => {
                let _ = random;
                Err(crate::Error::msg(format!(
                    "this input has no {view:?} view"
                )))
            }
        }
    }
    /// One view of two rows, and the share of it that is the first's. Both are weak views; `view` says how they are mixed.
    ///
    /// A row is mixed with another one that its own stream draws from the whole domain, and not with a neighbour in its batch: so neither the size of
    /// the batch nor how it is cut into pieces changes what is seen. The share rides along to the loss ([`crate::ClassLoss::of`]).
    fn mix(
        &self,
        _one: &Example,
        _other: &Example,
        view: View,
        _random: Stream,
    ) -> Result<(Example, f64)> {
        Err(crate::Error::msg(format!(
            "this input has no {view:?} view"
        )))
    }
    /// Several examples as one batch, padded to the longest among them.
    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch>;
}

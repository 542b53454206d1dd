//! The model: encoder and head as one chain, and what may change predictions without a gradient.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use crate::nn::{Batch, Chain, Flow, NormMode, Param, Pass, Stage};
use crate::strategy::State;
use crate::task::{Encoder, Head};
use crate::train::frozen::Prefix;
use crate::{Error, Result};

/// A transformation that a closed-form phase fits, on features (CORAL) or on logits (temperature, prior shift).
///
/// It is ordinary Candle code, so that where a later phase trains the encoder, gradients pass through it.
pub trait Map: Send + Sync {
    /// `(batch, n)` to `(batch, m)`.
    fn apply(&self, x: &Tensor) -> Result<Tensor>;
    /// Its kind, to load it again: a name in [`MapKinds`].
    fn kind(&self) -> &str;
    /// Its numbers.
    fn save(&self) -> State;
}

/// `y = x W^T + b`: the map that core knows itself. Centring, whitening, CORAL, temperature and shifts of the prior are all of this kind.
#[derive(Clone, Debug)]
pub struct Affine {
    /// `(out, in)`.
    pub weight: Tensor,
    /// `(out,)`.
    pub bias: Tensor,
}

impl Affine {
    fn load(state: &State) -> Result<Arc<dyn Map>> {
        Ok(Arc::new(Affine {
            weight: state.tensor("weight")?,
            bias: state.tensor("bias")?,
        }))
    }
}

impl Map for Affine {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        // Made on the CPU, whatever the features are on.
        let (weight, bias) = (
            self.weight.to_device(x.device())?,
            self.bias.to_device(x.device())?,
        );
        Ok(x.matmul(&weight.t()?)?.broadcast_add(&bias)?)
    }

    fn kind(&self) -> &str {
        "affine"
    }

    fn save(&self) -> State {
        State {
            tensors: vec![
                ("weight".into(), self.weight.clone()),
                ("bias".into(), self.bias.clone()),
            ],
            json: String::new(),
        }
    }
}

/// Makes a map from what [`Map::save`] gave.
pub type LoadMap = Arc<dyn Fn(&State) -> Result<Arc<dyn Map>> + Send + Sync>;

/// The kinds of map that a checkpoint may hold, by name. By default those of core, `affine` and `knn`; a plugin adds its own to the registry.
#[derive(Clone)]
pub struct MapKinds(BTreeMap<String, LoadMap>);

impl Default for MapKinds {
    fn default() -> Self {
        let affine: LoadMap = Arc::new(Affine::load);
        let knn: LoadMap = Arc::new(crate::neighbours::Neighbours::load);
        MapKinds([("affine".to_string(), affine), ("knn".to_string(), knn)].into())
    }
}

impl MapKinds {
    /// Adds a kind; `false` when its name is taken.
    pub fn add(&mut self, kind: &str, load: LoadMap) -> bool {
        if self.0.contains_key(kind) {
            return false;
        }
        self.0.insert(kind.to_string(), load);
        true
    }

    /// Whether maps of this kind can be made again.
    pub fn knows(&self, kind: &str) -> bool {
        self.0.contains_key(kind)
    }

    /// Makes a map of a kind.
    pub fn load(&self, kind: &str, state: &State) -> Result<Arc<dyn Map>> {
        let load = self.0.get(kind).ok_or_else(|| {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            Error::msg(format!(
                "no map of the kind `{kind}` is known here; there are {}",
                known.join(", ")
            ))
        })?;
        load(state)
    }
}

/// A map as a stage of the chain.
struct Mapped {
    name: String,
    map: Arc<dyn Map>,
}

impl Stage for Mapped {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        Ok(x.with(self.map.apply(&x.hidden)?))
    }
}

impl Model {
    /// Numbers that a feature vector has: what the classifier reads, behind the pooling.
    pub fn feature_width(&self) -> usize {
        let params = self.head.classifier().iter().flat_map(|s| s.params());
        let mut reads = params.filter_map(|p| match p.dims() {
            &[_, inputs] => Some(inputs),
            _ => None,
        });
        reads.next().unwrap_or_else(|| self.encoder.width())
    }
}

impl Head {
    /// The stages that make logits of features.
    pub fn classifier(&self) -> &[Arc<dyn Stage>] {
        &self.stages[self.pool..]
    }

    /// Logits of features within the caller's own graph. Only for stages of ordinary Candle code: one whose backward is
    /// its own [`Stage::record`] would cut the graph here.
    pub fn apply(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        let rows = features.dim(0)?;
        let mut x = Flow {
            hidden: features.clone(),
            batch: Arc::new(Batch::new(rows, features.detach())),
        };
        for stage in self.classifier() {
            x = stage.forward(&x, pass)?;
        }
        Ok(x.hidden)
    }
}

/// What a run leaves behind and `predict` reloads.
#[derive(Clone)]
pub struct Model {
    /// Input to features.
    pub encoder: Arc<dyn Encoder>,
    /// Features to logits.
    pub head: Arc<Head>,
    /// How batch norm behaves in training passes.
    pub norm: NormMode,
    maps: Vec<Arc<dyn Map>>,
    adjust: Vec<Arc<dyn Map>>,
    chain: Chain,
    frozen: Option<Arc<Prefix>>,
    aligned: Option<(Tensor, Tensor)>,
    unadapted: Option<Tensor>,
}

impl Model {
    /// Puts a head on an encoder.
    pub fn new(encoder: Arc<dyn Encoder>, head: Head) -> Self {
        let mut model = Model {
            encoder,
            head: Arc::new(head),
            norm: NormMode::default(),
            maps: Vec::new(),
            adjust: Vec::new(),
            chain: Chain::default(),
            frozen: None,
            aligned: None,
            unadapted: None,
        };
        model.set_maps(Vec::new(), Vec::new());
        model
    }

    /// Encoder, maps and head in one. The features are what comes out of the last map.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The stages that need not run again, set for each phase.
    pub(crate) fn frozen(&self) -> Option<&Arc<Prefix>> {
        self.frozen.as_ref()
    }

    /// From now on these stages are taken for frozen.
    pub(crate) fn freeze(&mut self, prefix: Option<Arc<Prefix>>) {
        self.frozen = prefix;
    }

    /// Applied to features, in order, between encoder and classifier.
    pub fn maps(&self) -> &[Arc<dyn Map>] {
        &self.maps
    }

    /// Applied to logits, in order, at prediction alone.
    pub fn adjust(&self) -> &[Arc<dyn Map>] {
        &self.adjust
    }

    /// Adds a map of features, after those that are there. Checkpoints keep it.
    pub fn add_map(&mut self, map: Arc<dyn Map>) {
        let mut maps = std::mem::take(&mut self.maps);
        maps.push(map);
        let adjust = std::mem::take(&mut self.adjust);
        self.set_maps(maps, adjust);
    }

    /// Adds a map of logits, after those that are there. Checkpoints keep it.
    pub fn add_adjust(&mut self, map: Arc<dyn Map>) {
        self.adjust.push(map);
    }

    /// Where source and target rows `(rows, width)` lie after an alignment in closed form, for the picture in the report: the maps above are the target's
    /// alone. No checkpoint keeps it.
    pub fn show_aligned(&mut self, source: Tensor, target: Tensor) {
        self.aligned = Some((source, target));
    }

    /// What [`Model::show_aligned`] was given.
    pub fn aligned(&self) -> Option<&(Tensor, Tensor)> {
        self.aligned.as_ref()
    }

    /// What a head without the adaptation says of the test inputs, `(rows, classes)`: a method in closed form has no phase before it that could. The run is judged
    /// beside it.
    pub fn show_unadapted(&mut self, logits: Tensor) {
        self.unadapted = Some(logits);
    }

    /// What [`Model::show_unadapted`] was given.
    pub(crate) fn unadapted(&self) -> Option<&Tensor> {
        self.unadapted.as_ref()
    }

    /// Puts other maps in the place of all that are there.
    pub fn set_maps(&mut self, maps: Vec<Arc<dyn Map>>, adjust: Vec<Arc<dyn Map>>) {
        let mut stages = self.encoder.stages().to_vec();
        stages.extend_from_slice(&self.head.stages[..self.head.pool]);
        stages.extend(maps.iter().enumerate().map(|(i, map)| {
            let (name, map) = (format!("map.{i}"), map.clone());
            Arc::new(Mapped { name, map }) as Arc<dyn Stage>
        }));
        let features = stages.len() - 1;
        stages.extend_from_slice(self.head.classifier());
        self.chain = Chain::new(stages, features);
        (self.maps, self.adjust) = (maps, adjust);
    }

    /// A pass for prediction. Batch norm that adapts does so there too.
    pub fn evaluation(&self) -> Pass {
        let norm = match self.norm {
            NormMode::Adapt => NormMode::Adapt,
            NormMode::Frozen | NormMode::Train => NormMode::Frozen,
        };
        Pass {
            norm,
            ..Pass::evaluation()
        }
    }

    /// Features `(batch, width)`, maps applied, and logits, adjusted.
    pub fn predict(&self, batch: &Arc<Batch>, pass: &Pass) -> Result<(Tensor, Tensor)> {
        self.predict_from(0, Flow::start(batch), pass)
    }

    /// The same from a stage on.
    pub(crate) fn predict_from(
        &self,
        first: usize,
        x: Flow,
        pass: &Pass,
    ) -> Result<(Tensor, Tensor)> {
        let (features, mut logits) = self.chain.predict_from(first, x, pass)?;
        for map in &self.adjust {
            logits = map.apply(&logits)?;
        }
        Ok((features, logits))
    }
}

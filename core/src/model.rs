//! The model: encoder and head as one chain, and what may change predictions without a gradient.

use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;
use crate::nn::{Batch, Chain, NormMode, Pass};
use crate::task::{Encoder, Head};

/// A transformation without a gradient, on features (CORAL, kNN) or on logits (temperature, prior shift).
pub trait Map: Send + Sync {
    /// `(batch, n)` to `(batch, m)`.
    fn apply(&self, x: &Tensor) -> Result<Tensor>;
    /// Its kind, to load it again.
    fn kind(&self) -> &str;
    /// Its numbers.
    fn save(&self) -> crate::strategy::State;
}

/// What a run leaves behind and `predict` reloads.
#[derive(Clone)]
pub struct Model {
    /// Input to features.
    pub encoder: Arc<dyn Encoder>,
    /// Features to logits.
    pub head: Arc<Head>,
    /// Applied to features, in order, between encoder and classifier.
    pub maps: Vec<Arc<dyn Map>>,
    /// Applied to logits, in order.
    pub adjust: Vec<Arc<dyn Map>>,
    /// How batch norm behaves in training passes.
    pub norm: NormMode,
    chain: Chain,
}

impl Model {
    /// Puts a head on an encoder.
    pub fn new(encoder: Arc<dyn Encoder>, head: Head) -> Self {
        let head = Arc::new(head);
        let mut stages = encoder.stages().to_vec();
        stages.extend(head.stages.iter().cloned());
        let chain = Chain::new(stages, encoder.stages().len() + head.pool - 1);
        Model {
            encoder,
            head,
            maps: Vec::new(),
            adjust: Vec::new(),
            norm: NormMode::default(),
            chain,
        }
    }

    /// Encoder and head in one.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Features `(batch, width)`, maps applied, and logits, adjusted.
    pub fn predict(&self, batch: &Arc<Batch>, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let at = self.chain.features() + 1;
        let mut flow = self.chain.run(0, at, crate::nn::Flow::start(batch), pass)?;
        for map in &self.maps {
            flow = flow.with(map.apply(&flow.hidden)?);
        }
        let mut logits = self
            .chain
            .run(at, self.chain.stages().len(), flow.clone(), pass)?
            .hidden;
        for map in &self.adjust {
            logits = map.apply(&logits)?;
        }
        Ok((flow.hidden, logits))
    }
}

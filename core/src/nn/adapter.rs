//! Low-rank additions to linear maps (Hu et al. 2021): `y = x W^T + b + scale * (dropout(x) A^T) B^T`, with `A` `(rank, in)` and `B` `(out, rank)`.
//!
//! A stage that has linear maps keeps a [`Slot`] beside each and offers it ([`super::Stage::linears`]); a strategy puts an [`Adapter`] into it
//! before the first phase. An empty slot costs nothing.

use std::sync::{Arc, OnceLock};

use candle_core::Tensor;
use tlkit_ops::{dropout, linear};

use super::gradients::Gradients;
use super::param::Param;
use super::stage::Pass;
use crate::{Error, Result};

/// The addition. `B` starts at zero, so that it changes nothing at first; the gradient of `A` is zero at the first step for that reason,
/// and not after it.
pub struct Adapter {
    /// `A`, `(rank, in)`.
    pub down: Param,
    /// `B`, `(out, rank)`.
    pub up: Param,
    /// `alpha / rank`.
    pub scale: f64,
    /// Of the input of `A`, while training.
    pub dropout: f64,
    /// Names the dropout's mask.
    pub place: String,
}

/// Where an adapter may sit. Clones are the same slot.
#[derive(Clone, Default)]
pub struct Slot(Arc<OnceLock<Adapter>>);

/// A linear map that can be adapted.
pub struct Adaptable {
    /// `encoder.0.query`: its stage, and its own name within it.
    pub name: String,
    /// `(out, in)`.
    pub weight: Param,
    /// Beside it.
    pub slot: Slot,
}

impl Slot {
    /// Puts an adapter in; an error where there is one.
    pub fn put(&self, adapter: Adapter) -> Result<()> {
        let place = adapter.place.clone();
        let taken = |_| Error::msg(format!("{place} is adapted already"));
        self.0.set(adapter).map_err(taken)
    }

    /// The adapter, if any.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.0.get()
    }

    /// `A` and `B`, where there is an adapter.
    pub fn params(&self) -> Vec<Param> {
        self.0
            .get()
            .map_or_else(Vec::new, |a| vec![a.down.clone(), a.up.clone()])
    }

    /// Whether an adapter is here and trains.
    pub fn trains(&self) -> bool {
        self.0.get().is_some_and(Adapter::trains)
    }

    /// `y` and the addition, in Candle's graph.
    pub fn graph(&self, x: &Tensor, y: Tensor, pass: &Pass) -> Result<Tensor> {
        let Some(a) = self.0.get() else { return Ok(y) };
        let u = match a.dropped(pass)? {
            Some(d) => dropout::dropout(x, &d)?,
            None => x.clone(),
        };
        let v = linear::linear(&u, &a.down.tensor(), None)?;
        let added = (linear::linear(&v, &a.up.tensor(), None)? * a.scale)?;
        Ok((y + added)?)
    }

    /// `y` and the addition, outside any graph.
    pub fn run(&self, x: &Tensor, y: Tensor, pass: &Pass) -> Result<Tensor> {
        let Some(a) = self.0.get() else { return Ok(y) };
        let (_, v) = a.narrow(x, pass)?;
        let added = (linear::forward(&v, &a.up.detached(), None)? * a.scale)?;
        Ok((y + added)?)
    }

    /// Adds the gradients of `A` and `B` for the map's input `x` and its output's gradient, and returns what the addition says of `x`, where that is
    /// wanted and there is an adapter.
    pub fn pull(
        &self,
        x: &Tensor,
        grad: &Tensor,
        need_x: bool,
        pass: &Pass,
        into: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        let Some(a) = self.0.get() else {
            return Ok(None);
        };
        if !need_x && !a.trains() {
            return Ok(None);
        }
        let dv = (linear::backward_x(&a.up.detached(), grad)? * a.scale)?;
        if a.trains() {
            let (u, v) = a.narrow(x, pass)?;
            if a.up.trains() {
                into.add(&a.up, (linear::backward_weight(&v, grad)? * a.scale)?)?;
            }
            if a.down.trains() {
                into.add(&a.down, linear::backward_weight(&u, &dv)?)?;
            }
        }
        if !need_x {
            return Ok(None);
        }
        let du = linear::backward_x(&a.down.detached(), &dv)?;
        Ok(Some(match a.dropped(pass)? {
            Some(d) => dropout::backward(&du, &d)?,
            None => du,
        }))
    }

    /// Writes the addition into the weight and sets `B` to zero: the map is the same, and needs no adapter.
    pub fn merge(&self, weight: &Param) -> Result<()> {
        let Some(a) = self.0.get() else { return Ok(()) };
        let (up, down) = (a.up.detached(), a.down.detached());
        let added = (up.matmul(&down)? * a.scale)?;
        weight.var().set(&(weight.detached() + added)?)?;
        a.up.var().set(&up.zeros_like()?)?;
        Ok(())
    }
}

impl Adapter {
    fn trains(&self) -> bool {
        self.down.trains() || self.up.trains()
    }

    fn dropped(&self, pass: &Pass) -> Result<Option<dropout::Dropout>> {
        if !pass.training || self.dropout == 0.0 {
            return Ok(None);
        }
        let key = pass.counter(&self.place);
        Ok(Some(dropout::Dropout::new(self.dropout as f32, key)?))
    }

    /// The input behind the dropout, and what `A` makes of it.
    fn narrow(&self, x: &Tensor, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let u = match self.dropped(pass)? {
            Some(d) => dropout::forward(x, &d)?,
            None => x.detach(),
        };
        let v = linear::forward(&u, &self.down.detached(), None)?;
        Ok((u, v))
    }
}

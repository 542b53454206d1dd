//! From a sequence to one vector.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::nn::{Flow, Param, Pass, Stage};
use tlkit_ops::pool::{self, Window};

use crate::encoder::full;

/// The first token's state.
pub struct FirstToken;

impl Stage for FirstToken {
    fn name(&self) -> &str {
        "first-token"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        Ok(x.with(full(&x.hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)?))
    }

    fn reads_first(&self) -> bool {
        true
    }

    fn output(&self) -> String {
        "(width)".into()
    }
}

/// The mean over the tokens that are there.
pub struct Mean;

impl Stage for Mean {
    fn name(&self) -> &str {
        "mean"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let hidden = full(&x.hidden)?;
        let mask = weights(x, &hidden)?;
        let sum = hidden.broadcast_mul(&mask)?.sum(1)?;
        Ok(x.with(sum.broadcast_div(&mask.sum(1)?)?))
    }

    fn output(&self) -> String {
        "(width)".into()
    }
}

/// The maximum over the tokens that are there, by dimension.
pub struct Max;

impl Stage for Max {
    fn name(&self) -> &str {
        "max"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        // Padding is pushed far below: -1e9 survives f32 and never wins.
        let hidden = full(&x.hidden)?;
        let low = ((weights(x, &hidden)? - 1.0)? * 1e9)?;
        let hidden = hidden.broadcast_add(&low)?.contiguous()?;
        let (n, length, width) = hidden.dims3()?;
        // One window over all tokens: of equal ones the first has the gradient, as PyTorch's, where Candle's `max` gives it to each.
        let whole = Window {
            kernel: (length, 1),
            stride: (length, 1),
            padding: (0, 0),
            ceil: false,
            count_padding: false,
        };
        let y = pool::max_pool(&hidden.reshape((n, length, 1, width))?, &whole)?;
        Ok(x.with(y.reshape((n, width))?))
    }

    fn output(&self) -> String {
        "(width)".into()
    }
}

/// `(batch, length, 1)`, 1 where a token is there.
fn weights(x: &Flow, hidden: &Tensor) -> Result<Tensor> {
    Ok(x.batch
        .want("attention_mask")?
        .to_dtype(hidden.dtype())?
        .unsqueeze(2)?)
}

//! Correlation alignment (Sun et al. 2016) in closed form: after training on the source, a map takes the target's features to the mean
//! and covariance of the source's. A second closed-form phase centres the logits, for classes that are equally frequent.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use tlkit_core::Result;
use tlkit_core::data::From;
use tlkit_core::model::{Affine, Model};
use tlkit_core::nn::{Activation, Store};
use tlkit_core::strategy::{Fit, Infer, Needs, Phase, Strategy, Transfer};

use crate::world::{INPUTS, World, dense, source_phase};

pub struct Coral;

impl Strategy for Coral {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            ..Needs::default()
        }
    }

    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let fit = |name: &str, fit: Box<dyn Fit>| Phase::Fit {
            name: name.into(),
            fit,
        };
        Ok(vec![
            source_phase(150),
            fit("coral", Box::new(Align)),
            fit("centre", Box::new(Centre)),
        ])
    }
}

struct Align;

impl Fit for Align {
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        store: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        let (mean, source) = moments(&infer.features(From::Source)?)?;
        let (from, target) = moments(&infer.features(From::Target)?)?;
        // Symmetric, so it may stand on either side: whiten by the target, colour by the source.
        let weight = roots(&source)?.0.matmul(&roots(&target)?.1)?;
        let bias = (mean - weight.matmul(&from.t()?)?.t()?)?;
        let distance = (source - target)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        model.add_map(Arc::new(Affine {
            weight: weight.to_dtype(store.dtype())?,
            bias: bias.squeeze(0)?.to_dtype(store.dtype())?,
        }));
        Ok([("coral_distance".to_string(), distance)].into())
    }
}

/// Mean `(1, n)` and covariance `(n, n)`, with a unit of ridge as in the paper.
fn moments(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let x = x.to_dtype(DType::F64)?;
    let mean = x.mean_keepdim(0)?;
    let centred = x.broadcast_sub(&mean)?;
    let n = x.dim(0)? as f64 - 1.0;
    let ridge = Tensor::eye(x.dim(1)?, DType::F64, x.device())?;
    Ok((
        mean,
        ((centred.t()?.matmul(&centred)? / n)? + (ridge * 0.1)?)?,
    ))
}

/// The square root and its inverse of a positive definite matrix, by Newton and Schulz's coupled iteration.
fn roots(c: &Tensor) -> Result<(Tensor, Tensor)> {
    let eye = Tensor::eye(c.dim(0)?, DType::F64, c.device())?;
    let norm = c.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt();
    let (mut y, mut z) = ((c / norm)?, eye.clone());
    for _ in 0..40 {
        let t = (((&eye * 3.0)? - z.matmul(&y)?)? * 0.5)?;
        (y, z) = (y.matmul(&t)?, t.matmul(&z)?);
    }
    Ok(((y * norm.sqrt())?, (z / norm.sqrt())?))
}

struct Centre;

impl Fit for Centre {
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        store: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        let mean = infer.logits(From::Target)?.mean(0)?;
        let weight = Tensor::eye(mean.dim(0)?, store.dtype(), store.device())?;
        model.add_adjust(Arc::new(Affine {
            weight,
            bias: mean.neg()?,
        }));
        Ok(BTreeMap::new())
    }
}

pub fn method() -> (World, Box<dyn Strategy>) {
    let world = World {
        first: |scope| dense(scope, "first", INPUTS, 16, Activation::None),
        ..World::shifted(2.0, 0.5)
    };
    (world, Box::new(Coral))
}

#[test]
fn closes_a_shift() -> Result<()> {
    crate::resume::closes_what_source_only_does_not(method())
}

#[test]
fn the_root_is_a_root() -> Result<()> {
    let device = &candle_core::Device::Cpu;
    let c = Tensor::new(
        &[[2f64, 0.3, 0.0], [0.3, 1.0, -0.4], [0.0, -0.4, 0.5]],
        device,
    )?;
    let (root, inverse) = roots(&c)?;
    for gap in [
        (root.matmul(&root)? - &c)?,
        (inverse.matmul(&c)?.matmul(&inverse)? - Tensor::eye(3, DType::F64, device)?)?,
    ] {
        assert!(gap.abs()?.max_all()?.to_scalar::<f64>()? < 1e-9);
    }
    Ok(())
}

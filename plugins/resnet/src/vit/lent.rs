//! An encoder of candle-transformers on parameters of the store.
//!
//! Candle's modules ask a [`VarBuilder`] for their tensors by name. This one makes each as a parameter of a scope and lends its storage, so that
//! what Candle builds is saved, loaded and averaged like any other stage. Candle's layer norm has no way back ([`candle_nn::ops::layer_norm`] cuts
//! the graph), so that nothing here may train: [`tlkit_core::task::SourceTask::trains`] says so.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
use tlkit_core::Result;
use tlkit_core::nn::{Flow, Init, Param, Pass, Role, Scope, Stage};

struct Backend<'a> {
    scope: Scope<'a>,
    made: Arc<Mutex<Vec<Param>>>,
    rename: Box<dyn Fn(&str) -> String + Send + Sync + 'a>,
}

/// What a tensor is for, by its name.
fn role(name: &str) -> Role {
    let norm = name.contains("norm");
    match name {
        n if n.ends_with("bias") && norm => Role::NormBias,
        n if n.ends_with("bias") => Role::Bias,
        _ if norm => Role::NormWeight,
        n if n.ends_with("position_embeddings") || n.ends_with("cls_token") => Role::Embedding,
        _ => Role::Weight,
    }
}

impl SimpleBackend for Backend<'_> {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        _: DType,
        _: &Device,
    ) -> candle_core::Result<Tensor> {
        let name = (self.rename)(name);
        let role = role(&name);
        let init = match role {
            Role::NormWeight => Init::Ones,
            Role::Bias | Role::NormBias => Init::Zeros,
            _ => Init::Normal(0.02),
        };
        let param = self
            .scope
            .param(&name, shape.dims(), role, init)
            .map_err(candle_core::Error::wrap)?;
        let tensor = param.detached();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push(param);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} has no shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// A stage whose numbers Candle computes.
pub(crate) struct Lent<M> {
    name: String,
    output: String,
    module: M,
    params: Vec<Param>,
    run: fn(&M, &Tensor) -> candle_core::Result<Tensor>,
}

impl<M: Send + Sync> Lent<M> {
    /// `make` builds Candle's module; `rename` maps the names it asks for to the scope's.
    pub(crate) fn new(
        name: &str,
        output: String,
        scope: &Scope<'_>,
        rename: impl Fn(&str) -> String + Send + Sync,
        make: impl FnOnce(VarBuilder<'_>) -> candle_core::Result<M>,
        run: fn(&M, &Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Self> {
        let made = Arc::new(Mutex::new(Vec::new()));
        let store = scope.store();
        let backend = Backend {
            scope: scope.clone(),
            made: made.clone(),
            rename: Box::new(rename),
        };
        let builder =
            VarBuilder::from_backend(Box::new(backend), store.dtype(), store.device().clone());
        let module = make(builder)?;
        let params = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Lent {
            name: name.to_string(),
            output,
            module,
            params,
            run,
        })
    }
}

impl<M: Send + Sync> Stage for Lent<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        self.params.clone()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        Ok(x.with((self.run)(&self.module, &x.hidden.detach())?))
    }

    fn output(&self) -> String {
        self.output.clone()
    }
}

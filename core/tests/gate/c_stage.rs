//! An encoder whose first stage is written in C: its parameters live in the store and are lent for a call; its backward is its own.

use std::ffi::c_void;
use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::nn::{Flow, Gradients, Param, Pass, Pullback, Scope, Stage};
use tlkit_core::strategy::Strategy;

use crate::border::{CStage, blocks, call, lend, library, pointers, tensors};
use crate::world::{SourceOnly, World};

struct InC {
    table: &'static CStage,
    params: Vec<Param>,
}

fn make(scope: &Scope<'_>) -> Result<Arc<dyn Stage>> {
    let (table, scope) = (library().0, scope.sub("first"));
    let params = table.specs().into_iter();
    let params = params.map(|p| scope.param(&p.name, &p.shape, p.role, p.init));
    Ok(Arc::new(InC {
        table,
        params: params.collect::<Result<_>>()?,
    }))
}

impl InC {
    fn lent(&self) -> Vec<Tensor> {
        self.params.iter().map(Param::detached).collect()
    }

    fn run(&self, x: &Flow, handle: *mut *mut c_void) -> Result<Flow> {
        let input = x.hidden.detach();
        let (rows, width) = (input.dim(0)?, self.table.outputs as usize);
        let mut y = vec![0f32; rows * width];
        let all: Vec<Tensor> = [vec![input], self.lent()].concat();
        lend(&all, |m| {
            call(|e| (self.table.forward)(&m[0], m[1..].as_ptr(), y.as_mut_ptr(), handle, e))
        })??;
        Ok(x.with(Tensor::from_vec(y, (rows, width), x.hidden.device())?))
    }
}

impl Stage for InC {
    fn name(&self) -> &str {
        "first"
    }

    fn params(&self) -> Vec<Param> {
        self.params.clone()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        self.run(x, std::ptr::null_mut())
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let mut back = Back {
            table: self.table,
            params: self.params.clone(),
            input: x.hidden.detach(),
            wanted: pass.input_gradient,
            handle: std::ptr::null_mut(),
        };
        let y = self.run(x, &mut back.handle)?;
        Ok((y, Box::new(back)))
    }
}

struct Back {
    table: &'static CStage,
    params: Vec<Param>,
    input: Tensor,
    wanted: bool,
    handle: *mut c_void,
}

// SAFETY: gate.h allows calls from any thread, one at a time for a handle; this is its only owner.
unsafe impl Send for Back {}

impl Drop for Back {
    fn drop(&mut self) {
        (self.table.drop)(self.handle);
    }
}

impl Pullback for Back {
    fn pull(self: Box<Self>, output: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let like: Vec<Tensor> = self.params.iter().map(Param::detached).collect();
        let mut gradients = blocks(&like);
        let mut dx = blocks(std::slice::from_ref(&self.input));
        let to = if self.wanted {
            dx[0].as_mut_ptr()
        } else {
            std::ptr::null_mut()
        };
        let all: Vec<Tensor> = [vec![output.detach()], like.clone()].concat();
        let outputs = pointers(&mut gradients);
        lend(&all, |m| {
            call(|e| {
                (self.table.vjp)(
                    self.handle,
                    m[1..].as_ptr(),
                    m[0].data(),
                    to,
                    outputs.as_ptr(),
                    e,
                )
            })
        })??;
        for (p, g) in self.params.iter().zip(tensors(gradients, &like)?) {
            into.add(p, g)?;
        }
        let dx = tensors(dx, std::slice::from_ref(&self.input))?;
        Ok(dx.into_iter().next().filter(|_| self.wanted))
    }
}

pub fn method() -> (World, Box<dyn Strategy>) {
    (
        World {
            first: make,
            ..World::shifted(0.0, 0.0)
        },
        Box::new(SourceOnly),
    )
}

#[test]
fn learns() -> Result<()> {
    let (world, strategy) = method();
    let trained = crate::world::train(&world, strategy.as_ref(), &Default::default())?;
    assert!(trained.target > 0.97, "{}", trained.target);
    Ok(())
}

//! Update rules on a GPU: all parameters in one launch of kernel.cu, and the norm of all gradients in two.

use super::Rule;
use super::cpu::AdamWStep;
use crate::gpu::{Arg, Gpu, Grid, count};
use candle_core::{DType, Error, Result, Tensor};

/// Elements of a block, as kernel.cu has them.
const CHUNK: usize = 4096;

/// With which block each tensor begins, how long it is, and how many blocks there are.
struct Blocks {
    starts: Tensor,
    counts: Tensor,
    blocks: usize,
}

impl Blocks {
    fn of(gpu: &Gpu, tensors: &[&Tensor]) -> Result<Self> {
        let (mut starts, mut counts, mut blocks) = (Vec::new(), Vec::new(), 0usize);
        for t in tensors {
            starts.push(count(blocks)?);
            counts.push(count(t.elem_count())?);
            blocks += t.elem_count().div_ceil(CHUNK);
        }
        Ok(Blocks {
            starts: gpu.upload(&starts)?,
            counts: gpu.upload(&counts)?,
            blocks,
        })
    }

    fn grid(&self) -> Result<Grid> {
        Ok(Grid {
            blocks: [count(self.blocks)?, 1, 1],
            ..Grid::one()
        })
    }
}

/// A parameter with its gradient and its state on a GPU, all f32.
#[derive(Debug, Clone, Copy)]
pub struct DeviceUpdate<'a> {
    /// The parameter, contiguous (a `Var`), changed in place.
    pub param: &'a Tensor,
    /// Its gradient, before clipping.
    pub grad: &'a Tensor,
    /// Its state, as many contiguous tensors as [`Rule::state_names`] says; changed in place.
    pub state: &'a [Tensor],
    /// The rule.
    pub rule: Rule,
    /// The number of this step for this parameter, from 1.
    pub step: u64,
}

/// One step of every parameter in one launch; each gradient is multiplied by `grad_scale` (1, or [`super::clip_scale`]).
///
/// A parameter that occurs twice, a wrong shape, type, device or state is an error, and then nothing has moved.
pub fn step_on_device(updates: &[DeviceUpdate<'_>], grad_scale: f64) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for u in updates {
        let all = u.state.iter().chain([u.grad]);
        let alike = all.clone().all(|t| t.dims() == u.param.dims());
        let flat = u.param.is_contiguous() && u.state.iter().all(Tensor::is_contiguous);
        if !alike || !flat || u.state.len() != u.rule.state_names().len() || u.step == 0 {
            return Err(Error::Msg(format!(
                "optimizer step {}: a parameter {:?}, its gradient {:?}, and {} state tensors for {:?}",
                u.step,
                u.param.dims(),
                u.grad.dims(),
                u.state.len(),
                u.rule.state_names()
            ))
            .bt());
        }
        if !seen.insert(format!("{:?}", u.param.id())) {
            return Err(Error::Msg("optimizer step: a parameter occurs twice".into()).bt());
        }
    }
    // Tensors without elements have no block of their own.
    let members: Vec<&DeviceUpdate<'_>> = updates
        .iter()
        .filter(|u| u.param.elem_count() > 0)
        .collect();
    let Some(one) = members.first() else {
        return Ok(());
    };
    let all: Vec<&Tensor> = members
        .iter()
        .flat_map(|u| u.state.iter().chain([u.param, u.grad]))
        .collect();
    let Some(gpu) = Gpu::of(&[one.param], &all).filter(|_| one.param.dtype() == DType::F32) else {
        return Err(Error::Msg("optimizer step: tensors that are not f32 on a GPU".into()).bt());
    };
    let grads = members
        .iter()
        .map(|u| u.grad.detach().contiguous())
        .collect::<Result<Vec<_>>>()?;
    let borrowed: [Vec<Option<&Tensor>>; 4] = [
        members.iter().map(|u| Some(u.param)).collect(),
        grads.iter().map(Some).collect(),
        members.iter().map(|u| u.state.first()).collect(),
        members.iter().map(|u| u.state.get(1)).collect(),
    ];
    step(&gpu, &members, &borrowed, grad_scale)
}

fn step(
    gpu: &Gpu,
    members: &[&DeviceUpdate<'_>],
    borrowed: &[Vec<Option<&Tensor>>; 4],
    scale: f64,
) -> Result<()> {
    let whole: Vec<&Tensor> = members.iter().map(|m| m.param).collect();
    let blocks = Blocks::of(gpu, &whole)?;
    let (rules, hyper): (Vec<u32>, Vec<[f32; 8]>) =
        members.iter().map(|m| numbers(&m.rule, m.step)).unzip();
    let (rules, hyper) = (gpu.upload(&rules)?, gpu.upload(hyper.as_flattened())?);
    let mut args: Vec<Arg<'_>> = borrowed.iter().map(|c| Arg::Pointers(c)).collect();
    args.extend([
        Arg::In(&blocks.starts),
        Arg::In(&blocks.counts),
        Arg::In(&rules),
        Arg::In(&hyper),
        Arg::U32(count(members.len())?),
        Arg::F32(scale as f32),
    ]);
    gpu.launch("optim_step", DType::F32, blocks.grid()?, &args)
}

/// A rule's number, and its constants at a step as kernel.cu reads them.
fn numbers(rule: &Rule, step: u64) -> (u32, [f32; 8]) {
    match rule {
        Rule::AdamW(h) => (0, AdamWStep::of(h, step).numbers()),
        Rule::Sgd(h) => {
            let kept = if step == 1 { 0.0 } else { h.momentum };
            let buffer = f32::from(h.momentum != 0.0);
            let nesterov = f32::from(h.nesterov);
            let [lr, decay, kept, ahead] =
                [h.lr, h.weight_decay, kept, h.momentum].map(|x| x as f32);
            (1, [lr, decay, kept, ahead, buffer, nesterov, 0.0, 0.0])
        }
        Rule::RmsProp(h) => {
            let buffer = f32::from(h.momentum != 0.0);
            let [lr, alpha, rest, eps, momentum, decay] = [
                h.lr,
                h.alpha,
                1.0 - h.alpha,
                h.eps,
                h.momentum,
                h.weight_decay,
            ]
            .map(|x| x as f32);
            (2, [lr, alpha, rest, eps, momentum, decay, buffer, 0.0])
        }
    }
}

/// The norm of all gradients together, f64 on the device.
pub(super) fn norm(gpu: &Gpu, grads: &[&Tensor]) -> Result<Tensor> {
    let grads: Vec<&Tensor> = grads
        .iter()
        .copied()
        .filter(|g| g.elem_count() > 0)
        .collect();
    let out = gpu.empty((), DType::F64)?;
    let blocks = Blocks::of(gpu, &grads)?;
    let partials = gpu.empty(blocks.blocks, DType::F64)?;
    let all: Vec<Option<&Tensor>> = grads.iter().map(|&g| Some(g)).collect();
    gpu.launch(
        "optim_squares",
        DType::F32,
        blocks.grid()?,
        &[
            Arg::Pointers(&all),
            Arg::In(&blocks.starts),
            Arg::In(&blocks.counts),
            Arg::Out(&partials),
            Arg::U32(count(grads.len())?),
        ],
    )?;
    gpu.launch(
        "optim_norm",
        DType::F32,
        Grid::one(),
        &[
            Arg::In(&partials),
            Arg::Out(&out),
            Arg::U32(count(blocks.blocks)?),
        ],
    )?;
    Ok(out)
}

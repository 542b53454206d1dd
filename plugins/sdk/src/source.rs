//! A source task on its way to C.
//!
//! The author writes what a built-in writes: stages on parameters of a scope. Here they stand on a store of the plugin's own, whose memory
//! is lent to the host: it optimizes, loads, averages and saves them there, between calls. A host that does not ask for it (one before
//! 1.3, or one whose own are not float32 on the CPU) lends its parameters instead, and those are read in place while a stage runs.
//! Gradients go back in the memory that they were computed into. Inputs and outputs of a stage are copied once.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use tlkit_abi::{self as abi, Head};
use tlkit_core::data::{Input, Prepare};
use tlkit_core::nn::{
    Batch, Flow, Gradients, Init, NormMode, Param, Pass, Pullback, Role, Select, Stage, Store,
};
use tlkit_core::random::Stream;
use tlkit_core::recipe::Keys;
use tlkit_core::task::{Encoder, SourceTask};
use tlkit_core::{Error, Result};

use crate::border::{bytes, floats, give_back, guard, import, text, write};
use crate::borrow::Borrowed;
use crate::give::give;

/// A [`SourceTask`] that is made from keys. Of the trait these cross: `reads`, `prepare` and the plain example, `fresh_encoder`, `pooling`
/// without a choice, `defaults`, `head_init` and `head_dropout`. Weights of a checkpoint are loaded by the host, by name.
pub trait Source: SourceTask + Sized + 'static {
    /// From the keys of `[source]`: reading is declaring, as for a built-in. `None` after an error was noted.
    fn make(keys: &Keys) -> Option<Self>;
    /// The shape of one prepared example, as it stands in a batch behind the rows.
    fn input(&self) -> Vec<usize>;
    /// How many numbers a vector has, where it reads vectors and prepares another number of them.
    fn width(&self) -> Option<usize> {
        None
    }
}

/// What `self` is.
struct Instance<T> {
    task: T,
    store: Store,
    prepare: Arc<dyn Prepare>,
    _encoder: Arc<dyn Encoder>,
    stages: Vec<Arc<dyn Stage>>,
    params: Vec<Vec<Param>>,
    /// The host's `weights` at the last call.
    weights: Cell<Option<u64>>,
}

/// The scope of the network, which the host calls so too.
const SCOPE: &str = "model";

impl<T: Source> Instance<T> {
    fn new(task: T) -> Result<Self> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let scope = store.scope(SCOPE);
        let encoder = task.fresh_encoder(&scope)?;
        let mut stages = encoder.stages().to_vec();
        stages.extend(task.pooling(&scope, None, false)?);
        let params: Vec<Vec<Param>> = stages.iter().map(|s| s.params()).collect();
        Ok(Instance {
            prepare: task.prepare()?,
            weights: Cell::new(None),
            task,
            store,
            _encoder: encoder,
            stages,
            params,
        })
    }

    /// What each stage puts out for one example: it is run on zeros.
    fn outputs(&self) -> Result<Vec<Vec<usize>>> {
        let dims = [&[1], &self.task.input()[..]].concat();
        let input = Tensor::zeros(dims, DType::F32, &Device::Cpu)?;
        let mut x = Flow::start(&Arc::new(Batch::new(1, input)));
        let pass = Pass {
            graph: false,
            ..Pass::evaluation()
        };
        let mut all = Vec::new();
        for stage in &self.stages {
            let y = stage.forward(&x, &pass)?;
            let dims = y.hidden.dims();
            if dims.first() != Some(&1) {
                return Err(Error::msg(format!(
                    "the stage `{}` makes {dims:?} of one row",
                    stage.name()
                )));
            }
            all.push(dims[1..].to_vec());
            x = y.with(y.hidden.detach());
        }
        Ok(all)
    }

    fn describe(&self) -> Result<Value> {
        let mut stages = Vec::new();
        for ((stage, params), output) in self.stages.iter().zip(&self.params).zip(self.outputs()?) {
            let all: Result<Vec<Value>> = params.iter().map(|p| param(p, stage.name())).collect();
            stages.push(json!({ "name": stage.name(), "output": output, "params": all? }));
        }
        let d = self.task.defaults();
        let reads = match self.task.reads() {
            Some("text") => "text",
            Some("a pair of texts") => "pair",
            Some("an image") => "image",
            Some("a feature vector") => "features",
            other => {
                return Err(Error::msg(format!(
                    "`reads` is {other:?}, and what crosses is text, a pair of texts, an image or a feature vector"
                )));
            }
        };
        Ok(json!({
            "reads": reads,
            "input": self.task.input(),
            "width": self.task.width(),
            "stages": stages,
            "defaults": {
                "optimizer": d.optimizer.name(), "weight_decay": d.optimizer.weight_decay(), "learning_rate": d.learning_rate,
                "head_multiple": d.head_multiple, "schedule": d.schedule, "warmup": d.warmup, "batch_size": d.batch_size, "clip": d.clip
            },
            "head_init": self.task.head_init(),
            "head_dropout": self.task.head_dropout(),
        }))
    }

    fn stage(&self, stage: u64) -> Result<usize> {
        usize::try_from(stage)
            .ok()
            .filter(|&i| i < self.stages.len())
            .ok_or_else(|| Error::msg(format!("there is no stage {stage}")))
    }

    /// Computes with the parameters that are passed, for as long as what comes back lives.
    ///
    /// # Safety
    /// `params` are `count` tensors that the host lends for this call.
    unsafe fn borrow(
        &self,
        stage: usize,
        params: *const *const abi::Tensor,
        count: u64,
    ) -> Result<Borrowed> {
        let own = &self.params[stage];
        if count != own.len() as u64 {
            return Err(Error::msg(format!(
                "called with {count} parameters, and the stage has {}",
                own.len()
            )));
        }
        // SAFETY: the caller's.
        unsafe { Borrowed::of(own, params) }
    }
}

/// A parameter as the host makes it. Within the stage it has the name that is left of its own without that of the stage.
fn param(p: &Param, stage: &str) -> Result<Value> {
    let name = p.name();
    let name = name.strip_prefix(&format!("{SCOPE}.")).unwrap_or(name);
    let name = name.strip_prefix(&format!("{stage}.")).unwrap_or(name);
    let init = p.init().ok_or_else(|| {
        Error::msg(format!(
            "the parameter `{name}` is a copy, which does not cross"
        ))
    })?;
    Ok(
        json!({ "name": name, "shape": p.dims(), "role": role(p.role(), name)?, "init": start(init) }),
    )
}

/// A role as tlkit.h says it.
pub(crate) fn role(role: Role, name: &str) -> Result<&'static str> {
    Ok(match role {
        Role::Weight => "weight",
        Role::Bias => "bias",
        Role::InvariantBias => "invariant-bias",
        Role::NormWeight => "norm-weight",
        Role::NormBias => "norm-bias",
        Role::Embedding => "embedding",
        Role::Statistic => {
            return Err(Error::msg(format!(
                "`{name}` is a running statistic, which does not cross"
            )));
        }
    })
}

/// A beginning as tlkit.h says it.
pub(crate) fn start(init: Init) -> Value {
    match init {
        Init::Zeros => json!("zeros"),
        Init::Ones => json!("ones"),
        Init::Normal(deviation) => json!({ "normal": deviation }),
        Init::Uniform(bound) => json!({ "uniform": bound }),
    }
}

/// The table of a source task.
pub(crate) const fn table<T: Source>() -> abi::SourceTask {
    abi::SourceTask {
        head: Head::of::<abi::SourceTask>(),
        make: Some(make::<T>),
        drop: Some(drop_source::<T>),
        describe: Some(describe::<T>),
        prepare: Some(prepare::<T>),
        forward: Some(forward::<T>),
        vjp: Some(vjp::<T>),
        release: Some(release),
        gives: 1,
        reserved: 0,
        lend: Some(lend::<T>),
    }
}

unsafe extern "C-unwind" fn make<T: Source>(call: *const abi::Call, this: *mut *mut c_void) -> i32 {
    // SAFETY: tlkit.h: `this` is a place for one pointer.
    unsafe {
        guard(call, |host| {
            let made = Instance::new(host.make(T::make)?)?;
            this.write(Box::into_raw(Box::new(made)).cast());
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn drop_source<T: Source>(this: *mut c_void) {
    // SAFETY: what `make` left, given back once.
    unsafe { give_back::<Instance<T>>(this) }
}

/// # Safety
/// `this` is what `make` left.
unsafe fn instance<'t, T: Source>(this: *mut c_void) -> Result<&'t Instance<T>> {
    // SAFETY: the caller's; no two calls are made at once.
    unsafe { this.cast::<Instance<T>>().as_ref() }
        .ok_or_else(|| Error::msg("called without its `self`"))
}

unsafe extern "C-unwind" fn describe<T: Source>(this: *mut c_void, call: *const abi::Call) -> i32 {
    // SAFETY: tlkit.h.
    unsafe {
        guard(call, |host| {
            host.say(&instance::<T>(this)?.describe()?.to_string());
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn prepare<T: Source>(
    this: *mut c_void,
    call: *const abi::Call,
    input: *const abi::Input,
    example: *mut abi::Tensor,
) -> i32 {
    // SAFETY: tlkit.h: an input that is lent for the call, and a block to be written.
    unsafe {
        guard(call, |_| {
            let this = instance::<T>(this)?;
            let input = input
                .as_ref()
                .ok_or_else(|| Error::msg("called without an input"))?;
            let pair = this.task.reads() == Some("a pair of texts");
            let input = match input.kind {
                abi::ANSWER_TEXT if pair => {
                    Input::Pair(text(input.data).into(), text(input.second).into())
                }
                abi::ANSWER_TEXT => Input::Text(text(input.data).into()),
                abi::ANSWER_IMAGE => Input::Image(bytes(input.data).into()),
                abi::ANSWER_FEATURES => Input::Features(floats(input.data).into()),
                other => return Err(Error::msg(format!("an input of the kind {other}"))),
            };
            let made = this.prepare.example(&input)?;
            let batch = this.prepare.collate(&[&made], &Device::Cpu)?;
            let one = batch.input().squeeze(0)?;
            write(&one, 1.0, example)
        })
    }
}

unsafe extern "C-unwind" fn lend<T: Source>(
    this: *mut c_void,
    call: *const abi::Call,
    stage: u64,
    param: u64,
    memory: *mut abi::Tensor,
) -> i32 {
    // SAFETY: tlkit.h: a tensor to be filled in.
    unsafe {
        guard(call, |_| {
            let this = instance::<T>(this)?;
            let own = &this.params[this.stage(stage)?];
            let own = usize::try_from(param).ok().and_then(|i| own.get(i));
            let own = own.ok_or_else(|| Error::msg(format!("there is no parameter {param}")))?;
            let memory = memory
                .as_mut()
                .ok_or_else(|| Error::msg("called without a tensor to fill in"))?;
            // The store keeps it there for as long as there is an instance.
            tlkit_ops::with_vec(&own.detached(), &mut |numbers| {
                memory.data = numbers.as_mut_ptr().cast();
            })?;
            memory.byte_offset = 0;
            Ok(())
        })
    }
}

/// What `forward` keeps for `vjp`.
struct Kept(Cell<Option<Box<dyn Pullback>>>);

unsafe extern "C-unwind" fn forward<T: Source>(
    this: *mut c_void,
    call: *const abi::Call,
    pass: *const abi::Pass,
    stage: u64,
    params: *const *const abi::Tensor,
    count: u64,
    input: *const abi::Tensor,
    output: *mut abi::Tensor,
    handle: *mut *mut c_void,
) -> i32 {
    // SAFETY: tlkit.h: a pass, `count` parameters and an input lent for the call, a block and a place for a handle.
    unsafe {
        guard(call, |_| {
            let this = instance::<T>(this)?;
            let said = pass
                .as_ref()
                .ok_or_else(|| Error::msg("called without a pass"))?;
            let i = this.stage(stage)?;
            let _borrowed = this.borrow(i, params, count)?;
            if this.weights.replace(Some(said.weights)) != Some(said.weights) {
                // Copies that a stage keeps of them watch it.
                this.store.touch();
            }
            let x = import(input)?;
            let x = Flow::start(&Arc::new(Batch::new(x.dim(0)?, x)));
            let record = said.record & abi::RECORD_VJP != 0;
            let pass = Pass {
                training: said.training == 1,
                step: said.step,
                random: Stream::new(said.seed),
                input_gradient: said.record & abi::RECORD_INPUT != 0,
                graph: record,
                norm: NormMode::Frozen,
                ..Pass::evaluation()
            };
            this.store.train_only(match record {
                true => &Select::All,
                false => &Select::Nothing,
            });
            if !record {
                let y = this.stages[i].forward(&x, &pass)?;
                return write(&y.hidden, 1.0, output);
            }
            let (y, back) = this.stages[i].record(&x, &pass)?;
            write(&y.hidden, 1.0, output)?;
            handle.write(Box::into_raw(Box::new(Kept(Cell::new(Some(back))))).cast());
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn vjp<T: Source>(
    this: *mut c_void,
    call: *const abi::Call,
    _: *const abi::Pass,
    stage: u64,
    handle: *mut c_void,
    params: *const *const abi::Tensor,
    count: u64,
    _: *const abi::Tensor,
    gradient: *const abi::Tensor,
    input_gradient: *mut abi::Tensor,
    gradients: *const *mut abi::Tensor,
) -> i32 {
    // SAFETY: tlkit.h: the handle is what `forward` left; a gradient lent for the call; `count` blocks, or null where none is wanted.
    unsafe {
        guard(call, |host| {
            let this = instance::<T>(this)?;
            let i = this.stage(stage)?;
            let borrowed = this.borrow(i, params, count)?;
            let kept = handle.cast::<Kept>().as_ref();
            let kept = kept.ok_or_else(|| Error::msg("the way back without the way there"))?;
            let back = kept.0.take();
            let back = back.ok_or_else(|| Error::msg("the way back is gone once"))?;
            let mut into = Gradients::default();
            // A pass without a way back may have come between.
            this.store.train_only(&Select::All);
            let of_input = back.pull(&import(gradient)?, &mut into)?;
            if !input_gradient.is_null() {
                let g = of_input
                    .ok_or_else(|| Error::msg("the stage gives no gradient of its input"))?;
                write(&g, 1.0, input_gradient)?;
            }
            for (j, p) in this.params[i].iter().enumerate() {
                let to = *gradients.add(j);
                if to.is_null() {
                    continue;
                }
                let g = match into.take(p.name()) {
                    Some(g) => g,
                    // Nothing depends on it.
                    None => p.detached().zeros_like()?,
                };
                match host.takes() {
                    true => give(host, j, &g, &borrowed)?,
                    false => write(&g, 1.0, to)?,
                }
            }
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn release(_: *mut c_void, handle: *mut c_void) {
    // SAFETY: what `forward` left, given back once.
    unsafe { give_back::<Kept>(handle) }
}

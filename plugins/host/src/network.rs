//! A stranger's encoder: settings, a description, and stages that are run and pulled back across the border.

use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};
use tlkit_abi::{self as abi, Head};
use tlkit_core::data::Input;
use tlkit_core::strategy::ParamSpec;
use tlkit_core::{Error, Result};

use crate::call::{Answer, call, one_text};
use crate::describe::{ParamDescription, count, is_name};
use crate::lend::{Blocks, filled, lend};

/// One made with its keys. No two calls are made at once.
pub(crate) struct Network {
    table: &'static abi::SourceTask,
    this: Mutex<This>,
    pub who: String,
    pub about: About,
}

/// The plugin's own pointer.
struct This(*mut c_void);

// SAFETY: tlkit.h: calls may come from any thread, one at a time for one `self`; the mutex around it sees to that.
unsafe impl Send for This {}

/// What it says of itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    reads: Reads,
    input: Vec<usize>,
    #[serde(default)]
    width: Option<usize>,
    stages: Vec<StageDescription>,
    #[serde(default)]
    defaults: Training,
    #[serde(default)]
    head_init: Option<f64>,
    #[serde(default)]
    head_dropout: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageDescription {
    name: String,
    output: Vec<usize>,
    #[serde(default)]
    params: Vec<ParamDescription>,
}

/// The kind of input that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reads {
    Text,
    Pair,
    Image,
    Features,
}

impl Reads {
    /// As [`Input::kind`] says it.
    pub fn kind(self) -> &'static str {
        match self {
            Reads::Text => "text",
            Reads::Pair => "a pair of texts",
            Reads::Image => "an image",
            Reads::Features => "a feature vector",
        }
    }
}

/// How it is trained where a recipe does not say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Training {
    pub optimizer: Option<String>,
    pub learning_rate: Option<f64>,
    pub weight_decay: Option<f64>,
    pub head_multiple: Option<f64>,
    pub schedule: Option<String>,
    pub warmup: Option<f64>,
    pub batch_size: Option<usize>,
    pub clip: Option<f64>,
}

/// The description, looked through.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub reads: Reads,
    /// Of one example.
    pub input: Vec<usize>,
    /// Of a vector, where it reads vectors.
    pub width: usize,
    pub stages: Vec<StageSpec>,
    pub defaults: Training,
    pub head_init: Option<f64>,
    pub head_dropout: f64,
}

/// One stage.
#[derive(Clone, Debug)]
pub(crate) struct StageSpec {
    pub name: String,
    /// Of one example.
    pub output: Vec<usize>,
    pub params: Vec<ParamSpec>,
}

impl About {
    /// How wide the features are.
    pub fn features(&self) -> usize {
        self.stages.last().map_or(0, |s| s.output[0])
    }

    fn of(said: Description) -> std::result::Result<Self, String> {
        if count(&said.input).is_none() {
            return Err(format!("`input` is the shape {:?}", said.input));
        }
        let width = said.width.or(count(&said.input)).unwrap_or(0);
        if count(&[width]).is_none() {
            return Err(format!("vectors of {width} numbers"));
        }
        let mut stages: Vec<StageSpec> = Vec::new();
        for s in &said.stages {
            let name = &s.name;
            if !is_name(name) {
                return Err(format!(
                    "the stage `{}`: letters, digits and `_`, with `.` between them",
                    name.escape_debug()
                ));
            }
            if stages.iter().any(|other| other.name == *name) {
                return Err(format!("two stages are called `{name}`"));
            }
            if count(&s.output).is_none() {
                return Err(format!(
                    "the stage `{name}` puts out the shape {:?}",
                    s.output
                ));
            }
            let params = s.params.iter().map(ParamDescription::spec);
            let params: Vec<ParamSpec> = params.collect::<std::result::Result<_, _>>()?;
            for (i, p) in params.iter().enumerate() {
                if params[..i].iter().any(|other| other.name == p.name) {
                    return Err(format!(
                        "the stage `{name}` has two parameters `{}`",
                        p.name
                    ));
                }
            }
            stages.push(StageSpec {
                name: name.clone(),
                output: s.output.clone(),
                params,
            });
        }
        match stages.last() {
            None => return Err("it has no stage".into()),
            Some(last) if last.output.len() != 1 => {
                return Err(format!(
                    "the last stage puts out the features, `[width]`, and `{}` puts out {:?}",
                    last.name, last.output
                ));
            }
            Some(_) => {}
        }
        if !(0.0..1.0).contains(&said.head_dropout) {
            return Err(format!("`head_dropout` is {}", said.head_dropout));
        }
        if let Some(v) = said.head_init
            && !(v.is_finite() && v > 0.0)
        {
            return Err(format!("`head_init` is {v}"));
        }
        Ok(About {
            reads: said.reads,
            input: said.input,
            width,
            stages,
            defaults: said.defaults,
            head_init: said.head_init,
            head_dropout: said.head_dropout,
        })
    }
}

macro_rules! function {
    ($table:expr, $name:ident) => {
        $table.$name.ok_or_else(|| {
            Error::msg(concat!(
                "the source task has no function `",
                stringify!($name),
                "`"
            ))
        })?
    };
}

/// What a pass through a stage is made with.
pub(crate) struct At<'a> {
    pub stage: usize,
    pub params: &'a [Tensor],
    pub input: &'a Tensor,
    pub pass: abi::Pass,
}

impl Network {
    /// Makes one. `who` begins its errors.
    pub fn make(
        table: &'static abi::SourceTask,
        who: &str,
        keys: &Map<String, Value>,
    ) -> Result<Self> {
        let make = function!(table, make);
        let describe = function!(table, describe);
        let mut this = std::ptr::null_mut();
        // SAFETY: as tlkit.h says: what is lent lives for the call.
        call(who, Some(keys), |c| unsafe { make(c, &raw mut this) })?;
        let mut made = Network {
            table,
            this: Mutex::new(This(this)),
            who: who.to_string(),
            about: About {
                reads: Reads::Features,
                input: Vec::new(),
                width: 0,
                stages: Vec::new(),
                defaults: Training::default(),
                head_init: None,
                head_dropout: 0.0,
            },
        };
        // SAFETY: as tlkit.h says; `this` is what `make` left.
        let said = made.ask(|this, c| unsafe { describe(this, c) })?;
        let said = one_text(who, said)?;
        let wrong = |e: String| Error::msg(format!("{who} describes itself wrongly: {e}"));
        let said: Description = serde_json::from_str(&said).map_err(|e| wrong(e.to_string()))?;
        made.about = About::of(said).map_err(wrong)?;
        Ok(made)
    }

    fn ask(&self, f: impl FnOnce(*mut c_void, *const abi::Call) -> i32) -> Result<Vec<Answer>> {
        // A panic in between leaves the pointer as it was.
        let this = self.this.lock().unwrap_or_else(PoisonError::into_inner);
        call(&self.who, None, |c| f(this.0, c))
    }

    /// One input as one example.
    pub fn prepare(&self, input: &Input<'_>) -> Result<Vec<f32>> {
        let prepare = function!(self.table, prepare);
        let (kind, data, second) = match input {
            Input::Text(text) => (abi::ANSWER_TEXT, text.as_bytes(), ""),
            Input::Pair(a, b) => (abi::ANSWER_TEXT, a.as_bytes(), b.as_ref()),
            Input::Image(bytes) => (abi::ANSWER_IMAGE, bytes.as_ref(), ""),
            Input::Features(values) => (abi::ANSWER_FEATURES, bytes_of(values), ""),
        };
        if input.kind() != self.about.reads.kind() {
            return Err(Error::msg(format!(
                "{} takes {}, and this is {}",
                self.who,
                self.about.reads.kind(),
                input.kind()
            )));
        }
        let lent = abi::Input {
            head: Head::of::<abi::Input>(),
            kind,
            reserved: 0,
            data: abi::Text::bytes(data),
            second: abi::Text::of(second),
        };
        filled(&self.about.input, "the example", &self.who, |example| {
            // SAFETY: as tlkit.h says: an input that is lent for the call, a block as large as it says.
            self.ask(|this, c| unsafe { prepare(this, c, &raw const lent, example) })
                .map(drop)
        })
    }

    /// The output of a stage, and what it left for the way back. Tensors are those of [`crate::lend::plain`].
    pub fn forward(&self, at: &At<'_>) -> Result<(Tensor, Handle<'_>)> {
        let forward = function!(self.table, forward);
        let spec = &self.about.stages[at.stage];
        let dims: Vec<usize> = [&at.input.dims()[..1], &spec.output].concat();
        let mut handle = Handle {
            network: self,
            at: std::ptr::null_mut(),
        };
        let what = format!("the output of the stage `{}`", spec.name);
        let input = std::slice::from_ref(at.input);
        let values = filled(&dims, &what, &self.who, |output| {
            let handle = &raw mut handle.at;
            lend(at.params, |params| {
                lend(input, |input| {
                    self.ask(|this, c| {
                        let count = at.params.len() as u64;
                        let pass = &raw const at.pass;
                        // SAFETY: `lend` gave a list of one tensor.
                        let input = unsafe { *input };
                        // SAFETY: as tlkit.h says: `count` parameters and an input, lent for the call; a block as large as it says and a
                        // place for a handle.
                        unsafe {
                            forward(
                                this,
                                c,
                                pass,
                                at.stage as u64,
                                params,
                                count,
                                input,
                                output,
                                handle,
                            )
                        }
                    })
                })
            })???;
            Ok(())
        })?;
        let made = Tensor::from_vec(values, dims, &Device::Cpu)?;
        Ok((made.to_device(at.input.device())?, handle))
    }

    /// The gradients of the input and of the parameters at that of the output; zeros where none is wanted. The first of `wanted` is the input's.
    pub fn vjp(
        &self,
        at: &At<'_>,
        handle: &Handle<'_>,
        gradient: &Tensor,
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let vjp = function!(self.table, vjp);
        let spec = &self.about.stages[at.stage];
        let like: Vec<Tensor> = std::iter::once(at.input)
            .chain(at.params)
            .cloned()
            .collect();
        let mut blocks = Blocks::like(&like, wanted);
        let (input, gradient) = (
            std::slice::from_ref(at.input),
            std::slice::from_ref(gradient),
        );
        lend(at.params, |params| {
            lend(input, |input| {
                lend(gradient, |gradient| {
                    blocks.lend(|out| {
                        self.ask(|this, c| {
                            let count = at.params.len() as u64;
                            let pass = &raw const at.pass;
                            // SAFETY: `lend` gave lists of one tensor; `out` has one block for the input and one for each parameter.
                            let (input, gradient, first, rest) =
                                unsafe { (*input, *gradient, *out, out.add(1)) };
                            // SAFETY: as tlkit.h says; the handle is what `forward` left, used once; blocks are as large as they say.
                            unsafe {
                                vjp(
                                    this,
                                    c,
                                    pass,
                                    at.stage as u64,
                                    handle.at,
                                    params,
                                    count,
                                    input,
                                    gradient,
                                    first,
                                    rest,
                                )
                            }
                        })
                    })
                })
            })
        })????;
        let names: Vec<String> = std::iter::once("the input".to_string())
            .chain(spec.params.iter().map(|p| p.name.clone()))
            .map(|n| format!("{}.{n}", spec.name))
            .collect();
        blocks.take_wanted(&like, &self.who, &names)
    }
}

/// Numbers as the bytes they are.
fn bytes_of(values: &[f32]) -> &[u8] {
    // SAFETY: a float32 is four bytes without padding, and any of them may be read.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

impl Drop for Network {
    fn drop(&mut self) {
        let this = self.this.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(drop) = self.table.drop {
            // SAFETY: tlkit.h: what `make` left, given back once.
            unsafe { drop(this.0) };
        }
    }
}

/// What `forward` left for `vjp`.
pub(crate) struct Handle<'n> {
    network: &'n Network,
    at: *mut c_void,
}

impl Handle<'_> {
    /// The pointer, to be wrapped again by [`Handle::of`].
    pub fn leave(self) -> Left {
        let at = self.at;
        std::mem::forget(self);
        Left(at)
    }

    /// Wraps it again.
    pub fn of(network: &Network, left: Left) -> Handle<'_> {
        let at = left.0;
        Handle { network, at }
    }
}

/// A handle without its network.
pub(crate) struct Left(*mut c_void);

// SAFETY: tlkit.h: calls may come from any thread; the host does nothing with the pointer but hand it back.
unsafe impl Send for Left {}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        if self.at.is_null() {
            return;
        }
        let this = self
            .network
            .this
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(release) = self.network.table.release {
            // SAFETY: tlkit.h: what `forward` left, given back once.
            unsafe { release(this.0, self.at) };
        }
    }
}

//! A stranger's encoder: settings, a description, and stages that are run and pulled back across the border.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use candle_core::{Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};
use tlkit_abi::{self as abi, Head};
use tlkit_core::data::Input;
use tlkit_core::nn::Elsewhere;
use tlkit_core::strategy::ParamSpec;
use tlkit_core::{Error, Result};

use crate::call::one_text;
use crate::describe::{ParamDescription, Rest, all_read, count, is_later, is_name};
use crate::home::Home;
use crate::lend::{Blocks, Care, filled, lend};
use crate::made::{Handle, Left, Made, function};

/// One made with its keys.
pub(crate) struct Network {
    /// Of the parameters that live in the plugin. Before `made`, as it has to be dropped first.
    pub homes: Mutex<Vec<Home>>,
    pub table: &'static abi::SourceTask,
    pub made: Made,
    pub about: About,
    /// Of each stage, how often it went forward and back.
    calls: Vec<[AtomicU32; 2]>,
}

/// Of so many calls of a stage, each number that it writes is looked at.
const FIRST_CALLS: u32 = 3;

/// Of all calls.
static THOROUGH: AtomicBool = AtomicBool::new(false);

/// Whether this is such a process.
pub(crate) fn is_thorough() -> bool {
    THOROUGH.load(Ordering::Relaxed)
}

/// From now on each number that a plugin writes is looked at, at every call: for a process that does nothing but check.
pub(crate) fn thorough() {
    THOROUGH.store(true, Ordering::Relaxed);
}

/// What it says of itself.
#[derive(Deserialize)]
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
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
struct StageDescription {
    name: String,
    output: Vec<usize>,
    #[serde(default)]
    params: Vec<ParamDescription>,
    #[serde(flatten)]
    rest: Rest,
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
pub(crate) struct Training {
    pub optimizer: Option<String>,
    pub learning_rate: Option<f64>,
    pub weight_decay: Option<f64>,
    pub head_multiple: Option<f64>,
    pub schedule: Option<String>,
    pub warmup: Option<f64>,
    pub batch_size: Option<usize>,
    pub clip: Option<f64>,
    #[serde(flatten)]
    rest: Rest,
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

    fn of(said: Description, later: bool) -> std::result::Result<Self, String> {
        all_read(&said.rest, "it", later)?;
        all_read(&said.defaults.rest, "`defaults`", later)?;
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
            all_read(&s.rest, &format!("the stage `{name}`"), later)?;
            let params = s.params.iter().map(|p| p.spec(later));
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
        let make = function!(table, make, "source task");
        let describe = function!(table, describe, "source task");
        let made = Made::with_keys(who, keys, make, table.drop)?.releasing(table.release);
        // SAFETY: as tlkit.h says; `this` is what `make` left.
        let said = made.ask(|this, c| unsafe { describe(this, c) })?;
        let said = one_text(who, said)?;
        let wrong = |e: String| Error::msg(format!("{who} describes itself wrongly: {e}"));
        let said: Description = serde_json::from_str(&said).map_err(|e| wrong(e.to_string()))?;
        let about = About::of(said, is_later(&table.head)).map_err(wrong)?;
        Ok(Network {
            homes: Mutex::default(),
            table,
            made,
            calls: about.stages.iter().map(|_| Default::default()).collect(),
            about,
        })
    }

    /// What its errors begin with.
    pub fn who(&self) -> &str {
        self.made.who()
    }

    /// How closely to look at what a stage writes: of the first calls, and of all that a conformance check makes, at every number.
    fn care(&self, stage: usize, way: usize, later: Care) -> Care {
        let before = self.calls[stage][way].fetch_add(1, Ordering::Relaxed);
        match before < FIRST_CALLS || is_thorough() {
            true => Care::All,
            false => later,
        }
    }

    /// One input as one example.
    pub fn prepare(&self, input: &Input<'_>) -> Result<Vec<f32>> {
        let prepare = function!(self.table, prepare, "source task");
        let (kind, data, second) = match input {
            Input::Text(text) => (abi::ANSWER_TEXT, text.as_bytes(), ""),
            Input::Pair(a, b) => (abi::ANSWER_TEXT, a.as_bytes(), b.as_ref()),
            Input::Image(bytes) => (abi::ANSWER_IMAGE, bytes.as_ref(), ""),
            Input::Features(values) => (abi::ANSWER_FEATURES, bytes_of(values), ""),
        };
        if input.kind() != self.about.reads.kind() {
            return Err(Error::msg(format!(
                "{} takes {}, and this is {}",
                self.who(),
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
        let what = || "the example".to_string();
        filled(&self.about.input, Care::All, &what, self.who(), |example| {
            // SAFETY: as tlkit.h says: an input that is lent for the call, a block as large as it says.
            let asked = self
                .made
                .ask(|this, c| unsafe { prepare(this, c, &raw const lent, example) });
            asked.map(drop)
        })
    }

    /// The output of a stage, and what it left for the way back. Tensors are those of [`crate::lend::plain`].
    pub fn forward(&self, at: &At<'_>) -> Result<(Tensor, Handle<'_>)> {
        let forward = function!(self.table, forward, "source task");
        self.at_home(at.stage, at.params)?;
        let spec = &self.about.stages[at.stage];
        let dims: Vec<usize> = [&at.input.dims()[..1], &spec.output].concat();
        let mut handle = self.made.handle();
        let what = || format!("the output of the stage `{}`", spec.name);
        let input = std::slice::from_ref(at.input);
        let care = self.care(at.stage, 0, Care::Finite);
        let values = filled(&dims, care, &what, self.who(), |output| {
            let handle = &raw mut handle.at;
            lend(at.params, |params| {
                lend(input, |input| {
                    self.made.ask(|this, c| {
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

    /// The way back, at the gradient of the output: the gradient of the input, and those of the parameters where they are. Nothing where
    /// none is wanted; the first of `wanted` is the input's.
    pub fn vjp(
        &self,
        at: &At<'_>,
        handle: &Handle<'_>,
        gradient: &Tensor,
        wanted: &[bool],
    ) -> Result<(Option<Tensor>, Vec<Option<Box<dyn Elsewhere>>>)> {
        let vjp = function!(self.table, vjp, "source task");
        self.at_home(at.stage, at.params)?;
        let spec = &self.about.stages[at.stage];
        let all = std::iter::once(at.input).chain(at.params);
        let dims: Vec<Vec<usize>> = all.map(|t| t.dims().to_vec()).collect();
        let (gives, shapes) = (self.table.gives == 1, dims[1..].to_vec());
        let given: Vec<Option<&[usize]>> = (shapes.iter().zip(&wanted[1..]))
            .map(|(shape, wanted)| (gives && *wanted).then_some(&shape[..]))
            .collect();
        let care = self.care(at.stage, 1, Care::Samples);
        let of_input = dims[0].clone();
        let mut blocks = Blocks::of(dims, wanted, |i| match i {
            0 => Some(match care {
                Care::Samples => Care::Finite,
                other => other,
            }),
            _ => (!gives).then_some(care),
        });
        let (input, gradient) = (
            std::slice::from_ref(at.input),
            std::slice::from_ref(gradient),
        );
        let mut taken = lend(at.params, |params| {
            lend(input, |input| {
                lend(gradient, |gradient| {
                    blocks.lend(|out| {
                        self.made.take(&given, |this, c| {
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
        let name = |i: usize| match i {
            0 => format!("{}.the input", spec.name),
            i => format!("{}.{}", spec.name, spec.params[i - 1].name),
        };
        let mut numbers = blocks.numbers(self.who(), &name)?.into_iter();
        let of_input = match numbers.next().flatten() {
            // Where its input is: it is added to what others say of that.
            Some(values) => {
                let made = Tensor::from_vec(values, of_input, &Device::Cpu)?;
                Some(made.to_device(at.input.device())?)
            }
            None => None,
        };
        let mut of_params: Vec<Option<Box<dyn Elsewhere>>> = Vec::new();
        for (i, numbers) in numbers.enumerate() {
            let who = self.who();
            of_params.push(match (numbers, taken[i].take(), given[i]) {
                (Some(values), ..) => Some(Box::new(Written {
                    values,
                    who: who.into(),
                })),
                (None, Some(given), _) => {
                    if care == Care::All
                        && let Some(at) = tlkit_ops::first_not_finite(given.numbers())
                    {
                        let (what, held) = (name(i + 1), given.numbers()[at]);
                        return Err(Error::msg(format!(
                            "{who} gave the gradient of `{what}` that holds {held}"
                        )));
                    }
                    Some(Box::new(given))
                }
                (None, None, Some(_)) => {
                    let what = name(i + 1);
                    return Err(Error::msg(format!(
                        "{who} did not give the gradient of `{what}`"
                    )));
                }
                (None, None, None) => None,
            });
        }
        Ok((of_input, of_params))
    }

    /// Wraps a handle that was left.
    pub fn handle(&self, left: Left) -> Handle<'_> {
        Handle::of(&self.made, left)
    }
}

/// A gradient that was written into a block of ours.
struct Written {
    values: Vec<f32>,
    who: String,
}

impl Elsewhere for Written {
    fn numbers(&self) -> &[f32] {
        &self.values
    }

    fn whose(&self) -> &str {
        &self.who
    }
}

/// Numbers as the bytes they are.
fn bytes_of(values: &[f32]) -> &[u8] {
    // SAFETY: a float32 is four bytes without padding, and any of them may be read.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

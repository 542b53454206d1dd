//! A stranger's loss term.

use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::{Map, Value};
use tlkit_abi::{self as abi, Head};
use tlkit_core::strategy::{Asked, LossTerm, ParamSpec, Valued};
use tlkit_core::{Error, Result};

use crate::call::{Answer, call, one_text};
use crate::describe::ParamDescription;
use crate::lend::{Blocks, lend, plain};

/// A term made with its keys.
pub(crate) struct CTerm {
    table: &'static abi::LossTerm,
    this: Mutex<This>,
    who: String,
    taps: Vec<String>,
    params: Vec<ParamSpec>,
}

/// The plugin's own pointer.
struct This(*mut c_void);

// SAFETY: tlkit.h: calls may come from any thread, one at a time for one `self`; the mutex around it sees to that.
unsafe impl Send for This {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    taps: Vec<String>,
    #[serde(default)]
    params: Vec<ParamDescription>,
}

macro_rules! function {
    ($table:expr, $name:ident) => {
        $table.$name.ok_or_else(|| {
            Error::msg(concat!(
                "the loss term has no function `",
                stringify!($name),
                "`"
            ))
        })?
    };
}

impl CTerm {
    /// Makes one. `who` begins its errors.
    pub fn make(
        table: &'static abi::LossTerm,
        who: &str,
        keys: &Map<String, Value>,
    ) -> Result<Self> {
        let make = function!(table, make);
        let describe = function!(table, describe);
        let mut this = std::ptr::null_mut();
        // SAFETY: as tlkit.h says: what is lent lives for the call.
        call(who, Some(keys), |c| unsafe { make(c, &raw mut this) })?;
        let mut made = CTerm {
            table,
            this: Mutex::new(This(this)),
            who: who.to_string(),
            taps: Vec::new(),
            params: Vec::new(),
        };
        // SAFETY: as tlkit.h says; `this` is what `make` left.
        let said = made.ask(|this, c| unsafe { describe(this, c) })?;
        let said = one_text(who, said)?;
        let wrong = |e: String| Error::msg(format!("{who} describes itself wrongly: {e}"));
        let said: Description = serde_json::from_str(&said).map_err(|e| wrong(e.to_string()))?;
        for tap in &said.taps {
            let feed = tap
                .rsplit_once(':')
                .map(|(name, feed)| (name, feed.parse::<usize>()));
            if !matches!(feed, Some((name, Ok(_))) if !name.is_empty()) {
                return Err(wrong(format!(
                    "`{tap}` is not a tap and a feed, as `features:0` is"
                )));
            }
        }
        if said.taps.is_empty() {
            return Err(wrong(
                "it takes no tap, so that nothing would learn from it".into(),
            ));
        }
        let params = said.params.iter().map(ParamDescription::spec);
        made.params = params
            .collect::<std::result::Result<_, _>>()
            .map_err(wrong)?;
        made.taps = said.taps;
        Ok(made)
    }

    fn ask(&self, f: impl FnOnce(*mut c_void, *const abi::Call) -> i32) -> Result<Vec<Answer>> {
        // A panic in between leaves the pointer as it was.
        let this = self.this.lock().unwrap_or_else(PoisonError::into_inner);
        call(&self.who, None, |c| f(this.0, c))
    }

    /// What the inputs are called, for errors.
    pub fn input_names(&self) -> Vec<String> {
        let params = self.params.iter().map(|p| p.name.clone());
        self.taps.iter().cloned().chain(params).collect()
    }

    /// The value, and the gradient of each input that is wanted; zeros of the others. `gradient` is the derivative by the value.
    pub fn at(
        &self,
        inputs: &[Tensor],
        asked: &Asked,
        gradient: f64,
    ) -> Result<(f64, Vec<Tensor>)> {
        let (forward, vjp) = (function!(self.table, forward), function!(self.table, vjp));
        let moment = abi::Moment {
            head: Head::of::<abi::Moment>(),
            seed: asked.seed,
            step: asked.step,
            progress: asked.progress,
            training: 1,
            reserved: 0,
        };
        let lent = plain(inputs)?;
        let count = lent.len() as u64;
        let mut value = f64::NAN;
        let mut handle = Handle {
            term: self,
            at: std::ptr::null_mut(),
        };
        lend(&lent, |all| {
            let (value, handle) = (&raw mut value, &raw mut handle.at);
            // SAFETY: as tlkit.h says: `count` tensors, lent for the call; places for a value and a handle.
            self.ask(|this, c| unsafe {
                forward(this, c, &raw const moment, all, count, value, handle)
            })
        })??;
        if !value.is_finite() {
            return Err(Error::msg(format!("{} gave the value {value}", self.who)));
        }
        let mut blocks = Blocks::like(&lent, &asked.wanted);
        if asked.wanted.contains(&true) {
            lend(&lent, |all| {
                blocks.lend(|out| {
                    // SAFETY: as tlkit.h says; the handle is what `forward` left, used once; blocks are as large as they say.
                    self.ask(|this, c| unsafe {
                        vjp(
                            this,
                            c,
                            &raw const moment,
                            handle.at,
                            gradient,
                            all,
                            count,
                            out,
                        )
                    })
                })
            })??;
        }
        let gradients = blocks.take(inputs, &self.who, &self.input_names())?;
        Ok((value, gradients))
    }
}

impl Drop for CTerm {
    fn drop(&mut self) {
        let this = self.this.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(drop) = self.table.drop {
            // SAFETY: tlkit.h: what `make` left, given back once.
            unsafe { drop(this.0) };
        }
    }
}

/// What `forward` left for `vjp`.
struct Handle<'t> {
    term: &'t CTerm,
    at: *mut c_void,
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        if self.at.is_null() {
            return;
        }
        let this = self
            .term
            .this
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(release) = self.term.table.release {
            // SAFETY: tlkit.h: what `forward` left, given back once.
            unsafe { release(this.0, self.at) };
        }
    }
}

impl LossTerm for CTerm {
    fn taps(&self) -> &[String] {
        &self.taps
    }

    fn params(&self) -> Vec<ParamSpec> {
        self.params.clone()
    }

    fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> Result<Valued> {
        let asked = Asked {
            seed: 0,
            step: 0,
            progress: 0.0,
            wanted: vec![true; taps.len() + params.len()],
        };
        self.value_and_gradients_at(taps, params, &asked)
    }

    fn value_and_gradients_at(
        &self,
        taps: &[Tensor],
        params: &[Tensor],
        asked: &Asked,
    ) -> Result<Valued> {
        let (value, mut gradients) = self.at(&[taps, params].concat(), asked, 1.0)?;
        let params = gradients.split_off(taps.len());
        Ok(Valued {
            value,
            taps: gradients,
            params,
        })
    }
}

//! A stranger's loss term.

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::{Map, Value};
use tlkit_abi::{self as abi, Head};
use tlkit_core::strategy::{Asked, LossTerm, ParamSpec, Valued};
use tlkit_core::{Error, Result};

use crate::call::one_text;
use crate::describe::{ParamDescription, Rest, all_read, is_later};
use crate::lend::{Blocks, Care, lend, plain};
use crate::made::{Made, function};

/// A term made with its keys.
pub(crate) struct CTerm {
    table: &'static abi::LossTerm,
    made: Made,
    taps: Vec<String>,
    /// Those whose gradient is a multiple of the derivative.
    pub turned: Vec<String>,
    params: Vec<ParamSpec>,
}

#[derive(Deserialize)]
struct Description {
    taps: Vec<String>,
    #[serde(default)]
    params: Vec<ParamDescription>,
    #[serde(default)]
    turned: Vec<String>,
    #[serde(flatten)]
    rest: Rest,
}

impl CTerm {
    /// Makes one. `who` begins its errors.
    pub fn make(
        table: &'static abi::LossTerm,
        who: &str,
        keys: &Map<String, Value>,
    ) -> Result<Self> {
        let make = function!(table, make, "loss term");
        let describe = function!(table, describe, "loss term");
        let made = Made::with_keys(who, keys, make, table.drop)?.releasing(table.release);
        // SAFETY: as tlkit.h says; `this` is what `make` left.
        let said = made.ask(|this, c| unsafe { describe(this, c) })?;
        let said = one_text(who, said)?;
        let wrong = |e: String| Error::msg(format!("{who} describes itself wrongly: {e}"));
        let said: Description = serde_json::from_str(&said).map_err(|e| wrong(e.to_string()))?;
        let later = is_later(&table.head);
        all_read(&said.rest, "it", later).map_err(wrong)?;
        if let Some(tap) = said.turned.iter().find(|t| !said.taps.contains(t)) {
            return Err(wrong(format!(
                "`{tap}` is turned, and it takes no such tap"
            )));
        }
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
        let params = said.params.iter().map(|p| p.spec(later));
        let params = params.collect::<std::result::Result<_, _>>();
        Ok(CTerm {
            table,
            made,
            taps: said.taps,
            turned: said.turned,
            params: params.map_err(wrong)?,
        })
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
        let forward = function!(self.table, forward, "loss term");
        let vjp = function!(self.table, vjp, "loss term");
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
        let mut handle = self.made.handle();
        lend(&lent, |all| {
            let (value, handle) = (&raw mut value, &raw mut handle.at);
            // SAFETY: as tlkit.h says: `count` tensors, lent for the call; places for a value and a handle.
            self.made.ask(|this, c| unsafe {
                forward(this, c, &raw const moment, all, count, value, handle)
            })
        })??;
        if !value.is_finite() {
            return Err(Error::msg(format!(
                "{} gave the value {value}",
                self.made.who()
            )));
        }
        let mut blocks = Blocks::like(&lent, &asked.wanted, Care::All);
        if asked.wanted.contains(&true) {
            lend(&lent, |all| {
                blocks.lend(|out| {
                    // SAFETY: as tlkit.h says; the handle is what `forward` left, used once; blocks are as large as they say.
                    self.made.ask(|this, c| unsafe {
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
        let gradients = blocks.take(inputs, self.made.who(), &self.input_names())?;
        Ok((value, gradients))
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

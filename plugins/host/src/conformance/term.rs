//! Trials of loss terms.

use candle_core::{Device, Tensor};
use tlkit_core::random::Stream;
use tlkit_core::strategy::{Asked, LossTerm};
use tlkit_core::{Error, Result};

use super::memory::leaks;
use super::{Tell, first_line, flat};
use crate::term::CTerm;

/// Rows of each feed in the main trial: two feeds need not be alike.
const ROWS: [usize; 3] = [5, 7, 4];
pub(super) const WIDTH: usize = 6;
const CLASSES: usize = 3;

/// Inputs for a term: taps of so many rows, then parameters.
fn inputs(term: &dyn LossTerm, rows: &[usize], width: usize, seed: u64) -> Result<Vec<Tensor>> {
    let draw = |name: &str, dims: &[usize]| -> Result<Tensor> {
        let n = dims.iter().product();
        let values = Stream::new(seed).purpose(name).normals(n);
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    };
    let mut all = Vec::new();
    for tap in term.taps() {
        let (name, feed) = tap.rsplit_once(':').unwrap_or((tap, "0"));
        let feed: usize = feed.parse().unwrap_or(0);
        let rows = rows[feed % rows.len()];
        if is_labels(tap) {
            let stream = Stream::new(seed).purpose(tap);
            let classes = (0..rows as u64).map(|i| stream.below(i, CLASSES as u64) as f32);
            all.push(Tensor::from_vec(classes.collect(), rows, &Device::Cpu)?);
            continue;
        }
        let columns = if name == "logits" { CLASSES } else { width };
        all.push(draw(tap, &[rows, columns])?);
    }
    for p in term.params() {
        all.push(draw(&p.name, &p.shape)?);
    }
    Ok(all)
}

/// What the inputs are called, for errors: taps, then parameters.
fn names(term: &dyn LossTerm) -> Vec<String> {
    let params = term.params().into_iter().map(|p| p.name);
    term.taps().iter().cloned().chain(params).collect()
}

fn is_labels(name: &str) -> bool {
    name.starts_with("labels:")
}

/// Every gradient but that of labels, which there is none of.
fn wanted_of(term: &dyn LossTerm) -> Vec<bool> {
    names(term).iter().map(|n| !is_labels(n)).collect()
}

/// The value, and the gradients of all inputs.
fn value(term: &dyn LossTerm, inputs: &[Tensor], asked: &Asked) -> Result<(f64, Vec<Tensor>)> {
    let (taps, params) = inputs.split_at(term.taps().len());
    let valued = term.value_and_gradients_at(taps, params, asked)?;
    let gradients = [valued.taps, valued.params].concat();
    match gradients.len() == inputs.len() {
        true => Ok((valued.value, gradients)),
        false => Err(Error::msg(format!(
            "{} gradients for {} inputs",
            gradients.len(),
            inputs.len()
        ))),
    }
}

/// The derivative by the value is a factor: of a stranger alone, for a built-in's gradients are of the value itself.
pub(super) fn factor(term: &CTerm) -> Result<String> {
    let at = inputs(term, &ROWS, WIDTH, 5)?;
    let all = asked(wanted_of(term));
    let (one, four) = (term.at(&at, &all, 1.0)?, term.at(&at, &all, -4.0)?);
    for ((a, b), name) in one.1.iter().zip(&four.1).zip(names(term)) {
        for (a, b) in flat(a)?.into_iter().zip(flat(b)?) {
            if (b + 4.0 * a).abs() > 1e-5 * a.abs().max(1e-3) {
                return Err(Error::msg(format!("`{name}`: {a} for 1, {b} for -4")));
            }
        }
    }
    Ok(String::new())
}

fn asked(wanted: Vec<bool>) -> Asked {
    Asked {
        seed: 11,
        step: 3,
        progress: 0.25,
        wanted,
    }
}

fn bits(outcome: &(f64, Vec<Tensor>)) -> Result<Vec<u64>> {
    let mut all = vec![outcome.0.to_bits()];
    for t in &outcome.1 {
        all.extend(flat(t)?.iter().map(|v| u64::from(v.to_bits())));
    }
    Ok(all)
}

/// Tries a loss term. One whose own parameters fit features of one width alone says so by its key `width`, and is tried with that width only.
/// `turned`: taps whose gradient is a multiple of the derivative, the same everywhere.
pub fn term<T: LossTerm>(
    make: &dyn Fn() -> Result<T>,
    one_width: bool,
    turned: &[String],
    tell: Tell<'_>,
) {
    let made = make();
    let (term, line) = match made {
        Ok(term) => {
            let words = format!("takes {}", names(&term).join(", "));
            (Some(term), Ok(words))
        }
        Err(e) => (None, Err(e)),
    };
    tell("it is made, and describes itself", line);
    let Some(term) = term else { return };
    if term.taps().iter().any(|t| {
        !["features:", "logits:", "labels:"]
            .iter()
            .any(|k| t.starts_with(k))
    }) {
        tell(
            "the rest was left out",
            Ok("it takes the output of a stage, whose shape only a recipe knows".into()),
        );
        return;
    }
    tell(
        "its gradients are those of finite differences",
        differences(&term, turned),
    );
    tell("a gradient that nobody wants changes no other", mask(&term));
    tell(
        "equal calls give equal bits, on any thread, of any instance",
        same_bits(&term, make),
    );
    tell(
        "few rows, one row, no rows: a number or an error",
        edges(&term),
    );
    tell(
        "feeds of different widths: a number or an error",
        widths(&term),
    );
    tell("a thousand random calls", thousand(&term, one_width));
    tell("memory does not grow", memory(&term, make, one_width));
}

/// Central differences along random directions; the step is what f32 made of it.
fn differences(term: &dyn LossTerm, turned: &[String]) -> Result<String> {
    let names = names(term);
    let mut worst: f64 = 0.0;
    let mut factors = Vec::new();
    // What the differences say, what the gradient says, and how large the value was: of each direction.
    let mut seen: Vec<Vec<(f64, f64, f64, f64)>> = names.iter().map(|_| Vec::new()).collect();
    for seed in 0..3 {
        let at = inputs(term, &ROWS, WIDTH, seed)?;
        let all = asked(wanted_of(term));
        let (_, gradients) = value(term, &at, &all)?;
        for (i, name) in names.iter().enumerate() {
            if is_labels(name) {
                continue;
            }
            let (x, g) = (flat(&at[i])?, flat(&gradients[i])?);
            // Every number by itself where there are few, directions where there are many.
            let directions = if x.len() <= 64 { x.len() } else { 16 };
            for d in 0..directions {
                let along: Vec<f32> = match x.len() <= 64 {
                    true => (0..x.len()).map(|j| f32::from(u8::from(j == d))).collect(),
                    false => Stream::new(seed)
                        .purpose("direction")
                        .at(d as u64)
                        .normals(x.len()),
                };
                let moved = |by: f32| -> Result<(f64, Vec<f32>)> {
                    let v: Vec<f32> = x.iter().zip(&along).map(|(x, a)| x + by * a).collect();
                    let mut all = at.clone();
                    all[i] = Tensor::from_vec(v.clone(), at[i].dims(), &Device::Cpu)?;
                    Ok((value(term, &all, &asked(vec![false; all.len()]))?.0, v))
                };
                let ((up, above), (down, below)) = (moved(5e-3)?, moved(-5e-3)?);
                let expected: f64 = (above.iter().zip(&below).zip(&g))
                    .map(|((a, b), g)| (f64::from(*a) - f64::from(*b)) * f64::from(*g))
                    .sum();
                let norm = g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                seen[i].push(((up - down) / 1e-2, expected / 1e-2, up.abs() / 1e-2, norm));
            }
        }
    }
    for (name, seen) in names.iter().zip(&seen) {
        let factor = match turned.contains(name) {
            false => 1.0,
            // The one that fits all directions best.
            true => {
                let both: f64 = seen.iter().map(|(found, said, ..)| found * said).sum();
                let square: f64 = seen.iter().map(|(found, ..)| found * found).sum();
                let factor = both / square.max(1e-30);
                if factor.abs() < 1e-3 {
                    return Err(Error::msg(format!(
                        "`{name}` is said to be turned, and its gradient is {factor:.1e} times the value's: it is none"
                    )));
                }
                factors.push(format!("{name} times {factor:.3}"));
                factor
            }
        };
        for &(found, said, size, norm) in seen {
            let gap = (factor * found - said).abs();
            // Along a random direction a gradient says about its length, however small: a mean over many numbers has a small one.
            let scale = said.abs().max(norm);
            // Values are of f32 inputs and sums: six digits of them are kept.
            if gap > 2e-2 * scale + 1e-5 * factor.abs() * size {
                return Err(Error::msg(format!(
                    "`{name}`: the value moves by {:.6e} along a direction, the gradient says {said:.6e}",
                    factor * found
                )));
            }
            worst = worst.max(gap / scale.max(1e-30));
        }
    }
    let factors = match factors.is_empty() {
        true => String::new(),
        false => format!("; turned: {}", factors.join(", ")),
    };
    Ok(format!("largest gap {worst:.1e}{factors}"))
}

fn mask(term: &dyn LossTerm) -> Result<String> {
    let at = inputs(term, &ROWS, WIDTH, 6)?;
    let all = value(term, &at, &asked(wanted_of(term)))?;
    for i in (0..at.len()).filter(|&i| wanted_of(term)[i]) {
        let wanted: Vec<bool> = (0..at.len()).map(|j| j == i).collect();
        let alone = value(term, &at, &asked(wanted))?;
        if flat(&alone.1[i])? != flat(&all.1[i])? {
            let name = &names(term)[i];
            return Err(Error::msg(format!(
                "`{name}` alone has another gradient than with the others"
            )));
        }
    }
    Ok(String::new())
}

fn same_bits<T: LossTerm>(term: &dyn LossTerm, make: &dyn Fn() -> Result<T>) -> Result<String> {
    let at = inputs(term, &ROWS, WIDTH, 8)?;
    let all = asked(wanted_of(term));
    let first = bits(&value(term, &at, &all)?)?;
    let other = make()?;
    let elsewhere = std::thread::scope(|s| {
        let there = s.spawn(|| value(term, &at, &all).and_then(|o| bits(&o)));
        there.join()
    });
    let elsewhere = elsewhere.map_err(|_| Error::msg("a thread panicked"))??;
    match first == bits(&value(term, &at, &all)?)?
        && first == elsewhere
        && first == bits(&value(&other, &at, &all)?)?
    {
        true => Ok(String::new()),
        false => Err(Error::msg("the bits differ")),
    }
}

fn edges(term: &dyn LossTerm) -> Result<String> {
    let mut said = Vec::new();
    for rows in [[2usize; 3], [1; 3], [0; 3]] {
        let at = inputs(term, &rows, WIDTH, 9)?;
        said.push(match value(term, &at, &asked(wanted_of(term))) {
            Ok((value, _)) => format!("{} rows: {value:.3}", rows[0]),
            Err(e) => format!("{} rows: {}", rows[0], reason(&e)),
        });
    }
    Ok(said.join("; "))
}

fn widths(term: &dyn LossTerm) -> Result<String> {
    let mut at = inputs(term, &ROWS, WIDTH, 10)?;
    if term.taps().len() < 2 {
        return Ok("it has one tap".into());
    }
    at[0] = Tensor::zeros((ROWS[0], WIDTH + 3), candle_core::DType::F32, &Device::Cpu)?;
    Ok(match value(term, &at, &asked(wanted_of(term))) {
        Ok((value, _)) => format!("{value:.3}"),
        Err(e) => reason(&e).to_string(),
    })
}

/// What an error says after who it is from.
fn reason(e: &Error) -> String {
    let text = e.to_string();
    let said = text
        .split_once("`: ")
        .map_or(text.as_str(), |(_, said)| said);
    first_line(said).to_string()
}

fn thousand(term: &dyn LossTerm, one_width: bool) -> Result<String> {
    let stream = Stream::new(3).purpose("thousand");
    for i in 0..1000u64 {
        let draw = |k: u64, n: u64| 1 + stream.below(8 * i + k, n) as usize;
        let width = if one_width { WIDTH } else { draw(3, 9) };
        let at = inputs(term, &[draw(0, 9), draw(1, 9), draw(2, 9)], width, i)?;
        let wanted = (0..at.len() as u64)
            .zip(wanted_of(term))
            .map(|(k, may)| may && stream.below(8 * i + 4 + k, 2) == 1);
        let wanted = asked(wanted.collect());
        // Of one row some have nothing to say, and may say so.
        let few = at.iter().any(|t| t.dims().first() == Some(&1));
        if let Err(e) = value(term, &at, &wanted)
            && !few
        {
            return Err(Error::msg(format!("call {i}: {}", reason(&e))));
        }
    }
    Ok(String::new())
}

fn memory<T: LossTerm>(
    term: &dyn LossTerm,
    make: &dyn Fn() -> Result<T>,
    one_width: bool,
) -> Result<String> {
    let at = inputs(term, &[64; 3], if one_width { WIDTH } else { 256 }, 12)?;
    // A leak of one input a call would be 26 MB.
    leaks(200, |calls| {
        for i in 0..calls {
            let wanted = wanted_of(term)
                .iter()
                .map(|may| *may && i % 2 == 0)
                .collect();
            value(term, &at, &asked(wanted))?;
            make()?;
        }
        Ok(())
    })
}

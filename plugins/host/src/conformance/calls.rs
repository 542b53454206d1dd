//! Trials of a source task by many calls: in no order, and with inputs that are none.

use std::time::{Duration, Instant};

use candle_core::Tensor;
use tlkit_core::data::{Example, Input};
use tlkit_core::nn::{Chain, Flow, Gradients, Recording};
use tlkit_core::random::Stream;
use tlkit_core::task::SourceTask;
use tlkit_core::{Error, Result};

use super::flat;
use super::source::{Made, Rows, collated, examples, pass, run};

/// As many as there are, unless time runs out.
const CALLS: u64 = 1000;
const TIME: Duration = Duration::from_secs(8);
/// Passes that wait for their way back at any time.
const OPEN: usize = 3;

/// Passes of a few rows each, in training and in evaluation; recordings are pulled back later and in another order, or not at all.
pub(super) fn random(task: &dyn SourceTask, rows: &Rows, made: &Made) -> Result<String> {
    let examples = examples(task, rows)?;
    let stages = made.encoder.stages().to_vec();
    let last = stages.len() - 1;
    let chain = Chain::new(stages, last);
    let draws = Stream::new(17);
    let until = Instant::now() + TIME;
    let mut open: Vec<(Tensor, Recording)> = Vec::new();
    let mut calls = 0;
    while calls < CALLS && Instant::now() < until {
        let draw = draws.at(calls);
        let rows = 1 + draw.below(0, 3);
        let row = |i| &examples[draw.below(10 + i, examples.len() as u64) as usize];
        let picked: Vec<&Example> = (0..rows).map(row).collect();
        let batch = collated(task, &picked)?;
        let failed = |e: Error| Error::msg(format!("pass {calls}, {rows} rows: {e}"));
        if draw.below(1, 3) == 0 {
            run(made.encoder.as_ref(), &batch)
                .and_then(|out| whole(&out, rows))
                .map_err(failed)?;
        } else {
            let (taps, recording) = chain
                .record(0, Flow::start(&batch), &pass(calls), &[])
                .map_err(failed)?;
            whole(&taps.features, rows).map_err(failed)?;
            open.push((taps.features, recording));
        }
        if open.len() > OPEN {
            let which = draw.below(2, open.len() as u64) as usize;
            let (features, recording) = open.swap_remove(which);
            if draw.below(3, 4) > 0 {
                back(&features, recording).map_err(failed)?;
            }
        }
        calls += 1;
    }
    Ok(match calls == CALLS {
        true => String::new(),
        false => format!("{calls} of them in {} s", TIME.as_secs()),
    })
}

/// So many rows of numbers.
fn whole(out: &Tensor, rows: u64) -> Result<()> {
    if out.dims().first() != Some(&(rows as usize)) {
        return Err(Error::msg(format!("{:?} came out", out.dims())));
    }
    match flat(out)?.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Error::msg("what came out is not finite")),
    }
}

fn back(features: &Tensor, recording: Recording) -> Result<()> {
    let grads = features.sum_all()?.backward()?;
    let mut into = Gradients::default();
    recording.pull(&grads, &mut into)?;
    for (name, g) in into.iter() {
        if !flat(g)?.iter().all(|v| v.is_finite()) {
            return Err(Error::msg(format!(
                "the gradient of `{name}` is not finite"
            )));
        }
    }
    Ok(())
}

/// Inputs that are hardly any: each is an error or an example, and no panic.
pub(super) fn odd(task: &dyn SourceTask) -> Result<String> {
    let prepare = task.prepare()?;
    let texts = ["", " \n\t", "\u{0}\u{fffd}\u{202e}", &"a ".repeat(50_000)];
    let noise = super::noise(300);
    let inputs: Vec<Input<'_>> = match task.reads() {
        Some("an image") => [
            &[][..],
            &noise,
            b"BM",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
        ]
        .into_iter()
        .map(|bytes| Input::Image(bytes.into()))
        .collect(),
        Some("a feature vector") => [&[][..], &[1.0], &[f32::NAN; 3], &[f32::MAX; 5000]]
            .into_iter()
            .map(|values| Input::Features(values.into()))
            .collect(),
        Some("a pair of texts") => texts
            .into_iter()
            .map(|text| Input::Pair(text.into(), "".into()))
            .collect(),
        _ => texts.into_iter().map(|t| Input::Text(t.into())).collect(),
    };
    let (mut errors, all) = (0, inputs.len());
    for input in &inputs {
        match prepare.example(input) {
            Ok(_) => {}
            Err(e) if e.to_string().contains("it panicked") => return Err(e),
            Err(_) => errors += 1,
        }
    }
    // And one of another kind.
    let other = match task.reads() {
        Some("a feature vector") => Input::Text("text".into()),
        _ => Input::Features((&[1.0f32][..]).into()),
    };
    match prepare.example(&other) {
        Ok(_) => Err(Error::msg(format!(
            "{} was taken for an input",
            other.kind()
        ))),
        Err(e) if e.to_string().contains("it panicked") => Err(e),
        Err(_) => Ok(format!("{errors} errors of {all}")),
    }
}

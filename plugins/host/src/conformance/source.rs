//! Trials of source tasks: what its encoder computes, and what goes back through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::data::{Example, Input};
use tlkit_core::nn::{
    Batch, Chain, Flow, Gradients, Param, Pass, Role, Select, Stage, Store, Weights,
};
use tlkit_core::random::Stream;
use tlkit_core::task::{Encoder, SourceTask};
use tlkit_core::{Error, Result};

use super::memory::leaks;
use super::{Tell, calls, first_line, flat};

/// Inputs that a source task takes.
pub struct Rows(pub Vec<Input<'static>>);

/// Makes a source task as a recipe does.
pub type Make<'m> = &'m dyn Fn() -> Result<Box<dyn SourceTask>>;

/// An encoder and where its parameters are.
pub(super) struct Made {
    store: Store,
    pub encoder: Arc<dyn Encoder>,
    batch: Arc<Batch>,
}

/// Tries a source task, its input width known.
pub fn source(make: Make<'_>, rows: &Rows, tell: Tell<'_>) {
    let task = match make() {
        Ok(task) => task,
        Err(e) => return tell("it is made, and describes itself", Err(e)),
    };
    let made = new(task.as_ref(), rows, 1);
    let words = made.as_ref().map(|m| {
        let stages = m.encoder.stages().iter().map(|s| s.name().to_string());
        let numbers: usize = m.store.all().iter().map(Param::count).sum();
        let stages: Vec<String> = stages.collect();
        format!("{}; {numbers} numbers", stages.join(", "))
    });
    tell(
        "it is made, and describes itself",
        words.map_err(|e| Error::msg(e.to_string())),
    );
    let Ok(made) = made else { return };
    tell(
        "an input is prepared the same twice, on any thread",
        prepared(task.as_ref(), rows),
    );
    tell(
        "names are its own, and in a fixed order",
        named(task.as_ref(), rows),
    );
    tell(
        "the gradients of every stage are those of finite differences",
        differences(&made),
    );
    tell("a gradient that nobody wants changes no other", mask(&made));
    tell(
        "rows do not see each other",
        alone(task.as_ref(), rows, &made),
    );
    tell(
        "equal passes give equal bits, on any thread, of any instance",
        same_bits(make, rows, &made),
    );
    tell(
        "weights that are saved and loaded give the same bits",
        loaded(task.as_ref(), rows, &made),
    );
    tell("weights that change are seen", changed(&made));
    tell(
        "no row: a number or an error",
        nothing(task.as_ref(), &made),
    );
    tell(
        "inputs that are hardly any: an example or an error",
        calls::odd(task.as_ref()),
    );
    tell(
        "a thousand random passes, pulled back in another order or not at all",
        calls::random(task.as_ref(), rows, &made),
    );
    tell(
        "memory does not grow",
        leaks(20, |calls| {
            for i in 0..calls {
                drop(new(task.as_ref(), rows, i as u64)?);
                pulled(&made, i as u64, i % 2 == 0)?;
            }
            Ok(())
        }),
    );
}

pub(super) fn examples(task: &dyn SourceTask, rows: &Rows) -> Result<Vec<Example>> {
    let prepare = task.prepare()?;
    rows.0.iter().map(|input| prepare.example(input)).collect()
}

pub(super) fn collated(task: &dyn SourceTask, examples: &[&Example]) -> Result<Arc<Batch>> {
    Ok(Arc::new(task.prepare()?.collate(examples, &Device::Cpu)?))
}

fn new(task: &dyn SourceTask, rows: &Rows, seed: u64) -> Result<Made> {
    let store = Store::new(&Device::Cpu, DType::F32, seed);
    let encoder = task.fresh_encoder(&store.scope("model"))?;
    store.train_only(&Select::All);
    let examples = examples(task, rows)?;
    let batch = collated(task, &examples.iter().collect::<Vec<_>>())?;
    Ok(Made {
        store,
        encoder,
        batch,
    })
}

pub(super) fn pass(step: u64) -> Pass {
    Pass::training(Stream::new(3), step)
}

/// Through all stages without recording.
pub(super) fn run(encoder: &dyn Encoder, batch: &Arc<Batch>) -> Result<Tensor> {
    let pass = Pass {
        graph: false,
        ..Pass::evaluation()
    };
    let mut x = Flow::start(batch);
    for stage in encoder.stages() {
        let y = stage.forward(&x, &pass)?;
        x = y.with(y.hidden.detach());
    }
    Ok(x.hidden)
}

fn prepared(task: &dyn SourceTask, rows: &Rows) -> Result<String> {
    let prepare = task.prepare()?;
    let all =
        || -> Result<Vec<Example>> { rows.0.iter().map(|input| prepare.example(input)).collect() };
    let here = all()?;
    let there = std::thread::scope(|s| s.spawn(all).join());
    let there = there.map_err(|_| Error::msg("a thread panicked"))??;
    match here == there && here == all()? {
        true => Ok(String::new()),
        false => Err(Error::msg("two preparations of one input differ")),
    }
}

fn named(task: &dyn SourceTask, rows: &Rows) -> Result<String> {
    let names = |m: &Made| -> Vec<(String, Vec<usize>)> {
        let all = m.store.all();
        all.iter()
            .map(|p| (p.name().to_string(), p.dims().to_vec()))
            .collect()
    };
    let (one, other) = (new(task, rows, 1)?, new(task, rows, 2)?);
    if names(&one) != names(&other) {
        return Err(Error::msg("two instances have other parameters"));
    }
    let of_stages: usize = one.encoder.stages().iter().map(|s| s.params().len()).sum();
    if of_stages != one.store.all().len() {
        return Err(Error::msg(format!(
            "the stages hold {of_stages} parameters, and {} were made",
            one.store.all().len()
        )));
    }
    let mut seen = std::collections::BTreeSet::new();
    for stage in one.encoder.stages() {
        if !seen.insert(stage.name().to_string()) {
            return Err(Error::msg(format!(
                "two stages are called `{}`",
                stage.name()
            )));
        }
    }
    Ok(String::new())
}

/// What goes into each stage at one step.
fn inputs(made: &Made, step: u64) -> Result<Vec<Flow>> {
    let mut all = vec![Flow::start(&made.batch)];
    for stage in made.encoder.stages() {
        let x = &all[all.len() - 1];
        let pass = Pass {
            input_gradient: x.hidden.dtype().is_float(),
            ..pass(step)
        };
        let (y, _) = stage.record(x, &pass)?;
        all.push(y);
    }
    all.pop();
    Ok(all)
}

/// Steps of the differences, one after the other: where one falls on a kink the next does not.
const MOVES: [f32; 5] = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4];

/// Central differences of `sum(output * weights)` along random directions, stage by stage.
fn differences(made: &Made) -> Result<String> {
    let mut worst: f64 = 0.0;
    for (stage, x) in made.encoder.stages().iter().zip(inputs(made, 7)?) {
        let pass = Pass {
            // Of token numbers nobody wants one.
            input_gradient: x.hidden.dtype().is_float(),
            ..pass(7)
        };
        let (y, back) = stage.record(&x, &pass)?;
        let weights = Stream::new(11).purpose(stage.name());
        let weights = weights.normals(y.hidden.elem_count());
        let cotangent = Tensor::from_vec(weights.clone(), y.hidden.dims(), &Device::Cpu)?;
        let mut into = Gradients::default();
        let of_input = back.pull(&cotangent, &mut into)?;
        let value = |x: &Flow| -> Result<f64> {
            // Recorded, as the gradient was: dropout and statistics are those of training.
            let (y, _) = stage.record(x, &pass)?;
            let y = flat(&y.hidden)?;
            Ok(y.iter()
                .zip(&weights)
                .map(|(y, w)| f64::from(*y) * f64::from(*w))
                .sum())
        };
        let mut compare = |name: &str,
                           at: &[f32],
                           gradient: &[f32],
                           moved: &dyn Fn(Vec<f32>) -> Result<f64>|
         -> Result<()> {
            let size = (gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>()).sqrt();
            let spread = (at.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>()
                / at.len().max(1) as f64)
                .sqrt();
            for direction in 0..2 {
                let along = Stream::new(13)
                    .purpose(name)
                    .at(direction)
                    .normals(at.len());
                let mut nearest = f64::INFINITY;
                let (mut said, mut seen) = ((0.0, 0.0), 0.0);
                for step in MOVES {
                    let by = step * (spread.max(0.05) as f32);
                    let up: Vec<f32> = at.iter().zip(&along).map(|(v, a)| v + by * a).collect();
                    let down: Vec<f32> = at.iter().zip(&along).map(|(v, a)| v - by * a).collect();
                    let expected: f64 = (up.iter().zip(&down).zip(gradient))
                        .map(|((u, d), g)| (f64::from(*u) - f64::from(*d)) * f64::from(*g))
                        .sum();
                    let (high, low) = (moved(up)?, moved(down)?);
                    let found = high - low;
                    // Sums of f32 outputs are good to about six digits.
                    let noise = 1e-6 * (high.abs() + low.abs()) + 1e-7 * y_norm(&weights);
                    let scale = (2.0 * f64::from(by) * size).max(expected.abs());
                    let gap = (found - expected).abs();
                    let share = (gap - noise).max(0.0) / scale.max(1e-12);
                    if share < nearest {
                        nearest = share;
                        seen = gap / scale.max(1e-12);
                        said = (found / f64::from(2.0 * by), expected / f64::from(2.0 * by));
                    }
                }
                if nearest > 2e-2 {
                    return Err(Error::msg(format!(
                        "`{name}`: the output moves by {:.6e} along a direction, the gradient says {:.6e}",
                        said.0, said.1
                    )));
                }
                worst = worst.max(seen);
            }
            Ok(())
        };
        if let Some(g) = of_input {
            let dims = x.hidden.dims().to_vec();
            let moved = |v: Vec<f32>| value(&x.with(Tensor::from_vec(v, &dims[..], &Device::Cpu)?));
            compare(
                &format!("{}: its input", stage.name()),
                &flat(&x.hidden)?,
                &flat(&g)?,
                &moved,
            )?;
        }
        // What is zero in mathematics is rounding here.
        let moves = |p: &&Param| p.trains() && p.role() != Role::InvariantBias;
        for p in stage.params().iter().filter(moves) {
            let Some(g) = into.get(p.name()) else {
                return Err(Error::msg(format!("`{}` has no gradient", p.name())));
            };
            if g.dims() != p.dims() {
                return Err(Error::msg(format!(
                    "`{}` has the shape {:?}, and its gradient {:?}",
                    p.name(),
                    p.dims(),
                    g.dims()
                )));
            }
            let start = p.detached().copy()?;
            let moved = |v: Vec<f32>| {
                p.var().set(&Tensor::from_vec(v, p.dims(), &Device::Cpu)?)?;
                made.store.touch();
                value(&x)
            };
            let compared = compare(p.name(), &flat(&start)?, &flat(g)?, &moved);
            p.var().set(&start)?;
            made.store.touch();
            compared?;
        }
    }
    Ok(format!("largest gap {worst:.1e}"))
}

fn y_norm(weights: &[f32]) -> f64 {
    let sum: f64 = weights.iter().map(|w| f64::from(*w).powi(2)).sum();
    sum.sqrt()
}

/// The features and all gradients of one step, as training has them.
fn pulled(made: &Made, step: u64, back: bool) -> Result<(Vec<u32>, BTreeMap<String, Vec<u32>>)> {
    let bits =
        |t: &Tensor| -> Result<Vec<u32>> { Ok(flat(t)?.into_iter().map(f32::to_bits).collect()) };
    let stages = made.encoder.stages().to_vec();
    let last = stages.len() - 1;
    let chain = Chain::new(stages, last);
    let (taps, recording) = chain.record(0, Flow::start(&made.batch), &pass(step), &[])?;
    let out = bits(&taps.features)?;
    let mut into = Gradients::default();
    if back {
        let grads = taps.features.sum_all()?.backward()?;
        recording.pull(&grads, &mut into)?;
    }
    let gradients = into.iter().map(|(n, g)| Ok((n.clone(), bits(g)?)));
    Ok((out, gradients.collect::<Result<_>>()?))
}

fn mask(made: &Made) -> Result<String> {
    let (_, all) = pulled(made, 5, true)?;
    for p in made.store.select(&Select::All) {
        made.store.train_only(&Select::name(p.name()));
        let alone = pulled(made, 5, true);
        made.store.train_only(&Select::All);
        let (_, alone) = alone?;
        let only: Vec<&String> = alone.keys().collect();
        if only != [p.name()] || alone.get(p.name()) != all.get(p.name()) {
            return Err(Error::msg(format!(
                "`{}` alone has another gradient than with the others; there are those of {only:?}",
                p.name()
            )));
        }
    }
    Ok(String::new())
}

fn alone(task: &dyn SourceTask, rows: &Rows, made: &Made) -> Result<String> {
    let together = run(made.encoder.as_ref(), &made.batch)?;
    let mut worst: f64 = 0.0;
    for (i, example) in examples(task, rows)?.iter().enumerate() {
        let batch = collated(task, &[example])?;
        let out = run(made.encoder.as_ref(), &batch)?;
        if out.dim(0)? != 1 {
            return Err(Error::msg(format!("one row became {}", out.dim(0)?)));
        }
        // Of outputs as long as the inputs, the padding is nobody's.
        if out.dims()[1..] != together.dims()[1..] {
            continue;
        }
        let (a, b) = (flat(&together.narrow(0, i, 1)?)?, flat(&out)?);
        let size = a.iter().fold(1e-3f64, |m, v| m.max(f64::from(v.abs())));
        for (a, b) in a.iter().zip(&b) {
            worst = worst.max(f64::from((a - b).abs()) / size);
        }
    }
    match worst < 1e-4 {
        true => Ok(format!("largest gap {worst:.1e}")),
        false => Err(Error::msg(format!(
            "a row alone differs by {worst:.1e} from the same row among others"
        ))),
    }
}

fn same_bits(make: Make<'_>, rows: &Rows, made: &Made) -> Result<String> {
    let first = pulled(made, 9, true)?;
    let elsewhere = std::thread::scope(|s| s.spawn(|| pulled(made, 9, true)).join());
    let elsewhere = elsewhere.map_err(|_| Error::msg("a thread panicked"))??;
    let other = new(make()?.as_ref(), rows, 1)?;
    match first == pulled(made, 9, true)? && first == elsewhere && first == pulled(&other, 9, true)?
    {
        true => Ok(String::new()),
        false => Err(Error::msg("the bits differ")),
    }
}

fn loaded(task: &dyn SourceTask, rows: &Rows, made: &Made) -> Result<String> {
    let other = new(task, rows, 99)?;
    let of = |p: &Param| Ok((p.name().to_string(), p.detached().copy()?));
    let tensors: BTreeMap<String, Tensor> =
        other.store.all().iter().map(of).collect::<Result<_>>()?;
    let weights = Weights::from_tensors("another instance", tensors);
    let store = Store::saved_in(&Device::Cpu, DType::F32, weights);
    let encoder = task.fresh_encoder(&store.scope("model"))?;
    let (saved, again) = (
        run(other.encoder.as_ref(), &made.batch)?,
        run(encoder.as_ref(), &made.batch)?,
    );
    match flat(&saved)? == flat(&again)? {
        true => Ok(String::new()),
        false => Err(Error::msg("the loaded one answers otherwise")),
    }
}

fn changed(made: &Made) -> Result<String> {
    let before = flat(&run(made.encoder.as_ref(), &made.batch)?)?;
    let Some(last) = made.store.select(&Select::All).pop() else {
        return Ok("it has no parameters".into());
    };
    let stage = |s: &&Arc<dyn Stage>| s.params().iter().any(|p| p.name() == last.name());
    if made.encoder.stages().iter().find(stage).is_none() {
        return Err(Error::msg(format!("no stage holds `{}`", last.name())));
    }
    let all = made.store.select(&Select::All);
    let starts: Vec<Tensor> = all
        .iter()
        .map(|p| Ok(p.detached().copy()?))
        .collect::<Result<_>>()?;
    for (p, start) in all.iter().zip(&starts) {
        p.var().set(&start.affine(1.5, 0.01)?)?;
    }
    made.store.touch();
    let moved = run(made.encoder.as_ref(), &made.batch).and_then(|t| flat(&t));
    for (p, start) in all.iter().zip(&starts) {
        p.var().set(start)?;
    }
    made.store.touch();
    let after = flat(&run(made.encoder.as_ref(), &made.batch)?)?;
    match (before == moved?, before == after) {
        (false, true) => Ok(String::new()),
        (true, _) => Err(Error::msg("other weights give the same output")),
        (_, false) => Err(Error::msg(
            "the first weights give another output than before",
        )),
    }
}

fn nothing(task: &dyn SourceTask, made: &Made) -> Result<String> {
    let batch = match collated(task, &[]) {
        Ok(batch) => batch,
        Err(e) => return Ok(format!("an error: {}", first_line(&e.to_string()))),
    };
    Ok(match run(made.encoder.as_ref(), &batch) {
        Ok(out) => format!("{:?}", out.dims()),
        Err(e) => format!("an error: {}", first_line(&e.to_string())),
    })
}

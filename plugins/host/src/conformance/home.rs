//! Trial of parameters that live in a plugin: whatever the host does with them it does there.

use std::sync::Arc;

use candle_core::{DType, Device};
use tlkit_core::nn::{Chain, Flow, Gradients, Param, Select, Stage, Store};
use tlkit_core::strategy::{Group, Objective, Step, Term, Update};
use tlkit_core::task::Encoder;
use tlkit_core::train::{Optimizer, OptimizerSpec, Schedule};
use tlkit_core::{Error, Result};

use super::flat;
use super::source::{Rows, collated, examples, pass};
use crate::source::{CEncoder, CSource};

/// A pass, which changes nothing, a step of the optimizer, a teacher that follows it, a copy back; then each `self` goes, and the store
/// keeps the numbers.
pub(super) fn lived_in(task: &CSource, rows: &Rows) -> Result<String> {
    let store = Store::new(&Device::Cpu, DType::F32, 1);
    let encoder = task.build(&store.scope("model"))?;
    let teacher = task.build(&store.scope("teacher"))?;
    store.train_only(&Select::All);
    let settled = |of: &CEncoder| {
        let param = |stage: usize, index: usize| of.stages()[stage].params()[index].detached();
        of.network.settled(&param)
    };
    let there = || Ok::<_, Error>(settled(&encoder)? + settled(&teacher)?);
    let count = there()? / 2;
    if count == 0 {
        return Ok("it lends none, and they lie in the host's".into());
    }
    let numbers = |of: &str| -> Result<Vec<Vec<f32>>> {
        let all = store.all();
        let of = all.iter().filter(|p| p.name().starts_with(of));
        of.map(|p| flat(&p.detached())).collect()
    };
    let first = numbers("model.")?;
    store.fork("model", "teacher")?;
    let examples = examples(task, rows)?;
    let batch = collated(task, &examples.iter().collect::<Vec<_>>())?;
    let mut gradients = pulled(encoder.stages(), Flow::start(&batch))?;
    there()?;
    if first != numbers("model.")? {
        return Err(Error::msg("a pass has changed them"));
    }
    step(&store, encoder.stages(), &mut gradients)?;
    let stepped = numbers("model.")?;
    store.average("model", "teacher", 0.5)?;
    there()?;
    let followed = numbers("teacher.")?;
    store.fork("teacher", "model")?;
    there()?;
    let moved = first != stepped && stepped != followed && followed != first;
    if !moved || stepped == numbers("model.")? || followed != numbers("model.")? {
        return Err(Error::msg(
            "they do not hold what the host has written into them",
        ));
    }
    drop((encoder, teacher));
    match followed == numbers("model.")? && followed == numbers("teacher.")? {
        true => Ok(format!("{count} parameters")),
        false => Err(Error::msg("numbers changed when its `self` was dropped")),
    }
}

struct Nothing;

impl Objective for Nothing {
    fn terms(&mut self, _: &mut dyn Step) -> Result<Vec<Term>> {
        Ok(Vec::new())
    }
}

fn pulled(stages: &[Arc<dyn Stage>], x: Flow) -> Result<Gradients> {
    let chain = Chain::new(stages.to_vec(), stages.len() - 1);
    let (taps, recording) = chain.record(0, x, &pass(1), &[])?;
    let grads = taps.features.sum_all()?.backward()?;
    let mut into = Gradients::default();
    recording.pull(&grads, &mut into)?;
    Ok(into)
}

fn step(store: &Store, stages: &[Arc<dyn Stage>], gradients: &mut Gradients) -> Result<()> {
    let of_stages = stages.iter().flat_map(|s| s.params());
    let which = Select::Names(of_stages.map(|p: Param| p.name().to_string()).collect());
    let update = Update {
        name: "a step".into(),
        trains: which.clone(),
        groups: vec![Group {
            which,
            optimizer: OptimizerSpec::named("adamw"),
            rate: 1e-3,
            schedule: Schedule::constant(),
        }],
        clip: None,
        repeat: 1,
        objective: Box::new(Nothing),
    };
    match Optimizer::new(&update, store)?.step(gradients, 1, 2)? {
        true => {
            store.touch();
            Ok(())
        }
        false => Err(Error::msg("the gradients are not finite")),
    }
}

//! Random numbers of a step: a head that is applied twice drops other numbers, an objective's own stream is another at each step, and all of it is the
//! same in another run.

use std::sync::{Arc, Mutex};

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::{Dropout, Select};
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer};

use crate::world::{Setup, World, phase, train, update};

/// What a step saw: its number, what the head said of the same features twice, and the key of the objective's own stream.
type Seen = (u64, Vec<f32>, Vec<f32>, u64);

/// Applies a head with dropout twice, and notes what it saw.
struct Twice(Arc<Mutex<Vec<Seen>>>);

impl Strategy for Twice {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        transfer.add_head("second", |transfer, scope| {
            let width = transfer.model.encoder.width();
            let mut head = transfer.target.head(scope, transfer.source, width, false)?;
            head.stages
                .insert(0, Arc::new(Dropout::new("second.dropout", 0.5)));
            Ok(head)
        })?;
        Ok(())
    }

    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let update = update("twice", Select::All, 0.01, Twice(self.0.clone()));
        Ok(vec![phase("twice", &[From::Source], vec![update], 12)])
    }
}

impl Objective for Twice {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, View::Plain)])?.remove(0);
        let first = step.head("second", &taps.features)?;
        let second = step.head("second", &taps.features)?;
        let numbers = |t: &Tensor| -> Result<Vec<f32>> { Ok(t.flatten_all()?.to_vec1()?) };
        let own = step.random("own").key();
        let seen = (step.number(), numbers(&first)?, numbers(&second)?, own);
        self.0.lock().expect("nobody panicked").push(seen);
        let loss = step.task_loss(0, View::Plain, &taps.logits)?;
        let both =
            (step.task_loss(0, View::Plain, &first)? + step.task_loss(0, View::Plain, &second)?)?;
        Ok(vec![
            Term::new("loss", 1.0, loss),
            Term::new("both", 0.5, both),
        ])
    }
}

fn seen() -> Result<Vec<Seen>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    train(
        &World::shifted(0.0, 0.0),
        &Twice(all.clone()),
        &Setup::default(),
    )?;
    let all = all.lock().expect("nobody panicked").clone();
    Ok(all)
}

#[test]
fn what_is_drawn_twice_differs_and_a_run_repeats_it() -> Result<()> {
    let all = seen()?;
    assert_eq!(all.len(), 12);
    for (step, first, second, _) in &all {
        assert_ne!(first, second, "step {step}: the same numbers are dropped");
    }
    let own: std::collections::BTreeSet<u64> = all.iter().map(|s| s.3).collect();
    assert_eq!(own.len(), 12, "each step has a stream of its own");
    assert_eq!(all, seen()?);
    Ok(())
}

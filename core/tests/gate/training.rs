//! The loop itself: accumulation, early stopping, the best epoch, numbers that are none.

use candle_core::Tensor;
use tlkit_core::data::{From, View};
use tlkit_core::nn::Select;
use tlkit_core::run::weights_sha256;
use tlkit_core::strategy::*;
use tlkit_core::{Error, Result};

use crate::world::{Setup, Trained, World, phase, train, update};

/// The task's loss, times a factor, by one phase that a test changes.
struct Plain {
    factor: f64,
    steps: u64,
    change: fn(&mut Train),
}

struct Times(f64);

impl Objective for Times {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, View::Plain)])?.remove(0);
        let loss = step.task_loss(0, View::Plain, &taps.logits)?;
        Ok(vec![Term::new("loss", self.0, loss)])
    }
}

impl Strategy for Plain {
    fn needs(&self) -> Needs {
        Needs::default()
    }
    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let update = update("task", Select::All, 0.01, Times(self.factor));
        let mut phase = phase("plain", &[From::Source], vec![update], self.steps);
        if let Phase::Train(train) = &mut phase {
            (self.change)(train);
        }
        Ok(vec![phase])
    }
}

fn run(factor: f64, steps: u64, change: fn(&mut Train)) -> Result<Trained> {
    let setup = Setup {
        validation: true,
        ..Setup::default()
    };
    let plain = Plain {
        factor,
        steps,
        change,
    };
    train(&World::shifted(0.0, 0.0), &plain, &setup)
}

#[test]
fn small_passes_add_up_to_the_whole_batch() -> Result<()> {
    let whole = run(1.0, 12, |_| {})?;
    // 32 rows in passes of 11, 10 and 11: the shares are unequal.
    let cut = run(1.0, 12, |t| t.micro_batch = 11)?;
    let mut furthest = 0f32;
    for p in whole.store.all() {
        let other = cut.store.get(p.name()).unwrap().detached();
        let gap = (p.detached() - other)?.abs()?.flatten_all()?.max(0)?;
        furthest = furthest.max(gap.to_scalar()?);
    }
    assert!(furthest < 1e-4, "{furthest}");
    assert_ne!(weights_sha256(&whole.store)?, weights_sha256(&cut.store)?);
    Ok(())
}

/// The task's loss on a device with room for so many rows. It counts its passes, and the loss depends on the count: a pass that did not fit and
/// was not taken back would be seen in every weight.
struct Crowded {
    room: usize,
    passes: f64,
}

impl Objective for Crowded {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        self.passes += 1.0;
        let taps = step.encode("model", &[(0, View::Plain)])?.remove(0);
        if step.rows(0).len() > self.room {
            return Err(Error::msg(
                "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            ));
        }
        let loss = step.task_loss(0, View::Plain, &taps.logits)?;
        Ok(vec![Term::new("loss", 1.0 + 0.01 * self.passes, loss)])
    }
    fn state(&self) -> State {
        State {
            json: self.passes.to_string(),
            ..State::default()
        }
    }
    fn restore(&mut self, state: State) -> Result<()> {
        self.passes = state.json.parse().unwrap_or(0.0);
        Ok(())
    }
}

struct OnASmallDevice {
    room: usize,
    micro_batch: usize,
}

impl Strategy for OnASmallDevice {
    fn needs(&self) -> Needs {
        Needs::default()
    }
    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let objective = Crowded {
            room: self.room,
            passes: 0.0,
        };
        let update = update("task", Select::All, 0.01, objective);
        let mut phase = phase("crowded", &[From::Source], vec![update], 12);
        if let Phase::Train(train) = &mut phase {
            train.micro_batch = self.micro_batch;
        }
        Ok(vec![phase])
    }
}

#[test]
fn what_does_not_fit_is_cut_until_it_does_and_changes_no_number() -> Result<()> {
    let run = |room, micro_batch| {
        let strategy = OnASmallDevice { room, micro_batch };
        train(&World::shifted(0.0, 0.0), &strategy, &Setup::default())
    };
    let fixed = run(32, 8)?;
    let auto = run(10, AS_MUCH_AS_FITS)?;
    assert_eq!(weights_sha256(&fixed.store)?, weights_sha256(&auto.store)?);
    // With room for all it is the whole batch.
    let (whole, auto) = (run(32, 32)?, run(32, AS_MUCH_AS_FITS)?);
    assert_eq!(weights_sha256(&whole.store)?, weights_sha256(&auto.store)?);
    let said = run(10, 32).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        said.contains("32 rows in one pass") && said.contains("8 fit"),
        "{said}"
    );
    for micro_batch in [32, AS_MUCH_AS_FITS] {
        let said = run(0, micro_batch).err().map(|e| e.to_string());
        let said = said.unwrap_or_default();
        assert!(said.contains("not even one row fits"), "{said}");
    }
    Ok(())
}

#[test]
fn stops_early_and_keeps_the_best_epoch() -> Result<()> {
    // It unlearns: the first epoch is the best, and two worse ones end it.
    let stopped = run(-1.0, 60, |t| {
        t.select = Selection::Validation;
        t.patience = Some(2);
    })?;
    assert_eq!(stopped.outcome.steps, 18);
    assert_eq!(stopped.outcome.chosen.map(|b| b.epoch), Some(1));
    let first = run(-1.0, 6, |_| {})?;
    assert_eq!(
        weights_sha256(&stopped.store)?,
        weights_sha256(&first.store)?
    );
    Ok(())
}

#[test]
fn learning_keeps_a_later_epoch() -> Result<()> {
    let learned = run(1.0, 30, |t| t.select = Selection::Validation)?;
    assert!(learned.outcome.chosen.is_some_and(|b| b.epoch > 1));
    assert!(learned.target > 0.95, "{}", learned.target);
    Ok(())
}

/// Spoils a weight before the first step.
struct Spoiled;

impl Strategy for Spoiled {
    fn needs(&self) -> Needs {
        Needs::default()
    }
    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        let p = transfer.store.get("model.second.bias").expect("a bias");
        let bad = Tensor::full(f32::NAN, p.dims(), transfer.store.device())?;
        Ok(p.var().set(&bad)?)
    }
    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let plain = Plain {
            factor: 1.0,
            steps: 5,
            change: |_| {},
        };
        plain.phases(transfer)
    }
}

#[test]
fn a_loss_that_is_no_number_names_the_step_and_the_first_tensor() {
    let world = World::shifted(0.0, 0.0);
    let error = train(&world, &Spoiled, &Setup::default()).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, Error::NonFinite(_)));
    assert!(text.starts_with("the loss is NaN at step 1; "), "{text}");
    assert!(text.contains("the weight model.second.bias"), "{text}");

    let exploding = run(1.0, 40, |t| {
        for group in &mut t.updates[0].groups {
            group.rate = 1e30;
        }
    });
    let text = exploding.err().unwrap().to_string();
    assert!(
        text.contains("at step ") && text.contains("the first"),
        "{text}"
    );
}

#[test]
fn two_feeds_of_unequal_size_accumulate_without_empty_passes() -> Result<()> {
    struct Both;
    impl Strategy for Both {
        fn needs(&self) -> Needs {
            Needs::default()
        }
        fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
            let objective = WithTerms {
                feeds: vec![View::Plain; 2],
                terms: Vec::new(),
            };
            let update = update("task", Select::All, 0.01, objective);
            let feeds = [From::Source, From::Target];
            let mut phase = phase("both", &feeds, vec![update], 20);
            if let Phase::Train(train) = &mut phase {
                train.micro_batch = 4;
            }
            Ok(vec![phase])
        }
    }
    // The target has three rows beside batches of 32.
    let world = World {
        rows: 3,
        labelled: true,
        ..World::shifted(0.0, 0.0)
    };
    train(&world, &Both, &Setup::default())?;
    Ok(())
}

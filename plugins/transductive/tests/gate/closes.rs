//! Each method against `source-only` in the same world.

use tlkit_core::Result;
use tlkit_core::strategy::Strategy;

use crate::world::{Setup, World, train};
use crate::{METHODS, named, normed};

fn accuracy(world: &World, strategy: &dyn Strategy, epochs: u64) -> Result<f64> {
    let setup = Setup {
        validation: true,
        epochs: Some(epochs),
        ..Setup::default()
    };
    Ok(train(world, strategy, &setup)?.target)
}

const EPOCHS: u64 = 40;

#[test]
fn each_closes_a_shift_that_the_source_alone_does_not() -> Result<()> {
    let mut failed = Vec::new();
    for method in METHODS.iter().filter(|m| m.name != "source_only") {
        let (world, strategy) = (method.make)();
        let without = accuracy(&world, named("source-only", "").as_ref(), EPOCHS)?;
        let with = accuracy(&world, strategy.as_ref(), EPOCHS)?;
        println!(
            "{}: {with}, where the source alone reaches {without}",
            method.name
        );
        if without > 0.9 || 1.0 - with > (1.0 - without) / 2.0 {
            failed.push(method.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    Ok(())
}

#[test]
fn none_makes_anything_worse_where_there_is_no_shift() -> Result<()> {
    for method in METHODS {
        let (world, strategy) = (method.make)();
        let still = World {
            shift: [0.0; 2],
            ..world
        };
        let without = accuracy(&still, named("source-only", "").as_ref(), EPOCHS)?;
        let with = accuracy(&still, strategy.as_ref(), EPOCHS)?;
        assert!(
            with >= without - 0.02,
            "{}: {with} after {without}",
            method.name
        );
    }
    Ok(())
}

/// Nothing trains: the statistics alone take the shift away.
#[test]
fn adabn_closes_a_shift_of_the_inputs() -> Result<()> {
    let world = normed(World::shifted(2.0, 1.0));
    let without = accuracy(&world, named("source-only", "").as_ref(), EPOCHS)?;
    let with = accuracy(&world, named("adabn", "").as_ref(), EPOCHS)?;
    println!("adabn: {with}, where the source alone reaches {without}");
    assert!(
        without < 0.9 && 1.0 - with < (1.0 - without) / 2.0,
        "{with}, {without}"
    );
    Ok(())
}

/// The source phases are the same, so that after as many epochs of plain training a twin has the same bits whatever was drawn beside it.
#[test]
fn mcd_learns_the_source_as_its_twin_does() -> Result<()> {
    let world = World::shifted(2.0, 1.0);
    let source_alone = |method: &str| -> Result<Vec<f32>> {
        let strategy = named(method, "");
        let first = FirstPhase(strategy);
        let trained = train(&world, &first, &Setup::default())?;
        let weights = trained.store.get("model.first.weight").expect("a weight");
        Ok(weights.detached().flatten_all()?.to_vec1::<f32>()?)
    };
    assert_eq!(source_alone("source-only")?, source_alone("mcd")?);
    Ok(())
}

/// A strategy that stops after its first phase.
struct FirstPhase(Box<dyn Strategy>);

impl Strategy for FirstPhase {
    fn needs(&self) -> tlkit_core::strategy::Needs {
        self.0.needs()
    }

    fn arrange(&self, transfer: &mut tlkit_core::strategy::Transfer<'_>) -> Result<()> {
        self.0.arrange(transfer)
    }

    fn phases(
        &self,
        transfer: &tlkit_core::strategy::Transfer<'_>,
    ) -> Result<Vec<tlkit_core::strategy::Phase>> {
        Ok(self.0.phases(transfer)?.into_iter().take(1).collect())
    }
}

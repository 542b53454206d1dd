//! Every method: killed and taken up again, and against training on the source alone.

use tlkit_core::Result;
use tlkit_core::strategy::Strategy;

use crate::killed::{folder, killed_and_not};
use crate::world::{Setup, SourceOnly, World, train};

/// A method against training on the source alone: two thirds of the errors are gone.
pub fn closes_what_source_only_does_not(
    (world, strategy): (World, Box<dyn Strategy>),
) -> Result<()> {
    let without = train(&world, &SourceOnly, &Setup::default())?.target;
    let with = train(&world, strategy.as_ref(), &Setup::default())?.target;
    println!("{with}, where the source alone reaches {without}");
    assert!(without < 0.85, "the source alone reaches {without}");
    assert!(
        1.0 - with < (1.0 - without) / 3.0,
        "{with}, where the source alone reaches {without}"
    );
    Ok(())
}

/// Maps are part of a checkpoint: all that a run does that is taken up after its end is to read them.
#[test]
fn a_finished_run_still_has_its_maps() -> Result<()> {
    let dir = folder("maps");
    let setup = Setup {
        dir: Some(dir.clone()),
        ..Setup::default()
    };
    let (world, strategy) = crate::coral::method();
    let first = train(&world, strategy.as_ref(), &setup)?;
    let again = train(&world, strategy.as_ref(), &setup)?;
    assert_eq!(
        (first.outcome.resumed_at, again.outcome.resumed_at),
        (None, Some(150))
    );
    assert_eq!(first.outcome.fits, again.outcome.fits);
    assert_eq!(first.target, again.target);
    std::fs::remove_dir_all(dir).expect("my own folder");
    Ok(())
}

macro_rules! resumed {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            killed_and_not(stringify!($name));
        }
    )*};
}

resumed!(
    fine_tune,
    dann,
    mcd,
    shot,
    coral,
    mean_teacher,
    c_stage,
    c_term
);

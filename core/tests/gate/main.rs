//! The trait gate: methods of transfer learning that differ in what they ask of the traits, each on a page, on a small MLP and a
//! synthetic shift. Each must do what it is for, and a run of it that was killed must end with the bits of one that was not.

mod border;
mod c_gradients;
mod c_stage;
mod c_term;
mod chance;
mod coral;
mod dann;
mod fine_tune;
mod killed;
mod liveness;
mod mcd;
mod mean_teacher;
mod resume;
mod shot;
mod training;
mod world;

use tlkit_core::strategy::Strategy;
use world::World;

/// A method, the world it is tried in, and how long its file is.
struct Method {
    name: &'static str,
    make: fn() -> (World, Box<dyn Strategy>),
    source: &'static str,
}

macro_rules! methods {
    ($($name:ident),*) => {
        [$(Method { name: stringify!($name), make: $name::method, source: include_str!(concat!(stringify!($name), ".rs")) }),*]
    };
}

const METHODS: [Method; 8] = methods![
    fine_tune,
    dann,
    mcd,
    shot,
    coral,
    mean_teacher,
    c_stage,
    c_term
];

#[test]
fn every_method_fits_on_a_page() {
    for m in METHODS {
        let lines = m.source.lines().count();
        assert!(lines < 150, "{}.rs has {lines} lines", m.name);
    }
}

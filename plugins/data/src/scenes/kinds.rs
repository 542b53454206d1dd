//! Which kinds there are.

use super::dice::Dice;
use super::pen::Pen;
use super::{beasts, plants, small_animals, things, vehicles};

/// A kind of thing that can be drawn.
pub struct Kind {
    /// Its name, which is its label.
    pub name: &'static str,
    pub(super) draw: fn(&mut Pen, &mut Dice),
    /// Whether its mirror image is as likely.
    pub(super) mirrors: bool,
    /// Degrees by which it may be turned to either side.
    pub(super) tilt: f32,
}

const fn kind(name: &'static str, draw: fn(&mut Pen, &mut Dice), mirrors: bool, tilt: f32) -> Kind {
    Kind {
        name,
        draw,
        mirrors,
        tilt,
    }
}

/// The ten kinds of the target task, by name.
pub const TARGET: &[Kind] = &[
    kind("bird", small_animals::bird, true, 12.0),
    kind("boat", vehicles::boat, true, 8.0),
    kind("car", vehicles::car, true, 6.0),
    kind("cat", beasts::cat, true, 8.0),
    kind("dog", beasts::dog, true, 8.0),
    kind("fish", small_animals::fish, true, 20.0),
    kind("flower", plants::flower, true, 12.0),
    kind("house", vehicles::house, true, 4.0),
    kind("mushroom", plants::mushroom, true, 10.0),
    kind("tree", plants::tree, true, 6.0),
];

/// The kinds of the source task that the small ResNet learned: none of the target's.
pub const SOURCE: &[Kind] = &[
    kind("airplane", vehicles::airplane, true, 20.0),
    kind("apple", plants::apple, true, 15.0),
    kind("bicycle", vehicles::bicycle, true, 8.0),
    kind("bottle", things::bottle, true, 20.0),
    kind("butterfly", small_animals::butterfly, true, 40.0),
    kind("chair", things::chair, true, 10.0),
    kind("clock", things::clock, true, 10.0),
    kind("crab", small_animals::crab, true, 12.0),
    kind("cup", things::cup, true, 10.0),
    kind("guitar", things::guitar, true, 40.0),
    kind("hammer", things::hammer, true, 60.0),
    kind("horse", beasts::horse, true, 8.0),
    kind("key", things::key, true, 60.0),
    kind("lamp", things::lamp, true, 8.0),
    kind("rabbit", beasts::rabbit, true, 8.0),
    kind("rocket", vehicles::rocket, true, 40.0),
    kind("snail", small_animals::snail, true, 10.0),
    kind("star", plants::star, true, 40.0),
    kind("tent", vehicles::tent, true, 6.0),
    kind("umbrella", things::umbrella, true, 20.0),
];

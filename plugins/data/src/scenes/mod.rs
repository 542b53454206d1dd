//! Pictures drawn by code: ten kinds of things by daylight and at night, and other kinds to learn from first.
//!
//! A picture is a function of (seed, kind, light, index, size) and nothing else: no files, as many as are wanted, the same
//! every time (machines may differ in the last bit of a sine, and so in a pixel here and there). Kinds vary in pose, proportions, colours, scale, place and background; clutter stands before and behind them.
//! Night is the same world under less light: dark and blue, with noise, glow around lamps, and blur.
//!
//! - `beasts.rs`, `small_animals.rs`, `plants.rs`, `things.rs`, `vehicles.rs`: one function a kind, in the coordinates of `pen.rs`
//! - `ground.rs`: sky, ground, walls, clutter; `light.rs`: day and night
//! - `kinds.rs`: which kinds there are

mod beasts;
mod colour;
mod dice;
mod ground;
mod kinds;
mod light;
mod materials;
mod pen;
mod plants;
mod small_animals;
mod things;
mod vehicles;

pub use kinds::{Kind, SOURCE, TARGET};
pub use light::Light;

use tiny_skia::{Pixmap, Transform};
use tlkit_core::random::Stream;

use dice::Dice;
use pen::Pen;

/// One picture: `size` x `size` pixels, three bytes each, row by row.
pub fn draw(kind: &Kind, light: Light, seed: u64, index: u64, size: u32) -> Vec<u8> {
    let stream = Stream::new(seed)
        .purpose("scenes")
        .purpose(kind.name)
        .purpose(light.name())
        .at(index);
    let mut dice = Dice::new(stream);
    let side = size.max(8) as f32;
    let mut picture = layer(size);
    let place = ground::backdrop(&mut picture, &mut dice, side);
    for _ in 0..dice.below(4) {
        ground::clutter(&mut picture, &mut dice, side, place.horizon);
    }
    let mut object = layer(size);
    {
        // The object fills 38 to 80 % of the picture's side, wholly inside or a little cut.
        let scale = dice.between(0.19, 0.4) * side;
        let slack = (0.5 - scale / side * 0.85).max(0.02);
        let (x, y) = (
            (0.5 + dice.near(0.0, slack)) * side,
            (0.52 + dice.near(0.0, slack)) * side,
        );
        let flip = if kind.mirrors { dice.sign() } else { 1.0 };
        let turn = dice.near(0.0, kind.tilt);
        let stretch = dice.near(1.0, 0.12);
        let at = Transform::from_translate(x, y)
            .pre_concat(Transform::from_rotate(turn))
            .pre_scale(scale * flip * stretch, scale / stretch);
        ground::shadow(&mut picture, &mut dice, x, y + scale * 0.9, scale);
        (kind.draw)(&mut Pen::new(&mut object, at), &mut dice);
    }
    ground::texture(&mut object, &mut dice);
    ground::over(&mut picture, &object);
    if dice.chance(0.35) {
        ground::clutter(&mut picture, &mut dice, side, 1.05);
    }
    light.fall(&picture, &mut dice)
}

fn layer(size: u32) -> Pixmap {
    // Only a size of 0 or of gigabytes has no pixmap.
    Pixmap::new(size.max(8), size.max(8)).expect("a picture of at least 8 pixels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> impl Iterator<Item = &'static Kind> {
        TARGET.iter().chain(SOURCE)
    }

    #[test]
    fn a_picture_is_a_function_of_its_name() {
        let cat = &TARGET[3];
        let one = draw(cat, Light::Day, 7, 5, 48);
        assert_eq!(one.len(), 48 * 48 * 3);
        assert_eq!(one, draw(cat, Light::Day, 7, 5, 48));
        for other in [
            draw(cat, Light::Day, 7, 6, 48),
            draw(cat, Light::Day, 8, 5, 48),
            draw(cat, Light::Night, 7, 5, 48),
            draw(&TARGET[4], Light::Day, 7, 5, 48),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn no_kind_is_in_both_tasks() {
        let mut names: Vec<_> = kinds().map(|k| k.name).collect();
        assert_eq!((TARGET.len(), SOURCE.len()), (10, 20));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 30);
    }

    #[test]
    fn every_kind_can_be_seen() {
        for kind in kinds() {
            let (mut least, mut most) = (1.0f32, 0.0f32);
            for index in 0..30 {
                let mut object = layer(64);
                let mut dice = Dice::new(Stream::new(index));
                let place = Transform::from_translate(32.0, 32.0).pre_scale(32.0, 32.0);
                (kind.draw)(&mut Pen::new(&mut object, place), &mut dice);
                let shown = object.pixels().iter().filter(|p| p.alpha() > 128).count();
                let share = shown as f32 / (64.0 * 64.0);
                least = least.min(share);
                most = most.max(share);
            }
            assert!(
                least > 0.05 && most < 0.75,
                "{}: {least} to {most} of its square",
                kind.name
            );
        }
    }

    #[test]
    fn nights_are_darker_than_days() {
        let mean = |light| {
            let sum: f64 = (0..40)
                .flat_map(|i| draw(&TARGET[i % 10], light, 0, i as u64, 32))
                .map(f64::from)
                .sum();
            sum / (40.0 * 32.0 * 32.0 * 3.0)
        };
        let (day, night) = (mean(Light::Day), mean(Light::Night));
        assert!(night < 0.6 * day, "{night} against {day}");
    }
}

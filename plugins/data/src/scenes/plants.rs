//! Plants, fruit, and shapes in the sky.

use super::colour::Colour;
use super::dice::Dice;
use super::pen::{Pen, Point};

fn leaf(dice: &mut Dice) -> Colour {
    Colour::hsl(
        dice.near(0.3, 0.08),
        dice.between(0.35, 0.7),
        dice.between(0.22, 0.42),
    )
}

fn bark(dice: &mut Dice) -> Colour {
    Colour::hsl(dice.near(0.07, 0.02), 0.35, dice.between(0.2, 0.35))
}

pub fn tree(pen: &mut Pen, dice: &mut Dice) {
    let green = match dice.below(4) {
        0 => Colour::hsl(dice.near(0.08, 0.04), 0.7, 0.45),
        _ => leaf(dice),
    };
    let trunk = bark(dice);
    let lean = dice.near(0.0, 0.08);
    let thick = dice.between(0.12, 0.22);
    if dice.chance(0.4) {
        // A conifer, in tiers.
        pen.line(&[(0.0, 0.4), (0.0, 0.88)], thick, trunk);
        let tiers = 3 + dice.below(2);
        for i in 0..tiers {
            let y = 0.62 - i as f32 * 1.1 / tiers as f32;
            let w = 0.62 * (1.0 - i as f32 / (tiers as f32 + 0.6));
            pen.shape(
                &[(-w, y), (lean, y - 0.72), (w, y)],
                green.times(1.0 - 0.08 * (i % 2) as f32),
            );
        }
    } else {
        pen.curve(&[(0.0, 0.9), (lean * 0.5, 0.3), (lean, -0.2)], thick, trunk);
        for side in [-1.0f32, 1.0] {
            pen.line(
                &[(lean * 0.5, 0.25), (side * 0.32, -0.15)],
                thick * 0.45,
                trunk,
            );
        }
        for i in 0..9 {
            let a = i as f32 * 2.4;
            let r = 0.4 * (i as f32 / 9.0).sqrt();
            let at = (lean + 1.15 * r * a.cos(), -0.4 + 0.85 * r * a.sin());
            pen.disc(
                at,
                dice.between(0.24, 0.38),
                green.times(dice.between(0.85, 1.15)),
            );
        }
    }
}

pub fn flower(pen: &mut Pen, dice: &mut Dice) {
    let petal = Colour::hsl(
        dice.one_of(&[0.0, 0.12, 0.15, 0.78, 0.9, 0.62]) + dice.near(0.0, 0.03),
        dice.between(0.6, 0.95),
        dice.between(0.5, 0.75),
    );
    let green = leaf(dice);
    let bend = dice.near(0.0, 0.15);
    let head = (bend, -0.38);
    pen.curve(&[(0.0, 0.92), (-bend * 0.5, 0.4), head], 0.08, green);
    for side in [-1.0f32, 1.0] {
        let y = dice.between(0.3, 0.6);
        pen.blob(
            &[
                (0.0, y + 0.1),
                (side * 0.22, y - 0.1),
                (side * 0.5, y - 0.14),
                (side * 0.28, y + 0.1),
            ],
            green.times(1.15),
        );
    }
    let petals = 5 + dice.below(5);
    let long = dice.between(0.36, 0.5);
    let turn = dice.between(0.0, 60.0);
    for i in 0..petals {
        let mut pen = pen.turned(head, turn + i as f32 * 360.0 / petals as f32, 1.0);
        let wide = 1.5 * long / petals as f32 * 1.6;
        pen.oval(
            (0.0, -long * 0.62),
            wide,
            long * 0.5,
            petal.times(if i % 2 == 0 { 1.0 } else { 0.86 }),
        );
    }
    pen.disc(
        head,
        long * 0.34,
        Colour::hsl(0.13, 0.9, dice.between(0.3, 0.55)),
    );
}

pub fn mushroom(pen: &mut Pen, dice: &mut Dice) {
    let cap = Colour::hsl(
        dice.one_of(&[0.0, 0.02, 0.08, 0.1]),
        dice.between(0.4, 0.9),
        dice.between(0.35, 0.5),
    );
    let stem = Colour::hsl(0.12, 0.25, dice.between(0.75, 0.92));
    let wide = dice.between(0.6, 0.92);
    let low = dice.between(-0.1, 0.2);
    let high = dice.between(-0.85, -0.45);
    let thick = dice.between(0.14, 0.26);
    pen.blob(
        &[
            (-thick, low),
            (thick, low),
            (thick * 1.2, 0.7),
            (thick * 1.5, 0.88),
            (-thick * 1.5, 0.88),
            (-thick * 1.2, 0.7),
        ],
        stem,
    );
    pen.oval((0.0, low + 0.02), wide * 0.9, 0.1, stem.times(0.7));
    pen.blob(
        &[
            (-wide, low + 0.05),
            (-wide * 0.75, (low + high) / 2.0),
            (0.0, high),
            (wide * 0.75, (low + high) / 2.0),
            (wide, low + 0.05),
            (0.0, low - 0.05),
        ],
        cap,
    );
    if dice.chance(0.7) {
        for _ in 0..6 {
            let x = dice.near(0.0, wide * 0.65);
            let room = 1.0 - (x / wide).powi(2);
            let y = low - 0.12 - dice.between(0.0, 0.7) * room * (low - high - 0.2);
            pen.oval(
                (x, y),
                dice.between(0.05, 0.1),
                dice.between(0.04, 0.08),
                Colour::grey(0.95),
            );
        }
    }
}

pub fn apple(pen: &mut Pen, dice: &mut Dice) {
    let skin = Colour::hsl(
        dice.one_of(&[0.0, 0.97, 0.25, 0.13]),
        dice.between(0.6, 0.85),
        dice.between(0.38, 0.52),
    );
    pen.blob(
        &[
            (0.0, -0.38),
            (0.45, -0.5),
            (0.76, -0.05),
            (0.5, 0.68),
            (0.12, 0.82),
            (-0.12, 0.82),
            (-0.5, 0.68),
            (-0.76, -0.05),
            (-0.45, -0.5),
        ],
        skin,
    );
    pen.oval((-0.35, -0.1), 0.12, 0.2, skin.mixed(Colour::grey(1.0), 0.4));
    pen.curve(
        &[(0.0, -0.36), (0.05, -0.62), (dice.near(0.1, 0.12), -0.85)],
        0.08,
        bark(dice),
    );
    pen.blob(
        &[(0.06, -0.58), (0.3, -0.84), (0.6, -0.74), (0.34, -0.56)],
        leaf(dice).times(1.2),
    );
}

pub fn star(pen: &mut Pen, dice: &mut Dice) {
    let paint = Colour::hsl(
        dice.between(0.0, 1.0),
        dice.between(0.6, 1.0),
        dice.between(0.45, 0.65),
    );
    let points = 5 + dice.below(2);
    let inner = dice.between(0.34, 0.5);
    let corners: Vec<Point> = (0..2 * points)
        .map(|i| {
            let a = i as f32 * std::f32::consts::PI / points as f32 - std::f32::consts::FRAC_PI_2;
            let r = if i % 2 == 0 { 0.92 } else { 0.92 * inner };
            (r * a.cos(), r * a.sin())
        })
        .collect();
    pen.shape(&corners, paint);
    let small: Vec<Point> = corners.iter().map(|(x, y)| (x * 0.6, y * 0.6)).collect();
    pen.shape(&small, paint.times(1.2));
}

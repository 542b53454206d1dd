//! What people have in their homes.

use super::colour::Colour;
use super::dice::Dice;
use super::materials::{lacquer, wood};
use super::pen::{Pen, Point};

pub fn chair(pen: &mut Pen, dice: &mut Dice) {
    let timber = wood(dice);
    let cloth = lacquer(dice);
    let seat = dice.between(0.05, 0.25);
    let tall = dice.between(-0.9, -0.5);
    for (x, y) in [(-0.35, 0.88), (0.45, 0.88), (-0.15, 0.72), (0.6, 0.72)] {
        pen.line(
            &[(x, seat), (x, y)],
            0.09,
            timber.times(if y > 0.8 { 1.0 } else { 0.75 }),
        );
    }
    pen.line(&[(-0.38, seat), (-0.46, tall)], 0.09, timber);
    pen.line(
        &[(-0.16, seat - 0.12), (-0.26, tall - 0.02)],
        0.09,
        timber.times(0.8),
    );
    for i in 0..3 {
        let y = tall + 0.08 + i as f32 * (seat - tall - 0.2) / 3.0;
        pen.line(&[(-0.44, y), (-0.24, y - 0.03)], 0.1, timber.times(0.9));
    }
    pen.shape(
        &[
            (-0.45, seat + 0.06),
            (0.5, seat + 0.06),
            (0.66, seat - 0.14),
            (-0.2, seat - 0.14),
        ],
        cloth,
    );
}

pub fn cup(pen: &mut Pen, dice: &mut Dice) {
    let glaze = lacquer(dice);
    let wide = dice.between(0.4, 0.58);
    let foot = wide * dice.between(0.6, 0.95);
    let side = dice.sign();
    pen.curve(
        &[
            (side * wide * 0.9, -0.25),
            (side * (wide + 0.36), -0.2),
            (side * (wide + 0.3), 0.35),
            (side * foot * 0.95, 0.45),
        ],
        0.12,
        glaze.times(0.8),
    );
    pen.shape(
        &[(-wide, -0.42), (wide, -0.42), (foot, 0.8), (-foot, 0.8)],
        glaze,
    );
    pen.oval((0.0, 0.8), foot, 0.1, glaze);
    pen.oval((0.0, -0.42), wide, 0.14, glaze.times(0.6));
    pen.oval((0.0, -0.4), wide * 0.88, 0.1, Colour::hsl(0.07, 0.6, 0.2));
    if dice.chance(0.5) {
        for x in [-0.15, 0.1] {
            pen.curve(
                &[(x, -0.55), (x + 0.08, -0.68), (x, -0.8), (x + 0.08, -0.95)],
                0.05,
                Colour::grey(0.85),
            );
        }
    }
}

pub fn bottle(pen: &mut Pen, dice: &mut Dice) {
    let tint = Colour::hsl(
        dice.one_of(&[0.33, 0.08, 0.55, 0.0]),
        dice.between(0.3, 0.8),
        dice.between(0.25, 0.5),
    );
    let wide = dice.between(0.22, 0.36);
    let shoulder = dice.between(-0.35, 0.0);
    pen.block((-0.09, -0.86), (0.09, shoulder), tint);
    pen.blob(
        &[
            (-0.1, shoulder - 0.2),
            (0.1, shoulder - 0.2),
            (wide, shoulder + 0.16),
            (wide, 0.85),
            (-wide, 0.85),
            (-wide, shoulder + 0.16),
        ],
        tint,
    );
    pen.block((-0.11, -0.95), (0.11, -0.82), wood(dice));
    pen.block(
        (-wide * 0.98, 0.2),
        (wide * 0.98, 0.6),
        Colour::hsl(dice.between(0.0, 1.0), 0.3, 0.85),
    );
    pen.line(
        &[(-wide * 0.6, 0.0), (-wide * 0.6, 0.16)],
        0.05,
        tint.mixed(Colour::grey(1.0), 0.6),
    );
}

pub fn clock(pen: &mut Pen, dice: &mut Dice) {
    let rim = lacquer(dice);
    for side in [-1.0f32, 1.0] {
        pen.line(
            &[(side * 0.35, 0.6), (side * 0.5, 0.88)],
            0.1,
            rim.times(0.7),
        );
        pen.disc((side * 0.4, -0.68), 0.18, rim.times(0.8));
    }
    pen.disc((0.0, 0.05), 0.72, rim);
    pen.disc((0.0, 0.05), 0.58, Colour::grey(0.94));
    for i in 0..12 {
        let a = i as f32 * std::f32::consts::TAU / 12.0;
        pen.disc(
            (0.48 * a.cos(), 0.05 + 0.48 * a.sin()),
            0.03,
            Colour::grey(0.2),
        );
    }
    for (length, width) in [(0.28, 0.07), (0.42, 0.045)] {
        let a = dice.between(0.0, std::f32::consts::TAU);
        pen.line(
            &[(0.0, 0.05), (length * a.cos(), 0.05 + length * a.sin())],
            width,
            Colour::grey(0.1),
        );
    }
}

pub fn guitar(pen: &mut Pen, dice: &mut Dice) {
    let top = Colour::hsl(
        dice.near(0.07, 0.05),
        dice.between(0.5, 0.9),
        dice.between(0.3, 0.55),
    );
    pen.line(&[(0.0, 0.2), (0.0, -0.82)], 0.1, wood(dice).times(0.6));
    pen.block((-0.1, -0.98), (0.1, -0.78), wood(dice));
    pen.blob(
        &[
            (0.0, -0.05),
            (0.32, 0.02),
            (0.24, 0.3),
            (0.46, 0.62),
            (0.0, 0.95),
            (-0.46, 0.62),
            (-0.24, 0.3),
            (-0.32, 0.02),
        ],
        top,
    );
    pen.disc((0.0, 0.36), 0.15, Colour::grey(0.08));
    pen.line(&[(-0.16, 0.7), (0.16, 0.7)], 0.06, top.times(0.4));
    for x in [-0.03, 0.03] {
        pen.line(&[(x, 0.7), (x, -0.8)], 0.014, Colour::grey(0.9));
    }
}

pub fn hammer(pen: &mut Pen, dice: &mut Dice) {
    let steel = Colour::grey(dice.between(0.35, 0.6));
    pen.line(
        &[(0.0, -0.5), (0.0, 0.9)],
        dice.between(0.11, 0.17),
        wood(dice),
    );
    pen.block((-0.42, -0.72), (0.16, -0.4), steel);
    pen.blob(
        &[
            (0.14, -0.7),
            (0.45, -0.62),
            (0.72, -0.3),
            (0.4, -0.45),
            (0.14, -0.42),
        ],
        steel.times(0.85),
    );
    pen.block((-0.52, -0.76), (-0.38, -0.36), steel.times(1.2));
}

pub fn key(pen: &mut Pen, dice: &mut Dice) {
    let metal = Colour::hsl(
        dice.one_of(&[0.12, 0.08, 0.6]),
        dice.between(0.1, 0.7),
        dice.between(0.4, 0.6),
    );
    let ring: Vec<Point> = (0..=20)
        .map(|i| {
            let a = i as f32 * std::f32::consts::TAU / 20.0;
            (-0.58 + 0.27 * a.cos(), 0.27 * a.sin())
        })
        .collect();
    pen.line(&ring, 0.14, metal);
    pen.line(&[(-0.3, 0.0), (0.88, 0.0)], 0.13, metal);
    for x in [0.45, 0.62, 0.82] {
        pen.line(&[(x, 0.0), (x, dice.between(0.18, 0.34))], 0.1, metal);
    }
}

pub fn lamp(pen: &mut Pen, dice: &mut Dice) {
    let shade = lacquer(dice);
    let wide = dice.between(0.4, 0.65);
    pen.line(&[(0.0, -0.2), (0.0, 0.8)], 0.08, Colour::grey(0.3));
    pen.oval((0.0, 0.84), 0.34, 0.09, Colour::grey(0.25));
    pen.disc((0.0, -0.08), 0.14, Colour::hsl(0.15, 1.0, 0.85));
    pen.shape(
        &[
            (-wide * 0.45, -0.85),
            (wide * 0.45, -0.85),
            (wide, -0.1),
            (-wide, -0.1),
        ],
        shade,
    );
    pen.line(&[(-wide, -0.1), (wide, -0.1)], 0.06, shade.times(0.7));
}

pub fn umbrella(pen: &mut Pen, dice: &mut Dice) {
    let cloth = lacquer(dice);
    pen.curve(
        &[
            (0.0, -0.6),
            (0.0, 0.65),
            (0.08, 0.85),
            (0.22, 0.82),
            (0.24, 0.68),
        ],
        0.07,
        wood(dice),
    );
    let low = dice.between(-0.05, 0.15);
    let dome: Vec<Point> = (0..=12)
        .map(|i| {
            let a = std::f32::consts::PI * (1.0 + i as f32 / 12.0);
            (0.92 * a.cos(), low + (0.8 + low) * a.sin())
        })
        .collect();
    pen.shape(&dome, cloth);
    for i in 0..4 {
        let (a, b) = (-0.92 + i as f32 * 0.46, -0.46 + i as f32 * 0.46);
        let mid = (a + b) / 2.0;
        if i % 2 == 1 {
            pen.shape(&[(0.0, -0.8), (a, low), (b, low)], cloth.times(0.75));
        }
        pen.oval(
            (mid, low),
            0.23,
            0.07,
            if i % 2 == 1 { cloth.times(0.75) } else { cloth },
        );
    }
    pen.line(&[(0.0, -0.8), (0.0, -0.95)], 0.05, Colour::grey(0.2));
}

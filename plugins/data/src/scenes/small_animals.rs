//! Birds, fish, and what creeps and flies.

use super::beasts::eye;
use super::colour::Colour;
use super::dice::Dice;
use super::pen::{Pen, Point};

pub fn bird(pen: &mut Pen, dice: &mut Dice) {
    let coat = Colour::hsl(
        dice.between(0.0, 1.0),
        dice.between(0.35, 0.85),
        dice.between(0.35, 0.6),
    );
    let belly = coat.mixed(Colour::grey(0.95), 0.6);
    let beak = Colour::hsl(0.1, 0.9, 0.5);
    let flying = dice.chance(0.4);
    let raise = dice.between(-0.25, 0.75);
    if !flying {
        for x in [-0.02, 0.14] {
            pen.line(&[(x, 0.45), (x + 0.02, 0.86)], 0.04, beak.times(0.8));
            pen.line(&[(x - 0.1, 0.88), (x + 0.14, 0.88)], 0.04, beak.times(0.8));
        }
    }
    let fan = dice.near(0.1, 0.15);
    pen.shape(
        &[
            (-0.35, 0.1),
            (-0.95, -0.05 + fan),
            (-0.98, 0.2 + fan),
            (-0.35, 0.32),
        ],
        coat.times(0.75),
    );
    pen.blob(
        &[
            (-0.5, 0.15),
            (-0.1, -0.22),
            (0.35, -0.18),
            (0.5, 0.12),
            (0.25, 0.45),
            (-0.2, 0.45),
        ],
        coat,
    );
    pen.blob(
        &[
            (-0.1, 0.3),
            (0.3, 0.05),
            (0.42, 0.2),
            (0.2, 0.44),
            (-0.1, 0.45),
        ],
        belly,
    );
    let head = (0.48, -0.32);
    pen.disc(head, 0.24, coat);
    let long = dice.between(0.2, 0.42);
    pen.shape(&[(0.66, -0.42), (0.68 + long, -0.3), (0.66, -0.22)], beak);
    eye(pen, (0.54, -0.38), 0.06);
    if dice.chance(0.3) {
        pen.shape(
            &[(0.35, -0.5), (0.28, -0.78), (0.5, -0.54)],
            coat.times(0.7),
        );
    }
    if flying {
        for (tip, shade) in [(-0.3, 0.65), (0.05, 0.8)] {
            pen.blob(
                &[
                    (0.2, -0.1),
                    (tip, -0.15 - raise),
                    (tip - 0.35, -0.05 - raise * 0.95),
                    (-0.3, 0.1),
                ],
                coat.times(shade),
            );
        }
    } else {
        pen.blob(
            &[
                (0.2, -0.08),
                (-0.2, 0.0),
                (-0.62, 0.28),
                (-0.1, 0.34),
                (0.18, 0.18),
            ],
            coat.times(0.72),
        );
    }
}

pub fn fish(pen: &mut Pen, dice: &mut Dice) {
    let coat = Colour::hsl(
        dice.between(0.0, 1.0),
        dice.between(0.5, 0.9),
        dice.between(0.4, 0.62),
    );
    let fin = coat.times(dice.between(0.6, 0.85));
    let tall = dice.between(0.28, 0.55);
    let fork = dice.between(0.2, 0.42);
    let bend = dice.near(0.0, 0.12);
    pen.shape(
        &[
            (-0.5, bend),
            (-0.95, -fork + bend),
            (-0.82, bend),
            (-0.95, fork + bend),
        ],
        fin,
    );
    pen.blob(
        &[
            (-0.25, -tall * 0.7),
            (0.05, -tall * 1.5),
            (0.3, -tall * 0.8),
        ],
        fin,
    );
    pen.blob(
        &[(-0.1, tall * 0.7), (-0.05, tall * 1.35), (0.2, tall * 0.8)],
        fin,
    );
    pen.blob(
        &[
            (-0.62, bend),
            (-0.2, -tall * 0.8),
            (0.3, -tall),
            (0.75, -tall * 0.3),
            (0.85, 0.03),
            (0.7, tall * 0.4),
            (0.25, tall),
            (-0.2, tall * 0.8),
        ],
        coat,
    );
    let bars = dice.below(4);
    for i in 0..bars {
        let x = -0.2 + i as f32 * 0.24;
        pen.curve(
            &[(x, -tall * 0.62), (x + 0.07, 0.0), (x, tall * 0.62)],
            0.07,
            fin.mixed(Colour::grey(1.0), 0.5),
        );
    }
    pen.shape(&[(0.15, 0.05), (-0.1, 0.22), (0.12, 0.26)], fin.times(0.9));
    pen.curve(
        &[(0.45, -tall * 0.5), (0.4, 0.05), (0.45, tall * 0.5)],
        0.03,
        fin.times(0.7),
    );
    eye(pen, (0.6, -0.08), 0.07);
}

pub fn butterfly(pen: &mut Pen, dice: &mut Dice) {
    let wing = Colour::hsl(
        dice.between(0.0, 1.0),
        dice.between(0.55, 0.95),
        dice.between(0.4, 0.62),
    );
    let spot = Colour::hsl(dice.between(0.0, 1.0), 0.8, 0.7);
    let open = dice.between(0.55, 1.0);
    for side in [-1.0f32, 1.0] {
        let s = side * open;
        pen.blob(
            &[
                (0.0, -0.08),
                (s * 0.4, -0.78),
                (s * 0.92, -0.72),
                (s * 0.85, -0.2),
                (s * 0.2, 0.05),
            ],
            wing,
        );
        pen.blob(
            &[
                (0.0, 0.02),
                (s * 0.6, 0.04),
                (s * 0.72, 0.5),
                (s * 0.36, 0.75),
                (s * 0.08, 0.3),
            ],
            wing.times(0.8),
        );
        pen.disc((s * 0.58, -0.45), 0.14, spot);
        pen.disc((s * 0.45, 0.35), 0.1, spot);
        pen.curve(
            &[(0.0, -0.4), (side * 0.1, -0.62), (side * 0.22, -0.72)],
            0.03,
            Colour::grey(0.1),
        );
    }
    pen.oval((0.0, 0.02), 0.07, 0.45, Colour::grey(0.12));
}

pub fn snail(pen: &mut Pen, dice: &mut Dice) {
    let body = Colour::hsl(dice.near(0.1, 0.03), 0.4, dice.near(0.6, 0.1));
    let shell = Colour::hsl(
        dice.near(0.06, 0.05),
        dice.between(0.4, 0.7),
        dice.near(0.42, 0.1),
    );
    pen.blob(
        &[
            (-0.85, 0.82),
            (-0.3, 0.6),
            (0.4, 0.62),
            (0.62, 0.15),
            (0.85, 0.2),
            (0.85, 0.62),
            (0.6, 0.88),
            (-0.5, 0.9),
        ],
        body,
    );
    for x in [0.68f32, 0.82] {
        let tip = (x + dice.near(0.08, 0.06), -0.2);
        pen.line(&[(x, 0.18), tip], 0.04, body);
        pen.disc(tip, 0.05, Colour::grey(0.1));
    }
    pen.disc((-0.08, 0.22), 0.55, shell);
    let spiral: Vec<Point> = (0..22)
        .map(|i| {
            let (a, r) = (i as f32 * 0.62, 0.48 * (1.0 - i as f32 / 23.0));
            (-0.08 + r * a.cos(), 0.22 + r * a.sin())
        })
        .collect();
    pen.curve(&spiral, 0.06, shell.times(0.55));
}

pub fn crab(pen: &mut Pen, dice: &mut Dice) {
    let coat = Colour::hsl(
        dice.near(0.02, 0.04),
        dice.between(0.6, 0.9),
        dice.near(0.48, 0.1),
    );
    let dark = coat.times(0.75);
    for side in [-1.0f32, 1.0] {
        for i in 0..3 {
            let x = 0.35 + i as f32 * 0.08;
            let y = 0.35 + i as f32 * 0.14;
            pen.line(
                &[
                    (side * x, y),
                    (side * (x + 0.32), y + dice.near(0.0, 0.06)),
                    (side * (x + 0.42), y + 0.3),
                ],
                0.07,
                dark,
            );
        }
        let raise = dice.between(-0.6, -0.2);
        pen.line(
            &[
                (side * 0.4, 0.2),
                (side * 0.72, 0.05),
                (side * 0.7, raise + 0.15),
            ],
            0.1,
            dark,
        );
        pen.disc((side * 0.68, raise), 0.19, coat);
        pen.shape(
            &[
                (side * 0.68, raise),
                (side * 0.56, raise - 0.3),
                (side * 0.78, raise - 0.28),
            ],
            dark.times(0.6),
        );
        pen.line(&[(side * 0.14, 0.1), (side * 0.16, -0.14)], 0.05, dark);
        eye(pen, (side * 0.16, -0.16), 0.07);
    }
    pen.oval((0.0, 0.34), 0.55, 0.32, coat);
}

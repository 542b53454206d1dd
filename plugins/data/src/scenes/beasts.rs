//! Animals on four legs, each in a different pose every time.

use super::colour::Colour;
use super::dice::Dice;
use super::pen::{Pen, Point};

/// What furs and hides look like.
fn fur(dice: &mut Dice) -> Colour {
    let (hue, saturation, lightness) = dice.one_of(&[
        (0.07, 0.55, 0.38),
        (0.08, 0.6, 0.55),
        (0.09, 0.3, 0.72),
        (0.0, 0.0, 0.16),
        (0.0, 0.0, 0.5),
        (0.1, 0.1, 0.9),
        (0.04, 0.5, 0.26),
    ]);
    Colour::hsl(
        dice.near(hue, 0.02),
        dice.near(saturation, 0.08).max(0.0),
        dice.near(lightness, 0.07),
    )
}

/// What tells one four-legged animal from another.
struct Build {
    leg: f32,
    thick: f32,
    neck: f32,
    head: f32,
}

/// Body and legs, standing or walking, facing right; gives where the head goes.
fn four_legs(pen: &mut Pen, dice: &mut Dice, coat: Colour, b: &Build) -> Point {
    let stride = dice.between(0.0, 0.18);
    let back = 0.85 - b.leg - b.thick;
    let dark = coat.times(0.78);
    for (i, x) in [-0.48f32, -0.36, 0.34, 0.46].into_iter().enumerate() {
        let swing = if i % 2 == 0 { stride } else { -stride };
        let colour = if i % 2 == 0 { dark } else { coat };
        let knee = (x + swing * 0.3, 0.88 - b.leg * 0.5);
        pen.curve(
            &[(x, back + b.thick * 0.8), knee, (x + swing, 0.88)],
            0.13,
            colour,
        );
    }
    let sag = dice.near(0.0, 0.04);
    pen.blob(
        &[
            (-0.6, back + 0.05),
            (-0.1, back - sag),
            (0.45, back),
            (0.62, back + b.thick * 0.5),
            (0.45, back + b.thick),
            (-0.1, back + b.thick * 0.95 + sag),
            (-0.58, back + b.thick),
        ],
        coat,
    );
    let tilt = dice.near(0.0, 0.08);
    let head = (0.62 + b.neck * 0.45 + tilt, back - b.neck + tilt);
    pen.curve(&[(0.45, back + b.thick * 0.35), head], b.head * 1.05, coat);
    head
}

pub(super) fn eye(pen: &mut Pen, at: Point, size: f32) {
    pen.disc(at, size, Colour::grey(0.95));
    pen.disc(at, size * 0.6, Colour::grey(0.05));
}

pub fn cat(pen: &mut Pen, dice: &mut Dice) {
    let coat = fur(dice);
    let dark = coat.times(0.7);
    let pink = Colour::hsl(0.98, 0.5, 0.7);
    let lift = dice.between(-0.5, 0.2);
    let (head, size) = if dice.chance(0.45) {
        // Sitting, seen from the front.
        let lean = dice.near(0.0, 0.08);
        pen.curve(
            &[
                (0.2, 0.8),
                (0.62, 0.7),
                (0.66, 0.3 + lift * 0.4),
                (0.5, 0.1 + lift * 0.5),
            ],
            0.1,
            dark,
        );
        pen.blob(
            &[
                (lean, -0.25),
                (0.32, 0.2),
                (0.42, 0.85),
                (0.0, 0.92),
                (-0.42, 0.85),
                (-0.32, 0.2),
            ],
            coat,
        );
        for x in [-0.15, 0.15] {
            pen.line(&[(x, 0.35), (x, 0.86)], 0.13, coat.times(0.9));
        }
        ((lean, -0.38), 0.36)
    } else {
        pen.curve(
            &[
                (-0.5, 0.3),
                (-0.8, 0.1 + lift * 0.3),
                (-0.78, -0.2 + lift),
                (-0.62, -0.42 + lift),
            ],
            0.09,
            dark,
        );
        let build = Build {
            leg: 0.36,
            thick: 0.38,
            neck: 0.26,
            head: 0.3,
        };
        (four_legs(pen, dice, coat, &build), 0.3)
    };
    // A round head with pointed ears.
    let up = dice.near(0.0, 6.0);
    let mut pen = pen.turned(head, up, size / 0.3);
    for side in [-1.0f32, 1.0] {
        pen.shape(
            &[
                (side * 0.27, -0.08),
                (side * 0.25, -0.44),
                (side * 0.04, -0.2),
            ],
            coat,
        );
        pen.shape(
            &[
                (side * 0.22, -0.14),
                (side * 0.22, -0.34),
                (side * 0.1, -0.2),
            ],
            pink,
        );
    }
    pen.oval((0.0, 0.0), 0.3, 0.26, coat);
    let green = Colour::hsl(dice.between(0.13, 0.35), 0.7, 0.5);
    for side in [-1.0f32, 1.0] {
        pen.oval((side * 0.12, -0.03), 0.06, 0.07, green);
        pen.oval((side * 0.12, -0.03), 0.02, 0.06, Colour::grey(0.02));
        for y in [0.08, 0.13] {
            pen.line(
                &[(side * 0.1, 0.1), (side * 0.42, y)],
                0.012,
                Colour::grey(0.85),
            );
        }
    }
    pen.shape(&[(-0.04, 0.06), (0.04, 0.06), (0.0, 0.11)], pink);
}

pub fn dog(pen: &mut Pen, dice: &mut Dice) {
    let coat = fur(dice);
    let dark = coat.times(0.6);
    let wag = dice.between(-0.25, 0.25);
    let up = dice.chance(0.6);
    pen.curve(
        &[
            (-0.55, 0.12),
            (-0.75, if up { -0.15 } else { 0.2 }),
            (-0.78 + wag * 0.4, if up { -0.38 } else { 0.45 }),
        ],
        0.11,
        coat.times(0.85),
    );
    let build = Build {
        leg: dice.between(0.36, 0.5),
        thick: dice.between(0.34, 0.42),
        neck: dice.between(0.22, 0.32),
        head: 0.34,
    };
    let head = four_legs(pen, dice, coat, &build);
    let nod = dice.near(0.0, 15.0);
    let long = dice.between(0.32, 0.48);
    let patch = dice.chance(0.4);
    let floppy = dice.chance(0.75);
    let mut pen = pen.turned(head, nod, 1.0);
    pen.blob(
        &[
            (-0.24, -0.02),
            (-0.1, -0.22),
            (0.12, -0.18),
            (0.24, 0.0),
            (0.1, 0.2),
            (-0.14, 0.18),
        ],
        coat,
    );
    // A long snout with a black nose.
    pen.blob(
        &[
            (0.08, -0.08),
            (long - 0.04, -0.02),
            (long, 0.08),
            (long - 0.08, 0.16),
            (0.05, 0.18),
        ],
        coat.times(1.08),
    );
    pen.oval((long, 0.02), 0.07, 0.055, Colour::grey(0.05));
    if dice.chance(0.4) {
        pen.curve(
            &[(long - 0.12, 0.15), (long - 0.1, 0.28)],
            0.07,
            Colour::hsl(0.98, 0.7, 0.6),
        );
    }
    if patch {
        pen.oval((0.06, -0.06), 0.1, 0.1, dark);
    }
    eye(&mut pen, (0.07, -0.06), 0.045);
    if floppy {
        pen.blob(
            &[
                (-0.12, -0.2),
                (-0.02, -0.12),
                (-0.08, 0.2),
                (-0.22, 0.26),
                (-0.26, 0.0),
            ],
            dark,
        );
    } else {
        pen.blob(&[(-0.2, -0.12), (-0.22, -0.42), (-0.04, -0.2)], dark);
    }
}

pub fn horse(pen: &mut Pen, dice: &mut Dice) {
    let coat = fur(dice);
    let mane = coat.times(dice.between(0.35, 0.6));
    pen.curve(
        &[(-0.58, 0.0), (-0.78, 0.2), (-0.74, dice.between(0.5, 0.7))],
        0.12,
        mane,
    );
    let build = Build {
        leg: 0.55,
        thick: 0.34,
        neck: 0.5,
        head: 0.22,
    };
    let head = four_legs(pen, dice, coat, &build);
    pen.curve(
        &[
            (0.4, 0.02),
            (head.0 - 0.16, head.1 + 0.12),
            (head.0 - 0.08, head.1 - 0.1),
        ],
        0.1,
        mane,
    );
    let nod = dice.near(25.0, 14.0);
    let mut pen = pen.turned(head, nod, 1.0);
    pen.blob(
        &[
            (-0.1, -0.12),
            (0.14, -0.1),
            (0.42, 0.0),
            (0.42, 0.14),
            (0.1, 0.16),
            (-0.1, 0.1),
        ],
        coat,
    );
    pen.shape(
        &[(-0.08, -0.1), (-0.04, -0.3), (0.04, -0.12)],
        coat.times(0.8),
    );
    eye(&mut pen, (0.08, -0.02), 0.035);
}

pub fn rabbit(pen: &mut Pen, dice: &mut Dice) {
    let coat = fur(dice);
    let pink = Colour::hsl(0.97, 0.5, 0.75);
    pen.disc((-0.62, 0.45), 0.15, Colour::grey(0.95));
    pen.blob(
        &[
            (-0.6, 0.4),
            (-0.25, 0.0),
            (0.25, 0.12),
            (0.42, 0.5),
            (0.3, 0.85),
            (-0.5, 0.88),
        ],
        coat,
    );
    pen.oval((-0.3, 0.84), 0.28, 0.09, coat.times(0.85));
    pen.oval((0.3, 0.84), 0.16, 0.08, coat.times(0.85));
    let spread = dice.between(4.0, 22.0);
    let droop = dice.near(0.0, 14.0);
    for (turn, shade) in [(-spread, 0.85), (spread, 1.0)] {
        let mut ear = pen.turned((0.36, -0.1), turn - 8.0 + droop, 1.0);
        ear.oval((0.0, -0.48), 0.1, 0.36, coat.times(shade));
        ear.oval((0.0, -0.46), 0.05, 0.27, pink);
    }
    pen.oval((0.4, 0.08), 0.28, 0.25, coat);
    eye(pen, (0.48, 0.02), 0.055);
    pen.disc((0.66, 0.1), 0.04, pink.times(0.8));
}

//! What people travel in and live in.

use super::colour::Colour;
use super::dice::Dice;
use super::materials::{glass, lacquer, wood};
use super::pen::{Pen, Point};

fn wheel(pen: &mut Pen, at: Point, radius: f32) {
    pen.disc(at, radius, Colour::grey(0.08));
    pen.disc(at, radius * 0.55, Colour::grey(0.65));
    pen.disc(at, radius * 0.15, Colour::grey(0.2));
}

pub fn car(pen: &mut Pen, dice: &mut Dice) {
    let paint = lacquer(dice);
    let pane = glass(dice);
    let roof = dice.between(-0.42, -0.18);
    let (front, back) = (dice.between(0.3, 0.55), dice.between(-0.75, -0.4));
    let boxy = dice.between(0.05, 0.3);
    // Cabin, then body, then wheels.
    pen.shape(
        &[
            (back, 0.2),
            (back + boxy, roof),
            (front - 0.25, roof),
            (front + 0.1, 0.2),
        ],
        paint.times(0.85),
    );
    let middle = (back + front) / 2.0;
    pen.shape(
        &[
            (back + 0.08, 0.16),
            (back + boxy + 0.04, roof + 0.08),
            (middle - 0.03, roof + 0.08),
            (middle - 0.03, 0.16),
        ],
        pane,
    );
    pen.shape(
        &[
            (middle + 0.04, 0.16),
            (middle + 0.04, roof + 0.08),
            (front - 0.27, roof + 0.08),
            (front, 0.16),
        ],
        pane.times(0.9),
    );
    pen.blob(
        &[
            (-0.95, 0.22),
            (-0.6, 0.14),
            (0.5, 0.14),
            (0.92, 0.26),
            (0.97, 0.58),
            (0.5, 0.64),
            (-0.6, 0.64),
            (-0.97, 0.56),
        ],
        paint,
    );
    pen.line(&[(middle, 0.2), (middle, 0.55)], 0.02, paint.times(0.6));
    pen.disc((0.9, 0.36), 0.06, Colour::hsl(0.14, 0.9, 0.8));
    pen.block((-0.97, 0.32), (-0.9, 0.42), Colour::hsl(0.0, 0.9, 0.45));
    let radius = dice.between(0.19, 0.26);
    wheel(pen, (-0.55, 0.66), radius);
    wheel(pen, (0.55, 0.66), radius);
}

pub fn boat(pen: &mut Pen, dice: &mut Dice) {
    let hull = lacquer(dice);
    let sail = Colour::hsl(
        dice.between(0.0, 1.0),
        dice.between(0.0, 0.35),
        dice.between(0.8, 0.95),
    );
    let lean = dice.near(0.0, 0.12);
    let deep = dice.between(0.25, 0.4);
    let keel = 0.78;
    if dice.chance(0.75) {
        pen.line(&[(0.0, keel - deep), (lean, -0.92)], 0.05, wood(dice));
        let low = keel - deep - 0.1;
        let fill = dice.between(0.1, 0.25);
        pen.blob(
            &[
                (0.05, low),
                (0.06 + lean * 0.8, -0.75),
                (0.38 + fill + lean, -0.15),
                (0.72, low),
            ],
            sail,
        );
        if dice.chance(0.7) {
            pen.shape(
                &[(-0.06, low), (lean - 0.04, -0.85), (-0.66, low)],
                sail.times(0.88),
            );
        }
    } else {
        pen.block(
            (-0.3, keel - deep - 0.35),
            (0.35, keel - deep),
            Colour::grey(0.9),
        );
        pen.block(
            (0.0, keel - deep - 0.72),
            (0.18, keel - deep - 0.3),
            hull.times(0.7),
        );
        for x in [-0.18, 0.02, 0.22] {
            pen.disc((x, keel - deep - 0.17), 0.06, glass(dice));
        }
    }
    pen.shape(
        &[
            (-0.92, keel - deep),
            (0.95, keel - deep - 0.03),
            (0.62, keel),
            (-0.62, keel),
        ],
        hull,
    );
    pen.line(
        &[(-0.9, keel - deep + 0.05), (0.88, keel - deep + 0.03)],
        0.05,
        hull.times(1.4),
    );
    for i in 0..4 {
        let x = -0.8 + i as f32 * 0.5;
        pen.curve(
            &[(x, 0.86), (x + 0.12, 0.8), (x + 0.25, 0.86)],
            0.05,
            Colour::hsl(0.56, 0.5, 0.8),
        );
    }
}

pub fn airplane(pen: &mut Pen, dice: &mut Dice) {
    let skin = Colour::grey(dice.between(0.7, 0.95));
    let mark = lacquer(dice);
    pen.shape(
        &[(-0.1, -0.05), (-0.5, -0.6), (-0.3, -0.62), (0.25, -0.05)],
        skin.times(0.75),
    );
    pen.blob(
        &[
            (-0.92, -0.1),
            (-0.3, -0.17),
            (0.5, -0.17),
            (0.95, 0.02),
            (0.5, 0.17),
            (-0.4, 0.13),
        ],
        skin,
    );
    pen.shape(
        &[(-0.9, -0.05), (-1.0, -0.5), (-0.78, -0.5), (-0.55, -0.1)],
        mark,
    );
    pen.shape(
        &[(0.2, 0.05), (-0.42, 0.66), (-0.2, 0.7), (0.42, 0.08)],
        mark.mixed(skin, 0.3),
    );
    for i in 0..5 {
        pen.disc(
            (-0.35 + i as f32 * 0.2, -0.05),
            0.04,
            glass(dice).times(0.6),
        );
    }
    pen.oval((0.72, -0.04), 0.1, 0.05, Colour::hsl(0.58, 0.5, 0.3));
}

pub fn bicycle(pen: &mut Pen, dice: &mut Dice) {
    let frame = lacquer(dice);
    let tyre = Colour::grey(0.1);
    let r = dice.between(0.34, 0.42);
    let y = 0.88 - r;
    for x in [-0.52f32, 0.52] {
        let ring: Vec<Point> = (0..=24)
            .map(|i| {
                let a = i as f32 * std::f32::consts::TAU / 24.0;
                (x + r * a.cos(), y + r * a.sin())
            })
            .collect();
        pen.line(&ring, 0.06, tyre);
        for i in 0..6 {
            let a = i as f32 * std::f32::consts::PI / 6.0;
            pen.line(
                &[
                    (x - r * a.cos(), y - r * a.sin()),
                    (x + r * a.cos(), y + r * a.sin()),
                ],
                0.012,
                Colour::grey(0.6),
            );
        }
    }
    let (seat, bar, pedal) = ((-0.22, -0.1), (0.36, -0.12), (-0.05, y));
    pen.line(&[(-0.52, y), seat, bar, pedal, (-0.52, y)], 0.06, frame);
    pen.line(&[seat, pedal], 0.06, frame);
    pen.line(
        &[(0.52, y), bar, (0.3, -0.34), (0.48, -0.42)],
        0.06,
        frame.times(0.8),
    );
    pen.line(&[(-0.36, -0.18), (-0.1, -0.18)], 0.1, tyre);
}

pub fn rocket(pen: &mut Pen, dice: &mut Dice) {
    let skin = Colour::grey(dice.between(0.75, 0.95));
    let mark = lacquer(dice);
    let flame = dice.between(0.75, 1.0);
    pen.blob(
        &[(-0.15, 0.55), (0.0, flame), (0.15, 0.55)],
        Colour::hsl(0.09, 1.0, 0.55),
    );
    for side in [-1.0f32, 1.0] {
        pen.shape(
            &[(side * 0.2, 0.1), (side * 0.52, 0.66), (side * 0.15, 0.55)],
            mark,
        );
    }
    pen.blob(
        &[
            (0.0, -0.95),
            (0.26, -0.4),
            (0.24, 0.4),
            (0.14, 0.6),
            (-0.14, 0.6),
            (-0.24, 0.4),
            (-0.26, -0.4),
        ],
        skin,
    );
    pen.blob(
        &[(0.0, -0.95), (0.2, -0.55), (0.0, -0.5), (-0.2, -0.55)],
        mark,
    );
    pen.disc((0.0, -0.2), 0.13, mark.times(0.6));
    pen.disc((0.0, -0.2), 0.09, glass(dice));
}

pub fn house(pen: &mut Pen, dice: &mut Dice) {
    let wall = Colour::hsl(
        dice.between(0.02, 0.16),
        dice.between(0.1, 0.5),
        dice.between(0.5, 0.85),
    );
    let tiles = Colour::hsl(
        dice.one_of(&[0.02, 0.05, 0.6, 0.35]),
        dice.between(0.3, 0.6),
        dice.between(0.25, 0.42),
    );
    let wide = dice.between(0.55, 0.85);
    let eaves = dice.between(-0.25, 0.15);
    let ridge = dice.between(-0.9, -0.55);
    if dice.chance(0.6) {
        let x = dice.sign() * wide * 0.5;
        pen.block((x - 0.1, ridge + 0.02), (x + 0.1, eaves), tiles.times(0.7));
    }
    pen.block((-wide, eaves), (wide, 0.88), wall);
    let flat = dice.between(0.0, 0.5) * wide;
    pen.shape(
        &[
            (-wide - 0.14, eaves + 0.04),
            (-flat, ridge),
            (flat, ridge),
            (wide + 0.14, eaves + 0.04),
        ],
        tiles,
    );
    let door = dice.near(0.0, wide * 0.5);
    let wooden = wood(dice);
    pen.block((door - 0.12, 0.42), (door + 0.12, 0.88), wooden);
    let pane = glass(dice).times(0.7);
    for i in 0..3 {
        let x = (i as f32 - 1.0) * wide * 0.62;
        if (x - door).abs() > 0.28 {
            pen.block(
                (x - 0.15, eaves + 0.18),
                (x + 0.15, eaves + 0.46),
                Colour::grey(0.92),
            );
            pen.block((x - 0.12, eaves + 0.21), (x + 0.12, eaves + 0.43), pane);
            pen.line(
                &[(x, eaves + 0.2), (x, eaves + 0.44)],
                0.03,
                Colour::grey(0.92),
            );
        }
    }
}

pub fn tent(pen: &mut Pen, dice: &mut Dice) {
    let cloth = lacquer(dice);
    let top = (dice.near(0.0, 0.1), dice.between(-0.75, -0.4));
    pen.shape(&[(-0.9, 0.85), top, (0.9, 0.85)], cloth);
    pen.shape(
        &[top, (0.9, 0.85), (0.98, 0.72), (top.0 + 0.12, top.1 + 0.02)],
        cloth.times(0.65),
    );
    let open = dice.between(0.15, 0.35);
    pen.shape(
        &[(top.0, top.1 + 0.15), (-open, 0.85), (open, 0.85)],
        Colour::grey(0.08),
    );
    pen.shape(
        &[(top.0, top.1 + 0.15), (-open, 0.85), (-open - 0.14, 0.85)],
        cloth.times(1.3),
    );
}

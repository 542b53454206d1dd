//! What stands around a thing: sky and ground or a wall, shadows, surfaces, clutter.

use tiny_skia::{Pixmap, PixmapPaint, Transform};

use super::colour::Colour;
use super::dice::Dice;
use super::pen::{Pen, Point};

/// What later layers need to know of the backdrop.
pub struct Place {
    /// Height of the horizon, as a share of the side from the top.
    pub horizon: f32,
}

/// Fills a picture with an outdoor or indoor backdrop.
pub fn backdrop(picture: &mut Pixmap, dice: &mut Dice, side: f32) -> Place {
    let horizon = dice.between(0.35, 0.75);
    let outdoors = dice.chance(0.7);
    let (top, low, ground) = if outdoors {
        let hue = dice.near(0.57, 0.05);
        (
            Colour::hsl(hue, dice.between(0.2, 0.75), dice.between(0.5, 0.75)),
            Colour::hsl(hue, dice.between(0.1, 0.5), dice.between(0.75, 0.92)),
            Colour::hsl(
                dice.one_of(&[0.28, 0.24, 0.12, 0.1, 0.55]) + dice.near(0.0, 0.03),
                dice.between(0.15, 0.5),
                dice.between(0.3, 0.65),
            ),
        )
    } else {
        let wall = Colour::hsl(
            dice.between(0.0, 1.0),
            dice.between(0.05, 0.4),
            dice.between(0.45, 0.88),
        );
        (
            wall,
            wall.times(0.92),
            Colour::hsl(
                dice.near(0.08, 0.05),
                dice.between(0.15, 0.5),
                dice.between(0.25, 0.6),
            ),
        )
    };
    let stream = dice.stream();
    let rough = dice.between(0.02, 0.08);
    let grain = dice.between(0.06, 0.2) * side;
    let width = picture.width() as usize;
    for (i, pixel) in picture.pixels_mut().iter_mut().enumerate() {
        let (x, y) = ((i % width) as f32, (i / width) as f32 / side);
        let base = if y < horizon {
            top.mixed(low, y / horizon)
        } else {
            ground.times(0.85 + 0.35 * (y - horizon) / (1.0 - horizon))
        };
        // Value noise, stretched along the ground.
        let flat = if y < horizon { 1.0 } else { 2.5 };
        let wave = noise(stream, x / (grain * flat), y * side / grain)
            + 0.5 * noise(stream.at(1), x / 2.0, y * side / 2.0);
        let Colour(rgb) = base.times(1.0 + rough * 2.0 * (wave - 0.75));
        let byte = |c: f32| (c * 255.0).round() as u8;
        *pixel = tiny_skia::ColorU8::from_rgba(byte(rgb[0]), byte(rgb[1]), byte(rgb[2]), 255)
            .premultiply();
    }
    if outdoors {
        for _ in 0..dice.below(3) {
            let at = (
                dice.between(0.0, side),
                dice.between(0.0, horizon * 0.8 * side),
            );
            let mut pen = Pen::new(picture, Transform::from_translate(at.0, at.1));
            let size = dice.between(0.05, 0.12) * side;
            for i in 0..3 {
                pen.oval(
                    ((i as f32 - 1.0) * size, 0.0),
                    size,
                    size * 0.5,
                    Colour::grey(dice.between(0.88, 0.98)),
                );
            }
        }
        if dice.chance(0.4) {
            let hill = ground.mixed(low, 0.45);
            let mut pen = Pen::new(picture, Transform::from_scale(side, side));
            let peak = dice.between(0.1, 0.9);
            pen.blob(
                &[
                    (-0.3, horizon + 0.02),
                    (peak - 0.3, horizon - dice.between(0.0, 0.1)),
                    (peak, horizon - dice.between(0.1, 0.25)),
                    (peak + 0.35, horizon - dice.between(0.0, 0.1)),
                    (1.3, horizon + 0.02),
                ],
                hill,
            );
        }
    }
    Place { horizon }
}

/// Something that is no answer: a rock, a bush, a crate, a post, a ball.
pub fn clutter(picture: &mut Pixmap, dice: &mut Dice, side: f32, floor: f32) {
    let size = dice.between(0.06, 0.16) * side;
    let at = (
        dice.between(-0.05, 1.05) * side,
        (dice.between(floor, floor.max(0.95) + 0.05)) * side,
    );
    let place = Transform::from_translate(at.0, at.1).pre_scale(size, size);
    let mut pen = Pen::new(picture, place);
    let colour = Colour::hsl(
        dice.between(0.0, 1.0),
        dice.between(0.05, 0.6),
        dice.between(0.2, 0.7),
    );
    match dice.below(5) {
        0 => {
            let corners: Vec<Point> = (0..7)
                .map(|i| {
                    let a = i as f32 * 0.9;
                    let r = dice.between(0.6, 1.1);
                    (r * a.cos(), r * 0.7 * a.sin())
                })
                .collect();
            pen.shape(&corners, Colour::grey(dice.between(0.3, 0.65)));
        }
        1 => {
            for _ in 0..6 {
                let green = Colour::hsl(dice.near(0.3, 0.06), 0.45, dice.between(0.2, 0.4));
                pen.disc(
                    (dice.near(0.0, 0.7), dice.near(-0.2, 0.4)),
                    dice.between(0.3, 0.5),
                    green,
                );
            }
        }
        2 => {
            pen.block((-0.8, -0.7), (0.8, 0.7), colour);
            pen.line(&[(-0.8, -0.7), (0.8, 0.7)], 0.1, colour.times(0.7));
        }
        3 => pen.line(&[(0.0, 0.7), (0.0, -dice.between(1.0, 3.0))], 0.25, colour),
        _ => {
            pen.disc((0.0, 0.0), 0.7, colour);
            pen.disc((-0.2, -0.2), 0.25, colour.times(1.3));
        }
    }
}

/// A soft dark ellipse under a thing.
pub fn shadow(picture: &mut Pixmap, dice: &mut Dice, x: f32, y: f32, scale: f32) {
    let lean = dice.near(0.0, 0.3) * scale;
    let width = picture.width() as usize;
    let (rx, ry) = (
        scale * dice.between(0.8, 1.1),
        scale * dice.between(0.1, 0.2),
    );
    let depth = dice.between(0.2, 0.5);
    for (i, pixel) in picture.pixels_mut().iter_mut().enumerate() {
        let (px, py) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
        let d = ((px - x - lean) / rx).powi(2) + ((py - y) / ry).powi(2);
        if d < 1.0 {
            let keep = 1.0 - depth * (1.0 - d);
            let dim = |c: u8| (f32::from(c) * keep) as u8;
            *pixel = tiny_skia::ColorU8::from_rgba(
                dim(pixel.red()),
                dim(pixel.green()),
                dim(pixel.blue()),
                255,
            )
            .premultiply();
        }
    }
}

/// Gives a layer a surface: light from one side, and plain, rough, striped or spotted.
pub fn texture(layer: &mut Pixmap, dice: &mut Dice) {
    let side = layer.width() as f32;
    let slant = dice.between(0.0, std::f32::consts::TAU);
    let (sin, cos) = slant.sin_cos();
    let light = dice.between(0.1, 0.35);
    let kind = dice.below(4);
    let depth = dice.between(0.1, 0.28);
    let period = dice.between(0.05, 0.12) * side;
    let stream = dice.stream();
    let width = layer.width() as usize;
    for (i, pixel) in layer.pixels_mut().iter_mut().enumerate() {
        let alpha = pixel.alpha();
        if alpha == 0 {
            continue;
        }
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let across = (x * cos + y * sin) / side;
        let mark = match kind {
            1 => noise(stream, x / period * 2.0, y / period * 2.0) - 0.5,
            2 => 0.5 * (std::f32::consts::TAU * (x * cos + y * sin) / period).sin(),
            3 => {
                let spot = noise(stream, x / period, y / period);
                if spot > 0.62 { -0.5 } else { 0.1 }
            }
            _ => 0.0,
        };
        let factor = 1.0 + light * (across - 0.35) + depth * mark;
        // Premultiplied: a channel is at most alpha.
        let by = |c: u8| ((f32::from(c) * factor).round().max(0.0) as u8).min(alpha);
        let (r, g, b) = (by(pixel.red()), by(pixel.green()), by(pixel.blue()));
        if let Some(p) = tiny_skia::PremultipliedColorU8::from_rgba(r, g, b, alpha) {
            *pixel = p;
        }
    }
}

/// One layer over another.
pub fn over(picture: &mut Pixmap, layer: &Pixmap) {
    picture.draw_pixmap(
        0,
        0,
        layer.as_ref(),
        &PixmapPaint::default(),
        Transform::identity(),
        None,
    );
}

/// Value noise in 0 to 1: random numbers on a grid, smoothly joined.
fn noise(stream: tlkit_core::random::Stream, x: f32, y: f32) -> f32 {
    let (gx, gy) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (smooth(x - gx), smooth(y - gy));
    let corner = |dx: f32, dy: f32| {
        let at = ((gx + dx) as i64 as u64).wrapping_mul(0x1_0001) ^ ((gy + dy) as i64 as u64);
        stream.uniform(at) as f32
    };
    let (top, low) = (
        corner(0.0, 0.0) * (1.0 - fx) + corner(1.0, 0.0) * fx,
        corner(0.0, 1.0) * (1.0 - fx) + corner(1.0, 1.0) * fx,
    );
    top * (1.0 - fy) + low * fy
}

//! Draws in the coordinates of an object: x and y from -1 to 1, y downwards, whatever its place, size and pose in the picture.

use tiny_skia::{FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};

use super::colour::Colour;

/// Draws on one layer.
pub struct Pen<'p> {
    layer: &'p mut Pixmap,
    place: Transform,
}

/// A point of an object.
pub type Point = (f32, f32);

impl<'p> Pen<'p> {
    /// On a layer, with the object at a place.
    pub fn new(layer: &'p mut Pixmap, place: Transform) -> Self {
        Pen { layer, place }
    }

    /// The same layer, with everything turned by degrees around a point, then scaled there.
    pub fn turned(&mut self, around: Point, degrees: f32, scale: f32) -> Pen<'_> {
        let place = self
            .place
            .pre_translate(around.0, around.1)
            .pre_concat(Transform::from_rotate(degrees))
            .pre_scale(scale, scale);
        Pen {
            layer: self.layer,
            place,
        }
    }

    /// A filled ellipse.
    pub fn oval(&mut self, centre: Point, rx: f32, ry: f32, colour: Colour) {
        let bounds =
            tiny_skia::Rect::from_ltrb(centre.0 - rx, centre.1 - ry, centre.0 + rx, centre.1 + ry);
        if let Some(path) = bounds.and_then(PathBuilder::from_oval) {
            self.fill(&path, colour);
        }
    }

    /// A filled circle.
    pub fn disc(&mut self, centre: Point, radius: f32, colour: Colour) {
        self.oval(centre, radius, radius, colour);
    }

    /// A filled polygon.
    pub fn shape(&mut self, corners: &[Point], colour: Colour) {
        if let Some(path) = lines(corners, true) {
            self.fill(&path, colour);
        }
    }

    /// A filled rectangle by two corners.
    pub fn block(&mut self, from: Point, to: Point, colour: Colour) {
        self.shape(&[from, (to.0, from.1), to, (from.0, to.1)], colour);
    }

    /// A filled closed curve through points (Catmull and Rom 1974).
    pub fn blob(&mut self, through: &[Point], colour: Colour) {
        if let Some(path) = smooth(through, true) {
            self.fill(&path, colour);
        }
    }

    /// A stroke with round ends, straight between points.
    pub fn line(&mut self, through: &[Point], width: f32, colour: Colour) {
        if let Some(path) = lines(through, false) {
            self.stroke(&path, width, colour);
        }
    }

    /// A stroke with round ends, smooth through points.
    pub fn curve(&mut self, through: &[Point], width: f32, colour: Colour) {
        if let Some(path) = smooth(through, false) {
            self.stroke(&path, width, colour);
        }
    }

    fn fill(&mut self, path: &Path, colour: Colour) {
        self.layer
            .fill_path(path, &paint(colour), FillRule::Winding, self.place, None);
    }

    fn stroke(&mut self, path: &Path, width: f32, colour: Colour) {
        let stroke = Stroke {
            width,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        self.layer
            .stroke_path(path, &paint(colour), &stroke, self.place, None);
    }
}

fn paint(Colour([r, g, b]): Colour) -> Paint<'static> {
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    let byte = |c: f32| (c.clamp(0.0, 1.0) * 255.0).round() as u8;
    paint.set_color_rgba8(byte(r), byte(g), byte(b), 255);
    paint
}

fn lines(points: &[Point], closed: bool) -> Option<Path> {
    let (first, rest) = points.split_first()?;
    let mut path = PathBuilder::new();
    path.move_to(first.0, first.1);
    for p in rest {
        path.line_to(p.0, p.1);
    }
    if closed {
        path.close();
    }
    path.finish()
}

fn smooth(points: &[Point], closed: bool) -> Option<Path> {
    let n = points.len();
    let at = |i: isize| match closed {
        true => points[i.rem_euclid(n as isize) as usize],
        false => points[i.clamp(0, n as isize - 1) as usize],
    };
    let first = points.first()?;
    let mut path = PathBuilder::new();
    path.move_to(first.0, first.1);
    let pieces = if closed { n } else { n - 1 };
    for i in 0..pieces as isize {
        let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        path.cubic_to(
            b.0 + (c.0 - a.0) / 6.0,
            b.1 + (c.1 - a.1) / 6.0,
            c.0 - (d.0 - b.0) / 6.0,
            c.1 - (d.1 - b.1) / 6.0,
            c.0,
            c.1,
        );
    }
    if closed {
        path.close();
    }
    path.finish()
}

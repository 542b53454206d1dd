//! Turned, sheared and moved images: each pixel of the result looks up where it comes from, between four pixels.

use crate::Pixels;

/// Turned around its middle, against the clock; what comes from outside is `fill`.
pub(crate) fn rotated(pixels: &Pixels, degrees: f64, fill: [u8; 3]) -> Pixels {
    let (sin, cos) = degrees.to_radians().sin_cos();
    affine(pixels, [cos, -sin, sin, cos], [0.0, 0.0], fill)
}

/// Sheared: each row (or column) moved in proportion to its distance from the middle.
pub(crate) fn sheared(pixels: &Pixels, x: f64, y: f64, fill: [u8; 3]) -> Pixels {
    affine(pixels, [1.0, x, y, 1.0], [0.0, 0.0], fill)
}

/// Moved by pixels to the right and down.
pub(crate) fn moved(pixels: &Pixels, x: f64, y: f64, fill: [u8; 3]) -> Pixels {
    affine(pixels, [1.0, 0.0, 0.0, 1.0], [-x, -y], fill)
}

/// `matrix` takes a place of the result, seen from the middle, to the place it comes from.
fn affine(pixels: &Pixels, [a, b, c, d]: [f64; 4], [dx, dy]: [f64; 2], fill: [u8; 3]) -> Pixels {
    let mut out = Pixels::filled(pixels.width, pixels.height, fill);
    let (mx, my) = (
        (pixels.width as f64 - 1.0) / 2.0,
        (pixels.height as f64 - 1.0) / 2.0,
    );
    for y in 0..pixels.height {
        for x in 0..pixels.width {
            let (u, v) = (x as f64 - mx, y as f64 - my);
            let (sx, sy) = (a * u + b * v + mx + dx, c * u + d * v + my + dy);
            let inside = |s: f64, n: usize| s > -1.0 && s < n as f64;
            if !inside(sx, pixels.width) || !inside(sy, pixels.height) {
                continue;
            }
            let colour = between(pixels, sx, sy, fill);
            let at = (y * pixels.width + x) * 3;
            out.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }
    out
}

fn between(pixels: &Pixels, x: f64, y: f64, fill: [u8; 3]) -> [u8; 3] {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let at = |dx: isize, dy: isize| -> [u8; 3] {
        let (x, y) = (x0 as isize + dx, y0 as isize + dy);
        let inside =
            x >= 0 && y >= 0 && (x as usize) < pixels.width && (y as usize) < pixels.height;
        if inside {
            pixels.at(x as usize, y as usize)
        } else {
            fill
        }
    };
    let corners = [
        (at(0, 0), (1.0 - fx) * (1.0 - fy)),
        (at(1, 0), fx * (1.0 - fy)),
        (at(0, 1), (1.0 - fx) * fy),
        (at(1, 1), fx * fy),
    ];
    let mut out = [0; 3];
    for (i, byte) in out.iter_mut().enumerate() {
        let sum: f64 = corners.iter().map(|(c, w)| f64::from(c[i]) * w).sum();
        *byte = sum.round() as u8;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(side: usize) -> Pixels {
        let rgb = (0..side * side).flat_map(|i| [i as u8; 3]).collect();
        Pixels::new(side, side, rgb).unwrap()
    }

    #[test]
    fn a_quarter_turn_goes_against_the_clock() {
        let p = numbered(3);
        let turned = rotated(&p, 90.0, [0; 3]);
        let firsts: Vec<u8> = turned.rgb.chunks(3).map(|c| c[0]).collect();
        assert_eq!(firsts, [2, 5, 8, 1, 4, 7, 0, 3, 6]);
        let mut back = p.clone();
        for _ in 0..4 {
            back = rotated(&back, 90.0, [0; 3]);
        }
        assert_eq!(back, p);
    }

    #[test]
    fn moving_brings_in_the_fill() {
        let p = moved(&numbered(3), 1.0, 0.0, [99; 3]);
        let firsts: Vec<u8> = p.rgb.chunks(3).map(|c| c[0]).collect();
        assert_eq!(firsts, [99, 0, 1, 99, 3, 4, 99, 6, 7]);
        assert_eq!(sheared(&numbered(3), 0.0, 0.0, [9; 3]), numbered(3));
    }
}

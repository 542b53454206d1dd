//! From the bytes of a PNG, or of a plain bitmap (which drawn scenes are), to numbers: the middle square, reduced by the mean over areas, between -1 and 1.

use std::io::Cursor;

use tlkit_plugin::candle_core::{Device, Tensor};
use tlkit_plugin::core::data::{Example, Field, Input, Prepare, View};
use tlkit_plugin::core::nn::Batch;
use tlkit_plugin::core::{Error, Result};

/// Most bytes of an image in memory: no picture is worth all of it.
const MOST: usize = 256 << 20;

/// Examples `(side, side, 3)`.
pub struct Pictures {
    pub side: usize,
}

/// Red, green and blue, row by row.
struct Pixels {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

fn decode(bytes: &[u8]) -> std::result::Result<Pixels, String> {
    match bytes.starts_with(b"BM") {
        true => bitmap(bytes).ok_or_else(|| "a bitmap of another kind than 24 bits without compression".into()),
        false => png(bytes),
    }
}

/// Rows from the bottom up, or down where the height is negative, each filled up to four bytes; blue first.
fn bitmap(bytes: &[u8]) -> Option<Pixels> {
    let four = |at: usize| Some(i32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (start, width, height, kind) = (four(10)? as usize, four(18)?, four(22)?, four(26)?);
    if kind != 1 | 24 << 16 || four(30)? != 0 || width <= 0 || height == 0 {
        return None;
    }
    let (width, rows) = (width as usize, height.unsigned_abs() as usize);
    let line = (width.checked_mul(3)?.checked_add(3)?) / 4 * 4;
    let data = bytes.get(start..)?.get(..line.checked_mul(rows)?)?;
    let row = |y: usize| if height > 0 { rows - 1 - y } else { y };
    let lines = (0..rows).map(|y| &data[row(y) * line..][..width * 3]);
    let rgb = lines.flat_map(|l| l.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]])).collect();
    Some(Pixels { width, height: rows, rgb })
}

fn png(bytes: &[u8]) -> std::result::Result<Pixels, String> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MOST });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| format!("this is no PNG: {e}"))?;
    let size = reader.output_buffer_size().filter(|n| *n <= MOST).ok_or("a PNG that is too large")?;
    let mut whole = vec![0; size];
    let info = reader.next_frame(&mut whole).map_err(|e| format!("a broken PNG: {e}"))?;
    whole.truncate(info.buffer_size());
    let samples = info.color_type.samples();
    let rgb = whole.chunks_exact(samples).flat_map(|p| if samples < 3 { [p[0]; 3] } else { [p[0], p[1], p[2]] });
    Ok(Pixels { width: info.width as usize, height: info.height as usize, rgb: rgb.collect() })
}

impl Pixels {
    /// One colour at a place of the middle square cut into `side` x `side`: the mean over the pixels there, one at least.
    fn mean(&self, side: usize, y: usize, x: usize, colour: usize) -> f32 {
        let least = self.width.min(self.height);
        let (left, top) = ((self.width - least) / 2, (self.height - least) / 2);
        let span = |i: usize| {
            let from = i * least / side;
            from..((i + 1) * least).div_ceil(side).max(from + 1)
        };
        let (mut sum, mut count) = (0.0, 0.0);
        for row in span(y) {
            for column in span(x) {
                sum += f32::from(self.rgb[((top + row) * self.width + left + column) * 3 + colour]);
                count += 1.0;
            }
        }
        sum / count
    }
}

impl Prepare for Pictures {
    fn digest(&self) -> String {
        format!("pictures 1, {}", self.side)
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        let Input::Image(bytes) = input else {
            return Err(Error::msg(format!("this network reads images, and this is {}", input.kind())));
        };
        let pixels = decode(bytes).map_err(Error::msg)?;
        let mut values = Vec::with_capacity(self.side * self.side * 3);
        for i in 0..self.side * self.side * 3 {
            let (place, colour) = (i / 3, i % 3);
            values.push(pixels.mean(self.side, place / self.side, place % self.side, colour) / 127.5 - 1.0);
        }
        Ok(Example::new(1).with("input", Field::Floats(values)))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let values: Vec<f32> = examples.iter().flat_map(|e| e.floats("input")).copied().collect();
        let input = Tensor::from_vec(values, (examples.len(), self.side, self.side, 3), device)?;
        Ok(Batch::new(examples.len(), input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        out
    }

    #[test]
    fn a_bitmap_is_read_from_the_bottom_and_blue_first() {
        let mut bytes = b"BM".to_vec();
        for n in [0i32, 0, 54, 40, 1, 2, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
            bytes.extend(n.to_le_bytes());
        }
        bytes.extend([1, 2, 3, 0, 4, 5, 6, 0]);
        assert_eq!(decode(&bytes).unwrap().rgb, [6, 5, 4, 3, 2, 1]);
        assert!(decode(&bytes[..60]).is_err());
    }

    #[test]
    fn the_middle_is_reduced_by_means() -> Result<()> {
        // Six columns, of which the middle four are 0, 255, 255, 0 in every row.
        let image = grey(6, 4, &[9, 0, 255, 255, 0, 9].repeat(4));
        let of = |side| Pictures { side }.example(&Input::Image(image.clone().into()));
        assert_eq!(of(2)?.floats("input"), [0.0; 12]);
        assert_eq!(of(4)?.floats("input")[..6], [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]);
        // A larger side repeats pixels.
        assert_eq!(of(8)?.floats("input").len(), 192);
        let pictures = Pictures { side: 4 };
        let (one, two) = (of(4)?, of(4)?);
        assert_eq!(pictures.collate(&[&one, &two], &Device::Cpu)?.input().dims(), [2, 4, 4, 3]);
        assert!(pictures.example(&Input::Image(b"GIF?".as_slice().into())).is_err());
        assert!(pictures.example(&Input::Image(image[..40].to_vec().into())).is_err());
        Ok(())
    }
}

//! A contact sheet of the drawn scenes: a row for each kind, half of it by day, half at night.
//!
//! `cargo run --release -p tlkit-data --example scenes -- target sheet.png 96`

use tlkit_data::scenes::{Light, SOURCE, TARGET, draw};

const COLUMNS: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [set, out, size] = arguments.as_slice() else {
        return Err("usage: scenes target|source OUT.png SIZE".into());
    };
    let kinds = match set.as_str() {
        "target" => TARGET,
        "source" => SOURCE,
        other => return Err(format!("there is `target` and `source`, not `{other}`").into()),
    };
    let side: usize = size.parse()?;
    let mut sheet = tiny_skia::Pixmap::new((COLUMNS * side) as u32, (kinds.len() * side) as u32)
        .ok_or("too large a sheet")?;
    let width = COLUMNS * side;
    for (row, kind) in kinds.iter().enumerate() {
        for column in 0..COLUMNS {
            let light = if column < COLUMNS / 2 {
                Light::Day
            } else {
                Light::Night
            };
            let picture = draw(kind, light, 0, column as u64, side as u32);
            for (i, rgb) in picture.chunks_exact(3).enumerate() {
                let at = (row * side + i / side) * width + column * side + i % side;
                sheet.pixels_mut()[at] =
                    tiny_skia::ColorU8::from_rgba(rgb[0], rgb[1], rgb[2], 255).premultiply();
            }
        }
    }
    sheet.save_png(out)?;
    Ok(())
}

//! Makes sounds to learn from: `cargo run --release --example tones -- FOLDER` writes `FOLDER/{train,test}/{rising,falling,trembling}/*.wav`, half
//! a second to a second at 8 or 16 kHz, with noise. Nothing about them is random that the next call would not repeat.

use std::f64::consts::PI;
use std::path::Path;

/// The next number between 0 and 1 (xorshift, Marsaglia 2003).
fn draw(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1u64 << 53) as f64
}

fn sound(class: &str, state: &mut u64) -> (u32, Vec<i16>) {
    let rate = if draw(state) < 0.5 { 8000 } else { 16000 };
    let seconds = 0.5 + 0.5 * draw(state);
    let (base, noise) = (300.0 + 500.0 * draw(state), 0.02 + 0.1 * draw(state));
    let count = (seconds * f64::from(rate)) as usize;
    let mut phase = 0.0;
    let mut out = Vec::with_capacity(count);
    for i in 0..count {
        let share = i as f64 / count as f64;
        let pitch = match class {
            "rising" => base * (1.0 + share),
            "falling" => base * (2.0 - share),
            _ => base * (1.5 + 0.3 * (2.0 * PI * 6.0 * share * seconds).sin()),
        };
        phase += 2.0 * PI * pitch / f64::from(rate);
        let value = 0.6 * phase.sin() + noise * (2.0 * draw(state) - 1.0);
        out.push((value * 32000.0) as i16);
    }
    (rate, out)
}

fn wav(rate: u32, samples: &[i16]) -> Vec<u8> {
    let size = samples.len() as u32 * 2;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + size).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend(rate.to_le_bytes());
    out.extend((rate * 2).to_le_bytes());
    out.extend(b"\x02\0\x10\0data");
    out.extend(size.to_le_bytes());
    out.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    out
}

fn main() -> std::io::Result<()> {
    let to = std::env::args().nth(1).unwrap_or_else(|| "tones".into());
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for (split, count) in [("train", 40), ("test", 20)] {
        for class in ["rising", "falling", "trembling"] {
            let folder = Path::new(&to).join(split).join(class);
            std::fs::create_dir_all(&folder)?;
            for i in 0..count {
                let (rate, samples) = sound(class, &mut state);
                std::fs::write(folder.join(format!("{i:02}.wav")), wav(rate, &samples))?;
            }
        }
    }
    println!("{to}: 180 sounds");
    Ok(())
}

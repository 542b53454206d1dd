//! From samples to the logarithm of a mel spectrogram (Stevens, Volkmann & Newman 1937 for the scale; the formula is O'Shaughnessy's).

use std::f64::consts::PI;

use tlkit_plugin::candle_core::{Device, Tensor};
use tlkit_plugin::core::data::{Example, Field, Input, Prepare, View};
use tlkit_plugin::core::nn::Batch;
use tlkit_plugin::core::{Error, Result};

/// Samples a second.
pub const RATE: u32 = 8000;
/// Of a sound.
pub const SAMPLES: usize = 8000;
/// Samples of a window, and from one to the next.
const WINDOW: usize = 256;
const HOP: usize = 128;
/// Windows of a sound.
pub const FRAMES: usize = (SAMPLES - WINDOW) / HOP + 1;
/// Triangles over the frequencies.
pub const BANDS: usize = 32;
const BINS: usize = WINDOW / 2 + 1;

/// Examples `(FRAMES, BANDS)`.
pub struct Spectrograms {
    /// `(bin, sample)`: the window's cosine and sine.
    waves: Vec<(f32, f32)>,
    /// `(band, bin)`.
    triangles: Vec<f32>,
}

impl Spectrograms {
    /// Tables that every sound shares.
    pub fn new() -> Self {
        let mut waves = Vec::with_capacity(BINS * WINDOW);
        for bin in 0..BINS {
            for i in 0..WINDOW {
                let hann = 0.5 - 0.5 * (2.0 * PI * i as f64 / WINDOW as f64).cos();
                let angle = 2.0 * PI * (bin * i % WINDOW) as f64 / WINDOW as f64;
                waves.push(((hann * angle.cos()) as f32, (hann * angle.sin()) as f32));
            }
        }
        let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
        let top = mel(f64::from(RATE) / 2.0);
        let edge = |i: usize| top * i as f64 / (BANDS + 1) as f64;
        let mut triangles = Vec::with_capacity(BANDS * BINS);
        for band in 0..BANDS {
            let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
            for bin in 0..BINS {
                let at = mel(bin as f64 * f64::from(RATE) / WINDOW as f64);
                let side = if at <= middle { (at - low) / (middle - low) } else { (high - at) / (high - middle) };
                triangles.push(side.max(0.0) as f32);
            }
        }
        Spectrograms { waves, triangles }
    }

    fn of(&self, sound: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(FRAMES * BANDS);
        for frame in 0..FRAMES {
            let window = &sound[frame * HOP..frame * HOP + WINDOW];
            let power: Vec<f32> = (self.waves.chunks_exact(WINDOW))
                .map(|wave| {
                    let (mut real, mut imaginary) = (0.0f32, 0.0f32);
                    for ((cos, sin), v) in wave.iter().zip(window) {
                        real += cos * v;
                        imaginary += sin * v;
                    }
                    real * real + imaginary * imaginary
                })
                .collect();
            for triangle in self.triangles.chunks_exact(BINS) {
                let energy: f32 = triangle.iter().zip(&power).map(|(t, p)| t * p).sum();
                // About -1.4 where there is silence, 1 where it is loud.
                out.push((energy + 1e-6).log10() * 0.2);
            }
        }
        out
    }
}

impl Prepare for Spectrograms {
    fn digest(&self) -> String {
        "mel 1".into()
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        match input {
            Input::Features(sound) if sound.len() == SAMPLES => Ok(Example::new(1).with("input", Field::Floats(self.of(sound)))),
            Input::Features(other) => Err(Error::msg(format!("a sound has {SAMPLES} samples, and this row {} numbers", other.len()))),
            other => Err(Error::msg(format!("this network hears samples, and this is {}", other.kind()))),
        }
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let values: Vec<f32> = examples.iter().flat_map(|e| e.floats("input")).copied().collect();
        let input = Tensor::from_vec(values, (examples.len(), FRAMES, BANDS), device)?;
        Ok(Batch::new(examples.len(), input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_tone_is_in_a_higher_band() {
        let loudest = |hz: f64| {
            let sound: Vec<f32> = (0..SAMPLES).map(|i| (2.0 * PI * hz * i as f64 / f64::from(RATE)).sin() as f32).collect();
            let all = Spectrograms::new().of(&sound);
            let frame = &all[10 * BANDS..11 * BANDS];
            (0..BANDS).fold(0, |best, b| if frame[b] > frame[best] { b } else { best })
        };
        assert!(loudest(300.0) < loudest(600.0) && loudest(600.0) < loudest(2000.0));
    }
}

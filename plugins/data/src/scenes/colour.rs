//! Colours as people name them: hue, saturation, lightness.

/// Red, green, blue, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour(pub [f32; 3]);

impl Colour {
    /// Hue in turns (0 red, 1/3 green, 2/3 blue), saturation and lightness 0 to 1.
    pub fn hsl(hue: f32, saturation: f32, lightness: f32) -> Self {
        let chroma = (1.0 - (2.0 * lightness - 1.0).abs()) * saturation;
        let channel = |n: f32| {
            let k = (n + hue.rem_euclid(1.0) * 12.0).rem_euclid(12.0);
            lightness - chroma / 2.0 * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
        };
        Colour([channel(0.0), channel(8.0), channel(4.0)])
    }

    /// A shade of grey.
    pub fn grey(lightness: f32) -> Self {
        Colour([lightness; 3])
    }

    /// Lighter (above 1) or darker.
    pub fn times(self, by: f32) -> Self {
        Colour(self.0.map(|c| (c * by).clamp(0.0, 1.0)))
    }

    /// A share of another colour.
    pub fn mixed(self, with: Colour, share: f32) -> Self {
        Colour(std::array::from_fn(|i| {
            self.0[i] + (with.0[i] - self.0[i]) * share
        }))
    }
}

//! Opens images for core, which has no codecs.

use tlkit_core::data::{Look, Pictures};
use tlkit_image::{Limits, NEAR, decode, likeness, thumbnail};

/// The formats of `tlkit_image`.
#[derive(Clone, Copy, Debug)]
pub struct Codecs;

impl Pictures for Codecs {
    fn look(&self, bytes: &[u8]) -> Result<Look, String> {
        let pixels = decode(bytes, &Limits::default()).map_err(|e| e.to_string())?;
        Ok(Look {
            // Within the limits, which have 32 bits.
            width: pixels.width as u32,
            height: pixels.height as u32,
            grey: pixels.is_grey(),
            likeness: likeness(&pixels),
        })
    }

    fn near(&self) -> u32 {
        NEAR
    }

    fn thumbnail(&self, bytes: &[u8], side: usize) -> Option<Vec<u8>> {
        let pixels = decode(bytes, &Limits::default()).ok()?;
        Some(thumbnail(&pixels, side))
    }
}

//! Opens images for core, which has no codecs.

use tlkit_core::data::{Likeness, Look, Pictures};
use tlkit_image::{Limits, decode, likeness, thumbnail};

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
            likeness: likeness(&pixels).map(|l| Likeness {
                hash: l.hash,
                greys: l.greys,
            }),
        })
    }

    fn near(&self, one: &Likeness, other: &Likeness) -> bool {
        let like = |l: &Likeness| tlkit_image::Likeness {
            hash: l.hash,
            greys: l.greys,
        };
        like(one).is_near(&like(other))
    }

    fn thumbnail(&self, bytes: &[u8], side: usize) -> Option<Vec<u8>> {
        let pixels = decode(bytes, &Limits::default()).ok()?;
        Some(thumbnail(&pixels, side))
    }
}

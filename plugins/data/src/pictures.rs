//! Opens images for core, which has no codecs.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use tlkit_core::data::{Cache, Likeness, Look, Pictures};
use tlkit_image::{Limits, decode, likeness, thumbnail};

use crate::cache;
use crate::looks::Looks;

/// The formats of `tlkit_image`.
#[derive(Clone, Copy, Debug)]
pub struct Codecs;

/// Of all images that this process and those before it looked at.
fn looks() -> &'static Looks {
    static LOOKS: OnceLock<Looks> = OnceLock::new();
    LOOKS.get_or_init(|| {
        let base = cache::base(&Cache::Standard);
        Looks::within(base.map(|b| b.join("looks")))
    })
}

fn look(bytes: &[u8]) -> Result<Look, String> {
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

impl Pictures for Codecs {
    fn look(&self, bytes: &[u8]) -> Result<Look, String> {
        self.look_named(bytes, &Sha256::digest(bytes).into())
    }

    fn look_named(&self, bytes: &[u8], sha256: &[u8; 32]) -> Result<Look, String> {
        looks().look(sha256, || look(bytes))
    }

    fn keep(&self) {
        looks().keep();
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

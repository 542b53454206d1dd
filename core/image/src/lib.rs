//! Pixels: images decoded, resized, cut and augmented, as the networks expect them.
//!
//! Knows nothing of tensors, tables or recipes, so that every image plugin, ours or a stranger's, prepares its inputs by the same code.
//!
//! ```
//! use tlkit_image::{Augment, Cut, Limits, Pixels, Transform, bmp, decode};
//!
//! let file = bmp(&Pixels::filled(300, 200, [90, 120, 30]));    // the bytes of any JPEG, PNG, WebP, BMP or GIF
//! let pixels = decode(&file, &Limits::default())?;
//! let transform = Transform::imagenet();                        // it belongs to the checkpoint
//! let input = transform.apply(&pixels);                         // (3, 224, 224)
//! assert_eq!(input.len(), 3 * 224 * 224);
//! # Ok::<(), tlkit_image::DecodeError>(())
//! ```
//!
//! # From a file to a batch
//!
//! 1. [`decode`] makes bytes of red, green and blue, within [`Limits`]; what is wrong with a file is a [`DecodeError`] for a person.
//! 2. [`Transform::resized`] resizes. What comes out, still bytes and not cut, is what a network's examples are kept as between epochs (a quarter of the
//!    memory of numbers); its middle, `crop` x `crop`, is the plain view ([`Transform::plain`]), what predictions are made from.
//! 3. [`Augment::view`] makes another view. A random resized crop is one of the whole resized image, everything else of the plain view.
//!    [`mixup`] and [`cutmix`] make one image of two.
//! 4. [`Transform::normalise`] makes numbers of bytes, when a batch is put together.
//!
//! Steps 1 to 3 run on any thread in any order and give the same bytes: they are functions of the file and of the numbers passed in.
//!
//! # How close to PIL
//!
//! Resizing is PIL's, byte for byte on the same pixels (`tests/pil.rs`). Decoded JPEGs differ by more, since decoders round and
//! interpolate colours in their own ways: a mean of about 0.2 and single pixels by up to about 20 of 255 where colours change sharply.

mod augment;
mod colour;
mod decode;
mod encode;
mod geometry;
mod jpeg;
mod likeness;
mod mix;
mod pixels;
mod randaugment;
mod resize;
mod transform;

pub use augment::{Augment, Cut, Draw};
pub use colour::Jitter;
pub use decode::{DecodeError, Limits, decode, size};
pub use encode::{bmp, square, thumbnail};
pub use likeness::{Likeness, NEAR, NEAR_GREY, likeness};
pub use mix::{beta, cutmix, mixup};
pub use pixels::Pixels;
pub use randaugment::RandAugment;
pub use resize::{Interpolation, resize};
pub use transform::{Resize, Transform, shorter};

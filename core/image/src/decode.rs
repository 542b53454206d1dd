//! From the bytes of a file to pixels, with limits, so that no file can take the machine down.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use crate::{Pixels, jpeg};

/// How large an image may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of the longer side.
    pub side: u32,
    /// Pixels in all. PIL warns of bombs at the same number.
    pub pixels: u64,
    /// Bytes that a decoder may take.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            side: 32_768,
            pixels: 89_478_485,
            bytes: 512 << 20,
        }
    }
}

/// Why a file is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Its first bytes are no image's.
    #[error("not an image: {0}; JPEG, PNG, WebP, BMP and GIF are read")]
    NotAnImage(&'static str),
    /// An image of a kind that is not read.
    #[error("{0} is not read; convert it to JPEG or PNG")]
    Unsupported(String),
    /// More pixels, or more memory, than an image may have.
    #[error(
        "{width} x {height} pixels are more than are read (a side of {side}, {pixels} in all): make it smaller"
    )]
    TooLarge {
        /// As its header says.
        width: u32,
        /// As its header says.
        height: u32,
        /// The limit of a side.
        side: u32,
        /// The limit of all.
        pixels: u64,
    },
    /// The end is missing.
    #[error("the {0} is cut short: its end is missing")]
    Truncated(&'static str),
    /// Its bytes contradict each other.
    #[error("the {0} is broken: {1}")]
    Broken(&'static str, String),
}

/// Width and height as the header says, turned upright; nothing is decoded.
pub fn size(bytes: &[u8], limits: &Limits) -> Result<(usize, usize), DecodeError> {
    let (mut decoder, _) = open(bytes, limits)?;
    let (w, h) = decoder.dimensions();
    let turned = decoder
        .orientation()
        .is_ok_and(|o| matches!(o.to_exif(), 5..=8));
    let (w, h) = (w as usize, h as usize);
    Ok(if turned { (h, w) } else { (w, h) })
}

/// Decodes a JPEG, PNG, WebP, BMP or the first frame of a GIF: grey, palettes, 16 bits and CMYK become eight bits of red, green and blue; transparency is
/// dropped, as PIL's `convert("RGB")` does; EXIF's orientation is applied.
///
/// # Errors
/// [`DecodeError`]: what is wrong with the file, for a person. A JPEG without its end is an error here, though many viewers show it.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Pixels, DecodeError> {
    let (mut decoder, format) = open(bytes, limits)?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder)
        .map_err(|e| said(format, e, Some((width, height)), limits))?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let rgb = image.into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    Pixels::new(width, height, rgb.into_raw())
        .ok_or_else(|| DecodeError::Broken(name(format), "it has no pixels".into()))
}

fn open<'b>(
    bytes: &'b [u8],
    limits: &Limits,
) -> Result<(Box<dyn ImageDecoder + 'b>, ImageFormat), DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let Ok(format) = image::guess_format(bytes) else {
        return Err(stranger(bytes));
    };
    if !format.reading_enabled() {
        return Err(DecodeError::Unsupported(name(format).to_string()));
    }
    if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err(DecodeError::Truncated(name(format)));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut bounds = image::Limits::default();
    bounds.max_alloc = Some(limits.bytes);
    reader.limits(bounds);
    let mut decoder = reader
        .into_decoder()
        .map_err(|e| said(format, e, None, limits))?;
    let (width, height) = decoder.dimensions();
    let large = DecodeError::TooLarge {
        width,
        height,
        side: limits.side,
        pixels: limits.pixels,
    };
    let pixels = u64::from(width) * u64::from(height);
    if width.max(height) > limits.side
        || pixels > limits.pixels
        || decoder.total_bytes() > limits.bytes
    {
        return Err(large);
    }
    if pixels == 0 {
        return Err(DecodeError::Broken(
            name(format),
            format!("its header says {width} x {height} pixels"),
        ));
    }
    let mut bounds = image::Limits::default();
    bounds.max_alloc = Some(limits.bytes);
    decoder.set_limits(bounds).map_err(|_| large)?;
    Ok((Box::new(decoder), format))
}

fn said(
    format: ImageFormat,
    error: ImageError,
    size: Option<(u32, u32)>,
    limits: &Limits,
) -> DecodeError {
    let name = name(format);
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated(name)
        }
        ImageError::Limits(_) => {
            let (width, height) = size.unwrap_or_default();
            DecodeError::TooLarge {
                width,
                height,
                side: limits.side,
                pixels: limits.pixels,
            }
        }
        ImageError::Unsupported(e) => {
            DecodeError::Unsupported(format!("this kind of {name} ({e})"))
        }
        other => {
            let what = other.to_string();
            let ended = [
                "unexpected end",
                "UnexpectedEof",
                "end of file",
                "EOF",
                "fill whole buffer",
                "No more bytes",
                "Not enough",
            ];
            match ended.iter().any(|e| what.contains(e)) {
                true => DecodeError::Truncated(name),
                false => DecodeError::Broken(name, what),
            }
        }
    }
}

/// What a file without an image's first bytes looks like.
fn stranger(bytes: &[u8]) -> DecodeError {
    let start = &bytes[..bytes.len().min(512)];
    let brand = start.get(4..12).unwrap_or_default();
    if brand.starts_with(b"ftyphei") || brand.starts_with(b"ftypmif") {
        return DecodeError::Unsupported("HEIC".into());
    }
    if start.starts_with(b"%PDF") {
        return DecodeError::NotAnImage("a PDF");
    }
    if start.starts_with(b"version https://git-lfs") {
        return DecodeError::NotAnImage(
            "a pointer of Git LFS, not the file itself (`git lfs pull` fetches it)",
        );
    }
    if start.iter().all(|&b| b == 0) {
        return DecodeError::NotAnImage("it begins with zeros");
    }
    let text = String::from_utf8_lossy(start);
    let lower = text.trim_start().to_lowercase();
    if lower.starts_with("<svg") || (lower.starts_with("<?xml") && lower.contains("<svg")) {
        return DecodeError::Unsupported("SVG".into());
    }
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return DecodeError::NotAnImage("a web page");
    }
    let printed = start
        .iter()
        .all(|&b| (b' '..=b'~').contains(&b) || b >= 0x80 || b"\t\r\n".contains(&b));
    match printed && std::str::from_utf8(&start[..start.len().min(256)]).is_ok() {
        true => DecodeError::NotAnImage("text"),
        false => DecodeError::NotAnImage("its first bytes are of no kind that is known"),
    }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Avif => "AVIF",
        ImageFormat::Ico => "ICO",
        ImageFormat::Pnm => "PNM",
        ImageFormat::OpenExr => "OpenEXR",
        _ => "an image of this kind",
    }
}

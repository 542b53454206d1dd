//! Files that are not what they say: each has its message, and none takes the machine down.

use tlkit_image::{DecodeError, Limits, Pixels, bmp, decode, thumbnail};

fn said(bytes: &[u8]) -> String {
    let error = decode(bytes, &Limits::default()).expect_err("no image");
    error.to_string()
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &b in bytes {
        crc ^= u32::from(b);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut out = (data.len() as u32).to_be_bytes().to_vec();
    let body = [kind.as_slice(), data].concat();
    out.extend(&body);
    out.extend(crc(&body).to_be_bytes());
    out
}

/// A PNG whose header says how large it is, with this much data.
fn png(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut header = width.to_be_bytes().to_vec();
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    out.extend(chunk(b"IHDR", &header));
    out.extend(chunk(b"IDAT", data));
    out.extend(chunk(b"IEND", &[]));
    out
}

fn photograph() -> Pixels {
    let rgb = (0..64 * 48 * 3).map(|i| (i * i / 7 % 256) as u8).collect();
    Pixels::new(64, 48, rgb).expect("as many bytes as pixels")
}

#[test]
fn an_empty_file() {
    assert_eq!(said(b""), "the file is empty");
}

#[test]
fn a_text_named_as_an_image() {
    assert_eq!(
        said("This is a note about Käse, not a photograph.\n".as_bytes()),
        "not an image: text; JPEG, PNG, WebP, BMP and GIF are read"
    );
    assert!(said(b"<!DOCTYPE html><html>404</html>").contains("a web page"));
    assert!(
        said(b"version https://git-lfs.github.com/spec/v1\noid sha256:00").contains("git lfs pull")
    );
    assert!(said(&[0; 600]).contains("begins with zeros"));
    assert!(said(&[7, 1, 200, 3, 9, 4]).contains("no kind that is known"));
}

#[test]
fn an_image_of_a_kind_that_is_not_read() {
    assert_eq!(
        said(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        "HEIC is not read; convert it to JPEG or PNG"
    );
    assert!(said(b"II*\0\x08\0\0\0").starts_with("TIFF is not read"));
    assert!(said(b"<svg xmlns='http://www.w3.org/2000/svg'/>").starts_with("SVG is not read"));
}

#[test]
fn a_header_of_50_000_by_50_000() {
    let expected = "50000 x 50000 pixels are more than are read (a side of 32768, 89478485 in all): make it smaller";
    assert_eq!(said(&png(50_000, 50_000, &[])), expected);
    // The same in a BMP, which a header of 54 bytes is enough for.
    let mut bitmap = bmp(&photograph());
    bitmap[18..22].copy_from_slice(&50_000i32.to_le_bytes());
    bitmap[22..26].copy_from_slice(&50_000i32.to_le_bytes());
    assert_eq!(said(&bitmap), expected);
    // And in a JPEG, whose sides have 16 bits: the frame's header is changed in place.
    let mut jpeg = thumbnail(&photograph(), 64);
    let frame = jpeg
        .windows(2)
        .position(|w| w == [0xff, 0xc0])
        .expect("a frame");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xc3, 0x50, 0xc3, 0x50]);
    assert_eq!(said(&jpeg), expected);
}

#[test]
fn a_bomb_whose_sides_are_allowed_and_whose_area_is_not() {
    let message = said(&png(30_000, 30_000, &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]));
    assert!(
        message.starts_with("30000 x 30000 pixels are more"),
        "{message}"
    );
    let tight = Limits {
        pixels: 1_000,
        ..Limits::default()
    };
    let large = bmp(&photograph());
    assert!(matches!(
        decode(&large, &tight),
        Err(DecodeError::TooLarge {
            width: 64,
            height: 48,
            ..
        })
    ));
}

#[test]
fn a_file_that_ends_too_early() {
    let jpeg = thumbnail(&photograph(), 64);
    for keep in [3, 20, 200, jpeg.len() / 2, jpeg.len() - 2] {
        assert_eq!(
            said(&jpeg[..keep]),
            "the JPEG is cut short: its end is missing",
            "{keep} bytes"
        );
    }
    let bitmap = bmp(&photograph());
    for keep in [40, 54, 100, bitmap.len() - 1] {
        let message = said(&bitmap[..keep]);
        assert!(
            message.contains("BMP is cut short") || message.contains("BMP is broken"),
            "{keep}: {message}"
        );
    }
}

/// An error or some image, never a panic.
#[test]
fn any_file_cut_anywhere_or_with_any_byte_changed() {
    let files = [
        thumbnail(&photograph(), 64),
        bmp(&photograph()),
        png(4, 4, &[0x78, 0x9c, 3, 0]),
    ];
    for file in &files {
        for keep in 0..file.len() {
            if keep > 700 && keep % 61 != 0 {
                continue;
            }
            let _ = decode(&file[..keep], &Limits::default());
        }
        for at in (0..file.len()).step_by(1 + file.len() / 600) {
            let mut changed = file.clone();
            changed[at] ^= 0x5a;
            let small = Limits {
                pixels: 1 << 20,
                ..Limits::default()
            };
            let _ = decode(&changed, &small);
        }
    }
}

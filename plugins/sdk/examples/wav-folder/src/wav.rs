//! WAV: PCM of 8, 16, 24 or 32 bits, or float32, any number of channels.

/// Samples a second, and the mean of all channels between -1 and 1.
pub fn read(bytes: &[u8]) -> Result<(u32, Vec<f32>), String> {
    if bytes.len() < 12 || &bytes[..4] != b"RIFF" || &bytes[8..12] != b"WAVE" {
        return Err("this is no WAV file".into());
    }
    let (mut rest, mut format) = (&bytes[12..], None);
    while rest.len() >= 8 {
        let size = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        let (id, body) = (&rest[..4], &rest[8..]);
        // Recorders that were switched off leave sizes that are too large.
        let chunk = &body[..size.min(body.len())];
        match id {
            b"fmt " if chunk.len() >= 16 => {
                let two = |at: usize| u16::from_le_bytes([chunk[at], chunk[at + 1]]);
                let rate = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
                // The extensible format says what it is further on.
                let kind = if two(0) == 0xfffe && chunk.len() >= 26 { two(24) } else { two(0) };
                format = Some((kind, two(2) as usize, rate, two(14)));
            }
            b"data" => {
                let (kind, channels, rate, bits) = format.ok_or("its data comes before its format")?;
                return Ok((rate, samples(chunk, kind, channels, bits)?)).and_then(|(rate, all)| match rate {
                    0 => Err("it has no samples a second".into()),
                    rate => Ok((rate, all)),
                });
            }
            _ => {}
        }
        rest = &body[(size + size % 2).min(body.len())..];
    }
    Err("it has no data".into())
}

fn samples(data: &[u8], kind: u16, channels: usize, bits: u16) -> Result<Vec<f32>, String> {
    let one: fn(&[u8]) -> f32 = match (kind, bits) {
        (1, 8) => |b| (f32::from(b[0]) - 128.0) / 128.0,
        (1, 16) => |b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0,
        (1, 24) => |b| i32::from_le_bytes([0, b[0], b[1], b[2]]) as f32 / 2147483648.0,
        (1, 32) => |b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 / 2147483648.0,
        (3, 32) => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        _ => return Err(format!("format {kind} with {bits} bits, and PCM or float32 is read")),
    };
    if channels == 0 {
        return Err("it has no channels".into());
    }
    let width = usize::from(bits / 8);
    let frames = data.chunks_exact(width * channels);
    let mean = |frame: &[u8]| frame.chunks_exact(width).map(one).sum::<f32>() / channels as f32;
    let all: Vec<f32> = frames.map(mean).collect();
    match all.iter().all(|v| v.is_finite()) {
        true => Ok(all),
        false => Err("it has samples that are no numbers".into()),
    }
}

/// So many samples at another rate, straight lines between those that are there; silence after the end.
pub fn resampled(all: &[f32], rate: u32, to: u32, count: usize) -> Vec<f32> {
    let step = f64::from(rate) / f64::from(to);
    let at = |i: usize| {
        let place = i as f64 * step;
        let (left, part) = (place as usize, place.fract() as f32);
        let sample = |i: usize| all.get(i).copied().unwrap_or(0.0);
        sample(left) * (1.0 - part) + sample(left + 1) * part
    };
    (0..count).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(kind: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        for n in [kind, channels] {
            out.extend(n.to_le_bytes());
        }
        out.extend(4000u32.to_le_bytes());
        out.extend([0; 6]);
        out.extend(bits.to_le_bytes());
        out.extend(b"data");
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn every_kind_of_sample_is_read() {
        assert_eq!(read(&wav(1, 1, 8, &[0, 128, 192])).unwrap(), (4000, vec![-1.0, 0.0, 0.5]));
        assert_eq!(read(&wav(1, 2, 16, &[0, 0x40, 0, 0xc0, 0, 0x40, 0, 0x40])).unwrap().1, [0.0, 0.5]);
        assert_eq!(read(&wav(1, 1, 24, &[0, 0, 0x40])).unwrap().1, [0.5]);
        assert_eq!(read(&wav(3, 1, 32, &0.25f32.to_le_bytes())).unwrap().1, [0.25]);
        for broken in [wav(1, 1, 12, &[0]), wav(1, 0, 16, &[0]), b"RIFF".to_vec(), wav(1, 1, 16, &[])[..40].to_vec()] {
            assert!(read(&broken).is_err());
        }
    }

    #[test]
    fn twice_the_rate_is_twice_the_samples() {
        assert_eq!(resampled(&[0.0, 1.0], 4000, 8000, 5), [0.0, 0.5, 1.0, 0.5, 0.0]);
    }
}

//! Whether a JPEG has its end. Decoders fill what is missing with grey and say nothing, and a model learns grey.

/// Walks the markers to the end of the image. (ITU-T T.81, annex B.)
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    // After the start of the image, a marker a segment.
    let mut at = 2;
    loop {
        // Fill bytes may stand before a marker, and some writers leave rubbish between segments.
        while bytes.get(at).is_some_and(|&b| b != 0xff) {
            at += 1;
        }
        while bytes.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let Some(&marker) = bytes.get(at + 1) else {
            return false;
        };
        at += 2;
        match marker {
            0xd9 => return true,
            // In the data of a scan: a byte 255 that is meant as such, and restarts. They have no length.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(&[high, low]) = bytes.get(at..at + 2) else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_counts_only_outside_of_segments() {
        let segment = [0xff, 0xe1, 0, 6, 0xff, 0xd9, 1, 2];
        let scan = [0xff, 0xda, 0, 2, 17, 0xff, 0x00, 0xd9, 0xff, 0xd3, 4];
        let mut file = vec![0xff, 0xd8];
        file.extend(segment);
        file.extend(scan);
        assert!(!is_whole(&file));
        file.extend([0xff, 0xd9]);
        assert!(is_whole(&file));
        // What follows the end belongs to somebody else.
        file.extend([1, 2, 3]);
        assert!(is_whole(&file));
        assert!(!is_whole(&file[..7]));
        assert!(!is_whole(&[0xff, 0xd8]));
        assert!(!is_whole(&[]));
    }
}

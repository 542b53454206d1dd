//! `thumbnails.jsonl`: small copies of some test images, for the report. A run directory stays readable when the photographs are gone.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use super::directory::{Directory, write_whole};
use crate::data::{Input, Pictures, Samples};
use crate::evaluate::Prediction;
use crate::{Error, Result};

/// The most confident errors that are kept.
const ERRORS: usize = 40;
/// Rows of the sheet: of each class in turn, in the order of the data.
const SHEET: usize = 60;
/// Pixels of the longer side.
const SIDE: usize = 112;
/// Bytes that one may have; a larger one is left out.
const LARGEST: usize = 24 << 10;

/// One line.
#[derive(Serialize)]
struct Thumbnail<'a> {
    id: &'a str,
    /// Whether it belongs to the sheet.
    sheet: bool,
    /// A JPEG, in base64.
    jpeg: String,
}

/// Writes them, where the rows are images. About 300 KB in all, however large the test is.
pub(super) fn write(
    dir: &Directory,
    inputs: &dyn Samples,
    predictions: &[Prediction],
    pictures: Option<&dyn Pictures>,
) -> Result<()> {
    let (Some(pictures), false) = (pictures, predictions.is_empty()) else {
        return Ok(());
    };
    if !matches!(inputs.input(0)?, Input::Image(_)) {
        return Ok(());
    }
    let sheet = sheet(predictions);
    let rows: BTreeSet<usize> = sheet.iter().chain(&errors(predictions)).copied().collect();
    let rows: Vec<usize> = rows.into_iter().collect();
    let line = |&row: &usize| -> Result<String> {
        let Input::Image(bytes) = inputs.input(row)? else {
            return Ok(String::new());
        };
        let jpeg = pictures.thumbnail(&bytes, SIDE);
        let Some(jpeg) = jpeg.filter(|j| j.len() <= LARGEST) else {
            return Ok(String::new());
        };
        let line = Thumbnail {
            id: &predictions[row].id,
            sheet: sheet.contains(&row),
            jpeg: base64(&jpeg),
        };
        let text = serde_json::to_string(&line).map_err(|e| Error::msg(e.to_string()))?;
        Ok(text + "\n")
    };
    let lines: Vec<String> = rows.par_iter().map(line).collect::<Result<_>>()?;
    write_whole(&dir.thumbnails(), lines.concat().as_bytes())
}

/// Rows that are wrong, the surest first.
fn errors(predictions: &[Prediction]) -> Vec<usize> {
    let sure = |row: usize| {
        predictions[row]
            .probabilities
            .iter()
            .copied()
            .fold(0.0, f32::max)
    };
    let mut wrong: Vec<usize> = (0..predictions.len())
        .filter(|&row| predictions[row].label != predictions[row].prediction)
        .collect();
    // Equals stay in the order of the rows, as in the report.
    wrong.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)));
    wrong.truncate(ERRORS);
    wrong
}

/// The first rows of each class in turn.
fn sheet(predictions: &[Prediction]) -> Vec<usize> {
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, p) in predictions.iter().enumerate() {
        classes.entry(&p.label).or_default().push(row);
    }
    let longest = classes.values().map(Vec::len).max().unwrap_or(0);
    let mut out = Vec::new();
    for turn in 0..longest {
        out.extend(classes.values().filter_map(|rows| rows.get(turn)));
        if out.len() >= SHEET {
            break;
        }
    }
    out.truncate(SHEET);
    out
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let all = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = (all >> (18 - 6 * i)) & 63;
            out.push(match i <= three.len() {
                true => char::from(DIGITS[digit as usize]),
                false => '=',
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::data::{Likeness, Look};

    fn said(id: usize, label: &str, prediction: &str, p: f32) -> Prediction {
        Prediction {
            id: id.to_string(),
            label: label.into(),
            prediction: prediction.into(),
            probabilities: vec![p, 1.0 - p],
            input: None,
        }
    }

    #[test]
    fn base64_is_rfc_4648() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn classes_take_turns_and_errors_come_by_confidence() {
        let rows = [
            said(0, "a", "a", 0.9),
            said(1, "a", "b", 0.6),
            said(2, "a", "b", 0.8),
            said(3, "b", "a", 0.7),
            said(4, "b", "b", 0.9),
        ];
        assert_eq!(sheet(&rows), [0, 3, 1, 4, 2]);
        assert_eq!(errors(&rows), [2, 3, 1]);
        let many: Vec<Prediction> = (0..500)
            .map(|i| said(i, &(i % 7).to_string(), "x", 0.5))
            .collect();
        assert_eq!((sheet(&many).len(), errors(&many).len()), (SHEET, ERRORS));
    }

    /// Rows whose image is their number.
    struct Numbers(usize);

    impl Samples for Numbers {
        fn len(&self) -> usize {
            self.0
        }

        fn id(&self, row: usize) -> String {
            row.to_string()
        }

        fn input(&self, row: usize) -> Result<Input<'_>> {
            Ok(Input::Image(vec![row as u8].into()))
        }
    }

    /// The first ones take longest; one gets too large, one is no image.
    struct Slow;

    impl Pictures for Slow {
        fn look(&self, _: &[u8]) -> std::result::Result<Look, String> {
            Err("never asked".into())
        }

        fn near(&self, _: &Likeness, _: &Likeness) -> bool {
            false
        }

        fn thumbnail(&self, bytes: &[u8], _: usize) -> Option<Vec<u8>> {
            std::thread::sleep(Duration::from_millis(20 / (1 + u64::from(bytes[0]))));
            match bytes[0] {
                3 => Some(vec![0; LARGEST + 1]),
                5 => None,
                row => Some(vec![row; 3]),
            }
        }
    }

    #[test]
    fn each_is_its_own_rows_and_they_stand_in_the_order_of_the_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = Directory::at(folder.path());
        let wrong = |i| match i % 2 {
            0 => "a",
            _ => "b",
        };
        let said: Vec<Prediction> = (0..30).map(|i| said(i, "a", wrong(i), 0.9)).collect();
        write(&dir, &Numbers(30), &said, Some(&Slow)).expect("written");
        let text = std::fs::read_to_string(dir.thumbnails()).expect("a file");
        let rows: Vec<serde_json::Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).expect("a line"))
            .collect();
        let there: Vec<u8> = (0..30).filter(|i| ![3, 5].contains(i)).collect();
        assert_eq!(rows.len(), there.len());
        for (row, i) in rows.iter().zip(there) {
            assert_eq!(row["id"], i.to_string());
            assert_eq!(row["jpeg"], base64(&[i; 3]));
        }
    }
}

//! Against PIL: `golden/make.py` wrote down what it makes of small images; where Python with PIL is at hand, large ones too.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use tlkit_image::{Interpolation, Limits, Pixels, Transform, decode, resize, size};

/// The same formula as in `golden/make.py`.
fn picture(width: usize, height: usize) -> Pixels {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                rgb.push((((x * 37 + y * 59 + c * 101) ^ (x * y * 3)) % 256) as u8);
            }
        }
    }
    Pixels::new(width, height, rgb).expect("as many bytes as the size says")
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/golden.json")).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    base64(value.as_str().expect("bytes"))
}

fn number(value: &Value) -> usize {
    value.as_u64().expect("a number") as usize
}

fn furthest(one: &[u8], other: &[u8]) -> u8 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other);
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

fn base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values: Vec<u32> = text
        .bytes()
        .filter_map(|b| digits.iter().position(|&d| d == b).map(|i| i as u32))
        .collect();
    let mut out = Vec::new();
    for four in values.chunks(4) {
        let all = four.iter().fold(0, |a, &v| a << 6 | v) << (6 * (4 - four.len()));
        out.extend(&all.to_be_bytes()[1..four.len()]);
    }
    out
}

#[test]
fn resizing_is_pils_byte_for_byte() {
    for case in golden()["resized"].as_array().expect("a list") {
        let side = |key: &str, i: usize| number(&case[key][i]);
        let filter = Interpolation::named(case["filter"].as_str().unwrap_or_default());
        let out = resize(
            &picture(side("from", 0), side("from", 1)),
            side("to", 0),
            side("to", 1),
            filter.expect("a filter"),
        );
        let far = furthest(&out.rgb, &bytes(&case["rgb"]));
        assert_eq!(far, 0, "of 255: {case}");
    }
}

#[test]
fn every_kind_of_file_is_read_as_pil_reads_it() {
    let golden = golden();
    let files = golden["files"].as_array().expect("a list");
    assert_eq!(files.len(), 20);
    for file in files {
        let name = file["name"].as_str().unwrap_or_default();
        let data = base64(file["file"].as_str().unwrap_or_default());
        let limits = Limits::default();
        let pixels = decode(&data, &limits).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = (number(&file["size"][0]), number(&file["size"][1]));
        assert_eq!((pixels.width, pixels.height), expected, "{name}");
        assert_eq!(size(&data, &limits).expect("a header"), expected, "{name}");
        let far = furthest(&pixels.rgb, &bytes(&file["rgb"]));
        assert!(
            far as usize <= number(&file["tolerance"]),
            "{name}: {far} of 255"
        );
    }
}

/// torchvision's evaluation transform of a large picture, computed by Python.
#[test]
fn the_whole_transform_is_torchvisions() {
    let script = "
import sys, numpy as np
from PIL import Image
from torchvision import transforms as T
w, h = 341, 283
image = Image.frombytes('RGB', (w, h), sys.stdin.buffer.read())
t = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize([0.485,0.456,0.406],[0.229,0.224,0.225])])
sys.stdout.buffer.write(t(image).numpy().astype('<f4').tobytes())
";
    let python = std::env::var("TLKIT_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python)
        .args(["-c", "import torchvision, PIL, numpy"])
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|s| s.success()) {
        println!("skipped: no Python with torchvision (TLKIT_PYTHON names one)");
        return;
    }
    let picture = picture(341, 283);
    let mut child = Command::new(&python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&picture.rgb).expect("Python reads");
    drop(stdin);
    let out = child.wait_with_output().expect("Python ends");
    assert!(out.status.success());
    let theirs: Vec<f32> = out
        .stdout
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let ours = Transform::imagenet().apply(&picture);
    assert_eq!(ours.len(), theirs.len());
    let pairs = ours.iter().zip(&theirs);
    let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far <= 1e-5, "{far}, where 1 of 255 is 0.0175");
}

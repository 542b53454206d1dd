//! Images a second of the way from files to batches of 224 pixels, augmented as in training (cut, scaled, mirrored at random), on all threads:
//! `cargo run --release -p tlkit-resnet --example loader -- FOLDER [PASSES]`
//!
//! Prints one line of JSON, of the passes but the first. `benches/images.sh` runs it beside torchvision's loader.

use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;
use rayon::prelude::*;
use tlkit_core::data::{Input, Prepare, View};
use tlkit_core::random::Stream;
use tlkit_image::Transform;
use tlkit_resnet::ImagePrepare;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rest @ ..] = &args[..] else {
        return Err("loader FOLDER [PASSES]".into());
    };
    let passes = rest.first().map_or(Ok(4), |n| n.parse::<usize>())?;
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let prepare = ImagePrepare::new(Transform::imagenet());
    let mut begin = Instant::now();
    for pass in 0..passes {
        if pass == 1 {
            begin = Instant::now();
        }
        let stream = Stream::new(pass as u64);
        // Batches side by side, each row by row: as a run has it, two batches ahead.
        files
            .par_chunks(BATCH)
            .enumerate()
            .with_max_len(1)
            .try_for_each(|(b, files)| -> Result<(), String> {
                let mut rows = Vec::with_capacity(files.len());
                for (i, file) in files.iter().enumerate() {
                    let bytes = std::fs::read(file).map_err(|e| e.to_string())?;
                    let plain = prepare.example(&Input::Image(bytes.into()));
                    let plain = plain.map_err(|e| e.to_string())?;
                    let row = stream.at((b * BATCH + i) as u64);
                    rows.push(
                        prepare
                            .view(&plain, View::Weak, row)
                            .map_err(|e| e.to_string())?,
                    );
                }
                let rows: Vec<_> = rows.iter().collect();
                let batch = prepare.collate(&rows, &Device::Cpu);
                std::hint::black_box(batch.map_err(|e| e.to_string())?);
                Ok(())
            })?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let images = files.len() * passes.saturating_sub(1);
    println!(
        "{{\"images\": {}, \"images_per_second\": {:.1}}}",
        files.len(),
        images as f64 / seconds
    );
    Ok(())
}

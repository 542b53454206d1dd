//! Images as rows: folders, tables of paths, IDX, drawn scenes; what is wrong with them, said in words; what the audit finds.

mod alike;
mod broken;
mod folders;
mod idx;
mod scenes;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::audit::{Level, Overlap};
use tlkit_core::data::{Blob, DataKeys, Form, Found, Input, ReadOptions, Reader, Resolve, Table};
use tlkit_core::recipe::Written;
use tlkit_core::registry::{Context, Registry};
use tlkit_data::Folder;
use tlkit_image::{Pixels, thumbnail};

struct Disk;

impl Resolve for Disk {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        let path = base.join(name);
        Ok(match path.is_dir() {
            true => Found::Folder(path),
            false => Found::File(Blob::Path(path)),
        })
    }
}

/// Data in a folder that is gone afterwards.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        World(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Pictures that differ, `n` a class.
    fn photos(&self, folder: &str, classes: &[&str], n: u64, seed: u64) -> &Self {
        for (c, class) in classes.iter().enumerate() {
            for i in 0..n {
                let picture = picture(seed * 1000 + c as u64 * 100 + i, 40, 30);
                self.put(
                    &format!("{folder}/{class}/{i}.jpg"),
                    &thumbnail(&picture, 64),
                );
            }
        }
        self
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Table>> {
        Folder.open(name, &Blob::Path(self.path(name)), &ReadOptions::default())
    }

    fn read(&self, target: &str) -> (Option<DataKeys>, String) {
        let mut registry = Registry::new();
        tlkit_data::register(&mut registry).unwrap();
        self.read_with(&registry, target)
    }

    fn read_with(&self, registry: &Registry, target: &str) -> (Option<DataKeys>, String) {
        let text = format!("[target]\n{target}\n");
        let written = Written::parse("recipe.toml", &text, &[]).unwrap();
        let resolve: Arc<dyn Resolve> = Arc::new(Disk);
        let cx = Context {
            overlap: Overlap::Drop,
            ..Context::new(registry, &resolve, self.0.path())
        };
        let data = DataKeys::target(&written.keys().table("target"), &cx, Form::Images);
        let said = written.finish().to_text(false);
        assert!(
            data.is_some() || !said.is_empty(),
            "nothing, and no word of why"
        );
        (
            data,
            said.replace(&self.0.path().display().to_string(), "HERE"),
        )
    }

    #[track_caller]
    fn data(&self, target: &str) -> DataKeys {
        let (data, said) = self.read(target);
        assert_eq!(said, "");
        data.unwrap()
    }

    #[track_caller]
    fn says(&self, target: &str, words: &[&str]) {
        let (_, said) = self.read(target);
        assert_ne!(said, "", "it was read");
        for w in words {
            assert!(said.contains(w), "{said}\nhas no: {w}");
        }
    }
}

/// Blocks of colours, others for each seed.
fn picture(seed: u64, width: usize, height: usize) -> Pixels {
    let block = |x: usize, y: usize, c: usize| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(
            (x * 8 / width * 64 + y * 8 / height * 8 + c) as u64 * 0xbf58_476d_1ce4_e5b9,
        );
        z = (z ^ (z >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 56) as u8
    };
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            rgb.extend((0..3).map(|c| block(x, y, c)));
        }
    }
    Pixels::new(width, height, rgb).unwrap()
}

fn bytes(input: Input<'_>) -> Vec<u8> {
    match input {
        Input::Image(b) => b.into_owned(),
        other => panic!("{}", other.kind()),
    }
}

fn text(input: Input<'_>) -> String {
    match input {
        Input::Text(t) => t.into_owned(),
        other => panic!("{}", other.kind()),
    }
}

fn findings(data: &DataKeys) -> Vec<String> {
    let line = |f: &tlkit_core::audit::Finding| {
        let level = if f.level == Level::Warning { "!" } else { "" };
        format!("{level}{} {} {}: {}", f.kind, f.split, f.count, f.words)
    };
    data.audit().findings.iter().map(line).collect()
}

const NO_SPLIT: &str = "split = { validation = 0.0 }";

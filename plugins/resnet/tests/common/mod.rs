//! Tiny pictures drawn by code, and recipes on them.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlkit_core::data::{
    Blob, Found, Input, Likeness, Look, Pictures, ReadOptions, Reader, Resolve, Table,
};
use tlkit_core::random::Stream;
use tlkit_core::recipe::{Report, Written};
use tlkit_core::registry::Registry;
use tlkit_core::run::{self, Again, Directory, Surroundings};
use tlkit_core::train::{Observer, Silent, Stop};
use tlkit_core::{Checked, Error, Result};
use tlkit_image::{Limits, Pixels, bmp, decode};

/// The side of every picture.
pub const SIDE: usize = 12;

/// What the pictures of a file show: `stripes` (lying, standing, chequered) or `slants` (to one side, to the other, spots).
struct Drawings {
    columns: Vec<String>,
    rows: Vec<(Vec<u8>, String)>,
    name: String,
}

fn draw(kind: &str, class: usize, random: Stream) -> Pixels {
    let colour = |from: u64| [0, 1, 2].map(|c| 60.0 + 150.0 * random.uniform(from + c));
    let (ink, paper) = (colour(1), colour(4));
    let (dx, dy) = (random.below(8, 4) as usize, random.below(9, 4) as usize);
    let noise = random.purpose("noise").normals(SIDE * SIDE * 3);
    let mut rgb = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (lie, stand) = ((y + dy) % 4 < 2, (x + dx) % 4 < 2);
            let on = match (kind, class) {
                ("stripes", 0) => lie,
                ("stripes", 1) => stand,
                ("stripes", _) => lie != stand,
                // Slanted to one side or the other, or spots.
                (_, 0) => (x + y + dx) % 6 < 3,
                (_, 1) => (x + 12 - y + dx) % 6 < 3,
                (_, _) => (x + dx) % 4 < 2 && (y + dy) % 4 < 2,
            };
            for c in 0..3 {
                let base = if on { ink[c] } else { paper[c] };
                let n = f64::from(noise[(y * SIDE + x) * 3 + c]);
                rgb.push((base + 8.0 * n).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Pixels::new(SIDE, SIDE, rgb).expect("of this size")
}

impl Table for Drawings {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let (image, label) = &self.rows[row];
        Ok(match column {
            0 => Input::Image(image.into()),
            _ => Input::Text(label.into()),
        })
    }

    fn place(&self, row: usize) -> String {
        format!("{}:{}", self.name, row + 1)
    }
}

/// Reads `slants 90 7`: what is shown, how many pictures, the seed.
struct Drawn;

impl Reader for Drawn {
    fn extensions(&self) -> &[&str] {
        &["drawn"]
    }

    fn open(&self, name: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let text = blob.text(name)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let (kind, n, seed) = (
            words[0],
            words[1].parse().unwrap(),
            words[2].parse().unwrap(),
        );
        let one = |i: usize| {
            let picture = draw(kind, i % 3, Stream::new(seed).purpose(kind).at(i as u64));
            (bmp(&picture), format!("{kind}-{}", i % 3))
        };
        Ok(Arc::new(Drawings {
            columns: vec!["image".into(), "label".into()],
            rows: (0..n).map(one).collect(),
            name: name.to_string(),
        }))
    }
}

/// A file's rows.
pub fn pictures(path: &Path) -> Arc<dyn Table> {
    let name = path.display().to_string();
    let blob = Blob::Path(path.to_path_buf());
    Drawn
        .open(&name, &blob, &ReadOptions::default())
        .expect("a table")
}

/// Files of this machine.
struct Local;

impl Resolve for Local {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        let path = base.join(name);
        match (path.is_dir(), path.is_file()) {
            (true, _) => Ok(Found::Folder(path)),
            (_, true) => Ok(Found::File(Blob::Path(path))),
            _ => Err(Error::msg(format!("there is no {name}"))),
        }
    }
}

/// Opens what is drawn here.
struct Opened;

impl Pictures for Opened {
    fn look(&self, bytes: &[u8]) -> std::result::Result<Look, String> {
        let pixels = decode(bytes, &Limits::default()).map_err(|e| e.to_string())?;
        Ok(Look {
            width: pixels.width as u32,
            height: pixels.height as u32,
            grey: pixels.is_grey(),
            // Pictures of one class are meant to be alike.
            likeness: None,
        })
    }

    fn near(&self, one: &Likeness, other: &Likeness) -> bool {
        one == other
    }

    fn thumbnail(&self, _: &[u8], _: usize) -> Option<Vec<u8>> {
        None
    }
}

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    tlkit_resnet::register(&mut registry).expect("registered once");
    tlkit_inductive::register(&mut registry).expect("registered once");
    registry.reader(Arc::new(Drawn));
    registry.set_pictures(Arc::new(Opened));
    registry
}

/// A folder with rows to learn from and to test on.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("stripes", "stripes 600 1"),
        ("slants", "slants 48 2"),
        ("slants-validation", "slants 45 3"),
        ("slants-test", "slants 90 4"),
    ] {
        std::fs::write(folder.path().join(format!("{name}.drawn")), text).expect("written");
    }
    folder
}

pub fn check(folder: &Path, recipe: &str) -> std::result::Result<Checked, Box<Report>> {
    let at = folder.join("recipe.toml").display().to_string();
    let written = Written::parse(&at, recipe, &[]).map_err(Box::new)?;
    let resolve: Arc<dyn Resolve> = Arc::new(Local);
    Checked::new(&written, &registry(), &resolve)
}

/// The first error of a recipe, with its place.
pub fn wrong(folder: &Path, recipe: &str) -> String {
    let report = check(folder, recipe).err().expect("a wrong recipe");
    let text = report.to_text(false);
    text.replace(&folder.display().to_string(), "DIR")
}

/// A finished run.
pub struct Ran {
    pub directory: PathBuf,
    pub result: serde_json::Value,
}

impl Ran {
    pub fn accuracy(&self) -> f64 {
        self.result["metrics"]["test"]["accuracy"]
            .as_f64()
            .expect("a test")
    }

    pub fn weights(&self) -> Vec<u8> {
        std::fs::read(self.directory.join("model/model.safetensors")).expect("weights")
    }
}

pub fn run_watched(
    folder: &Path,
    name: &str,
    recipe: &str,
    observer: &dyn Observer,
) -> Result<Ran> {
    let at = folder.join("recipe.toml").display().to_string();
    let written =
        Written::parse(&at, recipe, &[]).unwrap_or_else(|r| panic!("{}", r.to_text(false)));
    let (registry, resolve): (_, Arc<dyn Resolve>) = (registry(), Arc::new(Local));
    let checked = Checked::new(&written, &registry, &resolve)
        .unwrap_or_else(|r| panic!("{}", r.to_text(false)));
    let directory = folder.join(name);
    let around = Surroundings {
        directory: Directory::at(&directory),
        name: name.to_string(),
        observer,
        stop: Stop::default(),
        shared: None,
    };
    let again = Again {
        written: &written,
        registry: &registry,
        resolve: &resolve,
    };
    run::run(&checked, &again, &around)?;
    let text = std::fs::read(directory.join("result.json")).expect("a result");
    Ok(Ran {
        directory,
        result: serde_json::from_slice(&text).expect("JSON"),
    })
}

pub fn run(folder: &Path, name: &str, recipe: &str) -> Ran {
    run_watched(folder, name, recipe, &Silent).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A network that learned stripes, as a checkpoint in `stripes/model`.
pub fn source(folder: &Path) -> Ran {
    run(
        folder,
        "stripes",
        r#"
[source]
task = "image-network"
architecture = "cifar_resnet20"
image_size = 12

[target]
task = "image-classification"
train = "stripes.drawn"
split = { validation = 0.0, test = 0.2 }

[strategy]
kind = "inductive"
method = "from-scratch"

[train]
epochs = 8
cache = false

[evaluate]
baselines = []
"#,
    )
}

/// A recipe that carries the stripes' network over to slants.
pub fn recipe(target: &str, strategy: &str, train: &str) -> String {
    format!(
        r#"
[source]
checkpoint = "stripes/model"

[target]
task = "image-classification"
train = "slants.drawn"
validation = "slants-validation.drawn"
test = "slants-test.drawn"
{target}

[strategy]
kind = "inductive"
{strategy}

[train]
cache = false
{train}
"#
    )
}

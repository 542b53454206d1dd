//! What tlkit brings itself goes through the trials that `tlkit plugins check` makes of strangers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tlkit_core::Error;
use tlkit_core::data::{Input, Resolve};
use tlkit_core::recipe::Written;
use tlkit_core::registry::{Context, Registry};
use tlkit_core::task::SourceTask;
use tlkit_host::conformance::{self, Rows};
use tlkit_hub::{Hub, Settings};

fn registry() -> Registry {
    let mut all = Registry::new();
    tlkit_bert::register(&mut all).expect("bert");
    tlkit_data::register(&mut all).expect("data");
    tlkit_features::register(&mut all).expect("features");
    tlkit_resnet::register(&mut all).expect("resnet");
    all
}

/// One trial at a time: what is measured of memory is the whole process's.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Every trial, and nothing that went wrong.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    wrong: Vec<String>,
}

impl Told {
    fn tell(&mut self, tried: &str, outcome: tlkit_core::Result<String>) {
        match outcome {
            Ok(words) => self.lines.push(format!("{tried}: {words}")),
            Err(e) => self.wrong.push(format!("{tried}: {e}")),
        }
    }

    #[track_caller]
    fn end(self, of: &str, least: usize) {
        assert!(self.wrong.is_empty(), "{of}: {:#?}", self.wrong);
        assert!(self.lines.len() >= least, "{of}: {:#?}", self.lines);
        println!("{of}: {:#?}", self.lines);
    }
}

/// A source task from its keys, as a recipe makes it.
fn source(keys: &str, width: Option<usize>, rows: Rows) {
    let _alone = alone();
    let registry = registry();
    let resolve: Arc<dyn Resolve> = Arc::new(Hub::new(Settings::from_env()).without_downloads());
    let make = || -> tlkit_core::Result<Box<dyn SourceTask>> {
        let written = Written::parse("source.toml", &format!("[source]\n{keys}\n"), &[]);
        let written = written.map_err(|r| Error::msg(r.to_string()))?;
        let mut cx = Context::new(&registry, &resolve, Path::new("."));
        let table = written.keys().table("source");
        let named = table.data("checkpoint").optional().unwrap_or_default();
        if let Some((name, _)) = named.first() {
            cx.checkpoint = Some(resolve.resolve(name, Path::new("."))?);
        }
        let task = table.string("task").required();
        let made = registry.sources()[&task](&table, &cx);
        let mut made = made.ok_or_else(|| Error::msg(written.noted().to_string()))?;
        made.expect_width(width)?;
        Ok(made)
    };
    let mut told = Told::default();
    conformance::source(&make, &rows, &mut |tried, outcome| {
        told.tell(tried, outcome)
    });
    told.end(keys, 12);
}

#[test]
fn the_source_task_features() {
    let rows = |i: usize| Input::Features(vec![0.3 * i as f32, -1.0, 0.5 + i as f32].into());
    for keys in [
        "task = \"features\"\nhidden = [5, 4]\nactivation = \"tanh\"",
        "task = \"features\"\nhidden = [6]\nactivation = \"gelu\"\ndropout = 0.2",
    ] {
        source(keys, Some(3), Rows((0..4).map(rows).collect()));
    }
}

#[test]
fn the_source_task_bert() {
    let texts = [
        "A good film.",
        "A bad film, and long.",
        "Twice.",
        "Good, all of it.",
    ];
    let rows = texts.map(|t| Input::Text(t.into()));
    source(
        "task = \"bert\"\ncheckpoint = \"builtin:bert-mini\"",
        None,
        Rows(rows.into()),
    );
}

/// A bitmap of 24 bits, which drawn scenes are.
fn bitmap(seed: u64) -> Vec<u8> {
    let (width, height) = (40u32, 40u32);
    let mut out = b"BM".to_vec();
    for n in [
        54 + width * height * 3,
        0,
        54,
        40,
        width,
        height,
        1 | 24 << 16,
        0,
        0,
        0,
        0,
        0,
        0,
    ] {
        out.extend(n.to_le_bytes());
    }
    let stream = tlkit_core::random::Stream::new(seed);
    let pixels = u64::from(width * height * 3);
    out.extend((0..pixels).map(|i| stream.below(i, 256) as u8));
    out
}

#[test]
fn the_source_task_resnet() {
    let rows = (0..4).map(|i| Input::Image(bitmap(i).into()));
    source(
        "task = \"image-network\"\ncheckpoint = \"builtin:resnet-mini\"",
        None,
        Rows(rows.collect()),
    );
}

/// Every reader of files, with a file of its kind where one can be written in a line.
#[test]
fn the_readers() {
    let _alone = alone();
    let folder = tempfile();
    let files = [
        ("csv", "text,label\ngood,yes\nbad,no\n"),
        ("tsv", "text\tlabel\ngood\tyes\nbad\tno\n"),
        (
            "jsonl",
            "{\"text\": \"good\", \"label\": \"yes\"}\n{\"text\": \"bad\", \"label\": \"no\"}\n",
        ),
        ("svmlight", "1 1:0.5 3:2\n-1 2:1 3:4\n"),
    ];
    let mut read = 0;
    for reader in registry().readers() {
        if reader.extensions().is_empty() {
            continue;
        }
        let own = files
            .iter()
            .find(|(e, _)| reader.reads(&format!("rows.{e}")));
        let file: Option<PathBuf> = own.map(|(extension, text)| {
            let path = folder.join(format!("rows.{extension}"));
            std::fs::write(&path, text).expect("written");
            path
        });
        let mut told = Told::default();
        conformance::reader(reader.as_ref(), file.as_deref(), &mut |tried, outcome| {
            told.tell(tried, outcome);
        });
        let least = if file.is_some() { 6 } else { 4 };
        told.end(&format!("reader of {:?}", reader.extensions()), least);
        read += 1;
    }
    assert!(read >= 4, "{read} readers");
    std::fs::remove_dir_all(&folder).expect("my own folder");
}

fn tempfile() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join(format!("conformance-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

//! What the tests of whole runs share: data in two blobs, a plain strategy, recipes, observers.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tlkit_core::data::{Blob, Feed, Found, From, Resolve, View};
use tlkit_core::nn::Select;
use tlkit_core::random::Stream;
use tlkit_core::recipe::{Keys, Written};
use tlkit_core::registry::{Context, Kind, Registry};
use tlkit_core::run::{Directory, RunResult, Surroundings, execute};
use tlkit_core::strategy::{
    Needs, Objective, Phase, Step, Strategy, Term, Train, Transfer, Update,
};
use tlkit_core::train::{Event, Observer, Stop, rate_groups};
use tlkit_core::{Checked, Error, Result};

/// Paths, and nothing else.
struct Files;

impl Resolve for Files {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        Ok(Found::File(Blob::Path(base.join(name))))
    }
}

/// Everything trains, by the task's own loss.
struct Plain {
    phases: usize,
}

impl Plain {
    fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let phases = keys
            .usize("phases")
            .default(1usize, "one")
            .help("how often")
            .read();
        if keys.is_blank() {
            None
        } else {
            Some(Box::new(Plain { phases }))
        }
    }
}

impl Strategy for Plain {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let s = &transfer.settings;
        let phase = |i: usize| {
            Phase::Train(Train {
                name: format!("part {i}"),
                feeds: vec![Feed {
                    from: From::Target,
                    views: vec![View::Plain],
                    batch: s.batch_size,
                    sampler: s.sampler,
                    drop_last: false,
                    not_alone: false,
                }],
                updates: vec![Update {
                    name: "everything".into(),
                    trains: Select::All,
                    groups: rate_groups(&transfer.model, s),
                    clip: s.clip,
                    repeat: 1,
                    objective: Box::new(TaskLoss),
                }],
                until: s.until,
                select: s.select.clone(),
                patience: s.patience,
                micro_batch: s.micro_batch,
                norm: None,
                adapts: false,
                shared: false,
            })
        };
        Ok((0..self.phases).map(phase).collect())
    }
}

struct TaskLoss;

impl Objective for TaskLoss {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, View::Plain)])?;
        let loss = step.task_loss(0, View::Plain, &taps[0].logits)?;
        Ok(vec![Term::new("loss", 1.0, loss)])
    }
}

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    tlkit_data::register(&mut registry).unwrap();
    tlkit_features::register(&mut registry).unwrap();
    registry
        .strategy(
            "plain",
            Kind::Inductive,
            "for the tests",
            Arc::new(Plain::make),
        )
        .unwrap();
    registry
}

/// Rows of two blobs in the plane, 3 apart, deviation 1: the best classifier is right 93 times of 100.
pub fn blobs(n: usize, seed: u64) -> Vec<(&'static str, [f32; 2])> {
    let noise = Stream::new(seed).purpose("blobs").normals(2 * n);
    (0..n)
        .map(|i| {
            let (name, at) = if i % 2 == 0 {
                ("left", -1.5)
            } else {
                ("right", 1.5)
            };
            (name, [noise[2 * i] + at, noise[2 * i + 1]])
        })
        .collect()
}

pub fn svmlight(rows: &[(&str, [f32; 2])]) -> String {
    rows.iter()
        .map(|(l, [x, y])| format!("{l} 1:{x} 2:{y}\n"))
        .collect()
}

pub fn csv(rows: &[(&str, [f32; 2])]) -> String {
    let rows: String = rows
        .iter()
        .map(|(l, [x, y])| format!("{x},{l},{y}\n"))
        .collect();
    format!("x,label,y\n{rows}")
}

/// A folder with `train.svmlight`, `test.svmlight` and the same as CSV.
pub fn data() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, rows) in [("train", blobs(200, 1)), ("test", blobs(200, 2))] {
        std::fs::write(dir.path().join(format!("{name}.svmlight")), svmlight(&rows)).unwrap();
        std::fs::write(dir.path().join(format!("{name}.csv")), csv(&rows)).unwrap();
    }
    dir
}

/// A recipe on that data; `sets` as on the command line.
pub fn check(folder: &Path, ending: &str, sets: &[&str]) -> std::result::Result<Checked, String> {
    let text = format!(
        "[source]\ntask = \"features\"\n[target]\ntask = \"classification\"\ntrain = \"train.{ending}\"\ntest = \"test.{ending}\"\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"plain\"\n[train]\nepochs = 6\nbatch_size = 16\n"
    );
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    let name = folder.join("recipe.toml").display().to_string();
    let written = Written::parse(&name, &text, &sets).map_err(|r| r.to_string())?;
    let resolve: Arc<dyn Resolve> = Arc::new(Files);
    Checked::new(&written, &registry(), &resolve).map_err(|r| r.to_string())
}

/// What happens at a step.
#[derive(Clone, Copy)]
pub enum At {
    Never,
    /// Somebody presses Ctrl-C.
    Stop(u64),
    /// The process dies: nothing is written that was not written before.
    Die(u64),
}

struct Watch {
    at: At,
    stop: Stop,
    steps: AtomicU64,
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        if let Event::Step { .. } = event {
            let step = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
            match self.at {
                At::Stop(s) if s == step => self.stop.ask(),
                At::Die(s) if s == step => std::panic::resume_unwind(Box::new("killed")),
                _ => {}
            }
        }
    }
}

/// Runs; `None` when it was stopped or killed.
pub fn go(checked: &Checked, to: &Path, at: At) -> Option<RunResult> {
    let stop = Stop::default();
    let watch = Watch {
        at,
        stop: stop.clone(),
        steps: AtomicU64::new(0),
    };
    let around = Surroundings {
        directory: Directory::at(to),
        name: "recipe".into(),
        observer: &watch,
        stop,
        shared: None,
    };
    let run = std::panic::AssertUnwindSafe(|| execute(checked, &around));
    match std::panic::catch_unwind(run) {
        Err(_) | Ok(Err(Error::Stopped { .. })) => None,
        Ok(Err(e)) => panic!("{e}"),
        Ok(Ok(result)) => Some(result),
    }
}

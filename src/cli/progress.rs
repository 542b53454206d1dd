//! What a person sees while it works: a bar on a terminal, plain lines elsewhere; and the run's log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tlkit_core::select::LabelFree;
use tlkit_core::train::{Event, Observer};

use super::{clock, output};

/// Without a terminal, a long epoch says that it lives this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Hears the run and shows it, on standard error; everything also goes to the log once there is one.
pub struct Progress {
    show: Show,
    state: Mutex<State>,
}

enum Show {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

#[derive(Default)]
struct State {
    log: Option<File>,
    phase: String,
    per_epoch: u64,
    of: u64,
    rows: usize,
    began: Option<Instant>,
    /// The last step: validation after it is not counted in rows a second.
    last: Option<Instant>,
    said: Option<Instant>,
    step: u64,
}

impl State {
    fn rate(&self) -> Option<f64> {
        let seconds = self.last?.duration_since(self.began?).as_secs_f64();
        (seconds > 0.0).then(|| self.rows as f64 / seconds)
    }

    fn begin(&mut self) {
        self.rows = 0;
        self.began = Some(Instant::now());
        self.last = None;
    }

    fn write(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            let stamp = clock::stamp();
            for line in text.lines() {
                // A full disk stops the run where it matters; the log does not.
                let _ = writeln!(log, "{stamp} {line}");
            }
        }
    }
}

impl Progress {
    /// `silent`: nothing is shown, the log is still written.
    pub fn new(silent: bool) -> Self {
        let show = if silent {
            Show::Nothing
        } else if std::io::stderr().is_terminal() {
            Show::Bar(ProgressBar::with_draw_target(
                None,
                ProgressDrawTarget::stderr(),
            ))
        } else {
            Show::Lines
        };
        Progress {
            show,
            state: Mutex::default(),
        }
    }

    /// From here on everything is also written to this file, at its end.
    pub fn log_to(&self, path: &Path) -> anyhow::Result<()> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| path.display().to_string())?;
        self.state().log = Some(file);
        Ok(())
    }

    /// Shows lines, and logs them.
    pub fn lines(&self, lines: &[String]) {
        lines.iter().for_each(|line| self.line(line));
    }

    /// Shows a line, and logs it.
    pub fn line(&self, text: &str) {
        self.state().write(text);
        self.print(text);
    }

    /// A line that is shown also when nothing else is.
    pub fn always(&self, text: &str) {
        self.state().write(text);
        match self.show {
            Show::Nothing => output::err(&format!("{text}\n")),
            _ => self.print(text),
        }
    }

    /// Logs only.
    pub fn log(&self, text: &str) {
        self.state().write(text);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Show::Bar(bar) = &self.show {
            bar.finish_and_clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, text: &str) {
        match &self.show {
            Show::Bar(bar) => bar.suspend(|| output::err(&format!("{text}\n"))),
            Show::Lines => output::err(&format!("{text}\n")),
            Show::Nothing => {}
        }
    }

    fn phase(&self, name: &str, index: usize, of: usize, steps: u64, per_epoch: u64, done: u64) {
        {
            let mut state = self.state();
            state.phase = name.to_string();
            (state.per_epoch, state.of, state.step) = (per_epoch, steps, done);
            state.said = Some(Instant::now());
            state.begin();
        }
        let mut text = format!("phase {} of {of}: {name}", index + 1);
        if steps > 0 {
            text.push_str(&format!(", {steps} steps, {per_epoch} an epoch"));
        }
        if done > 0 {
            text.push_str(&format!(", going on after step {done}"));
        }
        self.line(&text);
        if let Show::Bar(bar) = &self.show {
            bar.set_style(style(steps > 0));
            bar.set_prefix(name.to_string());
            bar.set_length(steps);
            bar.set_position(done);
            bar.set_message("");
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    fn step(&self, step: u64, of: u64, loss: f64, rows: usize) {
        let mut state = self.state();
        state.rows += rows;
        state.step = step;
        let now = Instant::now();
        state.last = Some(now);
        let rate = state.rate().map(per_second).unwrap_or_default();
        match &self.show {
            Show::Bar(bar) => {
                drop(state);
                bar.set_position(step);
                bar.set_message(format!("loss {loss:.4}{rate}"));
            }
            Show::Lines => {
                if state.said.is_some_and(|t| now - t < SIGN_OF_LIFE) {
                    return;
                }
                state.said = Some(now);
                drop(state);
                self.line(&format!("step {step}/{of}  loss {loss:.4}{rate}"));
            }
            Show::Nothing => {}
        }
    }

    fn epoch(&self, epoch: u64, values: &BTreeMap<String, f64>, by: Option<LabelFree>, best: bool) {
        let (step, of, epochs, rate) = {
            let mut state = self.state();
            let rate = state.rate().map(per_second).unwrap_or_default();
            state.begin();
            state.said = Some(Instant::now());
            let epochs = state.of.div_ceil(state.per_epoch.max(1));
            (state.step, state.of, epochs, rate)
        };
        let mut text = format!("epoch {epoch}/{epochs}  step {step}/{of}");
        let (checked, terms): (Vec<_>, Vec<_>) = values
            .iter()
            .filter(|(name, _)| shown(name, by))
            .partition(|(name, _)| name.starts_with("validation_"));
        for (name, value) in terms {
            text.push_str(&format!("  {name} {value:.4}"));
        }
        for (name, value) in checked {
            if matches!(name.as_str(), "validation_accuracy" | "validation_loss") {
                text.push_str(&format!("  {} {value:.4}", name.replace('_', " ")));
            }
        }
        text.push_str(&rate);
        if best {
            text.push_str("  best so far");
        }
        self.line(&text);
    }

    fn pass(&self, what: &str, done: usize, of: usize) {
        if let Show::Bar(bar) = &self.show {
            bar.set_message(format!("{what} {done}/{of}"));
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::Phase {
                name,
                index,
                of,
                steps,
                per_epoch,
                done,
            } => self.phase(name, index, of, steps, per_epoch, done),
            Event::Step {
                step,
                of,
                loss,
                rows,
                ..
            } => self.step(step, of, loss, rows),
            Event::Epoch {
                epoch,
                values,
                by,
                best,
            } => self.epoch(epoch, values, by, best),
            Event::Pass { what, done, of } => self.pass(what, done, of),
            Event::Note(text) => self.line(text),
        }
    }
}

/// Whether a number of an epoch fits into its line; all of them are in metrics.jsonl.
fn shown(name: &str, by: Option<LabelFree>) -> bool {
    match (name.strip_prefix("score_"), name.strip_prefix("source_")) {
        (Some(score), _) => by.is_some_and(|by| by.name() == score),
        (_, Some(source)) => source == "accuracy",
        _ => name != "learning_rate",
    }
}

fn per_second(rate: f64) -> String {
    match rate {
        r if r < 10.0 => format!("  {r:.1} rows/s"),
        r => format!("  {r:.0} rows/s"),
    }
}

fn style(steps: bool) -> ProgressStyle {
    let template = match (steps, output::colour(&std::io::stderr())) {
        (true, true) => "{prefix} {wide_bar:.cyan/dim} {pos}/{len} steps  {msg}  {eta} left",
        (true, false) => "{prefix} {wide_bar} {pos}/{len} steps  {msg}  {eta} left",
        (false, _) => "{prefix} {spinner} {msg}  {elapsed}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

//! What a person sees of downloads, on standard error: a bar on a terminal, a line a file elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tlkit_hub::Event;

use super::output;

/// Without a bar, a long download says that it lives this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Hears the hub and shows it.
pub struct Downloads {
    show: Show,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Bar,
    Lines,
    Nothing,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    file: String,
    bytes: Option<u64>,
    said: Option<Instant>,
}

impl Downloads {
    /// `silent`: nothing is shown. `bars`: they are not forbidden.
    pub fn new(silent: bool, bars: bool) -> Self {
        let show = match (silent, bars && std::io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bar,
            (false, false) => Show::Lines,
        };
        Downloads {
            show,
            state: Mutex::default(),
        }
    }

    /// Shows one event.
    pub fn event(&self, event: &Event<'_>) {
        if self.show == Show::Nothing {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *event {
            Event::Note(text) => match &state.bar {
                Some(bar) => bar.suspend(|| output::err(&format!("{text}\n"))),
                None => output::err(&format!("{text}\n")),
            },
            Event::Begin {
                repository,
                file,
                bytes,
                done,
            } => {
                state.file = format!("{repository}/{file}");
                (state.bytes, state.said) = (bytes, Some(Instant::now()));
                match self.show {
                    Show::Bar => state.bar = Some(bar(&state.file, bytes, done)),
                    _ => output::err(&format!("{}\n", begun(&state.file, bytes, done))),
                }
            }
            Event::Bytes { done } => match &state.bar {
                Some(bar) => bar.set_position(done),
                None if state.said.is_some_and(|t| t.elapsed() >= SIGN_OF_LIFE) => {
                    state.said = Some(Instant::now());
                    let of = state.bytes.map(|n| format!(" of {}", HumanBytes(n)));
                    output::err(&format!(
                        "{}: {}{}\n",
                        state.file,
                        HumanBytes(done),
                        of.unwrap_or_default()
                    ));
                }
                None => {}
            },
            Event::End => {
                if let Some(bar) = state.bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

fn begun(file: &str, bytes: Option<u64>, done: u64) -> String {
    let size = bytes.map(|n| format!(", {}", HumanBytes(n)));
    let there = (done > 0).then(|| format!(", {} of it here already", HumanBytes(done)));
    format!(
        "downloading {file}{}{}",
        size.unwrap_or_default(),
        there.unwrap_or_default()
    )
}

fn bar(file: &str, bytes: Option<u64>, done: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    let template = match bytes {
        Some(_) => "{prefix} {wide_bar} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left",
        None => "{prefix} {spinner} {bytes}  {binary_bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(file.to_string());
    // What was there already is no speed of this download.
    bar.set_position(done);
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::begun;

    #[test]
    fn a_line_says_what_is_there_already() {
        assert_eq!(
            begun("o/n/a", Some(2048), 1024),
            "downloading o/n/a, 2.00 KiB, 1.00 KiB of it here already"
        );
        assert_eq!(begun("o/n/a", None, 0), "downloading o/n/a");
    }
}

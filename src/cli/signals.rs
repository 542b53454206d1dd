//! Ctrl-C: the first asks for a checkpoint, the second leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tlkit_core::train::Stop;

use super::exit;
use super::progress::Progress;

/// Listens for SIGINT and SIGTERM while a run is on.
pub struct Listener {
    /// Stops the run at the next step.
    pub stop: Stop,
    progress: Arc<Progress>,
    said: AtomicBool,
}

impl Listener {
    /// From here on, a signal stops the run at the next step.
    pub fn start(progress: &Arc<Progress>) -> anyhow::Result<Arc<Listener>> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag that the first one set.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                exit::STOPPED.into(),
                asked.clone(),
            )
            .context("a handler for Ctrl-C")?;
            signal_hook::flag::register(signal, asked.clone()).context("a handler for Ctrl-C")?;
        }
        let listener = Arc::new(Listener {
            stop: Stop::from_flag(asked),
            progress: progress.clone(),
            said: AtomicBool::new(false),
        });
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("a handler for Ctrl-C")?;
        let speaker = listener.clone();
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                speaker.say();
            }
        });
        Ok(listener)
    }

    /// Says, once, what the first signal does. The run may stop before the thread that hears the signal wakes up.
    pub fn say(&self) {
        if !self.said.swap(true, Ordering::AcqRel) {
            self.progress.always(
                "stopping: a checkpoint is being written (once more: leave at once, without it)",
            );
        }
    }
}

/// Asks to stop when standard input ends. Whoever started this process holds the other end, so it also ends when that one is
/// killed: no cell of an experiment goes on by itself.
pub fn stop_with_stdin(stop: &Stop) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stop.ask();
    });
}

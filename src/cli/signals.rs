//! Ctrl-C: the first asks for a checkpoint, the second leaves at once. So does a terminal that is closed, but for the second: the kernel and the shell may
//! both say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tlkit_core::train::Stop;

use super::exit;
use super::progress::Progress;

/// Listens for SIGINT, SIGTERM and SIGHUP while a run is on.
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
        let mut heard = vec![SIGINT, SIGTERM];
        if dies_with_its_terminal() {
            signal_hook::flag::register(SIGHUP, asked.clone()).context("a handler for SIGHUP")?;
            heard.push(SIGHUP);
        }
        let listener = Arc::new(Listener {
            stop: Stop::from_flag(asked),
            progress: progress.clone(),
            said: AtomicBool::new(false),
        });
        let mut signals = Signals::new(heard).context("a handler for Ctrl-C")?;
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

/// Whether SIGHUP would end this process: under `nohup` it is ignored, and has to stay so. Only Linux says which; elsewhere nothing is changed.
fn dies_with_its_terminal() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return false;
    };
    let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // A bit a signal, from number 1 on.
    ignored.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 0)
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

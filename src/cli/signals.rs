//! Ctrl-C: the first asks for a checkpoint, the second leaves at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tlkit_core::train::Stop;

use super::exit;
use super::progress::Progress;

/// From here on, SIGINT and SIGTERM stop the run at the next step.
pub fn stop_on_signals(progress: &Arc<Progress>) -> anyhow::Result<Stop> {
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
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("a handler for Ctrl-C")?;
    let progress = progress.clone();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            progress.always(
                "stopping: a checkpoint is being written (once more: leave at once, without it)",
            );
        }
    });
    Ok(Stop::from_flag(asked))
}

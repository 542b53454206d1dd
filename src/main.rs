//! `tlkit`: transfer learning from a recipe.
//!
//! The binary is thin. It turns arguments into calls to `tlkit-core`, shows what core says while it works, and turns what
//! came of it into an exit code:
//!
//! ```text
//! arguments -> cli::arguments -> cli::recipe (read, check) -> cli::place (which run directory)
//!           -> tlkit_core::run::execute, heard by cli::progress -> tlkit_report (the result table)
//! ```
//!
//! Exit codes: 0 done; 1 the run failed; 2 the recipe or the command line is wrong; 130 stopped by Ctrl-C after a
//! checkpoint. A failed run never exits 0.
//!
//! Where to look, one noun a file:
//! - `cli/arguments.rs`: every verb and flag, with its help
//! - `cli/run.rs`: what `tlkit run` does, in order; `place.rs`, `changed.rs`: which directory, and what a resume refuses
//! - `cli/parts.rs`: which plugins this binary has, and where names are looked up
//! - `cli/progress.rs`, `cli/header.rs`: what a person sees while it works

mod cli;

/// Candle takes fresh pages for every tensor; an allocator that keeps them is a third of the time of a forward pass.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
}

/// `mi_option_purge_delay` of mimalloc's `mi_option_e`.
const PURGE_DELAY: std::ffi::c_int = 15;

fn main() -> std::process::ExitCode {
    // A training step frees what the next one takes again. Given back in between, every page is faulted in and zeroed anew.
    // SAFETY: an option's number and its value, before there is a second thread; -1 keeps freed memory.
    unsafe { mi_option_set(PURGE_DELAY, -1) };
    cli::main()
}

//! The command line: one file a noun.

mod arguments;
mod cells;
mod changed;
mod clock;
mod compare;
mod device;
mod diagnose;
mod downloads;
mod estimate;
mod evaluate;
mod exit;
mod header;
mod import;
mod init;
mod output;
mod parts;
mod place;
mod plan;
mod plugins;
mod predict;
mod progress;
mod rank;
mod recipe;
mod reference;
mod report;
mod run;
mod runs;
mod schema;
mod shipped;
mod signals;
mod spared;
mod threads;
mod turns;
mod which;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Verb};
use exit::Failure;
use threads::pooled;

/// Reads the arguments, does what they say, and says how it ended.
pub fn main() -> ExitCode {
    // Clap prints help, and what is wrong with the arguments, and leaves with 0 or 2.
    let arguments = Arguments::parse();
    exit::report_panics();
    let ended = threads::on_a_large_stack(move || {
        // A word that nobody knows would be the best path of this machine, and other bits than those that were asked for.
        tlkit_core::device::instructions().map_err(Failure::Wrong)?;
        dispatch(arguments.verb)
    });
    // A plugin that leaves does not come here.
    plugins::ours();
    match ended {
        Ok(Ok(())) if output::lost() => ExitCode::from(exit::FAILED),
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            failure.say();
            ExitCode::from(failure.code())
        }
        // The hook has said what happened.
        Err(_) => ExitCode::from(exit::FAILED),
    }
}

fn dispatch(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Run(run) => pooled(|| run::run(&run)),
        Verb::Init(i) => init::init(&i),
        Verb::Predict(p) => pooled(|| predict::predict(&p)),
        Verb::Evaluate(e) => pooled(|| evaluate::evaluate(&e)),
        Verb::Validate(v) => recipe::validate(&v),
        Verb::Explain(e) => recipe::explain(&e),
        Verb::Diagnose(d) => pooled(|| diagnose::diagnose(&d)),
        Verb::Plan(p) => pooled(|| plan::plan(&p)),
        Verb::Rank(r) => rank::rank(&r),
        Verb::Compare(c) => compare::compare(&c),
        Verb::Import(i) => import::import(&i),
        Verb::Schema { markdown } => schema::print(markdown),
        Verb::Recipes { verb } => shipped::recipes(&verb),
        Verb::Runs { verb } => runs::runs(&verb),
        Verb::Plugins { verb } => plugins::plugins(&verb),
        Verb::Report(r) => report::report(&r),
        Verb::Why(w) => why::why(&w),
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "tlkit", &mut text);
            output::out(&String::from_utf8_lossy(&text));
            Ok(())
        }
    }
}

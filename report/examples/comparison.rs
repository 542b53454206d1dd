//! Writes the page of an experiment that was run: `cargo run --release --example comparison -- experiments/day-night > page.html`.

fn main() -> Result<(), String> {
    let folder = std::env::args().nth(1).ok_or("which experiment?")?;
    let experiment = tlkit_report::Experiment::read(folder.as_ref())?;
    print!(
        "{}",
        experiment
            .compare(None)
            .print(tlkit_report::Format::Html, false)
    );
    Ok(())
}

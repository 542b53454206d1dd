//! What can be said of an experiment that was run, as a page or as text: `cargo run --release --example comparison -- experiments/day-night > page.html`,
//! with `text` behind the folder for text.

use tlkit_report::{Experiment, Format};

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which experiment?")?;
    let format = match arguments.next().as_deref() {
        Some("text") => Format::Text,
        _ => Format::Html,
    };
    let experiment = Experiment::read(folder.as_ref())?;
    print!("{}", experiment.compare(None).print(format, false));
    Ok(())
}

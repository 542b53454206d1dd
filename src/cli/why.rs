//! `tlkit why`: what stands out in a run.

use tlkit_report::why as look;

use super::arguments::Why;
use super::exit::Failure;
use super::output;
use super::which::find;

/// Prints it.
pub fn why(arguments: &Why) -> Result<(), Failure> {
    let run = find(&arguments.run)?;
    let found = look(&run);
    if arguments.json {
        output::out(&format!("{:#}\n", found.to_json()));
    } else {
        let colour = output::colour_of_out();
        output::out(&found.text(&run, colour));
    }
    Ok(())
}

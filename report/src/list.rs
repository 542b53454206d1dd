//! Many runs, a line each.

use std::time::SystemTime;

use crate::run::{Run, Status};
use crate::style::Style;
use crate::table::{Align, Table};

/// Recipe, id, status, test accuracy, age.
pub fn list_table(runs: &[Run], colour: bool) -> String {
    let style = Style::new(colour);
    let mut table = Table::new(&[
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
    ]);
    table.row(["recipe", "run", "status", "test accuracy", "age"].map(|h| style.faint(h)));
    for run in runs {
        let word = run.status.word();
        table.row([
            run.recipe().to_string(),
            run.id(),
            match run.status {
                Status::Done => style.good(word),
                Status::Failed => style.bad(word),
                _ => style.open(word),
            },
            run.test_accuracy()
                .map_or_else(|| "-".to_string(), |a| format!("{a:.4}")),
            run.touched.map_or_else(|| "-".to_string(), age),
        ]);
    }
    table.lines("").join("\n") + "\n"
}

/// `4 s`, `12 min`, `3 h`, `9 d`.
fn age(since: SystemTime) -> String {
    let seconds = since.elapsed().map_or(0, |d| d.as_secs());
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

//! `tlkit predict` on what comes by a pipe and goes into one.

use std::io::{BufRead, BufReader, Write};

use crate::bench::{Bench, ended};
use crate::predict::{SMALL, lines};

/// Lines have no header and no columns.
#[test]
fn a_table_that_is_piped_in_is_remarked_on() {
    let bench = Bench::new();
    let rows: String = (0..40)
        .map(|i| format!("{} film {i},{}\n", ["bad", "good"][i % 2], i % 2))
        .collect();
    bench.write("rows.csv", &format!("review,label\n{rows}"));
    let keys = "train = \"rows.csv\"\ntext = \"review\"\n";
    let recipe = format!(
        "[source]\n{SMALL}\n[target]\ntask = \"text-classification\"\n{keys}[strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\n\
         [train]\nmax_steps = 1\n[select]\nby = \"last\"\n"
    );
    bench.write("texts.toml", &recipe);
    bench.tlkit(&["run", "texts.toml", "--quiet"]).code(0);
    let words = "looks like the header of a table";
    let table = pipe(
        &bench,
        &["predict", "texts", "-"],
        b"review,label\na film,1\n",
    )
    .code(0);
    assert!(table.err.contains(words), "{}", table.err);
    assert_eq!(lines(&table.out).len(), 2);
    let texts = pipe(
        &bench,
        &["predict", "texts", "-"],
        b"a good review, by and large\n",
    )
    .code(0);
    assert!(!texts.err.contains(words), "{}", texts.err);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let many = "0.5,0.5,0.5\n".repeat(60_000);
    bench.write("many.csv", &format!("a,b,c\n{many}"));
    let mut child = bench.start(&["predict", "small", "many.csv"]);
    drop(child.stdout.take());
    let ended = ended(child).code(0);
    assert_eq!(ended.err, "");
}

/// Runs the binary with something on its standard input.
pub fn pipe(bench: &Bench, arguments: &[&str], input: &[u8]) -> crate::bench::Ended {
    let mut child = bench.start_fed(arguments);
    let mut to = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || {
        let _ = to.write_all(&input);
    });
    let ended = ended(child);
    feeding.join().expect("fed");
    ended
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let mut child = bench.start_fed(&["predict", "small", "-", "--line-buffered"]);
    let mut to = child.stdin.take().expect("a pipe");
    let mut from = BufReader::new(child.stdout.take().expect("a pipe"));
    for id in ["0", "1"] {
        to.write_all(b"0.1,0.2,0.3\n").expect("fed");
        let mut line = String::new();
        from.read_line(&mut line).expect("answered");
        assert_eq!(lines(&line)[0]["id"], *id);
    }
    drop(to);
    assert!(child.wait().expect("it ends").success());
}

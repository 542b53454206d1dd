//! Files that `tlkit predict` reads without names of columns, and where its answers go.

use std::fs;

use crate::bench::Bench;
use crate::predict::{SMALL, lines, text_recipe};

/// A first line that is a row is never taken for names.
#[test]
fn files_without_names_are_read_when_that_is_said() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    bench.write("named.csv", "a,b,c\n0.1,0.2,0.3\n4,-2,0\n");
    bench.write("bare.csv", "0.1,0.2,0.3\n4,-2,0\n");
    let said = bench.tlkit(&["predict", "small", "bare.csv"]).code(2);
    for part in ["takes the columns `a`, `b`, `c`", "`--no-header`"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let bare = ["predict", "small", "bare.csv", "--no-header"];
    let named = bench.tlkit(&["predict", "small", "named.csv"]).code(0);
    assert_eq!(bench.tlkit(&bare).code(0).out, named.out);
    assert_eq!(lines(&named.out).len(), 2);
    // Nor are flags of another kind of model passed over.
    for flag in ["--column", "--pair"] {
        let said = bench.tlkit(&["predict", "small", "named.csv", flag, "a"]);
        assert!(said.code(2).err.contains("the model takes vectors"));
    }
    let said = bench.tlkit(&["predict", "small", "--text", "1,2,3", "--column", "a"]);
    assert!(said.code(2).err.contains("name columns of a file"));

    bench.write("single.toml", &text_recipe(SMALL, "", "from-scratch"));
    bench.tlkit(&["run", "single.toml", "--quiet"]).code(0);
    bench.write("lines.csv", "this one is a whole sentence\nand another\n");
    let said = bench.tlkit(&["predict", "single", "lines.csv"]).code(2);
    assert!(
        said.err.contains("would be called `this one is"),
        "{}",
        said.err
    );
    let all = bench.tlkit(&["predict", "single", "lines.csv", "--no-header"]);
    assert_eq!(lines(&all.code(0).out).len(), 2);
    bench.write("other.csv", "review\nsome film\n");
    let noted = bench.tlkit(&["predict", "single", "other.csv"]).code(0);
    assert!(
        noted.err.contains("the only column there is, `review`"),
        "{}",
        noted.err
    );
    let pair = ["predict", "single", "other.csv", "--pair", "review"];
    assert!(
        bench
            .tlkit(&pair)
            .code(2)
            .err
            .contains("takes single texts")
    );
}

/// Columns by number: a file without labels has fewer of them.
#[test]
fn the_labels_column_may_be_gone_where_columns_are_numbers() {
    let bench = Bench::new();
    let rows: String = (0..40)
        .map(|i| format!("{},{} film {i}\n", i % 2, ["bad", "good"][i % 2]))
        .collect();
    bench.write("rows.csv", &rows);
    let keys = "train = \"rows.csv\"\nheader = false\nlabel = 1\ntext = 2\n";
    let recipe = format!(
        "[source]\n{SMALL}\n[target]\ntask = \"text-classification\"\n{keys}[strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\n\
         [train]\nmax_steps = 5\n[select]\nby = \"last\"\n"
    );
    bench.write("bare.toml", &recipe);
    bench.tlkit(&["run", "bare.toml", "--quiet"]).code(0);
    bench.write("new.csv", "good film 1\nbad film 2\n");
    bench.write("with.csv", "1,good film 1\n0,bad film 2\n");
    bench.write("turned.csv", "good film 1,x\nbad film 2,y\n");
    let of = |arguments: &[&str]| bench.tlkit(arguments).code(0).out;
    let with = of(&["predict", "bare", "with.csv"]);
    assert_eq!(lines(&with).len(), 2);
    assert_eq!(of(&["predict", "bare", "new.csv"]), with);
    assert_eq!(
        of(&["predict", "bare", "turned.csv", "--column", "1"]),
        with
    );
}

/// What stands where the answer is to go is written to, not put aside.
#[cfg(unix)]
#[test]
fn answers_go_through_links_and_into_devices() {
    use std::os::unix::fs::FileTypeExt;
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    bench.write("real.jsonl", "old\n");
    std::os::unix::fs::symlink(bench.path("real.jsonl"), bench.path("link.jsonl")).expect("a link");
    let to = |out: &str| ["predict", "small", "rows.csv", "--out", out].map(str::to_string);
    let run = |out: &str| {
        let arguments = to(out);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        bench.tlkit(&arguments)
    };
    run("link.jsonl").code(0);
    assert!(bench.path("link.jsonl").is_symlink());
    assert_eq!(lines(&bench.read("real.jsonl")).len(), 200);
    run("/dev/null").code(0);
    let null = fs::metadata("/dev/null").expect("it is there");
    assert!(null.file_type().is_char_device());
}

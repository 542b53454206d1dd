//! `tlkit predict`: the bits of the run, from the model alone, in every format and from every place.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::bench::{Bench, ended};
use crate::piped::pipe;

pub fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}")))
        .collect()
}

/// A recipe on the built-in reviews: `source`, `target` and `method` as given, a few steps.
pub fn text_recipe(source: &str, target: &str, method: &str) -> String {
    format!(
        "[source]\n{source}\n[target]\ntask = \"text-classification\"\ntrain = \"builtin:reviews/films/train\"\n\
         validation = \"builtin:reviews/films/validation\"\ntest = \"builtin:reviews/kitchen/test\"\n{target}\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"{method}\"\n[train]\nmax_steps = 2\n"
    )
}

pub const SMALL: &str = "task = \"bert\"\nlayers = 1\nwidth = 32\nheads = 2\nvocabulary = \"builtin:bert-mini\"\nmax_length = 40";

/// The same probabilities but for the last digits, which depend on the rows beside a row.
#[track_caller]
fn close(a: &Value, b: &Value) {
    let numbers = |v: &Value| -> Vec<f64> {
        let by_class = v.as_object().expect("by class").values();
        by_class.map(|p| p.as_f64().expect("a number")).collect()
    };
    for (a, b) in numbers(a).iter().zip(numbers(b)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

/// What the run said of its test rows, and what `predict` says of the same file, bit for bit.
#[track_caller]
fn same_bits(bench: &Bench, run: &str, file: &str) {
    let said = lines(&bench.read(&format!("{run}/predictions.jsonl")));
    assert!(said.len() > 20);
    let again = lines(&bench.tlkit(&["predict", run, file]).code(0).out);
    let find = |id: &Value| {
        let row = again.iter().find(|r| r["id"] == *id);
        row.unwrap_or_else(|| panic!("no row {id}"))
    };
    for row in &said {
        let new = find(&row["id"]);
        let of = |v: &Value| v.as_f64().expect("a number") as f32;
        let was: Vec<u32> = row["probabilities"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|p| of(p).to_bits())
            .collect();
        let is: Vec<u32> = new["probabilities"]
            .as_object()
            .expect("by class")
            .values()
            .map(|p| of(p).to_bits())
            .collect();
        assert_eq!(was, is, "{run}: row {}", row["id"]);
        assert_eq!(row["prediction"], new["prediction"]);
    }
}

#[test]
fn a_reloaded_model_has_the_bits_of_the_one_that_was_evaluated() {
    let bench = Bench::new();
    bench
        .tlkit(&["run", "small.toml", "--out", "small", "--quiet"])
        .code(0);
    same_bits(&bench, "small", "rows.csv");
    let mini = "checkpoint = \"builtin:bert-mini\"";
    let dense = "pooling = \"mean\"\nhead = [{ dense = 8, activation = \"tanh\" }, { dropout = 0.1 }, \"classifier\"]\n\
         class_weights = \"balanced\"\nlabel_smoothing = 0.1";
    for (name, recipe) in [
        ("tuned", text_recipe(mini, "", "fine-tune")),
        ("frozen", text_recipe(mini, "", "feature-extraction")),
        ("scratch", text_recipe(SMALL, "", "from-scratch")),
        ("dense", text_recipe(SMALL, dense, "from-scratch")),
        ("lora", text_recipe(mini, "", "lora")),
        ("knn", text_recipe(mini, "", "knn")),
    ] {
        let file = format!("{name}.toml");
        bench.write(&file, &recipe);
        bench
            .tlkit(&["run", &file, "--out", name, "--quiet"])
            .code(0);
        assert_eq!(
            bench.json(&format!("{name}/result.json"))["model"]["reloads"],
            true
        );
        same_bits(&bench, name, "builtin:reviews/kitchen/test");
    }
}

#[test]
fn the_model_alone_is_enough_wherever_it_is() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let said = bench.tlkit(&["predict", "small", "rows.csv"]).code(0).out;
    let run = bench.runs("small").remove(0);
    let away = bench.path("away");
    fs::rename(run.join("model"), &away).expect("moved");
    fs::rename(bench.path("rows.csv"), bench.path("other.csv")).expect("moved");
    fs::remove_dir_all(bench.path("runs")).expect("gone");
    let again = bench.tlkit(&["predict", "away", "other.csv"]).code(0).out;
    assert_eq!(said, again);
    let card = bench.json("away/tlkit.json").to_string();
    assert!(!card.contains("rows.csv"), "{card}");
}

#[test]
fn rows_come_from_files_lines_and_words_and_go_out_in_three_formats() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let all = lines(&bench.tlkit(&["predict", "small", "rows.csv"]).code(0).out);
    assert_eq!(all.len(), 200);
    let first = &all[0];
    let both = first["probabilities"].as_object().expect("by class");
    assert_eq!(both.keys().collect::<Vec<_>>(), ["no", "yes"]);
    // The same rows as lines, without their label.
    let text = bench.read("rows.csv");
    let bare: Vec<&str> = text
        .lines()
        .skip(1)
        .map(|l| l.rsplit_once(',').expect("a label").0)
        .collect();
    let piped = pipe(
        &bench,
        &["predict", "small", "-"],
        bare.join("\n").as_bytes(),
    )
    .code(0);
    assert_eq!(lines(&piped.out), all);
    let given = bench
        .tlkit(&[
            "predict", "small", "--text", bare[0], "--text", bare[1], "--format", "csv",
        ])
        .code(0)
        .out;
    let csv: Vec<&str> = given.lines().collect();
    assert_eq!(csv[0], "id,prediction,no,yes");
    let cells: Vec<&str> = csv[1].split(',').collect();
    assert_eq!(
        cells[..2],
        ["0", first["prediction"].as_str().expect("a label")]
    );
    let (was, is) = (
        both["no"].as_f64().expect("a number"),
        cells[2].parse::<f64>().expect("a number"),
    );
    // Two rows together are multiplied otherwise than two hundred.
    assert!((was - is).abs() < 1e-6, "{was} {is}");
    assert_eq!(csv.len(), 3);
    let top = bench
        .tlkit(&[
            "predict", "small", "rows.csv", "--format", "csv", "--top", "1",
        ])
        .code(0)
        .out;
    assert!(
        top.starts_with("id,prediction,label_1,probability_1\n0,"),
        "{top}"
    );
    let table = bench
        .tlkit(&["predict", "small", "rows.csv", "--format", "table"])
        .code(0)
        .out;
    assert_eq!(table.lines().count(), 200);
    let row: Vec<&str> = table
        .lines()
        .next()
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(
        (row[0], row[1]),
        ("0", first["prediction"].as_str().expect("a label"))
    );
    // A file appears whole, and nothing is left beside it.
    bench
        .tlkit(&["predict", "small", "rows.csv", "--out", "answers.csv"])
        .code(0);
    assert_eq!(bench.read("answers.csv").lines().count(), 201);
    assert!(!bench.path("answers.csv.part").exists());
    // A model of columns by name does not care for their order, nor for a label.
    let turned: String = std::iter::once("c,b,a\n".to_string())
        .chain(bare.iter().map(|l| {
            let cells: Vec<&str> = l.split(',').rev().collect();
            cells.join(",") + "\n"
        }))
        .collect();
    bench.write("turned.csv", &turned);
    assert_eq!(
        lines(&bench.tlkit(&["predict", "small", "turned.csv"]).code(0).out),
        all
    );
}

/// The features come out as a file that NumPy reads: what enters the classifier, a row each, in the order of the rows; the answers stay as they are.
#[test]
fn features_go_out_as_numpy_has_them() {
    let bench = Bench::new();
    bench
        .tlkit(&["run", "small.toml", "--out", "small"])
        .code(0);
    let plain = bench.tlkit(&["predict", "small", "rows.csv"]).code(0).out;
    let with = ["predict", "small", "rows.csv", "--features", "rows.npy"];
    assert_eq!(bench.tlkit(&with).code(0).out, plain);
    let bytes = fs::read(bench.path("rows.npy")).expect("a file");
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!((10 + length).is_multiple_of(64));
    let head = std::str::from_utf8(&bytes[10..10 + length]).expect("ASCII");
    let rows = lines(&plain).len();
    // One hidden layer as wide as it is where the recipe does not say.
    let width = 64;
    let shape = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    assert!(head.starts_with(&shape) && head.ends_with('\n'), "{head}");
    assert_eq!(bytes.len(), 10 + length + 4 * rows * width);
    let first: Vec<f32> = bytes[10 + length..]
        .chunks_exact(4)
        .take(width)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    // After a ReLU.
    assert!(first.iter().all(|v| *v >= 0.0) && first.iter().any(|v| *v > 0.0));
}

/// Features are what enters the classifier, also where neighbours vote instead of one.
#[test]
fn features_of_neighbours_are_the_encoders() {
    let bench = Bench::new();
    let recipe = bench.read("small.toml");
    let recipe = recipe.replace("\"from-scratch\"", "\"knn\"");
    bench.write(
        "votes.toml",
        &recipe.replace("task = \"features\"", "task = \"features\"\nhidden = []"),
    );
    bench
        .tlkit(&["run", "votes.toml", "--out", "votes"])
        .code(0);
    same_bits(&bench, "votes", "rows.csv");
    let with = ["predict", "votes", "rows.csv", "--features", "rows.npy"];
    bench.tlkit(&with).code(0);
    let bytes = fs::read(bench.path("rows.npy")).expect("a file");
    let head = String::from_utf8_lossy(&bytes[..128]);
    assert!(head.contains("(200, 3)"), "{head}");
    for set in [
        "target.class_weights=[9.0, 1.0]",
        "target.label_smoothing=0.1",
    ] {
        let said = bench.tlkit(&["run", "votes.toml", "--set", set, "--dry-run"]);
        let said = said.code(2);
        let place = format!("1 | {set}");
        assert!(said.err.contains("take out class_weights"), "{}", said.err);
        assert!(said.err.contains(&place), "{}", said.err);
    }
}

/// A reader that goes away (`| head`) takes its rows with it, and no file.
#[cfg(unix)]
#[test]
fn features_are_written_though_nobody_reads_the_answers() {
    let bench = Bench::new();
    bench
        .tlkit(&["run", "small.toml", "--out", "small"])
        .code(0);
    let many = bench.read("rows.csv");
    let (head, body) = many.split_once('\n').expect("a header");
    bench.write("many.csv", &format!("{head}\n{}", body.repeat(40)));
    let plain = ["predict", "small", "many.csv", "--features", "many.npy"];
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tlkit"))
        .args(plain)
        .current_dir(bench.path(""))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
    let bytes = fs::read(bench.path("many.npy")).expect("the features");
    assert!(bytes.len() > 4 * 64 * 200 * 40);
}

#[test]
fn texts_by_column_pairs_by_tab_and_plain_lines() {
    let bench = Bench::new();
    bench.write(
        "pairs.tsv",
        &(0..24).fold("first\tsecond\tsame\n".to_string(), |t, i| {
            t + &format!(
                "film {i}\tpan {}\t{}\n",
                i / 2,
                if i % 2 == 0 { "yes" } else { "no" }
            )
        }),
    );
    bench.write(
        "pairs.toml",
        &format!(
            "[source]\n{SMALL}\n[target]\ntask = \"text-classification\"\ntrain = \"pairs.tsv\"\ntext = \"first\"\n\
             pair = \"second\"\nlabel = \"same\"\n[strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\n\
             [train]\nmax_steps = 20\nlearning_rate = 1e-2\n[select]\nby = \"last\"\n"
        ),
    );
    bench.tlkit(&["run", "pairs.toml", "--quiet"]).code(0);
    let of =
        |arguments: &[&str]| lines(&bench.tlkit(arguments).code(0).out)[1]["probabilities"].clone();
    let file = of(&["predict", "pairs", "pairs.tsv"]);
    let words = of(&[
        "predict",
        "pairs",
        "--text",
        "a\tb",
        "--text",
        "film 1\tpan 0",
    ]);
    close(&file, &words);
    // Which text is the first can be told from the answer.
    let turned = of(&[
        "predict",
        "pairs",
        "--text",
        "a\tb",
        "--text",
        "pan 0\tfilm 1",
    ]);
    let yes = |of: &Value| of["yes"].as_f64().expect("a number");
    assert!((yes(&file) - yes(&turned)).abs() > 1e-3, "{file} {turned}");
    let one = bench
        .tlkit(&["predict", "pairs", "--text", "alone"])
        .code(2);
    assert!(
        one.err.contains("write a tab between the two"),
        "{}",
        one.err
    );
    bench.write("named.csv", "a,b,c\nx,film 0,pan 0\nx,film 1,pan 0\n");
    let named = of(&[
        "predict",
        "pairs",
        "named.csv",
        "--column",
        "b",
        "--pair",
        "3",
    ]);
    close(&file, &named);

    bench.write("single.toml", &text_recipe(SMALL, "", "from-scratch"));
    bench.tlkit(&["run", "single.toml", "--quiet"]).code(0);
    bench.write("some.txt", "one line\n\nanother, with a comma\n");
    let plain = lines(&bench.tlkit(&["predict", "single", "some.txt"]).code(0).out);
    assert_eq!(plain.len(), 2);
    let piped = pipe(
        &bench,
        &["predict", "single"],
        b"one line\n\nanother, with a comma",
    )
    .code(0);
    assert_eq!(lines(&piped.out), plain);
}

#[test]
fn what_cannot_be_answered_is_said() {
    let bench = Bench::new();
    let none = bench.tlkit(&["predict", "nothing", "--text", "a"]).code(2);
    assert!(
        none.err.contains("there is no run `nothing`"),
        "{}",
        none.err
    );
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let run = bench.runs("small").remove(0);

    let says = |arguments: &[&str], words: &str| {
        let ended = bench.tlkit(arguments).code(2);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
        assert_eq!(ended.out, "");
    };
    says(&["predict", "small", "rows.tsv"], "`rows.tsv` is not there");
    says(
        &["predict", "small", "rows.csv", "--top", "0"],
        "at least 1",
    );
    says(
        &["predict", "small", "--text", "1,2"],
        "2 numbers, and the model takes 3",
    );
    says(
        &["predict", "small", "--text", "1,2,x"],
        "`x` is not a number",
    );
    bench.write("two.csv", "a,b\n1,2\n");
    says(&["predict", "small", "two.csv"], "there is no column `c`");
    let empty = pipe(&bench, &["predict", "small", "-"], b"\n\n").code(2);
    assert!(
        empty.err.contains("standard input has no rows"),
        "{}",
        empty.err
    );
    let broken = pipe(&bench, &["predict", "small", "-"], b"1,2,3\n1,2\n").code(1);
    assert!(
        broken.err.contains("standard input:2: 2 numbers"),
        "{}",
        broken.err
    );
    // A half-written answer is none.
    bench.write("bad.csv", "a,b,c\n1,2,3\n1,2,x\n");
    let half = bench
        .tlkit(&["predict", "small", "bad.csv", "--out", "half.csv"])
        .code(1);
    assert!(half.err.contains("bad.csv:3"), "{}", half.err);
    assert!(!bench.path("half.csv").exists() && !bench.path("half.csv.part").exists());

    fs::remove_file(run.join("result.json")).expect("gone");
    says(&["predict", "small", "--text", "1,2,3"], "is not finished");
    let model = run.join("model");
    let card = fs::read_to_string(model.join("tlkit.json")).expect("a card");
    fs::write(
        model.join("tlkit.json"),
        card.replacen("\"format\": 1", "\"format\": 9", 1),
    )
    .expect("written");
    let model = model.display().to_string();
    says(&["predict", &model, "--text", "1,2,3"], "format 9");
}

#[test]
fn a_model_that_predicts_no_classes_says_so() {
    let bench = Bench::new();
    let passage = |i: usize| format!("many words of passage {i}, which is long enough\n");
    bench.write("passages.txt", &(0..30).map(passage).collect::<String>());
    bench.write(
        "mlm.toml",
        &format!(
            "[source]\n{SMALL}\n[target]\ntask = \"masked-language-modelling\"\ntrain = \"passages.txt\"\n\
             [strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\n[train]\nmax_steps = 1\n"
        ),
    );
    bench.tlkit(&["run", "mlm.toml", "--quiet"]).code(0);
    let ended = bench.tlkit(&["predict", "mlm", "--text", "a"]).code(2);
    assert!(ended.err.contains("hidden tokens"), "{}", ended.err);
    let run = bench.runs("mlm").remove(0);
    let result: Value =
        serde_json::from_str(&fs::read_to_string(run.join("result.json")).expect("a result"))
            .expect("JSON");
    assert_eq!(result["model"]["reloads"], false);
}

#[test]
fn runs_are_named_as_everywhere() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let run = bench.runs("small").remove(0);
    let id = run
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let said = bench
        .tlkit(&["predict", "latest", "--text", "1,2,3"])
        .code(0)
        .out;
    let inside = |p: &Path| p.display().to_string();
    for name in [
        "small",
        &id[..11],
        &inside(&run),
        &inside(&run.join("model")),
    ] {
        assert_eq!(
            bench
                .tlkit(&["predict", name, "--text", "1,2,3"])
                .code(0)
                .out,
            said
        );
    }
}

/// Where each batch normalises itself, its rows are drawn from all of a file: in one that is sorted by class a batch is of one class, and its statistics took away what
/// told it from the other.
#[test]
fn a_norm_by_batches_stands_sorted_files() {
    let bench = Bench::new();
    let row = |i: usize| {
        let class = i % 2;
        let noise = |k: usize| ((i * 37 + k * 101) % 89) as f64 / 89.0 - 0.5;
        let x = [-2.0, 2.0][class] + 2.0 * noise(1);
        format!("{x},{},{}\n", 2.0 * noise(2), ["left", "right"][class])
    };
    let file = |rows: &[usize]| -> String {
        let rows: String = rows.iter().map(|&i| row(i)).collect();
        format!("x,y,label\n{rows}")
    };
    let train: Vec<usize> = (0..320).collect();
    // More than are answered at once elsewhere.
    let mut test: Vec<usize> = (1000..3400).collect();
    test.sort_by_key(|i| i % 2);
    bench.write("train.csv", &file(&train));
    bench.write("sorted.csv", &file(&test));
    bench.write(
        "adapt.toml",
        "[source]\ntask = \"features\"\nhidden = [8]\nbatch_norm = true\n\n[target]\ntask = \"classification\"\ntrain = \"train.csv\"\n\
         test = \"sorted.csv\"\n\n[strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\nbatch_norm = \"adapt\"\n\n\
         [train]\nepochs = 5\nlearning_rate = 0.01\n\n[evaluate]\nbaselines = false\n",
    );
    bench
        .tlkit(&["run", "adapt.toml", "--quiet", "--out", "adapt"])
        .code(0);
    let accuracy = bench.json("adapt/result.json")["metrics"]["test"]["accuracy"].clone();
    assert!(accuracy.as_f64().expect("a score") > 0.9, "{accuracy}");
    let said = bench.tlkit(&["predict", "adapt", "sorted.csv"]).code(0).out;
    let said: Vec<Value> = lines(&said)
        .iter()
        .map(|row| serde_json::json!([row["probabilities"]["left"], row["probabilities"]["right"]]))
        .collect();
    let of_the_run = lines(&bench.read("adapt/predictions.jsonl"));
    let same = |(one, other): (&Value, &Value)| *one == other["probabilities"];
    assert_eq!(said.len(), of_the_run.len());
    assert!(said.iter().zip(&of_the_run).all(same));
    // And it says so; the lines of a pipe are as those of a file.
    let whole = bench.tlkit(&["predict", "adapt", "sorted.csv"]).code(0);
    assert!(
        whole.err.contains("depends on those beside it"),
        "{}",
        whole.err
    );
    let file = bench.read("sorted.csv");
    let vectors = file
        .lines()
        .skip(1)
        .filter_map(|l| Some(l.rsplit_once(',')?.0));
    let mut child = bench.start_fed(&["predict", "adapt", "-"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    let text: String = vectors.map(|l| format!("{l}\n")).collect();
    std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("written");
    drop(stdin);
    let piped = ended(child).code(0);
    let answers = |out: &str| -> Vec<Value> {
        lines(out)
            .iter()
            .map(|row| row["probabilities"].clone())
            .collect()
    };
    assert_eq!(answers(&piped.out), answers(&whole.out));
}

//! Adaptation in closed form, as a person runs it: from files of vectors to a model that predicts, and `tlkit diagnose` before it.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// Standard normal numbers by a formula: sums of twelve uniform ones.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Three classes in six numbers; `stretch` and `shift` are what another domain does to the numbers that tell the classes apart.
fn domain(rows: usize, stretch: f64, shift: [f64; 2], seed: u64) -> String {
    let mut noise = Noise(seed);
    let at = [[2.0, 0.0], [-1.0, 1.8], [-1.0, -1.8]];
    let mut text = String::from("a,b,c,d,e,f,label\n");
    for row in 0..rows {
        let class = row % 3;
        let mut values: Vec<f64> = (0..6).map(|_| 0.45 * noise.normal()).collect();
        for k in 0..2 {
            values[k] = (values[k] + at[class][k]) * stretch + shift[k];
        }
        let cells: Vec<String> = values.iter().map(|v| format!("{v:.5}")).collect();
        text += &format!("{},{}\n", cells.join(","), ["red", "green", "blue"][class]);
    }
    text
}

/// A folder with two domains and a recipe.
fn bench(stretch: f64, shift: [f64; 2]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let write =
        |name: &str, text: String| std::fs::write(dir.path().join(name), text).expect("a file");
    write("source.csv", domain(240, 1.0, [0.0; 2], 1));
    write("target.csv", domain(210, stretch, shift, 2));
    write("recipe.toml", RECIPE.to_string());
    dir
}

const RECIPE: &str = r#"
[source]
task = "features"
train = "source.csv"
[target]
task = "classification"
unlabelled = "target.csv"
test = "unlabelled"
[strategy]
kind = "transductive"
method = "source-head"
"#;

fn tlkit(dir: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_tlkit"))
        .current_dir(dir)
        .env("TLKIT_CACHE", dir.join("cache"))
        .args(arguments)
        .assert()
}

fn run(dir: &Path, out: &str, sets: &[&str]) -> Value {
    let sets: Vec<&str> = sets.iter().flat_map(|s| ["--set", s]).collect();
    let arguments = [&["run", "recipe.toml", "--quiet", "--out", out], &sets[..]].concat();
    tlkit(dir, &arguments).success();
    let text = std::fs::read_to_string(dir.join(out).join("result.json")).expect("a result");
    serde_json::from_str(&text).expect("JSON")
}

fn accuracy(result: &Value) -> f64 {
    result["metrics"]["test"]["accuracy"]
        .as_f64()
        .expect("a test")
}

const METHODS: [(&str, &str); 7] = [
    ("coral", "strategy.regularisation=0.1"),
    ("linear-ot", ""),
    ("subspace-alignment", "strategy.dim=3"),
    ("gfk", "strategy.dim=2"),
    ("tca", "strategy.dim=4"),
    ("jda", "strategy.dim=4"),
    ("ot", ""),
];

#[test]
fn equal_domains_are_left_alone_and_what_moves_rows_closes_a_shift() {
    let shifted = bench(1.6, [3.5, 2.0]);
    let equal = bench(1.0, [0.0; 2]);
    let before = accuracy(&run(shifted.path(), "source-head", &[]));
    let same = accuracy(&run(equal.path(), "source-head", &[]));
    println!("source-head: {before:.3} with a shift, {same:.3} without");
    assert!(before < 0.8 && same > 0.97, "{before} {same}");
    let mut hashes = std::collections::BTreeSet::new();
    for (method, key) in METHODS {
        let method_key = format!("strategy.method={method}");
        let mut sets = vec![method_key.as_str()];
        sets.extend((!key.is_empty()).then_some(key));
        let result = run(equal.path(), method, &sets);
        // What moves features is the model as much as its weights, which are the same for all that move something.
        let hash = result["weights_sha256"].as_str().expect("a hash");
        assert!(hashes.insert(hash.to_string()), "{method}: {hash}");
        let kept = accuracy(&result);
        println!("{method}: {kept:.3} without a shift");
        assert!(kept > same - 0.04, "{method}: {kept}, before {same}");
        // These choose directions and move nothing along them: a shift within the classes' own plane is not theirs to close (JDA, which believes its
        // first guesses, falls behind the source there). Their values are compared with numpy's, and with published ones.
        if ["gfk", "tca", "jda"].contains(&method) {
            continue;
        }
        let closed = accuracy(&run(shifted.path(), method, &sets));
        println!("{method}: {closed:.3} with the shift");
        assert!(
            closed > before + 0.12,
            "{method}: {closed}, before {before}"
        );
    }
}

/// A model that was scaled by its domain and aligned answers the same rows the same way later, and the run has its picture.
#[test]
fn an_adapted_model_predicts_what_the_run_predicted() {
    let dir = bench(1.6, [3.5, 2.0]);
    for (method, extra) in [
        ("tca", "strategy.kernel=rbf"),
        ("linear-ot", "strategy.head=svm"),
        ("subspace-alignment", "strategy.head=1-nn"),
    ] {
        let method_key = format!("strategy.method={method}");
        let sets = [
            method_key.as_str(),
            extra,
            "source.scale=[\"l2\", \"zscore\"]",
        ];
        let result = run(dir.path(), method, &sets);
        let again = run(dir.path(), &format!("{method}-again"), &sets);
        let lines = |out: &str| {
            std::fs::read_to_string(dir.path().join(out).join("predictions.jsonl")).expect("rows")
        };
        assert_eq!(lines(method), lines(&format!("{method}-again")), "{method}");
        assert_eq!(accuracy(&result), accuracy(&again));
        let answered = tlkit(
            dir.path(),
            &["predict", method, "target.csv", "--format", "jsonl"],
        )
        .success();
        let text = String::from_utf8_lossy(&answered.get_output().stdout).to_string();
        let label = |line: &str, key: &str| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            row[key].as_str().unwrap_or_default().to_string()
        };
        let later: Vec<String> = text.lines().map(|l| label(l, "prediction")).collect();
        let then: Vec<String> = lines(method)
            .lines()
            .map(|l| label(l, "prediction"))
            .collect();
        assert_eq!(later, then, "{method}");
        let picture = std::fs::read_to_string(dir.path().join(method).join("embedding.json"));
        let picture: Value = serde_json::from_str(&picture.expect("a picture")).expect("JSON");
        let apart = |when: &str| picture[when]["distance"].as_f64().expect("a number");
        assert!(
            apart("after") <= apart("before") + 0.05,
            "{method}: {picture}"
        );
        let page = std::fs::read_to_string(dir.path().join(method).join("report.html"));
        assert!(
            page.expect("a page").contains("id=\"embedding\""),
            "{method}"
        );
    }
}

#[test]
fn diagnose_says_what_is_between_the_domains() {
    let dir = bench(1.6, [3.5, 2.0]);
    let said = tlkit(dir.path(), &["diagnose", "recipe.toml"]).success();
    let text = String::from_utf8_lossy(&said.get_output().stdout).to_string();
    for wanted in [
        "proxy A-distance",
        "MMD squared",
        "what that suggests",
        "green",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let said = tlkit(dir.path(), &["diagnose", "recipe.toml", "--format", "json"]).success();
    let found: Value = serde_json::from_slice(&said.get_output().stdout).expect("JSON");
    assert!(
        found["separation"]["a_distance"]
            .as_f64()
            .expect("a number")
            > 0.5
    );
    assert_eq!(found["discrepancy"]["p"].as_f64(), Some(0.001));
    assert_eq!(found["target_rows"], 210);
    assert!(!text.contains("random network") && found.get("untrained").is_none());
    let layer = [
        "--set",
        "source.hidden=[4]",
        "--set",
        "strategy.method=dann",
    ];
    let said = tlkit(
        dir.path(),
        &[&["diagnose", "recipe.toml"], &layer[..]].concat(),
    )
    .success();
    let text = String::from_utf8_lossy(&said.get_output().stdout).to_string();
    assert!(
        text.contains(
            "(`source.hidden` draws its weights), so these are features of a random network"
        ),
        "{text}"
    );
    let few = ["diagnose", "recipe.toml", "--set", "target.limit=3"];
    let said = tlkit(dir.path(), &few).code(2);
    let text = String::from_utf8_lossy(&said.get_output().stderr).to_string();
    assert!(
        text.contains("has 3 rows, of which nothing can be said"),
        "{text}"
    );
    let inductive = [
        "diagnose",
        "recipe.toml",
        "--set",
        "strategy.kind=inductive",
        "--set",
        "strategy.method=fine-tune",
    ];
    tlkit(dir.path(), &inductive).code(2);
}

/// 1-NN on SURF features of Office with Caltech, each image's histogram by its sum, z-scored by domain: the published figures, to the last row.
#[test]
fn office_caltech_surf_by_one_neighbour() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("../shared/data/features/office-caltech-surf");
    if !data.is_dir() {
        println!("skipped: no ../shared/data/features/office-caltech-surf");
        return;
    }
    let dir = TempDir::new().expect("a folder");
    let file = |name: &str| data.join(format!("{name}.svmlight")).display().to_string();
    let recipe = std::fs::read_to_string(root.join("benches/recipes/office-caltech-surf.toml"));
    std::fs::write(dir.path().join("recipe.toml"), recipe.expect("a recipe")).expect("a file");
    for (source, target, percent) in [
        ("caltech10", "amazon", 23.70),
        ("caltech10", "webcam", 25.76),
        ("caltech10", "dslr", 25.48),
        ("amazon", "caltech10", 26.00),
        ("amazon", "webcam", 29.83),
        ("amazon", "dslr", 25.48),
        ("webcam", "caltech10", 19.86),
        ("webcam", "amazon", 22.96),
        ("webcam", "dslr", 59.24),
        ("dslr", "caltech10", 26.27),
        ("dslr", "amazon", 28.50),
        ("dslr", "webcam", 63.39),
    ] {
        let train = format!("source.train={}", file(source));
        let rows = format!("target.unlabelled={}", file(target));
        let out = format!("{source}-{target}");
        let got = 100.0 * accuracy(&run(dir.path(), &out, &[&train, &rows]));
        println!("{source} -> {target}: {got:.2}");
        assert!(
            (got - percent).abs() < 0.005_1,
            "{source} -> {target}: {got}"
        );
    }
}

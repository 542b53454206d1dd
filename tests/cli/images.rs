//! Photographs from a folder to a report and back: run, predict, evaluate, and what is refused.

use serde_json::Value;

use super::bench::Bench;

/// An uncompressed BMP: stripes that lie or stand, in colours of their own.
fn picture(class: usize, seed: usize) -> Vec<u8> {
    let side = 16usize;
    let mut out = b"BM".to_vec();
    out.extend((54 + side * side * 3).to_le_bytes()[..4].iter());
    out.extend([0; 4]);
    out.extend(54u32.to_le_bytes());
    out.extend(40u32.to_le_bytes());
    out.extend((side as u32).to_le_bytes());
    out.extend((side as u32).to_le_bytes());
    out.extend([1, 0, 24, 0]);
    out.resize(54, 0);
    for y in 0..side {
        for x in 0..side {
            let along = if class == 0 { y } else { x };
            let on = (along + seed) % 8 < 4;
            let shade = ((seed * 37 + x * (seed % 5) + y * (seed % 3)) % 90) as u8;
            out.extend(if on {
                [200 - shade, 60, shade]
            } else {
                [30, shade, 180]
            });
        }
    }
    out
}

const RECIPE: &str = "\
[source]
task = \"image-network\"
architecture = \"cifar_resnet20\"
image_size = 16

[target]
task = \"image-classification\"
train = \"photos\"
split = { validation = 0.2, test = 0.3 }
augment = \"mixup\"

[strategy]
kind = \"inductive\"
method = \"from-scratch\"

[train]
epochs = 1
batch_size = 8
max_steps = 3
";

fn photos() -> Bench {
    let bench = Bench::new();
    for (class, name) in ["lying", "standing"].into_iter().enumerate() {
        let folder = bench.path("photos").join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        for i in 0..20 {
            let file = folder.join(format!("{i:02}.bmp"));
            std::fs::write(file, picture(class, i * 3 + class)).expect("written");
        }
    }
    bench.write("photos.toml", RECIPE);
    bench
}

fn lines(text: &str) -> Vec<Value> {
    let line = |l: &str| serde_json::from_str(l).expect("a line of JSON");
    text.lines().map(line).collect()
}

#[test]
fn a_folder_of_images_is_learned_shown_and_predicted() {
    let bench = photos();
    let ended = bench.tlkit(&["run", "photos.toml"]).code(0);
    assert!(ended.out.contains("test accuracy"), "{}", ended.out);
    let rows = "20 train, 8 validation, 12 test";
    assert!(ended.err.contains(rows), "{}", ended.err);
    let run = bench.runs("photos").remove(0);
    let text = |name: &str| std::fs::read_to_string(run.join(name)).expect(name);
    let thumbnails = lines(&text("thumbnails.jsonl"));
    let predictions = lines(&text("predictions.jsonl"));
    assert_eq!((thumbnails.len(), predictions.len()), (12, 12));
    let id = predictions[0]["id"].as_str().expect("an id");
    assert!(id.starts_with("lying/") && id.ends_with(".bmp"), "{id}");
    let report = text("report.html");
    assert!(
        report.contains("src=\"data:image/jpeg;base64,/9j/"),
        "no image in it"
    );
    assert!(report.len() < 600_000, "{}", report.len());

    // One image, several, a folder, a pattern, paths on standard input.
    let one = bench
        .tlkit(&[
            "predict",
            "photos",
            "photos/lying/00.bmp",
            "--format",
            "jsonl",
            "--top",
            "1",
        ])
        .code(0);
    let one = lines(&one.out);
    assert_eq!(one[0]["id"], "photos/lying/00.bmp");
    assert_eq!(
        one[0]["probabilities"].as_object().map(|o| o.len()),
        Some(1)
    );
    let count = |arguments: &[&str]| {
        let all = [&["predict", "photos", "--format", "jsonl"], arguments].concat();
        lines(&bench.tlkit(&all).code(0).out).len()
    };
    assert_eq!(count(&["photos"]), 40);
    assert_eq!(count(&["photos/lying/*.bmp"]), 20);
    assert_eq!(count(&["photos/lying/0?.bmp", "photos/standing"]), 30);
    // As a shell has it: no hidden file, and no folder that is called like an image.
    bench.write("photos/lying/.00.bmp", "no image");
    std::fs::create_dir(bench.path("photos/lying/more.bmp")).expect("a folder");
    assert_eq!(count(&["photos/lying/*.bmp"]), 20);
    std::fs::remove_dir(bench.path("photos/lying/more.bmp")).expect("there");
    std::fs::remove_file(bench.path("photos/lying/.00.bmp")).expect("there");
    let refused = |arguments: &[&str], words: &str| {
        let all = [&["predict", "photos"], arguments].concat();
        let ended = bench.tlkit(&all);
        assert_ne!(ended.code, Some(0));
        assert!(ended.err.contains(words), "{}\nhas no: {words}", ended.err);
    };
    refused(&["photos/flying/*.bmp"], "matches no image");
    refused(&["--text", "a cat"], "the model takes images");
    bench.write("photos/note.jpg", "Buy milk.");
    refused(&["photos/note.jpg"], "photos/note.jpg: not an image: text");
    // With labels: the folder that it was trained on, which is said.
    std::fs::remove_file(bench.path("photos/note.jpg")).expect("there");
    let judged = bench
        .tlkit(&["evaluate", "photos", "photos", "--json"])
        .code(0);
    let judged: Value = serde_json::from_str(&judged.out).expect("JSON");
    assert_eq!(judged["metrics"]["n"], 40);
}

#[test]
fn what_cannot_be_read_is_named_before_anything_is_trained() {
    let bench = photos();
    bench.write("photos/lying/note.jpg", "Buy milk.");
    // Of a kind that is not read, and so none that is passed over.
    bench.write(
        "photos/standing/logo.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    );
    let ended = bench.tlkit(&["run", "photos.toml"]).code(2);
    for words in [
        "2 of 42 images of `train` cannot be read",
        "photos/lying/note.jpg: not an image: text",
        "photos/standing/logo.svg: SVG is not read",
        "skip_broken = true",
    ] {
        assert!(ended.err.contains(words), "{}\nhas no: {words}", ended.err);
    }
    let skipped = bench
        .tlkit(&[
            "run",
            "photos.toml",
            "--set",
            "target.skip_broken=true",
            "--dry-run",
        ])
        .code(0);
    assert!(
        skipped
            .err
            .contains("2 images of train cannot be read and are left out"),
        "{}{}",
        skipped.out,
        skipped.err
    );
}

/// A class of which no image can be read does not vanish.
#[test]
fn a_class_that_cannot_be_read_at_all_is_an_error() {
    let bench = photos();
    std::fs::create_dir(bench.path("photos/flying")).expect("a folder");
    bench.write("photos/flying/1.png", "Buy milk.");
    let skip = [
        "run",
        "photos.toml",
        "--set",
        "target.skip_broken=true",
        "--dry-run",
    ];
    let said = bench.tlkit(&skip).code(2).err;
    assert!(
        said.contains("no image of the class `flying` can be read"),
        "{said}"
    );
}

/// A domain of photographs, and the same stripes brighter.
const DOMAINS: &str = "\
[source]
task = \"image-network\"
architecture = \"lenet\"
image_size = 28
train = \"photos\"

[target]
task = \"image-classification\"
unlabelled = \"others\"
split = { test = 0.5 }

[strategy]
kind = \"transductive\"
method = \"source-only\"

[train]
source_epochs = 0
epochs = 1
batch_size = 8
max_steps = 2

[select]
by = \"last\"

[evaluate]
overlap = \"keep\"
";

/// Both domains' rows are looked at as the recipe says, whatever the method: `augment` changes the first losses of each.
#[test]
fn every_adaptation_trains_on_the_views_that_the_recipe_asks_for() {
    let bench = photos();
    for (class, name) in ["lying", "standing"].into_iter().enumerate() {
        let folder = bench.path("others").join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        for i in 0..16 {
            let mut bytes = picture(class, i * 5 + 2);
            for byte in &mut bytes[54..] {
                *byte = byte.saturating_add(50);
            }
            std::fs::write(folder.join(format!("{i:02}.bmp")), bytes).expect("written");
        }
    }
    bench.write("domains.toml", DOMAINS);
    let curves = |method: &str, augment: &str, times: usize| {
        let out = format!("{method}-{augment}-{times}");
        let (method, augment) = (
            format!("strategy.method=\"{method}\""),
            format!("target.augment=\"{augment}\""),
        );
        let run = ["run", "domains.toml", "--quiet", "--set", &method];
        let mut run = [&run[..], &["--set", &augment, "--out", &out]].concat();
        // These adapt a model that knows the task: a fitted head, of rows as they are.
        if method.contains("shot") || method.contains("tent") {
            run.extend(["--set", "train.linear_probe=true"]);
        }
        bench.tlkit(&run).code(0);
        let rows = lines(&bench.read(&format!("{out}/metrics.jsonl")));
        let terms = rows.into_iter().map(|mut row| {
            row.as_object_mut().expect("an object").remove("seconds");
            row
        });
        terms.collect::<Vec<_>>()
    };
    let methods = [
        "source-only",
        "target-supervised",
        "dan",
        "deep-coral",
        "dann",
        "cdan",
        "mcd",
        "mdd",
        "deep-jdot",
        "mcc",
        "discriminator-weights",
        "shot",
        "tent",
    ];
    for method in methods {
        let (plain, shifted) = (curves(method, "none", 1), curves(method, "shift", 1));
        assert_ne!(plain, shifted, "{method}");
        assert_eq!(shifted, curves(method, "shift", 2), "{method}");
    }
    let refused = |sets: &[&str], words: &str| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let all: Vec<&str> = ["run", "domains.toml", "--dry-run"]
            .into_iter()
            .chain(sets)
            .collect();
        let ended = bench.tlkit(&all).code(2);
        assert!(ended.err.contains(words), "{}\nhas no: {words}", ended.err);
    };
    refused(
        &["target.augment=\"mixup\""],
        "labels are mixed with the images, and the target's rows have none",
    );
    refused(
        &[
            "target.augment=\"weak\"",
            "strategy.method=\"coral\"",
            "strategy.frozen=true",
        ],
        "`coral` looks at each row once, as it is",
    );
    let ended = bench.tlkit(&[
        "run",
        "photos.toml",
        "--dry-run",
        "--set",
        "strategy.method=\"knn\"",
    ]);
    assert!(
        ended.code(2).err.contains("`knn` looks at each row once"),
        "mixed images have no neighbours"
    );
}

/// All images that cannot be read are named at once; a run that leaves such out does so here too.
#[test]
fn unreadable_images_are_named_or_left_out() {
    let bench = photos();
    bench.tlkit(&["run", "photos.toml", "--out", "r"]).code(0);
    std::fs::create_dir_all(bench.path("new/lying")).expect("a folder");
    std::fs::create_dir_all(bench.path("new/standing")).expect("a folder");
    for (class, name) in [(0, "lying"), (1, "standing")] {
        let folder = bench.path("new").join(name);
        std::fs::write(folder.join("good.bmp"), picture(class, 7)).expect("written");
        std::fs::write(folder.join("bad.bmp"), "no image").expect("written");
    }
    for verb in ["predict", "evaluate"] {
        let said = bench.tlkit(&[verb, "r", "new"]).code(2);
        assert!(
            said.err.contains("2 of 4 images cannot be read"),
            "{}",
            said.err
        );
        assert!(said.err.contains("lying/bad.bmp"), "{}", said.err);
        assert!(said.err.contains("standing/bad.bmp"), "{}", said.err);
    }
    let said = bench.tlkit(&["predict", "r", "new/lying/good.bmp", "nowhere.png"]);
    let said = said.code(2);
    assert!(
        said.err.contains("nowhere.png: no such file"),
        "{}",
        said.err
    );
    let skipping = [
        "run",
        "photos.toml",
        "--out",
        "s",
        "--set",
        "target.skip_broken=true",
    ];
    bench.tlkit(&skipping).code(0);
    let said = bench
        .tlkit(&["predict", "s", "new", "--format", "jsonl"])
        .code(0);
    assert_eq!(lines(&said.out).len(), 2);
    assert!(
        said.err
            .contains("2 of 4 images cannot be read and are left out"),
        "{}",
        said.err
    );
    let said = bench.tlkit(&["evaluate", "s", "new", "--json"]).code(0);
    let said: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(said["rows"], 2);
}

//! `tlkit init`: what it writes runs as it is.

use crate::bench::{Bench, rows};

/// Writes a recipe and runs it for two steps.
#[track_caller]
fn runs(bench: &Bench, recipe: &str) {
    bench
        .tlkit(&[
            "run",
            recipe,
            "--quiet",
            "--set",
            "train.max_steps=2",
            "--out",
            &format!("{recipe}.run"),
        ])
        .code(0);
}

fn reviews(n: usize, header: &str) -> String {
    (0..n).fold(header.to_string(), |text, i| {
        let (mark, words) = match i % 2 {
            0 => ("good", "a fine pan, it has served us well"),
            _ => ("bad", "the handle broke, \"twice\" even"),
        };
        text + &format!("{i},\"{} number {i}\",{mark}\n", words.replace('"', "\"\""))
    })
}

#[test]
fn a_file_of_reviews() {
    let bench = Bench::new();
    bench.write("reviews.csv", &reviews(60, "id,what they said,mark\n"));
    let ended = bench.tlkit(&["init", "reviews.csv"]).code(0);
    assert_eq!(
        ended.out,
        "reviews.toml: written; `tlkit run reviews.toml` runs it\n"
    );
    assert!(
        ended.err.contains(
            "label `mark`: the fewest different values: 2 different values: bad 30, good 30"
        ),
        "{}",
        ended.err
    );
    assert!(
        ended
            .err
            .contains("text `what they said`: the longest texts"),
        "{}",
        ended.err
    );
    let recipe = bench.read("reviews.toml");
    assert!(
        recipe.contains("text = \"what they said\"\nlabel = \"mark\"\n"),
        "{recipe}"
    );
    runs(&bench, "reviews.toml");
    // Never over what is there.
    let again = bench.tlkit(&["init", "reviews.csv"]).code(2);
    assert!(
        again.err.contains("`--force` overwrites it"),
        "{}",
        again.err
    );
    assert_eq!(bench.read("reviews.toml"), recipe);
    bench.tlkit(&["init", "reviews.csv", "--force"]).code(0);
}

/// A hundred and twenty names of intents are no label by their values, but by the name of their column.
#[test]
fn a_column_that_is_called_label_may_have_many_classes() {
    let bench = Bench::new();
    let table = |column: &str| {
        (0..360).fold(format!("text,{column}\n"), |text, i| {
            text + &format!(
                "please do thing number {} for me now {i},intent {}\n",
                i % 120,
                i % 120
            )
        })
    };
    bench.write("intents.csv", &table("label"));
    let ended = bench.tlkit(&["init", "intents.csv"]).code(0);
    assert!(
        ended.err.contains("label `label`: its name"),
        "{}",
        ended.err
    );
    runs(&bench, "intents.toml");
    bench.write("others.csv", &table("what"));
    bench.tlkit(&["init", "others.csv"]).code(2);
}

#[test]
fn without_a_header_columns_are_numbers() {
    let bench = Bench::new();
    bench.write("bare.csv", &reviews(60, ""));
    let ended = bench
        .tlkit(&["init", "bare.csv", "--out", "sub.toml"])
        .code(0);
    assert!(ended.err.contains("no header"), "{}", ended.err);
    let recipe = bench.read("sub.toml");
    assert!(
        recipe.contains("header = false\ntext = 2\nlabel = 3\n"),
        "{recipe}"
    );
    runs(&bench, "sub.toml");
}

#[test]
fn pairs_numbers_and_another_folder() {
    let bench = Bench::new();
    let pairs = (0..60).fold("premise\thypothesis\tgold\n".to_string(), |t, i| {
        t + &format!(
            "a man eats {i}\tsomebody eats {i}\t{}\n",
            ["no", "yes"][i % 2]
        )
    });
    bench.write("pairs.tsv", &pairs);
    bench.tlkit(&["init", "pairs.tsv"]).code(0);
    assert!(
        bench
            .read("pairs.toml")
            .contains("text = \"premise\"\npair = \"hypothesis\"\nlabel = \"gold\"\n")
    );
    runs(&bench, "pairs.toml");

    std::fs::create_dir(bench.path("recipes")).expect("a folder");
    bench.write("points.csv", &rows(60));
    bench
        .tlkit(&["init", "points.csv", "--out", "recipes/points.toml"])
        .code(0);
    let recipe = bench.read("recipes/points.toml");
    assert!(
        recipe.contains("task = \"features\"") && recipe.contains("task = \"classification\""),
        "{recipe}"
    );
    runs(&bench, "recipes/points.toml");
    let ended = bench
        .tlkit(&["init", "points.csv", "--source", "builtin:bert-mini"])
        .code(2);
    assert!(ended.err.contains("leave out `--source`"), "{}", ended.err);
}

#[test]
fn another_checkpoint_and_data_that_is_built_in() {
    let bench = Bench::new();
    bench
        .tlkit(&[
            "init",
            "builtin:reviews/films/train",
            "--source",
            "builtin:bert-mini",
        ])
        .code(0);
    runs(&bench, "reviews-films-train.toml");
    let ended = bench
        .tlkit(&[
            "init",
            "builtin:reviews/films/train",
            "--force",
            "--source",
            "nowhere",
        ])
        .code(2);
    assert!(
        ended.err.contains("`nowhere` is not there"),
        "{}",
        ended.err
    );
}

#[test]
fn what_is_no_labelled_data_is_said() {
    let bench = Bench::new();
    bench.write(
        "plain.txt",
        &"some words of one kind or another\n".repeat(9),
    );
    let none = bench.tlkit(&["init", "plain.txt"]).code(2);
    assert!(
        none.err.contains("no column looks like a label"),
        "{}",
        none.err
    );
    assert!(!bench.path("plain.toml").exists());
    let absent = bench.tlkit(&["init", "row.csv"]).code(2);
    assert!(
        absent.err.contains("did you mean `rows.csv`?"),
        "{}",
        absent.err
    );
    std::fs::create_dir(bench.path("empty")).expect("a folder");
    let empty = bench.tlkit(&["init", "empty"]).code(2);
    assert!(empty.err.contains("no image in it"), "{}", empty.err);
}

#[test]
fn a_folder_of_pictures_names_a_checkpoint_that_has_seen_some() {
    let bench = Bench::new();
    for name in ["cats/1.jpg", "cats/2.PNG", "dogs/1.jpeg"] {
        let path = bench.path("photos").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, b"").expect("written");
    }
    let ended = bench.tlkit(&["init", "photos"]);
    let recipe = bench.read("photos.toml");
    for line in [
        "checkpoint = \"hf:timm/resnet18.a1_in1k\"",
        "task = \"image-classification\"",
        "the built-in resnet-mini knows drawings only",
    ] {
        assert!(recipe.contains(line), "{recipe}");
    }
    let listed = "2 classes, a folder each: cats 2, dogs 1";
    assert!(ended.err.contains(listed), "{}", ended.err);
    // They are no images: what does not run is said.
    let broken = "3 of 3 images of `train` cannot be read";
    assert!(ended.err.contains(broken), "{}", ended.err);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
}

/// Paths of images are no texts.
#[test]
fn a_table_of_image_paths_is_not_taken_for_texts() {
    let bench = crate::bench::Bench::new();
    let rows: String = (0..30)
        .map(|i| format!("pics/{i}.png,{}\n", ["cat", "dog"][i % 2]))
        .collect();
    bench.write("labels.csv", &format!("image,label\n{rows}"));
    // The images are not there: what does not run is said.
    let said = bench.tlkit(&["init", "labels.csv"]).code(2).err;
    let broken = "30 of 30 images of `train` cannot be read";
    assert!(said.contains(broken), "{said}");
    let recipe = bench.read("labels.toml");
    assert!(
        recipe.contains("task = \"image-classification\""),
        "{recipe}"
    );
}

#[test]
fn a_name_that_stands_twice_is_said_and_columns_without_names_are_let_be() {
    let bench = Bench::new();
    bench.write("twice.csv", &reviews(20, "id,text,text\n"));
    let said = bench.tlkit(&["init", "twice.csv"]).code(2);
    let wanted = "two columns are named `text`";
    assert!(said.err.contains(wanted), "{}", said.err);
    // A spreadsheet leaves commas behind.
    let text: String = reviews(20, "id,text,mark\n")
        .lines()
        .map(|l| format!("{l},,\n"))
        .collect();
    bench.write("commas.csv", &text);
    bench.tlkit(&["init", "commas.csv"]).code(0);
    let recipe = bench.read("commas.toml");
    assert!(!recipe.contains("header = false"), "{recipe}");
    assert!(recipe.contains("label = \"mark\""), "{recipe}");
}

#[test]
fn what_is_no_table_to_guess_from_is_named() {
    let bench = Bench::new();
    bench.write("names.csv", "id,text,label\n");
    bench.write("semi.csv", "text;label\nall is well;a\nnothing is;b\n");
    bench.write(
        "list.jsonl",
        "{\"text\": \"a b\", \"label\": [1]}\n{\"text\": \"c\", \"label\": [2]}\n",
    );
    for (file, wanted) in [
        ("names.csv", "no rows follow the names"),
        ("semi.csv", "holds `;`"),
        ("list.jsonl", "is a list"),
    ] {
        let said = bench.tlkit(&["init", file]).code(2);
        assert!(said.err.contains(wanted), "{file}: {}", said.err);
    }
    // Rows are no recipe; one line says so.
    let prose = "all is well here\n".repeat(30);
    bench.write("a.txt", &prose);
    let said = bench.tlkit(&["run", "a.txt"]).code(2);
    assert!(said.err.contains("tlkit init"), "{}", said.err);
    assert_eq!(said.err.matches("this is not TOML").count(), 1);
}

#[test]
fn a_table_of_images_is_a_recipe_of_images() {
    let bench = Bench::new();
    let text: String = (0..12).fold("picture,kind\n".into(), |text, i| {
        text + &format!("p/{i}.png,{}\n", ["cat", "dog"][i % 2])
    });
    bench.write("pets.csv", &text);
    // The images are not there, which is said; the recipe is written all the same.
    let said = bench.tlkit(&["init", "pets.csv", "--source", "builtin:resnet-mini"]);
    let recipe = bench.read("pets.toml");
    assert!(
        recipe.contains("task = \"image-classification\""),
        "{recipe}"
    );
    assert!(
        recipe.contains("image = \"picture\"\nlabel = \"kind\"\n"),
        "{recipe}"
    );
    assert!(
        recipe.contains("checkpoint = \"builtin:resnet-mini\""),
        "{recipe}"
    );
    assert!(
        said.err.contains("it holds paths of images"),
        "{}",
        said.err
    );
}

/// A table of measurements and categories: the numbers are learned from, and what is left out is said.
#[test]
fn a_table_with_categories_and_missing_numbers() {
    let bench = Bench::new();
    let row = |i: usize| {
        let city = ["Rome", "Oslo", "Bern"][i % 3];
        let income = match i % 7 {
            0 => String::new(),
            _ => format!("{}", 1000 + 37 * i),
        };
        let label = ["buys", "leaves"][(i / 2) % 2];
        format!("{}.5,{city},{income},{},{label}\n", 20 + i % 41, i * 7 % 90)
    };
    let rows: String = (0..60).map(row).collect();
    for (name, header) in [("cat", "age,city,income,visits,label\n"), ("bare", "")] {
        bench.write(&format!("{name}.csv"), &format!("{header}{rows}"));
        let said = bench.tlkit(&["init", &format!("{name}.csv")]).code(0).err;
        assert!(said.contains("3 different values in words"), "{said}");
        assert!(
            said.contains("of its values are numbers; with one in every row"),
            "{said}"
        );
        runs(&bench, &format!("{name}.toml"));
    }
    let recipe = bench.read("cat.toml");
    assert!(
        recipe.contains("without = [\"city\", \"income\"]\n"),
        "{recipe}"
    );
    let recipe = bench.read("bare.toml");
    assert!(recipe.contains("without = [\"2\", \"3\"]\n"), "{recipe}");
}

//! Over pairs of domains.

use std::fs;

use serde_json::{Value, json};
use tlkit_report::{Comparison, Format};

use crate::fixture::world::{Method, adaptation, two};
use crate::words;

#[test]
fn over_pairs_a_tally_a_range_and_no_word_of_new_domains() {
    let world = adaptation();
    let c = world.write().compare();
    let text = c.print(Format::Text, false);
    println!("{text}");
    assert_eq!(words(&c, "dann"), "adapt");
    let dann = &c.rows[2];
    assert_eq!(dann.pairs.len(), 3);
    assert_eq!(dann.tally.map(|t| t.iter().sum::<usize>()), Some(3));
    // (0.58 - 0.5) / (0.66 - 0.5), as drawn.
    let gap = dann.gap_closed.expect("a gap");
    assert!((0.3..0.7).contains(&gap), "{gap}");
    assert!(
        text.contains("3 pairs of 3 domains are not 3 independent samples"),
        "{text}"
    );
    assert!(text.contains("a tie (t) is not distinguishable"), "{text}");
    assert_eq!(c.new_domains(dann), None);
    assert!(text.contains("books to dvd"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    assert!(c.print(Format::Html, false).contains("class=\"heat\""));
    let csv = c.print(Format::Csv, false);
    assert_eq!(csv.lines().count(), 1 + 3 * 4);
}

/// The difference of one run each is that of the means over pairs, however many rows a pair has; a target's rows count once.
#[test]
fn one_run_each_over_pairs_is_a_mean_over_pairs() {
    let mut world = adaptation();
    world.seeds = 1;
    world.write();
    for method in ["source-only", "target-supervised", "dann"] {
        let file = world
            .dir
            .path()
            .join(format!("{method}-0-2-s0/predictions.jsonl"));
        let text = fs::read_to_string(&file).expect("predictions");
        let few: Vec<&str> = text.lines().take(100).collect();
        fs::write(&file, few.join("\n") + "\n").expect("written");
    }
    let c = world.compare();
    let d = c.rows[2].difference.as_ref().expect("a difference");
    let means = c.rows[2]
        .mean
        .zip(c.rows[0].mean)
        .map(|(a, b)| a - b)
        .expect("means");
    assert!((d.mean - means).abs() < 1e-12, "{} {means}", d.mean);
    assert!(d.of_models && d.words.starts_with("this model"));
    let (low, high) = d.interval.expect("an interval");
    assert!(low < d.mean && d.mean < high);
    assert!(c.rows.iter().all(|r| r.interval.is_some()));
    // The same predictions for two pairs of one target are no more rows than those of one.
    world.pairs = vec![("books", "dvd")];
    let one = world.write().compare();
    for method in ["source-only", "target-supervised", "dann"] {
        let path = |p: usize| {
            world
                .dir
                .path()
                .join(format!("{method}-0-{p}-s0/predictions.jsonl"))
        };
        fs::copy(path(0), path(1)).expect("copied");
    }
    let mut both = adaptation();
    both.dir = world.dir;
    both.seeds = 1;
    both.pairs = vec![("books", "dvd"), ("kitchen", "dvd")];
    let experiment = both.dir.path().join("experiment.json");
    let text = fs::read_to_string(&experiment).expect("an experiment");
    let mut d: Value = serde_json::from_str(&text).expect("JSON");
    d["pairs"] = json!([["books", "dvd"], ["kitchen", "dvd"]]);
    let cells = d["cells"].as_array().expect("cells").clone();
    for cell in cells {
        let name = cell["name"]
            .as_str()
            .expect("a name")
            .replace("-0-0-", "-0-1-");
        let mut cell = cell.clone();
        cell["name"] = json!(name);
        cell["identity"] = json!(name);
        cell["pair"] = json!(["kitchen", "dvd"]);
        d["cells"].as_array_mut().expect("cells").push(cell);
    }
    fs::write(&experiment, d.to_string()).expect("written");
    let two = both.compare();
    let width = |c: &Comparison| {
        let d = c.rows[2].difference.as_ref().expect("a difference");
        let (low, high) = d.interval.expect("an interval");
        high - low
    };
    // Newcombe's interval of the one, the rows' own t of the two.
    assert!(
        (width(&two) / width(&one) - 1.0).abs() < 0.05,
        "{} {}",
        width(&two),
        width(&one)
    );
}

#[test]
fn what_was_imported_for_one_pair_alone_says_so() {
    let world = adaptation();
    world.write();
    for seed in 0..5 {
        let name = format!("imported/mine-s{seed}");
        world.run(&name, 0.6, [9, 0, 0, seed]);
        world.file(
            &format!("{name}/cell.json"),
            &json!({"name": name, "method": "mine", "values": [], "pair": ["books", "dvd"], "seed": seed}),
        );
    }
    let c = world.compare();
    let mine = c.rows.last().expect("rows");
    assert_eq!((mine.method.as_str(), mine.mean), ("mine", None));
    let there: Vec<bool> = mine.pairs.iter().map(|p| p.difference.is_some()).collect();
    assert_eq!(there, [true, false, false]);
    let text = c.print(Format::Text, false);
    assert!(text.contains("1 of 3 pairs"), "{text}");
}

/// A ceiling keeps its last epoch and has no score; the others' is drawn beside it.
#[test]
fn the_score_of_the_selector_is_drawn_beside_a_ceiling() {
    let world = adaptation();
    world.write();
    for (pair, seed) in (0..3).flat_map(|p| (0..5).map(move |s| (p, s))) {
        let name = format!("target-supervised-0-{pair}-s{seed}/result.json");
        let file = world.dir.path().join(name);
        let text = std::fs::read_to_string(&file).expect("a result");
        let mut result: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        result["selection"]["by"] = "last".into();
        std::fs::write(&file, result.to_string()).expect("written");
    }
    let page = world.compare().print(Format::Html, false);
    assert!(page.contains("Score of the selector (validation)"));
}

#[test]
fn the_page_draws_training_domains_and_what_changed() {
    let world = adaptation();
    let page = world.write().compare().print(Format::Html, false);
    for id in [
        "table",
        "differences",
        "pairs",
        "training",
        "domains",
        "changes",
        "notes",
    ] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    let count = |part: &str| page.matches(part).count();
    // Of each pair: the loss, the source's accuracy, the selector's score, the discriminator; in each a line a method with its band.
    assert_eq!(count("<figure class=\"chart\">"), 3 * 4);
    assert_eq!(count("<path class=\"band l-second\""), 3 * 4);
    assert!(page.contains("Score of the selector (validation)"));
    // One start for all, one end a method.
    assert_eq!(count("<h3>Before</h3>"), 3);
    assert_eq!(count("<h3>After dann</h3>"), 3);
    // A method with a reference each.
    assert_eq!(count("are right that were wrong with source-only"), 2);
    assert_eq!(count("Wrong with source-only, right with dann"), 1);
    // Whatever stands in a data set stays text.
    assert!(page.contains("&lt;script&gt;document.title") && !page.contains("<script"));
    let mut ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|t| t.split('"').next())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an identifier is there twice");
}

#[test]
fn six_pairs_that_share_no_domain_speak_of_new_ones() {
    let mut world = adaptation();
    world.rows = 150;
    world.pairs = vec![
        ("a", "b"),
        ("c", "d"),
        ("e", "f"),
        ("g", "h"),
        ("i", "j"),
        ("k", "l"),
    ];
    let c = world.write().compare();
    assert_eq!(c.new_domains(&c.rows[2]), Some(0.03125));
    assert!(
        c.notes
            .iter()
            .any(|n| n.contains("on new domains (Wilcoxon, by Holm) p = 0.031")),
        "{:?}",
        c.notes
    );
}

/// A row that turned right in one seed and wrong in another stands on both sides, each time with what was said in the seed that it is about.
#[test]
fn a_row_that_turns_both_ways_is_shown_each_way() {
    let mut world = two();
    // All rows right, so that nothing else turns.
    world.methods = vec![
        Method("frozen", 1.0, None),
        Method("better", 1.0, Some("frozen")),
    ];
    world.write();
    let say = |method: &str, seed: usize, words: &str| {
        let file = world
            .dir
            .path()
            .join(format!("{method}-0-0-s{seed}/predictions.jsonl"));
        let text = fs::read_to_string(&file).expect("predictions");
        let (first, rest) = text.split_once('\n').expect("rows");
        let mut row: Value = serde_json::from_str(first).expect("JSON");
        row["prediction"] = words.into();
        fs::write(&file, format!("{row}\n{rest}")).expect("written");
    };
    say("frozen", 0, "yes");
    say("better", 1, "yes");
    let page = world.compare().print(Format::Html, false);
    let shown = |title: &str| {
        let part = page.split(title).nth(1).expect("the title");
        let list = part.split("</ol>").next().unwrap_or_default();
        let entry = list.split("<li>").find(|li| li.contains("row rows.csv:0,"));
        let entry = entry.expect("the row").split("<blockquote").next();
        let mut words = String::new();
        let mut inside = false;
        for c in entry.unwrap_or_default().chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => words.push(c),
                _ => {}
            }
        }
        words
    };
    let gained = shown("Wrong with frozen, right with better");
    assert!(gained.contains("said yes, then no"), "{gained}");
    let lost = shown("Right with frozen, wrong with better");
    assert!(lost.contains("said no, then yes"), "{lost}");
}

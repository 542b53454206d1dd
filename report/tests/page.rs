//! What stands on a page, and what does not when its fields are absent.

mod fixture;

use fixture::{Fixture, HOSTILE};
use serde_json::{Value, json};
use tlkit_report::page;

/// The identifiers of the parts on a page.
fn parts(page: &str) -> Vec<&str> {
    let sections = page.split("<section id=\"").skip(1);
    sections.filter_map(|s| s.split('"').next()).collect()
}

#[test]
fn a_full_run_has_every_part() {
    let text = page(&Fixture::full().run());
    assert_eq!(
        parts(&text),
        [
            "result",
            "findings",
            "curves",
            "confusion",
            "reliability",
            "errors",
            "data",
            "model",
            "elsewhere",
            "recipe",
            "cost"
        ]
    );
    for wanted in [
        "74.7 %",
        "69.5 to 79.3",
        "tf-idf + logistic regression",
        "+8.7 points",
        "0.8312",
        "2.3100",
        "epoch 6, kept",
        "Learning rate",
        "Gradient norm",
        "after temperature scaling",
        "75 of 300 test rows are wrong",
        "12 rows of train occur more than once",
        "films.tsv:13",
        "2,114,560",
        "AutoModelForSequenceClassification.from_pretrained(",
        "# default: Devlin et al. 2019",
        "360 MiB",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
}

#[test]
fn images_are_shown_with_what_was_said_of_them() {
    let mut fixture = Fixture::images();
    let text = page(&fixture.run());
    let all = parts(&text);
    let at = |name: &str| all.iter().position(|p| *p == name).expect("a part");
    assert!(at("sheet") < at("errors"), "{all:?}");
    let part = |id: &str| {
        let rest = text
            .split(&format!("<section id=\"{id}\""))
            .nth(1)
            .unwrap_or_default();
        rest.split("</section>")
            .next()
            .unwrap_or_default()
            .to_string()
    };
    let (sheet, errors) = (part("sheet"), part("errors"));
    let images = |part: &str| part.matches("src=\"data:image/jpeg;base64,/9j/").count();
    assert_eq!((images(&sheet), images(&errors)), (8, 4));
    assert!(sheet.contains("5 of these 8 are right"), "{sheet}");
    assert_eq!(sheet.matches("<li class=\"wrong\">").count(), 3);
    assert!(errors.contains("4 of 12 test rows are wrong"));
    // An address that is no base64 is not written, whoever wrote the file.
    fixture.thumbnails =
        vec![json!({"id": "cat/0.jpg", "sheet": true, "jpeg": "x\" onerror=\"alert(1)"})];
    let text = page(&fixture.run());
    assert!(!text.contains("onerror=\"alert"), "it got in");
    assert_eq!(images(&text), 0);
    // Texts have neither.
    assert!(!page(&Fixture::full().run()).contains("data:image/jpeg"));
}

#[test]
fn parts_without_their_fields_are_left_out() {
    assert_eq!(parts(&page(&Fixture::bare().run())), ["findings"]);
    assert_eq!(
        parts(&page(&Fixture::old().run())),
        [
            "result",
            "findings",
            "curves",
            "confusion",
            "errors",
            "elsewhere",
            "recipe",
            "cost"
        ]
    );
    let masked = page(&Fixture::masked().run());
    assert_eq!(
        parts(&masked),
        [
            "result",
            "findings",
            "curves",
            "model",
            "elsewhere",
            "recipe",
            "cost"
        ]
    );
    assert!(masked.contains("of 5,120 hidden test tokens are right"));
    let failed = page(&Fixture::failed().run());
    assert_eq!(parts(&failed), ["findings", "curves"]);
    assert!(failed.contains("The run failed.") && failed.contains("the weight classifier.bias"));
}

/// Every value of every file replaced by a value of another kind, one after another: no panic, and no number that is none.
#[test]
fn a_field_of_another_kind_is_as_good_as_absent() {
    fn places(value: &Value, at: &str, into: &mut Vec<String>) {
        let mut below = |key: &str, v: &Value| {
            let at = format!("{at}/{key}");
            into.push(at.clone());
            places(v, &at, into);
        };
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| below(k, v)),
            // The first two stand for the others.
            Value::Array(list) => {
                let first = list.iter().take(2).enumerate();
                first.for_each(|(i, v)| below(&i.to_string(), v));
            }
            _ => {}
        }
    }
    let full = Fixture::full();
    let mut all = Vec::new();
    places(&full.result, "", &mut all);
    assert!(all.len() > 100);
    for place in all {
        for other in [
            Value::Null,
            json!("text"),
            json!(-1e300),
            json!([]),
            json!({"a": 1}),
        ] {
            let mut f = Fixture::full();
            *f.result.pointer_mut(&place).expect("it is there") = other;
            let run = f.run();
            // The name of the folder is drawn, and may have these letters.
            let name = run.path.file_name().expect("a name").to_string_lossy();
            let text = page(&run).replace(&*name, "");
            assert!(
                !text.contains("NaN") && text.ends_with("</html>"),
                "{place}"
            );
        }
    }
}

#[test]
fn what_stands_in_the_data_is_text() {
    let mut f = Fixture::full();
    f.result["labels"] = json!([HOSTILE, "positive"]);
    f.result["recipe"] = json!(HOSTILE);
    f.result["error"] = json!(HOSTILE);
    f.result["worth"]["words"] = json!(HOSTILE);
    f.result["layers"][0]["stage"] = json!(HOSTILE);
    f.result["audit"]["rows"] = json!({HOSTILE: 3});
    f.metrics[0]["phase"] = json!(HOSTILE);
    f.recipe = format!("[source]\ntask = '{HOSTILE}' # {HOSTILE}\n");
    f.result["model"]["loadable_by"] = json!(format!("transformers {HOSTILE}.from_pretrained"));
    let text = page(&f.run());
    let body = text.split_once("</head>").expect("a head").1;
    for tag in ["<script", "<img"] {
        assert!(!body.contains(tag), "{tag}");
    }
    assert!(body.contains("&lt;script&gt;document.title"));
    // A quote within an attribute would end it.
    assert!(body.contains("&quot;quoted&quot;"));
}

#[test]
fn nothing_is_loaded_from_anywhere_and_no_script_is_needed() {
    let text = page(&Fixture::full().run());
    let parts = text.split("&lt;script").collect::<String>();
    for word in [
        "<script", "src=\"", "url(", "@import", "http://", "https://", "<iframe",
    ] {
        assert!(!parts.contains(word), "{word}");
    }
    assert!(text.contains("default-src 'none'"));
}

/// Headings in order without a gap, a header in every table, a title and a description in every picture that says something, every
/// identifier once.
#[test]
fn the_page_can_be_read_aloud() {
    for fixture in [Fixture::full(), Fixture::hundred(), Fixture::masked()] {
        let text = page(&fixture.run());
        let mut level = 0;
        for heading in text.match_indices("<h").map(|(i, _)| &text[i + 2..i + 3]) {
            let Ok(next) = heading.parse::<u32>() else {
                continue;
            };
            assert!(next <= level + 1, "h{next} after h{level}");
            level = next;
        }
        assert_eq!(text.matches("<h1").count(), 1);
        for table in text.split("<table").skip(1) {
            let table = table.split("</table>").next().expect("a table");
            assert!(
                table.contains("scope=\"col\"") && table.contains("scope=\"row\""),
                "{table}"
            );
        }
        for picture in text.split("<svg").skip(1) {
            let picture = picture.split("</svg>").next().expect("a picture");
            let hidden = picture
                .split('>')
                .next()
                .is_some_and(|t| t.contains("aria-hidden"));
            let said = picture.contains("role=\"img\"")
                && picture.contains("<title")
                && picture.contains("<desc");
            assert!(hidden || said, "{picture}");
        }
        let mut ids: Vec<&str> = text
            .split(" id=\"")
            .skip(1)
            .filter_map(|t| t.split('"').next())
            .collect();
        let n = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), n);
        for target in text
            .split("aria-labelledby=\"")
            .skip(1)
            .filter_map(|t| t.split('"').next())
        {
            assert!(target.split(' ').all(|id| ids.contains(&id)), "{target}");
        }
    }
}

#[test]
fn errors_come_by_confidence_and_all_right_is_said() {
    let mut f = Fixture::full();
    let row = |id: &str, label: &str, p: f64| json!({"id": id, "label": label, "prediction": "positive", "probabilities": [1.0 - p, p], "input": id});
    f.predictions = vec![
        row("little", "negative", 0.6),
        row("right", "positive", 0.99),
        row("much", "negative", 0.9),
    ];
    let text = page(&f.run());
    let at = |id: &str| text.find(&format!(">{id}</blockquote>"));
    assert!(at("much") < at("little") && at("much").is_some());
    assert_eq!(at("right"), None);
    f.predictions = vec![row("right", "positive", 0.99)];
    assert!(page(&f.run()).contains("None of 1 test row is wrong."));
}

#[test]
fn many_classes_are_a_picture_and_a_list_of_pairs() {
    let text = page(&Fixture::hundred().run());
    assert!(text.contains("Confusion matrix of 100 classes"));
    assert!(text.contains("Mixed up most"));
    assert!(!text.contains("class=\"confusion\""));
    assert!(text.len() < 1_000_000, "{}", text.len());
}

#[test]
fn phases_follow_each_other_on_one_axis() {
    let mut f = Fixture::full();
    let line =
        |phase: &str, step: u64| json!({"phase": phase, "step": step, "loss": 1.0 / step as f64});
    f.metrics = [("head", 1), ("head", 50), ("all", 1), ("all", 100)]
        .map(|(p, s)| line(p, s))
        .into();
    let text = page(&f.run());
    assert!(text.contains(">head</text>") && text.contains(">all</text>"));
    assert!(text.contains("at step 150"), "the last step of both");
}

#[test]
fn an_adaptation_that_diverged_is_said_beside_its_weights() {
    let mut f = Fixture::adapted();
    assert!(!page(&f.run()).contains("diverged"));
    f.result["selection"] = json!({
        "by": "auto", "epoch": 2, "oracle": false, "without_labels": "signs of collapse", "diverged": "the loss is NaN at step 74",
    });
    let text = page(&f.run());
    assert!(text.contains("<strong>The adaptation diverged: the loss is NaN at step 74.</strong>"));
}

#[test]
fn intervals_are_called_by_their_level_and_folds_by_their_test() {
    let mut f = Fixture::full();
    assert!(page(&f.run()).contains("exact McNemar p ="));
    f.result["metrics"]["test"]["level"] = json!(0.8);
    f.result["folds"] = json!({"k": 5});
    let text = page(&f.run());
    assert!(!text.contains("95 % interval"), "{text}");
    for wanted in [
        "80 % interval",
        "with 80 % intervals",
        "corrected resampled t over 5 folds, p =",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
    assert!(!text.contains("McNemar") && !text.contains("row by row"));
    assert!(!text.contains(">level<"), "it is no score");
}

#[test]
fn what_the_discriminator_says_is_in_the_curves() {
    let mut f = Fixture::adapted();
    f.result["selection"] =
        json!({"by": "auto", "epoch": 2, "oracle": false, "without_labels": "no sign of harm"});
    f.metrics = (1..=3)
        .map(|e| {
            json!({
                "phase": "dann", "epoch": e, "step": 10 * e, "task": 0.4, "domain": 0.7, "discriminator_accuracy": 0.5 + f64::from(e) / 10.0,
                "reversal": f64::from(e) / 4.0, "source_accuracy": 0.9, "source_loss": 0.3, "effective_classes": 7.5, "score_auto": 0.4,
            })
        })
        .collect();
    let text = page(&f.run());
    for wanted in [
        "<h3>Adversary</h3>",
        "accuracy: 0.60 at step 10, 0.80 at step 30",
        "reversal coefficient: 0.25 at step 10, 0.75 at step 30",
        "<h3>Terms of the loss</h3>",
        "domain: 0.70 at step 10",
        "task: 0.40 at step 10",
        "Score without labels: auto",
        "accuracy on the source: 0.90",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
    assert!(!text.contains("effective_classes: "));
}

/// Where labels of the target decide, the curve is of these, and is called so.
#[test]
fn an_adaptation_that_labels_chose_shows_the_score_that_they_gave() {
    let mut f = Fixture::adapted();
    f.result["selection"] = json!({"by": "target-validation", "epoch": 2, "oracle": false});
    f.metrics = (1..=3)
        .map(|e| {
            json!({
                "phase": "dann", "epoch": e, "step": 10 * e, "task": 0.4, "domain": 0.7, "source_accuracy": 0.9,
                "target_accuracy": 0.5 + f64::from(e) / 10.0,
            })
        })
        .collect();
    let text = page(&f.run());
    assert!(text.contains("Score with labels of the target: target-validation"));
    assert!(!text.contains("Score without labels"));
    assert!(text.contains("accuracy: 0.60 at step 10, 0.80 at step 30"));
    // The accuracy on the source stays at 90 %, and no axis goes beyond all of the rows.
    assert!(text.contains(">90 %</text>") && !text.contains(">150 %</text>"));
}

#[test]
fn an_adaptation_has_a_picture_of_both_domains() {
    let text = page(&Fixture::adapted().run());
    assert!(parts(&text).contains(&"embedding"));
    for wanted in [
        "Before",
        "After",
        "300 rows of books and 240 of",
        "55.0 % of the spread",
        "The means are 2.00 apart",
        "The means are 0.13 apart",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
    // One mark a row, and names are text.
    let marks = |id: &str| {
        let marked = format!("marker-start=\"url(#{id})\"");
        let line = text
            .split("<polyline points=\"")
            .find(|l| l.contains(&marked));
        let points = line.and_then(|l| l.split('"').next());
        points.expect("points").split(' ').count()
    };
    assert_eq!(
        (marks("embedding-before-s"), marks("embedding-after-t")),
        (300, 240)
    );
    assert!(!text.contains("<script>document.title"));
    // A run that was gone on with has no picture of what was not kept.
    let mut half = Fixture::adapted();
    half.embedding["after"] = Value::Null;
    let text = page(&half.run());
    assert!(text.contains("its picture is not there") && !text.contains("embedding-after"));
}

/// What one may give to `predict` depends on what the model reads.
#[test]
fn the_command_to_predict_names_what_the_model_reads() {
    let fixture = Fixture::full();
    let model = fixture.path().join("model");
    std::fs::create_dir(&model).expect("a folder");
    for (form, given) in [
        ("text", "texts.txt"),
        ("images", "photographs/"),
        ("features", "rows.csv"),
    ] {
        let card = json!({"rows": {"form": form}});
        std::fs::write(model.join("tlkit.json"), card.to_string()).expect("a file");
        let text = page(&fixture.run());
        let command = format!("tlkit predict {} {given}", fixture.path().display());
        assert!(text.contains(&command), "{form}");
    }
}

/// Folds need not be of one size, and leave no weights of a last epoch.
#[test]
fn a_cross_validation_is_spoken_of_as_one() {
    let mut fixture = Fixture::full();
    fixture.result["folds"] = json!({ "k": 3, "pooled": ["macro_f1"], "metrics": {} });
    fixture.result["selection"] = json!({ "by": "last", "epoch": null });
    let text = page(&fixture.run());
    assert!(text.contains(", the mean of 3 folds (300 rows)"), "{text}");
    assert!(!text.contains("of the last epoch"));
    assert!(text.contains("macro F1: of all rows together"));
}

#[test]
fn a_model_that_answers_nothing_shows_no_command_that_does() {
    let mut fixture = Fixture::full();
    fixture.result["model"]["reloads"] = json!(false);
    fixture.result["model"]["reloads_why"] = json!("the probe answers otherwise");
    let text = page(&fixture.run());
    assert!(!text.contains("tlkit predict "));
    assert!(text.contains("the probe answers otherwise"));
}

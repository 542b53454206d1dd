//! The embedded reviews are what their page says: sizes, balance, no near-duplicates across splits.

use std::collections::BTreeSet;
use std::path::Path;

type Row = (String, String);

fn rows(domain: &str, split: &str) -> Vec<Row> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/reviews/{domain}/{split}.tsv"));
    let text = std::fs::read_to_string(path).expect("a table");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("text\tlabel"));
    let cut = |l: &str| {
        l.split_once('\t')
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .expect("two fields")
    };
    lines.map(cut).collect()
}

fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '\'' {
                c
            } else {
                ' '
            }
        })
        .collect();
    plain.split_whitespace().map(str::to_string).collect()
}

/// Runs of seven words; the whole text where it is shorter.
fn runs(text: &str) -> BTreeSet<Vec<String>> {
    let words = words(text);
    words
        .windows(7.min(words.len().max(1)))
        .map(<[String]>::to_vec)
        .collect()
}

#[test]
fn sizes_and_balance() {
    for domain in ["films", "kitchen"] {
        for (split, n) in [("train", 300), ("validation", 100), ("test", 300)] {
            let rows = rows(domain, split);
            assert_eq!(rows.len(), n, "{domain} {split}");
            for label in ["positive", "negative"] {
                assert_eq!(
                    rows.iter().filter(|r| r.1 == label).count(),
                    n / 2,
                    "{domain} {split} {label}"
                );
            }
        }
    }
}

#[test]
fn no_review_stands_in_two_splits_or_nearly() {
    let mut seen: Vec<(&str, &str, String, BTreeSet<Vec<String>>, BTreeSet<String>)> = Vec::new();
    for domain in ["films", "kitchen"] {
        for split in ["train", "validation", "test"] {
            for (text, _) in rows(domain, split) {
                let (runs, set) = (
                    runs(&text),
                    words(&text).into_iter().collect::<BTreeSet<_>>(),
                );
                for (d, s, other, other_runs, other_set) in &seen {
                    if (*d, *s) == (domain, split) {
                        continue;
                    }
                    assert!(
                        runs.is_disjoint(other_runs),
                        "{domain} {split}: {text}\n{d} {s}: {other}"
                    );
                    let shared = set.intersection(other_set).count() as f64;
                    let all = set.union(other_set).count() as f64;
                    assert!(
                        shared / all < 0.6,
                        "{domain} {split}: {text}\n{d} {s}: {other}"
                    );
                }
                seen.push((domain, split, text, runs, set));
            }
        }
    }
}

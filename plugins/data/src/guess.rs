//! What the columns of an unknown file are for: for `tlkit init`. Every guess comes with its reason, for a person to judge.
//!
//! The label is a column of few different, short values; the text is the one with the most words; names that people use for
//! either count first. A column of images, or of paths of them, is the image. Columns that are numbers throughout, with no text among the others, are a feature
//! vector: a word that many rows share is a category and no text.

use std::collections::BTreeSet;

use tlkit_core::{Error, Result};

use crate::column::CLASSES;
pub use crate::column::{ColumnFacts, facts};
pub use crate::header::headless;
use crate::names::{CALLED, LABELS, TEXTS};

const PAIRS: [(&str, &str); 10] = [
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("text", "text_pair"),
];

/// What rows are.
#[derive(Clone, Debug, PartialEq)]
pub enum Guess {
    /// Texts, or pairs of them, and a label; indices of columns.
    Text {
        /// The text.
        text: usize,
        /// The second text.
        pair: Option<usize>,
        /// The label.
        label: usize,
    },
    /// Images, or paths of them.
    Image {
        /// The image.
        image: usize,
        /// The label.
        label: usize,
    },
    /// A vector of the columns of numbers but the label.
    Vector {
        /// The label.
        label: usize,
        /// What else is no part of it: categories in words, numbers that are missing in some rows.
        without: Vec<usize>,
    },
}

/// A guess, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Guessed {
    /// What rows are.
    pub guess: Guess,
    /// Every column.
    pub columns: Vec<ColumnFacts>,
    /// Role, column, reason: a line each.
    pub reasons: Vec<[String; 3]>,
}

/// Guesses what the columns are for.
///
/// # Errors
/// No column can be the label, or none the text: the error lists what there is.
pub fn guess(columns: Vec<ColumnFacts>, rows: usize) -> Result<Guessed> {
    // Bytes before paths: in a file of the hub the paths lead nowhere.
    let image = (0..columns.len())
        .filter(|&c| columns[c].pictures)
        .min_by_key(|&c| !columns[c].bytes);
    let named = |list: &[&str], fact: &ColumnFacts| {
        let name = fact.name.trim().to_lowercase();
        list.iter().position(|n| *n == name)
    };
    // A column that is called the label may have more classes than one that is taken for it by its values.
    let called = |f: &ColumnFacts| named(&LABELS[..CALLED], f).is_some();
    let could_be_label = |f: &ColumnFacts| {
        !f.vector
            && !f.pictures
            && f.distinct >= 2
            && (f.distinct <= CLASSES || called(f))
            && f.words <= 4.0
            && (f.distinct * 2 <= rows || rows < 8)
    };
    let candidates: Vec<usize> = (0..columns.len())
        .filter(|&c| could_be_label(&columns[c]))
        .collect();
    let by_name = candidates
        .iter()
        .filter_map(|&c| Some((named(&LABELS, &columns[c])?, c)))
        .min();
    let has_vector = columns.iter().any(|f| f.vector);
    // A measurement that takes few values is no label because of it: numbers that are not whole come last.
    let whole = |c: usize| {
        let values = &columns[c].values;
        values
            .iter()
            .all(|(v, _)| v.parse::<f64>().map_or(true, |x| x.fract() == 0.0))
    };
    let fewest = candidates
        .iter()
        .map(|&c| (!whole(c), columns[c].distinct, std::cmp::Reverse(c), c))
        .min();
    let (label, why) = match (by_name, fewest) {
        (Some((_, c)), _) => (c, "its name, and "),
        (None, Some((.., c))) => (c, "the fewest different values: "),
        (None, None) => return Err(Error::msg(no_label(&columns))),
    };
    let mut reasons = vec![[
        "label".to_string(),
        columns[label].name.clone(),
        format!("{why}{}", shares(&columns[label])),
    ]];
    if let Some(image) = image {
        let what = match columns[image].bytes {
            true => "it holds images",
            false => "it holds paths of images",
        };
        reasons.push(["image".into(), columns[image].name.clone(), what.into()]);
        return Ok(Guessed {
            guess: Guess::Image { image, label },
            columns,
            reasons,
        });
    }
    let rest: Vec<usize> = (0..columns.len()).filter(|&c| c != label).collect();
    let at = |name: &str| {
        rest.iter()
            .copied()
            .find(|&c| columns[c].name.trim().to_lowercase() == name)
    };
    let pair = PAIRS
        .iter()
        .find_map(|(a, b)| Some((at(a)?, at(b)?)))
        .filter(|&(a, b)| columns[a].words >= 1.5 && columns[b].words >= 1.5);
    if let Some((text, second)) = pair {
        let words = |c: usize| format!("{:.0} words on average", columns[c].words);
        reasons.push([
            "text".into(),
            columns[text].name.clone(),
            format!("the first of a pair by its name; {}", words(text)),
        ]);
        reasons.push([
            "pair".into(),
            columns[second].name.clone(),
            format!("the second; {}", words(second)),
        ]);
        let guess = Guess::Text {
            text,
            pair: Some(second),
            label,
        };
        return Ok(Guessed {
            guess,
            columns,
            reasons,
        });
    }
    let numeric = |c: usize| columns[c].vector || columns[c].numbers == 1.0;
    let measured = rest.iter().any(|&c| numeric(c));
    // Beside numbers a short word that comes again and again is a category; alone it may be all the text there is.
    let category = |c: usize| {
        let shared = rows >= 8 && columns[c].distinct * 2 <= rows && columns[c].words < 2.0;
        measured && (shared || columns[c].codes > 0.9)
    };
    let wordy: Vec<usize> = rest
        .iter()
        .copied()
        .filter(|&c| !columns[c].vector && columns[c].numbers < 0.5 && columns[c].distinct > 1)
        .filter(|&c| !category(c))
        .collect();
    let by_name = wordy
        .iter()
        .filter(|&&c| columns[c].words >= 1.5)
        .filter_map(|&c| Some((named(&TEXTS, &columns[c])?, c)))
        .min();
    let longest = wordy.iter().copied().max_by(|&a, &b| {
        let longer = columns[a].words.total_cmp(&columns[b].words);
        longer.then_with(|| b.cmp(&a))
    });
    let text = match (by_name, longest) {
        (Some((_, c)), _) => Some((c, "its name, and ")),
        (None, Some(c)) => Some((c, "the longest texts: ")),
        (None, None) => None,
    };
    if let Some((text, why)) = text {
        let fact = &columns[text];
        reasons.push([
            "text".into(),
            fact.name.clone(),
            format!("{why}{:.0} words on average", fact.words),
        ]);
        let guess = Guess::Text {
            text,
            pair: None,
            label,
        };
        return Ok(Guessed {
            guess,
            columns,
            reasons,
        });
    }
    if has_vector || measured {
        let without: Vec<usize> = match has_vector {
            true => Vec::new(),
            false => rest.iter().copied().filter(|&c| !numeric(c)).collect(),
        };
        let what = match (has_vector, without.len()) {
            (true, _) => "the file holds vectors".to_string(),
            (_, 0) => format!("all {} other columns are numbers", rest.len()),
            (_, n) if rest.len() - n == 1 => "one column is numbers".to_string(),
            (_, n) => format!("{} columns are numbers", rest.len() - n),
        };
        reasons.push(["features".into(), String::new(), what]);
        for &c in &without {
            reasons.push([
                "left out".into(),
                columns[c].name.clone(),
                left_out(&columns[c]),
            ]);
        }
        let guess = Guess::Vector { label, without };
        return Ok(Guessed {
            guess,
            columns,
            reasons,
        });
    }
    Err(Error::msg(format!(
        "no column looks like a text, and not all others are numbers:{}",
        listed(&columns)
    )))
}

/// Why a column is no part of a vector, and what would make it one.
fn left_out(fact: &ColumnFacts) -> String {
    match fact.numbers >= 0.5 {
        true => format!(
            "{:.0} % of its values are numbers; with one in every row it would count",
            100.0 * fact.numbers
        ),
        false if fact.distinct > CLASSES || fact.codes > 0.9 => {
            format!("{} different values that are no numbers", fact.distinct)
        }
        false => format!(
            "{} different values in words; a column of 0 and 1 for each would count",
            fact.distinct
        ),
    }
}

fn no_label(columns: &[ColumnFacts]) -> String {
    let all = columns.iter().map(|f| f.distinct).collect::<BTreeSet<_>>();
    let hint = match all.iter().all(|&n| n <= 1) {
        true => "every row has the same",
        false => {
            "a label has 2 to 100 different values of a few words, and most of them more than once"
        }
    };
    format!("no column looks like a label ({hint}):{}", listed(columns))
}

/// Every column in a line.
fn listed(columns: &[ColumnFacts]) -> String {
    let line = |f: &ColumnFacts| match (f.vector, f.bytes) {
        (true, _) => format!("\n  `{}`  vectors", f.name),
        (_, true) => format!("\n  `{}`  images", f.name),
        _ => format!(
            "\n  `{}`  {} different {}, {:.1} words on average, {:.0} % numbers",
            f.name,
            f.distinct,
            if f.distinct == 1 { "value" } else { "values" },
            f.words,
            100.0 * f.numbers
        ),
    };
    columns.iter().map(line).collect()
}

/// `2 different values: negative 150, positive 150`.
fn shares(fact: &ColumnFacts) -> String {
    let shown: Vec<String> = fact
        .values
        .iter()
        .take(6)
        .map(|(v, n)| format!("{v} {n}"))
        .collect();
    let more = if fact.distinct > 6 { ", ..." } else { "" };
    format!(
        "{} different values: {}{more}",
        fact.distinct,
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlkit_core::data::{Blob, ReadOptions, Reader};

    fn of(name: &str, text: &'static str, header: bool) -> Result<(Guessed, Vec<ColumnFacts>)> {
        let options = ReadOptions {
            header,
            ..ReadOptions::default()
        };
        let blob = Blob::Embedded(text.as_bytes());
        let table = match name.ends_with("svm") {
            true => crate::SvmLight.open(name, &blob, &options)?,
            false => crate::Csv.open(name, &blob, &options)?,
        };
        let facts = facts(table.as_ref())?;
        Ok((guess(facts.clone(), table.rows())?, facts))
    }

    #[test]
    fn texts_and_labels_are_found_by_name_and_by_shape() -> Result<()> {
        let (g, facts) = of(
            "a.csv",
            "id,stars,body\n1,5,a very good one\n2,1,a very bad one\n3,5,good all over\n4,1,bad all over\n",
            true,
        )?;
        assert_eq!(
            g.guess,
            Guess::Text {
                text: 2,
                pair: None,
                label: 1
            }
        );
        assert_eq!(headless(&facts), None);
        assert_eq!(
            g.reasons[0][2],
            "its name, and 2 different values: 1 2, 5 2"
        );
        let (g, _) = of(
            "a.csv",
            "what,who\nhis very long words,ann\nher longer words here,bob\nmore words of his,ann\nand of hers,bob\n",
            true,
        )?;
        assert_eq!(
            g.guess,
            Guess::Text {
                text: 0,
                pair: None,
                label: 1
            }
        );
        Ok(())
    }

    #[test]
    fn pairs_and_vectors() -> Result<()> {
        let (g, _) = of(
            "a.csv",
            "premise,hypothesis,label\na dog runs,an animal runs,yes\na dog runs,a cat sits,no\na man eats,a person eats,yes\na man eats,nobody is here,no\n",
            true,
        )?;
        assert_eq!(
            g.guess,
            Guess::Text {
                text: 0,
                pair: Some(1),
                label: 2
            }
        );
        let (g, _) = of(
            "a.csv",
            "a,b,kind\n0.5,1,x\n0.25,3,y\n0.125,4,x\n0.75,5,y\n",
            true,
        )?;
        assert_eq!(
            g.guess,
            Guess::Vector {
                label: 2,
                without: Vec::new()
            }
        );
        let (g, _) = of("a.svm", "1 1:0.5\n2 2:0.5\n1 1:0.25\n2 2:0.75\n", true)?;
        assert_eq!(
            g.guess,
            Guess::Vector {
                label: 0,
                without: Vec::new()
            }
        );
        Ok(())
    }

    #[test]
    fn what_has_no_label_is_said_with_its_columns() {
        let text = "id,text\n1,one row of words\n2,another row of words\n3,a third row\n4,and a fourth\n5,and a fifth\n6,sixth\n7,seventh\n8,eighth\n";
        let said = of("a.csv", text, true).unwrap_err().to_string();
        assert!(
            said.contains("no column looks like a label") && said.contains("`text`  8 different"),
            "{said}"
        );
    }

    /// Categories are no texts, and a number that is missing somewhere is no part of a vector.
    #[test]
    fn a_table_of_categories_is_a_vector_without_them() -> Result<()> {
        let rows = "20,Rome,1,yes,a\n31,Oslo,,no,b\n42,Rome,3,no,a\n53,Oslo,4,yes,b\n\
                    24,Rome,5,yes,a\n35,Oslo,6,no,b\n46,Rome,7,no,a\n57,Oslo,8,yes,b\n";
        let text: &'static str = format!("age,city,income,member,label\n{rows}").leak();
        let (g, _) = of("a.csv", text, true)?;
        let without = vec![1, 2, 3];
        assert_eq!(g.guess, Guess::Vector { label: 4, without });
        let why = |i: usize| format!("{}: {}", g.reasons[i][1], g.reasons[i][2]);
        assert_eq!(why(1), ": one column is numbers");
        assert_eq!(
            why(2),
            "city: 2 different values in words; a column of 0 and 1 for each would count"
        );
        assert_eq!(
            why(3),
            "income: 88 % of its values are numbers; with one in every row it would count"
        );
        // Without a number beside it a word is all there is.
        let rows = "Rome,a\nOslo,b\nRome,a\nOslo,b\n".repeat(3);
        let text: &'static str = format!("city,label\n{rows}").leak();
        let (g, _) = of("a.csv", text, true)?;
        assert!(matches!(g.guess, Guess::Text { text: 0, .. }), "{g:?}");
        Ok(())
    }
}

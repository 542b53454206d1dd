//! Texts to sparse vectors: words and pairs of neighbouring words, weighed by tf-idf (Salton & Buckley 1988).

use std::collections::HashMap;

use tlkit_core::Result;
use tlkit_core::data::{Input, Samples};
use tlkit_core::logistic::Sparse;

/// More terms than these are thinned by leaving out the rarest.
const MOST_TERMS: usize = 500_000;

/// The terms of the training texts, in the order they first occur, and their weights. A term counts `1 + ln n` where it stands n times, times
/// `ln((1 + rows) / (1 + rows with it)) + 1`; each row has length 1. (scikit-learn's `TfidfVectorizer` with `ngram_range=(1, 2)`,
/// `sublinear_tf=True` and `token_pattern=r"\w+"` gives the same.)
pub struct Vocabulary {
    /// Looked up, never iterated over.
    columns: HashMap<String, u32>,
    rarity: Vec<f32>,
}

impl Vocabulary {
    /// The terms of these texts, and the texts as vectors.
    pub fn learn(inputs: &dyn Samples) -> Result<(Self, Sparse)> {
        let mut all: HashMap<String, u32> = HashMap::new();
        let mut rows_with: Vec<u32> = Vec::new();
        let mut last: Vec<u32> = Vec::new();
        let mut order: Vec<String> = Vec::new();
        for row in 0..inputs.len() {
            terms(&inputs.input(row)?, &mut |term| {
                let id = match all.get(term) {
                    Some(&id) => id as usize,
                    None => {
                        let id = order.len();
                        all.insert(term.to_string(), id as u32);
                        order.push(term.to_string());
                        rows_with.push(0);
                        last.push(u32::MAX);
                        id
                    }
                };
                if last[id] != row as u32 {
                    last[id] = row as u32;
                    rows_with[id] += 1;
                }
            });
        }
        let mut least = 1;
        while rows_with.iter().filter(|&&n| n >= least).count() > MOST_TERMS {
            least += 1;
        }
        let n = inputs.len() as f64;
        let mut columns = HashMap::with_capacity(order.len());
        let mut rarity = Vec::new();
        for (term, &with) in order.into_iter().zip(&rows_with) {
            if with >= least {
                columns.insert(term, rarity.len() as u32);
                rarity.push((((1.0 + n) / (1.0 + f64::from(with))).ln() + 1.0) as f32);
            }
        }
        let vocabulary = Vocabulary { columns, rarity };
        let rows = vocabulary.vectors(inputs)?;
        Ok((vocabulary, rows))
    }

    /// How many terms.
    pub fn len(&self) -> usize {
        self.rarity.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Texts as vectors; terms that training did not see are left out.
    pub fn vectors(&self, inputs: &dyn Samples) -> Result<Sparse> {
        // One column at least, so that texts without any word have a width too.
        let mut rows = Sparse::new(self.len().max(1));
        let mut found: Vec<u32> = Vec::new();
        for row in 0..inputs.len() {
            found.clear();
            terms(&inputs.input(row)?, &mut |term| {
                found.extend(self.columns.get(term));
            });
            found.sort_unstable();
            let mut weights: Vec<(u32, f32)> = found
                .chunk_by(|a, b| a == b)
                .map(|same| {
                    let often = 1.0 + (same.len() as f32).ln();
                    (same[0], often * self.rarity[same[0] as usize])
                })
                .collect();
            let length = weights.iter().map(|(_, w)| w * w).sum::<f32>().sqrt();
            weights.iter_mut().for_each(|(_, w)| *w /= length);
            rows.push(weights);
        }
        Ok(rows)
    }
}

/// Words and pairs of neighbours, in lower case. The words of the second text of a pair are told apart from those of the first.
fn terms(input: &Input<'_>, each: &mut dyn FnMut(&str)) {
    let mut of = |text: &str, mark: &str| {
        let text = text.to_lowercase();
        let mut words = text
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|w| !w.is_empty());
        let mut before: Option<&str> = None;
        let mut term = String::new();
        for word in &mut words {
            term.clear();
            term.push_str(mark);
            term.push_str(word);
            each(&term);
            if let Some(before) = before {
                term.clear();
                term.push_str(mark);
                term.push_str(before);
                term.push(' ');
                term.push_str(word);
                each(&term);
            }
            before = Some(word);
        }
    };
    match input {
        Input::Text(text) => of(text, ""),
        Input::Pair(first, second) => {
            of(first, "");
            of(second, "\u{1}");
        }
        Input::Image(_) | Input::Features(_) => {}
    }
}

//! The confusion matrix and the scores of each class.

use maud::{Markup, html};
use serde_json::Value;

use super::{Source, labels, list, scroll};
use crate::number::{percent, score, thousands};
use crate::why::matrix;

/// Up to so many classes stand in a table with a number in each cell; more are drawn as a picture.
const TABLE: usize = 12;
/// Pairs of classes that are mixed up most, in the list.
const PAIRS: usize = 10;

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let metrics = &s.result["metrics"];
    let split = ["test", "validation"]
        .into_iter()
        .find(|split| metrics[split]["confusion"].is_array())?;
    let confusion = matrix(&metrics[split]["confusion"]);
    let labels = labels(s.result);
    if confusion.is_empty() || labels.len() != confusion.len() {
        return None;
    }
    let pairs = pairs(&confusion);
    Some(html! {
        div.beside {
            @if labels.len() <= TABLE { (table(&confusion, &labels, split)) } @else { (picture(&confusion, split)) }
            @if labels.len() > 2 && !pairs.is_empty() { (mixed_up(&pairs, &labels)) }
            @if labels.len() <= TABLE { (classes(&metrics[split]["per_class"])) }
        }
        @if labels.len() > TABLE { (classes(&metrics[split]["per_class"])) }
    })
}

fn table(confusion: &[Vec<u64>], labels: &[&str], split: &str) -> Markup {
    scroll(
        "Confusion matrix",
        html! {
            table.confusion {
                caption { "Rows: what " (split) " rows are. Columns: what the model says. Outlined: right." }
                thead { tr {
                    td {}
                    @for label in labels { th scope="col" { (label) } }
                } }
                tbody { @for (truth, row) in confusion.iter().enumerate() {
                    @let total: u64 = row.iter().sum();
                    tr {
                        th scope="row" { (labels[truth]) }
                        @for (guess, n) in row.iter().enumerate() {
                            @let share = *n as f64 / total.max(1) as f64;
                            td.right[guess == truth] style={ "--share:" (format!("{share:.3}")) } {
                                (thousands(*n)) span.words { (percent(share)) }
                            }
                        }
                    }
                } }
            }
        },
    )
}

/// Many classes: a square a cell that is not zero, darker with its share of the row.
fn picture(confusion: &[Vec<u64>], split: &str) -> Markup {
    let n = confusion.len();
    let right: u64 = (0..n)
        .map(|i| confusion[i].get(i).copied().unwrap_or(0))
        .sum();
    let all: u64 = confusion.iter().flatten().sum();
    html! {
        figure.matrix {
            figcaption { "Rows: what " (split) " rows are. Columns: what the model says. The darker, the larger the share of its row; the line is where both agree." }
            svg viewBox=(format!("-1 -1 {0} {0}", n + 2)) role="img" aria-labelledby="matrix-title matrix-about" {
                title id="matrix-title" { "Confusion matrix of " (n) " classes" }
                desc id="matrix-about" { (right) " of " (all) " rows lie on the diagonal; the pairs that are mixed up most are listed beside." }
                rect.frame x="0" y="0" width=(n) height=(n) {}
                line.diagonal x1="0" y1="0" x2=(n) y2=(n) {}
                @for (truth, row) in confusion.iter().enumerate() {
                    @let total: u64 = row.iter().sum();
                    @for (guess, count) in row.iter().enumerate().filter(|(_, c)| **c > 0) {
                        rect.cell.right[guess == truth] x=(guess) y=(truth) width="1" height="1"
                            fill-opacity=(format!("{:.2}", 0.25 + 0.75 * *count as f64 / total.max(1) as f64)) {}
                    }
                }
            }
        }
    }
}

/// Truth, guess, rows, share of the truth's rows; most rows first.
fn pairs(confusion: &[Vec<u64>]) -> Vec<(usize, usize, u64, f64)> {
    let mut pairs = Vec::new();
    for (truth, row) in confusion.iter().enumerate() {
        let total: u64 = row.iter().sum();
        for (guess, &n) in row.iter().enumerate() {
            if guess != truth && n > 0 {
                pairs.push((truth, guess, n, n as f64 / total as f64));
            }
        }
    }
    pairs.sort_by_key(|p| std::cmp::Reverse(p.2));
    pairs
}

fn mixed_up(pairs: &[(usize, usize, u64, f64)], labels: &[&str]) -> Markup {
    let name = |class: usize| labels.get(class).copied().unwrap_or("?");
    scroll(
        "Classes that are mixed up",
        html! {
            table.numbers {
                caption { "Mixed up most" }
                thead { tr {
                    th scope="col" { "is" } th scope="col" { "predicted" }
                    th.number scope="col" { "rows" } th.number scope="col" { "of its rows" }
                } }
                tbody { @for (truth, guess, n, share) in pairs.iter().take(PAIRS) {
                    tr { th scope="row" { (name(*truth)) } td { (name(*guess)) } td.number { (thousands(*n)) } td.number { (percent(*share)) } }
                } }
            }
        },
    )
}

/// Precision, recall, F1 of each class.
fn classes(per_class: &Value) -> Markup {
    let rows = list(per_class);
    let columns: Vec<&str> = ["precision", "recall", "f1", "auroc"]
        .into_iter()
        .filter(|key| rows.iter().any(|row| row[key].is_number()))
        .collect();
    if columns.is_empty() {
        return html! {};
    }
    let name = |key: &str| match key {
        "f1" => "F1".to_string(),
        "auroc" => "AUROC".to_string(),
        key => key.to_string(),
    };
    let table = scroll(
        "Classes",
        html! {
            table.numbers {
                caption { "Class by class" }
                thead { tr {
                    th scope="col" { "class" } th.number scope="col" { "rows" }
                    @for key in &columns { th.number scope="col" { (name(key)) } }
                } }
                tbody { @for row in rows { tr {
                    th scope="row" { (row["label"].as_str().unwrap_or("?")) }
                    td.number { (row["support"].as_u64().map_or_else(|| "-".into(), thousands)) }
                    @for key in &columns { td.number { (row[key].as_f64().map_or_else(|| "-".into(), score)) } }
                } } }
            }
        },
    );
    html! {
        @if rows.len() > 30 { details { summary { "Class by class (" (rows.len()) ")" } (table) } } @else { (table) }
    }
}

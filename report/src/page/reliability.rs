//! How far the probabilities can be trusted: the reliability diagram, before and after temperature scaling (Guo et al. 2017).

use maud::{Markup, html};
use serde_json::Value;

use super::{Source, list, scroll};
use crate::number::{percent, short, thousands};
use crate::plot::{Look, round, sample};

/// One bin: mean confidence, accuracy, rows.
struct Bin {
    from: f64,
    to: f64,
    n: u64,
    confidence: f64,
    accuracy: f64,
}

fn bins(value: &Value) -> Vec<Bin> {
    let bin = |b: &Value| {
        Some(Bin {
            from: b["from"].as_f64()?,
            to: b["to"].as_f64()?,
            n: b["n"].as_u64().filter(|n| *n > 0)?,
            confidence: b["confidence"].as_f64()?,
            accuracy: b["accuracy"].as_f64()?,
        })
    };
    list(value).iter().filter_map(bin).collect()
}

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let metrics = &s.result["metrics"];
    let split = ["test", "validation"]
        .into_iter()
        .find(|split| metrics[split]["reliability"].is_object())?;
    let scores = &metrics[split];
    let before = bins(&scores["reliability"]["bins"]);
    let after = bins(&scores["reliability"]["calibrated"]);
    if before.is_empty() {
        return None;
    }
    Some(html! {
        (sentence(scores))
        div.beside {
            (diagram(&before, &after, split))
            (table(&before, "As predicted"))
            @if !after.is_empty() { (table(&after, "After temperature scaling")) }
        }
    })
}

fn sentence(scores: &Value) -> Markup {
    let number = |key: &str| scores[key].as_f64();
    html! {
        @if let Some(ece) = number("ece") {
            p {
                "On average, confidence and accuracy are " strong { (percent(ece)) } " apart (ECE " (short(ece)) ")"
                @if let (Some(t), Some(after)) = (number("temperature"), number("ece_calibrated")) {
                    "; divided by a temperature of " (short(t)) ", fitted on validation rows, the logits give " strong { (percent(after)) } " (ECE " (short(after)) ")"
                }
                "."
            }
        }
    }
}

const SIZE: f64 = 380.0;
const LOW: f64 = 46.0;
const HIGH: f64 = 366.0;
const FLOOR: f64 = 334.0;
const CEILING: f64 = 14.0;

fn at(confidence: f64, accuracy: f64) -> (f64, f64) {
    let x = LOW + confidence * (HIGH - LOW);
    let y = FLOOR - accuracy * (FLOOR - CEILING);
    (round(x), round(y))
}

/// Accuracy over confidence; the diagonal is where they are one.
fn diagram(before: &[Bin], after: &[Bin], split: &str) -> Markup {
    let about = |name: &str, bins: &[Bin]| {
        let text: Vec<String> = bins
            .iter()
            .map(|b| {
                format!(
                    "{} sure, {} right",
                    percent(b.confidence),
                    percent(b.accuracy)
                )
            })
            .collect();
        format!("{name}: {}.", text.join("; "))
    };
    let total: u64 = before.iter().map(|b| b.n).sum();
    let corner = (at(0.0, 0.0), at(1.0, 1.0));
    html! {
        figure.chart.square {
            figcaption {
                h3 { "Accuracy over confidence, " (split) " rows" }
                ul.legend {
                    li { (sample(Look::First)) "as predicted" }
                    @if !after.is_empty() { li { (sample(Look::Second)) "after temperature scaling" } }
                    li { span.sample.share aria-hidden="true" {} "share of rows" }
                }
            }
            svg viewBox=(format!("0 0 {SIZE} {SIZE}")) role="img" aria-labelledby="reliability-title reliability-about" {
                title id="reliability-title" { "Reliability diagram" }
                desc id="reliability-about" {
                    (about("As predicted", before))
                    @if !after.is_empty() { " " (about("After temperature scaling", after)) }
                }
                @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    @let (x, y) = at(tick, tick);
                    line.grid x1=(LOW) x2=(HIGH) y1=(y) y2=(y) {}
                    text.tick x=(LOW - 7.0) y=(y) dy="0.34em" text-anchor="end" { (format!("{:.0}", tick * 100.0)) }
                    text.tick x=(x) y=(FLOOR + 18.0) text-anchor="middle" { (format!("{:.0}", tick * 100.0)) }
                }
                @for bin in before {
                    @let (x, _) = at(bin.from, 0.0);
                    @let (to, y) = at(bin.to, bin.n as f64 / total.max(1) as f64);
                    rect.share x=(x + 0.5) y=(y) width=(round((to - x - 1.0).max(0.5))) height=(round(FLOOR - y)) {}
                }
                line.diagonal x1=(corner.0.0) y1=(corner.0.1) x2=(corner.1.0) y2=(corner.1.1) {}
                (curve(before, Look::First))
                (curve(after, Look::Second))
                text.name x=((LOW + HIGH) / 2.0) y=(SIZE - 6.0) text-anchor="middle" { "confidence (%)" }
                text.name transform=(format!("translate(11 {}) rotate(-90)", (FLOOR + CEILING) / 2.0)) text-anchor="middle" { "accuracy (%)" }
            }
        }
    }
}

fn curve(bins: &[Bin], look: Look) -> Markup {
    let points: Vec<(f64, f64)> = bins.iter().map(|b| at(b.confidence, b.accuracy)).collect();
    crate::plot::path(&points, look)
}

fn table(bins: &[Bin], caption: &str) -> Markup {
    scroll(
        caption,
        html! {
            table.numbers.small {
                caption { (caption) }
                thead { tr {
                    th scope="col" { "bin" } th.number scope="col" { "rows" }
                    th.number scope="col" { "confidence" } th.number scope="col" { "accuracy" }
                } }
                tbody { @for b in bins { tr {
                    th scope="row" { (format!("{:.0} to {:.0} %", b.from * 100.0, b.to * 100.0)) }
                    td.number { (thousands(b.n)) } td.number { (percent(b.confidence)) } td.number { (percent(b.accuracy)) }
                } } }
            }
        },
    )
}

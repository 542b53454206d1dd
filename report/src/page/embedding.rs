//! Where source and target rows lie, before the adaptation and after it: the first two principal components, from `embedding.json`.

use maud::{Markup, html};
use serde_json::Value;

use super::{Source, list};
use crate::number::percent;
use crate::plot::round;

/// A panel's side.
const SIZE: f64 = 380.0;
/// Around the points.
const MARGIN: f64 = 14.0;

/// One moment: both domains' points, and what the two axes show.
struct Panel {
    title: &'static str,
    source: Vec<(f64, f64)>,
    target: Vec<(f64, f64)>,
    explained: f64,
    distance: Option<f64>,
}

fn points(value: &Value) -> Vec<(f64, f64)> {
    let point = |p: &Value| Some((p[0].as_f64()?, p[1].as_f64()?));
    list(value).iter().filter_map(point).collect()
}

fn panel(title: &'static str, value: &Value) -> Option<Panel> {
    let (source, target) = (points(&value["source"]), points(&value["target"]));
    (!source.is_empty() && !target.is_empty()).then(|| Panel {
        title,
        source,
        target,
        explained: list(&value["explained"])
            .iter()
            .filter_map(Value::as_f64)
            .sum(),
        distance: value["distance"].as_f64(),
    })
}

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let text = std::fs::read_to_string(s.run.path.join("embedding.json")).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let panels: Vec<Panel> = [("Before", "before"), ("After", "after")]
        .into_iter()
        .filter_map(|(title, key)| panel(title, &value[key]))
        .collect();
    if panels.is_empty() {
        return None;
    }
    let name = |key: &str| value["names"][key].as_str().unwrap_or(key).to_string();
    let (source, target) = (name("source"), name("target"));
    let missing = value["after"].is_null();
    Some(html! {
        p {
            "The features of rows of " (source) " and of " (target) " along the two directions in which both together spread most; "
            "each picture has directions of its own. What lies apart here is apart; what lies together here need not be in the other directions."
            @if missing { " The run was stopped and gone on with after the adaptation, so its picture is not there." }
        }
        ul.legend {
            li { (mark("e-source", &circle(7.0, 6.0))) (source) " (source)" }
            li { (mark("e-target", &diamond(7.0, 6.0))) (target) " (target)" }
        }
        div.beside { @for p in &panels { (picture(p, &source, &target)) } }
    })
}

fn mark(class: &str, path: &str) -> Markup {
    html! { svg.sample viewBox="0 0 14 12" aria-hidden="true" { path class=(class) d=(path) {} } }
}

fn circle(x: f64, y: f64) -> String {
    format!(
        "M{} {}a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0",
        round(x - 2.6),
        round(y)
    )
}

fn diamond(x: f64, y: f64) -> String {
    format!(
        "M{} {}l3.4 3.4l-3.4 3.4l-3.4 -3.4z",
        round(x),
        round(y - 3.4)
    )
}

fn picture(p: &Panel, source: &str, target: &str) -> Markup {
    let all = || p.source.iter().chain(&p.target);
    let ends = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let low = all().map(of).fold(f64::INFINITY, f64::min);
        let high = all().map(of).fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    };
    let ((left, right), (low, high)) = (ends(&|p| p.0), ends(&|p| p.1));
    // One scale for both axes: distances mean something.
    let span = (right - left).max(high - low).max(1e-12);
    let (middle_x, middle_y) = ((left + right) / 2.0, (low + high) / 2.0);
    let place = |&(x, y): &(f64, f64)| {
        let to = |v: f64| (SIZE - 2.0 * MARGIN) * v / span;
        (SIZE / 2.0 + to(x - middle_x), SIZE / 2.0 - to(y - middle_y))
    };
    let path = |points: &[(f64, f64)], mark: fn(f64, f64) -> String| -> String {
        points.iter().map(place).map(|(x, y)| mark(x, y)).collect()
    };
    let id = format!("embedding-{}", p.title.to_lowercase());
    let apart = p
        .distance
        .map(|d| format!("The means are {d:.2} apart, in units of the spread within the domains."));
    html! {
        figure.chart.square {
            figcaption { h3 { (p.title) } span.faint { (percent(p.explained)) " of the spread" } }
            svg viewBox=(format!("0 0 {SIZE} {SIZE}")) role="img" aria-labelledby=(format!("{id}-title {id}-about")) {
                title id=(format!("{id}-title")) { (p.title) }
                desc id=(format!("{id}-about")) {
                    (p.source.len()) " rows of " (source) " and " (p.target.len()) " of " (target) ". " (apart.clone().unwrap_or_default())
                }
                rect.frame x="0.5" y="0.5" width=(SIZE - 1.0) height=(SIZE - 1.0) {}
                path.e-source d=(path(&p.source, circle)) {}
                path.e-target d=(path(&p.target, diamond)) {}
            }
            @if let Some(words) = apart { p.small { (words) } }
        }
    }
}

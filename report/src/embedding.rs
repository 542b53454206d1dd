//! `embedding.json`: where source and target rows lie, before an adaptation and after it, along their first two principal components.

use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use crate::number::percent;
use crate::plot::round;

/// A panel's side.
const SIZE: f64 = 380.0;
/// Around the points.
const MARGIN: f64 = 14.0;

/// Both moments of a run.
pub struct Embedding {
    /// Names of source and target.
    pub names: [String; 2],
    /// Of the model that the adaptation began with.
    pub before: Option<Panel>,
    /// Of the model that was kept; none where the run went on after the adaptation and could not say.
    pub after: Option<Panel>,
}

/// One moment: both domains' points, and what the two axes show.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    source: Vec<(f64, f64)>,
    target: Vec<(f64, f64)>,
    explained: f64,
    distance: Option<f64>,
}

impl Embedding {
    /// Of a run directory; none where it has none.
    pub fn read(run: &Path) -> Option<Embedding> {
        let text = std::fs::read_to_string(run.join("embedding.json")).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        let name = |key: &str| value["names"][key].as_str().unwrap_or(key).to_string();
        let found = Embedding {
            names: [name("source"), name("target")],
            before: panel(&value["before"]),
            after: panel(&value["after"]),
        };
        (found.before.is_some() || found.after.is_some()).then_some(found)
    }
}

fn panel(value: &Value) -> Option<Panel> {
    let numbers = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let points = |key: &str| -> Vec<(f64, f64)> {
        let all = numbers(&value[key]);
        let point = |p: &Value| Some((p[0].as_f64()?, p[1].as_f64()?));
        all.iter().filter_map(point).collect()
    };
    let (source, target) = (points("source"), points("target"));
    (!source.is_empty() && !target.is_empty()).then(|| Panel {
        source,
        target,
        explained: numbers(&value["explained"])
            .iter()
            .filter_map(Value::as_f64)
            .sum(),
        distance: value["distance"].as_f64(),
    })
}

/// Which mark is which domain.
pub fn legend([source, target]: &[String; 2]) -> Markup {
    let sample =
        |mark: Markup| html! { svg.sample viewBox="-7 -6 14 12" aria-hidden="true" { (mark) } };
    html! {
        ul.legend {
            li { (sample(circle())) (source) " (source)" }
            li { (sample(diamond())) (target) " (target)" }
        }
    }
}

fn circle() -> Markup {
    html! { circle.e-source r="2.6" {} }
}

fn diamond() -> Markup {
    html! { path.e-target d="M0 -3.4L3.4 0L0 3.4L-3.4 0z" {} }
}

impl Panel {
    /// The figure under a title; `id` must be one of its own on the page.
    pub fn draw(&self, id: &str, title: &str, [source, target]: &[String; 2]) -> Markup {
        let all = || self.source.iter().chain(&self.target);
        let ends = |of: &dyn Fn(&(f64, f64)) -> f64| {
            let low = all().map(of).fold(f64::INFINITY, f64::min);
            let high = all().map(of).fold(f64::NEG_INFINITY, f64::max);
            (low, high)
        };
        let ((left, right), (low, high)) = (ends(&|p| p.0), ends(&|p| p.1));
        // One scale for both axes: distances mean something.
        let span = (right - left).max(high - low).max(1e-12);
        let (middle_x, middle_y) = ((left + right) / 2.0, (low + high) / 2.0);
        let to = |v: f64| (SIZE - 2.0 * MARGIN) * v / span;
        let places = |points: &[(f64, f64)]| -> String {
            let place = |&(x, y): &(f64, f64)| {
                let (x, y) = (SIZE / 2.0 + to(x - middle_x), SIZE / 2.0 - to(y - middle_y));
                format!("{},{}", round(x), round(y))
            };
            points.iter().map(place).collect::<Vec<_>>().join(" ")
        };
        let apart = self.distance.map(|d| {
            format!("The means are {d:.2} apart, in units of the spread within the domains.")
        });
        // Every vertex of a line that is not drawn has a mark: a few bytes a point.
        let marker = |id: &str, mark: Markup| {
            html! {
                marker id=(id) viewBox="-4 -4 8 8" markerUnits="userSpaceOnUse" markerWidth="8" markerHeight="8" { (mark) }
            }
        };
        let marked = |id: &str, points: &[(f64, f64)]| {
            let url = format!("url(#{id})");
            html! {
                polyline points=(places(points)) fill="none" marker-start=(url) marker-mid=(url) marker-end=(url) {}
            }
        };
        let (s, t) = (format!("{id}-s"), format!("{id}-t"));
        html! {
            figure.chart.square {
                figcaption { h3 { (title) } span.faint { (percent(self.explained)) " of the spread" } }
                svg viewBox=(format!("0 0 {SIZE} {SIZE}")) role="img" aria-labelledby=(format!("{id}-title {id}-about")) {
                    title id=(format!("{id}-title")) { (title) }
                    desc id=(format!("{id}-about")) {
                        (self.source.len()) " rows of " (source) " and " (self.target.len()) " of " (target) ". " (apart.clone().unwrap_or_default())
                    }
                    defs { (marker(&s, circle())) (marker(&t, diamond())) }
                    rect.frame x="0.5" y="0.5" width=(SIZE - 1.0) height=(SIZE - 1.0) {}
                    (marked(&s, &self.source))
                    (marked(&t, &self.target))
                }
                @if let Some(words) = apart { p.small { (words) } }
            }
        }
    }
}

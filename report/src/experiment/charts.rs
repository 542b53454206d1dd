//! Pictures of a comparison, as SVG: a forest plot of differences, curves over what varies, a heat map of pairs.

use maud::{Markup, html};

use super::compare::{Comparison, Row};
use super::difference::Difference;
use super::notes::{points, signed};

/// The width of a picture, in its own units.
const WIDTH: f64 = 620.0;
/// Colours that the style sheet has.
const LOOKS: usize = 6;

/// A forest plot: differences with their intervals, a row each, on one scale.
pub(super) fn forest(c: &Comparison) -> Option<Markup> {
    let rows: Vec<(&Row, &Difference, (f64, f64))> = c
        .rows
        .iter()
        .filter_map(|r| {
            let d = r.difference.as_ref()?;
            Some((r, d, d.interval?))
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let low = rows.iter().map(|r| r.2.0).fold(0.0, f64::min);
    let high = rows.iter().map(|r| r.2.1).fold(c.worth, f64::max);
    let ticks = ticks(low, high);
    let (from, to) = (ticks[0].min(low), ticks[ticks.len() - 1].max(high));
    // In hundredths of the width, which the page stretches; lines and dots keep their thickness.
    let x = |v: f64| (1e4 * (v - from) / (to - from).max(1e-9)).round() / 100.0;
    let upright =
        |class: &str, v: f64| html! { line class=(class) x1=(x(v)) x2=(x(v)) y1="0" y2="30" {} };
    Some(html! {
        table.forest {
            thead.unseen { tr {
                th scope="col" { "method" } th scope="col" { "interval" } th scope="col" { "difference" } th scope="col" { "verdict" }
            } }
            tbody {
                @for (row, d, (low, high)) in &rows {
                    tr {
                        th scope="row" { (label(row)) }
                        td.plot {
                            svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true" {
                                @for t in &ticks { (upright("grid", *t)) }
                                (upright("axis", 0.0))
                                (upright("worth", c.worth))
                                line.whisker x1=(x(*low)) x2=(x(*high)) y1="15" y2="15" {}
                                line.point x1=(x(d.mean)) x2=(x(d.mean)) y1="15" y2="15" {}
                            }
                        }
                        td.number { (signed(d.mean)) " [" (signed(*low)) ", " (signed(*high)) "]" }
                        td.word { (d.words) }
                    }
                }
            }
            tfoot { tr {
                td {}
                td.plot aria-hidden="true" {
                    div.scale {
                        @for t in &ticks {
                            span style=(format!("left: {}%", x(*t))) { (tick(*t)) }
                        }
                    }
                }
            } }
        }
        p.small { "Points of " (c.score) " to the reference; the dotted line is what is worth having." }
    })
}

/// The score over the values of the one key that varies, a line a method, with its interval as a band.
pub(super) fn curves(c: &Comparison) -> Option<Markup> {
    let [axis] = c.axis_values.as_slice() else {
        return None;
    };
    if axis.values.len() < 2 {
        return None;
    }
    let mut methods: Vec<&str> = Vec::new();
    for row in c
        .rows
        .iter()
        .filter(|r| r.mean.is_some() && !r.points.is_empty())
    {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    // A point is the mean, and the ends of the interval where there is one.
    let line = |method: &str| -> Vec<(usize, f64, Option<(f64, f64)>)> {
        let mut points: Vec<_> = c
            .rows
            .iter()
            .filter(|r| r.method == method)
            .filter_map(|r| Some((*r.points.first()?, r.mean?, r.interval)))
            .collect();
        points.sort_by_key(|p| p.0);
        points
    };
    let lines: Vec<_> = methods.iter().map(|m| (*m, line(m))).collect();
    let all = || lines.iter().flat_map(|(_, l)| l);
    let low = all()
        .map(|p| p.2.map_or(p.1, |i| i.0))
        .fold(f64::INFINITY, f64::min);
    let high = all()
        .map(|p| p.2.map_or(p.1, |i| i.1))
        .fold(f64::NEG_INFINITY, f64::max);
    if !low.is_finite() || !high.is_finite() {
        return None;
    }
    let ticks = ticks(low, high);
    let (from, to) = (ticks[0].min(low), ticks[ticks.len() - 1].max(high));
    let (left, right, top, floor) = (60.0, 30.0, 14.0, 330.0);
    let count = (axis.values.len() - 1) as f64;
    // Steps of one width: values need not be numbers, and numbers here often double.
    let x = |i: usize| round(left + 20.0 + i as f64 / count * (WIDTH - left - right - 40.0));
    let y = |v: f64| round(floor - (v - from) / (to - from).max(1e-9) * (floor - top));
    let path = |points: &[(f64, f64)]| {
        let steps = points.iter().enumerate();
        let text: Vec<String> = steps
            .map(|(i, (px, py))| format!("{}{px} {py}", if i == 0 { "M" } else { "L" }))
            .collect();
        text.concat()
    };
    let about: Vec<String> = lines
        .iter()
        .map(|(name, l)| {
            let at: Vec<String> = l
                .iter()
                .map(|p| format!("{} at {}", points(p.1), axis.values[p.0]))
                .collect();
            format!("{name}: {}", at.join(", "))
        })
        .collect();
    Some(html! {
        @if lines.len() > 1 {
            ul.legend {
                @for (i, (name, _)) in lines.iter().enumerate() {
                    li {
                        svg viewBox="0 0 34 12" aria-hidden="true" {
                            path.line.(look(i)) d="M1 6H33" {}
                            (mark(i, 17.0, 6.0))
                        }
                        (name)
                    }
                }
            }
        }
        svg viewBox=(format!("0 0 {WIDTH} 380")) role="img" aria-labelledby="curves-title curves-about" {
            title id="curves-title" { (c.score) " over " (axis.key) }
            desc id="curves-about" { (about.join("; ")) }
            @for t in &ticks {
                line.grid x1=(left) x2=(WIDTH - right) y1=(y(*t)) y2=(y(*t)) {}
                text x=(left - 8.0) y=(y(*t)) dy="0.34em" text-anchor="end" { (points(*t).trim_end_matches(".0")) }
            }
            line.axis x1=(left) x2=(WIDTH - right) y1=(floor) y2=(floor) {}
            @for (i, value) in axis.values.iter().enumerate() {
                text x=(x(i)) y=(floor + 20.0) text-anchor="middle" { (value) }
            }
            text x=(WIDTH / 2.0) y="374" text-anchor="middle" { (axis.key) }
            @for (i, (_, l)) in lines.iter().enumerate() {
                @if l.len() > 1 && l.iter().all(|p| p.2.is_some()) {
                    @let up = l.iter().map(|p| (x(p.0), y(p.2.map_or(p.1, |i| i.1))));
                    @let down = l.iter().rev().map(|p| (x(p.0), y(p.2.map_or(p.1, |i| i.0))));
                    path.band.(look(i)) d=(format!("{}Z", path(&up.chain(down).collect::<Vec<_>>()))) {}
                }
            }
            @for (i, (_, l)) in lines.iter().enumerate() {
                path.line.(look(i)) d=(path(&l.iter().map(|p| (x(p.0), y(p.1))).collect::<Vec<_>>())) {}
                @for p in l { (mark(i, x(p.0), y(p.1))) }
            }
        }
    })
}

/// Differences by pair of domains: a row a method, a column a pair.
pub(super) fn pairs(c: &Comparison) -> Option<Markup> {
    let rows: Vec<&Row> = c
        .rows
        .iter()
        .filter(|r| r.pairs.iter().any(|p| p.difference.is_some()))
        .collect();
    let most = rows
        .iter()
        .flat_map(|r| &r.pairs)
        .filter_map(|p| Some(p.difference.as_ref()?.mean.abs()))
        .fold(0.0, f64::max);
    if rows.is_empty() {
        return None;
    }
    Some(html! {
        div.scroll {
            table.heat {
                thead { tr { th { } @for (s, t) in &c.pairs { th scope="col" { (s) " to " (t) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (label(row)) }
                            @for cell in &row.pairs {
                                @match &cell.difference {
                                    Some(d) => {
                                        @let told = d.p_adjusted.is_some_and(|p| p < 1.0 - c.level);
                                        td.up[d.mean > 0.0].down[d.mean < 0.0].told[told]
                                            style=(format!("--share: {:.3}", d.mean.abs() / most.max(1e-9))) {
                                            (signed(d.mean)) @if told { "*" }
                                        }
                                    }
                                    None => td { "-" }
                                }
                            }
                        }
                    }
                }
            }
        }
        p { "Differences to the reference in points; bold with a star: told from 0 after correction over all pairs and methods." }
    })
}

/// `+10`, `0`, `-2.5`.
fn tick(v: f64) -> String {
    match signed(v).trim_end_matches(".0") {
        "+0" => "0".into(),
        other => other.to_string(),
    }
}

/// What a row is called.
fn label(row: &Row) -> String {
    match row.values.as_slice() {
        [] => row.method.clone(),
        values => format!("{} at {}", row.method, values.join(", ")),
    }
}

fn look(i: usize) -> String {
    format!("c{}", i % LOOKS)
}

/// A mark of its own for each line, so that colour is not all that tells them apart.
fn mark(i: usize, x: f64, y: f64) -> Markup {
    let path = match i % 3 {
        0 => format!("M{} {y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", x - 4.0),
        1 => format!("M{x} {}l5 5l-5 5l-5 -5z", y - 5.0),
        _ => format!("M{} {}h8v8h-8z", x - 4.0, y - 4.0),
    };
    html! { path.mark.(look(i)) d=(path) {} }
}

/// Four to eight round values that hold a range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = (high - low).max(0.005);
    let unit = 10f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * unit)
        .find(|s| span / s <= 6.0)
        .unwrap_or(unit * 10.0);
    // What is round already stays where it is.
    let first = (low / step + 1e-9).floor() as i64;
    let last = (high / step - 1e-9).ceil() as i64;
    (first..=last.max(first + 1))
        .map(|k| k as f64 * step)
        .collect()
}

fn round(v: f64) -> f64 {
    (v * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn ticks_are_round_and_hold_the_range() {
        let near = |got: Vec<f64>, want: &[f64]| {
            assert_eq!(got.len(), want.len(), "{got:?}");
            assert!(
                got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-9),
                "{got:?}"
            );
        };
        near(ticks(-0.03, 0.05), &[-0.04, -0.02, 0.0, 0.02, 0.04, 0.06]);
        near(ticks(0.6, 0.83), &[0.6, 0.65, 0.7, 0.75, 0.8, 0.85]);
        assert!(ticks(0.5, 0.5).len() >= 2);
    }
}

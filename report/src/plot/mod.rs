//! Line charts as inline SVG. Every line has a class for its colour and a dash or a mark of its own, so that colour is never the only
//! thing that tells two lines apart.

mod axis;

use maud::{Markup, html};

use axis::Axis;

/// A line of a chart.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// For the legend.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// In the order of x.
    pub points: Vec<(f64, f64)>,
    /// Low and high ends around the line, `(x, low, high)` in the order of x; empty draws none.
    pub band: Vec<(f64, f64, f64)>,
}

/// How a line looks: a class of the style sheet, and what tells it apart without colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Thin and pale, behind the others: single steps.
    Faint,
    /// Solid, round marks.
    First,
    /// Dashed, diamonds.
    Second,
    /// Dotted, squares.
    Third,
    /// Dashed and dotted, triangles.
    Fourth,
    /// Solid, triangles that stand on their tips.
    Fifth,
    /// Dense dots, crosses.
    Sixth,
    /// Solid, no marks.
    #[default]
    Plain,
}

impl Look {
    /// Those of lines that stand beside each other as equals.
    pub const EQUALS: [Look; 6] = [
        Look::First,
        Look::Second,
        Look::Third,
        Look::Fourth,
        Look::Fifth,
        Look::Sixth,
    ];

    /// The class in the style sheet.
    fn class(self) -> &'static str {
        match self {
            Look::Faint => "l-faint",
            Look::First => "l-first",
            Look::Second => "l-second",
            Look::Third => "l-third",
            Look::Fourth => "l-fourth",
            Look::Fifth => "l-fifth",
            Look::Sixth => "l-sixth",
            Look::Plain => "l-plain",
        }
    }

    /// The path of a mark around a point; none for lines without marks.
    fn mark(self, x: f64, y: f64) -> Option<String> {
        let (x, y) = (round(x), round(y));
        Some(match self {
            Look::Faint | Look::Plain => return None,
            Look::First => format!(
                "M{} {y}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0",
                round(x - 3.2)
            ),
            Look::Second => format!("M{x} {}l4.4 4.4l-4.4 4.4l-4.4 -4.4z", round(y - 4.4)),
            Look::Third => format!("M{} {}h6v6h-6z", round(x - 3.0), round(y - 3.0)),
            Look::Fourth => format!("M{x} {}l4 7h-8z", round(y - 4.2)),
            Look::Fifth => format!("M{x} {}l4 -7h-8z", round(y + 4.2)),
            Look::Sixth => format!(
                "M{} {}h3v-3h2v3h3v2h-3v3h-2v-3h-3z",
                round(x - 4.0),
                round(y - 1.0)
            ),
        })
    }
}

/// A chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Its identifier on the page; made of the title where it is empty.
    pub id: String,
    /// What a person who does not see it should know, in a sentence with numbers.
    pub about: String,
    /// Below the x axis.
    pub x: String,
    /// The lines, back to front.
    pub lines: Vec<Line>,
    /// Fixed ends of the y axis; by default what the lines need.
    pub range: Option<(f64, f64)>,
    /// Whether shares are shown, as per cent.
    pub percent: bool,
    /// Places on the x axis with a word: the epoch that was kept, where a phase begins.
    pub places: Vec<(f64, String)>,
    /// In units of the picture; the width is [`WIDTH`].
    pub height: f64,
    /// Whether the names of the lines stand elsewhere, for several charts at once.
    pub named_elsewhere: bool,
}

/// In units of the picture; the page scales it.
pub const WIDTH: f64 = 560.0;
/// Words nearer to each other than this would be written over each other.
const CLOSE: f64 = 110.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;

impl Chart {
    /// The figure: title, legend, picture; nothing where there is nothing to draw.
    pub fn draw(&self) -> Option<Markup> {
        let all = || self.lines.iter().flat_map(|l| &l.points);
        if all().count() == 0 {
            return None;
        }
        let xs = all().map(|p| p.0);
        let (x_low, x_high) = axis::extent(xs.chain(self.places.iter().map(|p| p.0)))?;
        let x = Axis::whole(x_low.min(1.0), x_high, (LEFT, WIDTH - RIGHT), 5);
        let bands = self.lines.iter().flat_map(|l| &l.band);
        let ys = all().map(|p| p.1).chain(bands.flat_map(|b| [b.1, b.2]));
        let (y_low, y_high) = self.range.or_else(|| axis::extent(ys))?;
        let span = (self.height - BOTTOM, TOP);
        let y = match self.range {
            None if y_low > 0.0 && y_high / y_low > 50.0 => Axis::logarithmic(y_low, y_high, span),
            None if self.percent && y_high <= 1.0 => Axis::share(y_low, y_high, span, 4),
            None => Axis::round(y_low, y_high, span, 4),
            Some(_) => Axis::linear(y_low, y_high, span, 4),
        };
        let id = match self.id.as_str() {
            "" => slug(&self.title),
            own => own.to_string(),
        };
        let (title, about) = (format!("{id}-title"), format!("{id}-about"));
        let floor = self.height - BOTTOM;
        let shown = self.lines.iter().filter(|l| !l.points.is_empty());
        Some(html! {
            figure.chart {
                figcaption {
                    h3 { (self.title) @if y.is_logarithmic() { " " span.faint { "(logarithmic)" } } }
                    @if shown.clone().count() > 1 && !self.named_elsewhere {
                        ul.legend { @for line in shown.clone() { li { (sample(line.look)) (line.name) } } }
                    }
                }
                svg viewBox=(format!("0 0 {WIDTH} {}", self.height)) role="img" aria-labelledby=(format!("{title} {about}")) {
                    title id=(title) { (self.title) }
                    desc id=(about) { (self.about) }
                    @for tick in y.ticks() {
                        @let at = round(y.at(*tick));
                        line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at) y2=(at) {}
                        text.tick x=(LEFT - 8.0) y=(at) dy="0.34em" text-anchor="end" {
                            @if self.percent { (axis::label(*tick * 100.0)) " %" } @else { (axis::label(*tick)) }
                        }
                    }
                    line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(floor) y2=(floor) {}
                    @for tick in x.ticks() {
                        @let at = round(x.at(*tick));
                        line.axis x1=(at) x2=(at) y1=(floor) y2=(floor + 4.0) {}
                        text.tick x=(at) y=(floor + 18.0) text-anchor="middle" { (axis::label(*tick)) }
                    }
                    text.name x=((LEFT + WIDTH - RIGHT) / 2.0) y=(self.height - 5.0) text-anchor="middle" { (self.x) }
                    @for (place, word) in &self.places {
                        @let at = round(x.at(*place));
                        line.place x1=(at) x2=(at) y1=(TOP) y2=(floor) {}
                        // What is kept near where a phase begins stands a line lower.
                        @let near = self.places.iter().any(|(p, w)| w != word && (x.at(*p) - x.at(*place)).abs() < CLOSE);
                        @let lower = if near && word.ends_with("kept") { TOP + 12.0 } else { TOP - 8.0 };
                        text.name x=(at) y=(lower) text-anchor=(anchor(at)) { (word) }
                    }
                    @for line in &self.lines { (band(line, &x, &y)) }
                    @for line in &self.lines { (drawn(line, &x, &y)) }
                }
            }
        })
    }
}

/// A word near an edge leans inwards.
fn anchor(at: f64) -> &'static str {
    match at {
        at if at < 130.0 => "start",
        at if at > WIDTH - 130.0 => "end",
        _ => "middle",
    }
}

fn drawn(line: &Line, x: &Axis, y: &Axis) -> Markup {
    let places: Vec<(f64, f64)> = line.points.iter().map(|p| (x.at(p.0), y.at(p.1))).collect();
    path(&places, line.look)
}

/// The area between a line's low and high ends.
fn band(line: &Line, x: &Axis, y: &Axis) -> Markup {
    let there = line.band.iter().map(|b| (x.at(b.0), y.at(b.2)));
    let back = line.band.iter().rev().map(|b| (x.at(b.0), y.at(b.1)));
    let corners: Vec<String> = there
        .chain(back)
        .map(|(x, y)| format!("{} {}", round(x), round(y)))
        .collect();
    html! {
        @if line.band.len() > 1 { path.band.(line.look.class()) d=(format!("M{}Z", corners.join("L"))) {} }
    }
}

/// A line through places, with its marks.
pub fn path(places: &[(f64, f64)], look: Look) -> Markup {
    let mut path = String::new();
    for (i, (px, py)) in places.iter().enumerate() {
        let verb = if i == 0 { 'M' } else { 'L' };
        path.push_str(&format!("{verb}{} {}", round(*px), round(*py)));
    }
    // Marks that would touch each other are thinned out; the last one stays.
    let every = places.len().div_ceil(30).max(1);
    let last = places.len().saturating_sub(1);
    let marks: String = places
        .iter()
        .enumerate()
        .filter(|(i, _)| i % every == 0 || *i == last)
        .filter_map(|(_, p)| look.mark(p.0, p.1))
        .collect();
    html! {
        path.line.(look.class()) d=(path) {}
        @if !marks.is_empty() { path.mark.(look.class()) d=(marks) {} }
    }
}

/// A short piece of a line, for a legend.
pub fn sample(look: Look) -> Markup {
    html! {
        svg.sample viewBox="0 0 34 12" aria-hidden="true" {
            path.line.(look.class()) d="M1 6H33" {}
            @if let Some(mark) = look.mark(17.0, 6.0) { path.mark.(look.class()) d=(mark) {} }
        }
    }
}

/// An identifier of a title: lowercase letters, digits and hyphens.
pub fn slug(title: &str) -> String {
    let text: String = title
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    text.trim_matches('-').to_string()
}

/// A tenth of a unit is finer than anybody sees.
pub fn round(v: f64) -> f64 {
    (v * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_without_points_is_not_drawn_and_one_with_a_single_point_is() {
        let line = |points: &[(f64, f64)]| Line {
            name: "loss".into(),
            look: Look::First,
            points: points.to_vec(),
            ..Line::default()
        };
        let chart = |lines: Vec<Line>| Chart {
            title: "Loss & more".into(),
            about: "a < b".into(),
            lines,
            height: 200.0,
            ..Chart::default()
        };
        assert!(chart(vec![line(&[])]).draw().is_none());
        let text = chart(vec![line(&[(3.0, 0.5)])])
            .draw()
            .unwrap()
            .into_string();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(text.contains("id=\"loss---more-title\""), "{text}");
        assert!(text.contains("a &lt; b"), "{text}");
    }
}

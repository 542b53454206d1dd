//! The colours of the page, read from its style sheet: contrasts as WCAG 2.1 computes them, in both schemes and in print.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../src/page/style.css");
/// Of experiments.
const EXPERIMENT: &str = include_str!("../src/experiment/page.css");

type Colour = [f64; 3];

/// The schemes in the order of the style sheet: light, dark, print.
fn schemes(style: &str) -> Vec<BTreeMap<String, Colour>> {
    let blocks = style.split(":root {").skip(1);
    let blocks = blocks.filter_map(|b| b.split('}').next());
    blocks
        .filter(|b| b.contains("--paper"))
        .map(|block| {
            let pairs = block.split(';').filter_map(|d| d.split_once(':'));
            pairs
                .filter_map(|(name, value)| {
                    let hex = value.trim().strip_prefix('#')?;
                    let part = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect("a colour");
                    let colour = [0, 2, 4].map(|i| f64::from(part(i)) / 255.0);
                    Some((name.trim().trim_start_matches("--").to_string(), colour))
                })
                .collect()
        })
        .collect()
}

fn luminance(c: Colour) -> f64 {
    let [r, g, b] = c.map(|v| match v {
        v if v <= 0.040_45 => v / 12.92,
        v => ((v + 0.055) / 1.055).powf(2.4),
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: Colour, b: Colour) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn black_on_white_is_21() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
}

#[test]
fn text_and_lines_stand_out_in_both_schemes_and_in_print() {
    let schemes = schemes(STYLE);
    assert_eq!(schemes.len(), 3);
    for (scheme, colours) in ["light", "dark", "print"].iter().zip(&schemes) {
        let of = |name: &str| {
            *colours
                .get(name)
                .unwrap_or_else(|| panic!("{scheme}: no {name}"))
        };
        // Text: 4.5; ink, which most of the page is set in: 7. Lines and marks: 3.
        for (front, back, least) in [
            ("ink", "paper", 7.0),
            ("ink", "wash", 7.0),
            ("soft", "paper", 4.5),
            ("soft", "wash", 4.5),
            ("first", "paper", 4.5),
            ("second", "paper", 4.5),
            ("good", "paper", 4.5),
            ("open", "paper", 4.5),
            ("bad", "paper", 4.5),
            ("third", "paper", 3.0),
            ("edge", "paper", 3.0),
            ("edge", "wash", 3.0),
            ("first", "wash", 3.0),
            ("second", "wash", 3.0),
        ] {
            let is = contrast(of(front), of(back));
            assert!(is >= least, "{scheme}: {front} on {back} {is:.2} < {least}");
        }
        // A number in the fullest cell of the confusion matrix.
        assert!(STYLE.contains("calc(var(--share) * 34%)"));
        let (first, paper) = (of("first"), of("paper"));
        let cell = [0, 1, 2].map(|i| 0.34 * first[i] + 0.66 * paper[i]);
        assert!(contrast(of("ink"), cell) >= 4.5, "{scheme}");
    }
}

#[test]
fn experiments_have_the_colours_of_runs() {
    let (runs, experiments) = (schemes(STYLE), schemes(EXPERIMENT));
    assert_eq!(experiments.len(), 2);
    for (run, experiment) in runs.iter().zip(&experiments) {
        assert_eq!(run, experiment);
        // A number in the fullest cell of a heat map, of either colour.
        assert!(EXPERIMENT.contains("calc(var(--share) * 40%)"));
        for colour in ["first", "second"] {
            let cell = [0, 1, 2].map(|i| 0.4 * run[colour][i] + 0.6 * run["paper"][i]);
            assert!(contrast(run["ink"], cell) >= 4.5, "{colour}");
        }
    }
}

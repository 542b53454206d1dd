//! What is advised on generated domains: normal classes about drawn means, a translation of every row, other shares of the classes, or both.

use super::super::suggest::suggestions;
use super::*;

/// A source and a target.
#[derive(Clone, Copy)]
struct Pair {
    source: &'static [f64],
    target: &'static [f64],
    /// Deviation of the translation's coordinates; the classes' means have 1, the rows about them 1.2.
    moved: f64,
    rows: usize,
}

const WIDTH: usize = 8;
const THIRDS: &[f64] = &[1.0 / 3.0; 3];
const HALVES: &[f64] = &[0.5; 2];
const FIFTHS: &[f64] = &[0.2; 5];
const METHODS: [&str; 12] = [
    "source-only",
    "coral",
    "deep-coral",
    "linear-ot",
    "ot",
    "subspace-alignment",
    "deep-jdot",
    "cdan",
    "mcc",
    "shot",
    "em-prior",
    "bbse",
];
/// Those that make the whole distributions alike.
const ALIGN: [&str; 7] = [
    "coral",
    "deep-coral",
    "linear-ot",
    "ot",
    "subspace-alignment",
    "deep-jdot",
    "cdan",
];

fn methods() -> Vec<String> {
    METHODS.map(String::from).to_vec()
}

impl Pair {
    fn shares(source: &'static [f64], target: &'static [f64]) -> Pair {
        Pair {
            source,
            target,
            moved: 0.0,
            rows: 400,
        }
    }

    fn translated(shares: &'static [f64], moved: f64) -> Pair {
        Pair {
            moved,
            ..Pair::shares(shares, shares)
        }
    }

    fn seeds(self, seeds: u64) -> impl Iterator<Item = Diagnosis> {
        (0..seeds).map(move |seed| self.diagnosed(seed))
    }

    fn diagnosed(&self, seed: u64) -> Diagnosis {
        let stream = Stream::new(1000 + seed);
        let classes = self.source.len();
        let means = stream.purpose("means").normals(classes * WIDTH);
        let way = stream.purpose("way").normals(WIDTH);
        let rows = |name: &str, shares: &[f64], moved: f64| -> (Vec<f64>, Vec<u32>) {
            let stream = stream.purpose(name);
            let noise = stream.purpose("noise").normals(self.rows * WIDTH);
            let (mut x, mut y) = (Vec::new(), Vec::new());
            for (row, noise) in noise.chunks(WIDTH).enumerate() {
                let mut left = stream.purpose("class").uniform(row as u64);
                let below = |share: &f64| {
                    left -= share;
                    left < 0.0
                };
                let class = shares.iter().position(below).unwrap_or(0);
                let at = means[class * WIDTH..].iter().zip(&way).zip(noise);
                x.extend(at.map(|((mean, way), noise)| {
                    f64::from(*mean) + moved * f64::from(*way) + 1.2 * f64::from(*noise)
                }));
                y.push(class as u32);
            }
            (x, y)
        };
        let (s, y) = rows("source", self.source, 0.0);
        let (t, _) = rows("target", self.target, self.moved);
        let names: Vec<String> = (0..classes).map(|c| format!("k{c}")).collect();
        let table = |values| Table {
            values,
            width: WIDTH,
        };
        Diagnosis::of(
            ("s", "t"),
            table(&s),
            &y,
            &names,
            table(&t),
            &methods(),
            stream,
        )
    }
}

/// Whether the first advice that names methods corrects the shares.
fn corrects(d: &Diagnosis) -> bool {
    let first = d.suggestions.iter().find(|s| !s.methods.is_empty());
    first.is_some_and(|s| s.methods == ["em-prior", "bbse"])
}

fn any(d: &Diagnosis, methods: &[&str]) -> bool {
    methods.iter().any(|m| named(d, m))
}

fn said(d: &Diagnosis, words: &str) -> bool {
    d.suggestions.iter().any(|s| s.words.contains(words))
}

/// A translation gives the answers of other shares where it goes along the classes' directions. Where the shares are equal, a correction of them is never first.
#[test]
fn a_translation_is_no_label_shift() {
    let mut leaning = 0;
    for (shares, moved) in [
        (THIRDS, 0.2),
        (THIRDS, 0.4),
        (THIRDS, 0.6),
        (THIRDS, 0.9),
        (THIRDS, 1.5),
        (HALVES, 0.5),
        (FIFTHS, 0.5),
    ] {
        for (seed, d) in Pair::translated(shares, moved).seeds(5).enumerate() {
            let who = format!("{} classes by {moved}, seed {seed}", shares.len());
            leaning += usize::from(d.labels.leans());
            assert!(
                !any(&d, &["em-prior", "bbse"]),
                "{who}: {:?} {:?}",
                d.labels,
                d.suggestions
            );
            assert!(
                !said(&d, "seems to lack"),
                "{who}: {:?} {:?}",
                d.overlap,
                d.suggestions
            );
            // What helps here is not kept back.
            let shifted = !said(&d, "no difference of the features");
            assert!(!shifted || any(&d, &ALIGN), "{who}: {:?}", d.suggestions);
        }
    }
    println!("of 35 translations {leaning} make the answers lean to other classes");
    assert!(leaning >= 10, "{leaning}: the test asks nothing");
}

/// Other shares are recognised, and then nothing is advised that makes the whole distributions alike.
#[test]
fn other_shares_are_recognised_and_nothing_is_aligned() {
    for (source, target, at_least) in [
        (THIRDS, &[0.5, 0.3, 0.2][..], 3),
        (THIRDS, &[0.7, 0.2, 0.1], 5),
        (THIRDS, &[0.85, 0.1, 0.05], 4),
        (&[0.6, 0.3, 0.1], &[0.1, 0.3, 0.6], 3),
        (HALVES, &[0.8, 0.2], 5),
        (FIFTHS, &[0.4, 0.3, 0.1, 0.1, 0.1], 5),
    ] {
        let mut recognised = 0;
        for (seed, d) in Pair::shares(source, target).seeds(6).enumerate() {
            let who = format!("{target:?}, seed {seed}: {:?}", d.suggestions);
            assert!(!said(&d, "seldom harm"), "{who}");
            // A class that keeps a sixth of its share may be estimated away.
            let found = corrects(&d) || said(&d, "seems to lack");
            assert!(!found || !any(&d, &ALIGN), "{who}");
            assert!(found || said(&d, ", but "), "{who}");
            recognised += usize::from(found);
        }
        println!("{target:?} of {source:?}: {recognised} of 6");
        assert!(recognised >= at_least, "{target:?}: {recognised}");
    }
}

/// What would put other rows in a missing class's place is not advised a line below.
#[test]
fn a_missing_class_is_not_aligned() {
    let mut lacking = 0;
    for d in Pair::shares(THIRDS, &[0.5, 0.5, 0.0]).seeds(6) {
        let who = format!("{:?} {:?}", d.overlap, d.suggestions);
        assert!(!said(&d, "seldom harm"), "{who}");
        if said(&d, "seems to lack `k2`") {
            lacking += 1;
            assert!(any(&d, &["mcc"]) && !any(&d, &ALIGN), "{who}");
        }
    }
    println!("{lacking} of 6 are said to lack the class");
    assert!(lacking >= 4, "{lacking}");
}

/// Where both changed, neither is said to be all.
#[test]
fn other_shares_of_moved_features_are_hedged() {
    let pair = Pair {
        moved: 0.6,
        ..Pair::shares(THIRDS, &[0.7, 0.2, 0.1])
    };
    for d in pair.seeds(5) {
        let who = format!("{:?} {:?}", d.labels, d.suggestions);
        assert!(!corrects(&d) && !said(&d, "seldom harm"), "{who}");
        assert!(
            any(&d, &ALIGN) && said(&d, "moving the whole distribution harms"),
            "{who}"
        );
    }
}

/// Each number alone speaks against shares, with its words, and a share of far rows is not called none.
#[test]
fn every_reason_against_a_label_shift_is_said() {
    let found = || Pair::shares(THIRDS, &[0.7, 0.2, 0.1]).diagnosed(0);
    let advised = |change: &dyn Fn(&mut Diagnosis)| {
        let mut d = found();
        change(&mut d);
        d.suggestions = suggestions(&d, &methods());
        d
    };
    let d = advised(&|d| d.overlap.far = 0.105);
    assert!(corrects(&d), "{:?}", d.suggestions);
    assert!(
        said(&d, "few rows (10.5 %) lie where the source has none") && !said(&d, "no row lies")
    );
    let d = advised(&|d| d.overlap.far = 0.0);
    assert!(corrects(&d) && said(&d, "no row lies where the source has none"));
    let against = |words: &str, change: &dyn Fn(&mut Diagnosis)| {
        let d = advised(change);
        assert!(
            said(&d, words) && !any(&d, &["em-prior", "bbse"]) && !said(&d, "seldom harm"),
            "{words}: {:?}",
            d.suggestions
        );
    };
    against("20.0 % of the target's rows lie", &|d| d.overlap.far = 0.2);
    against("no shares of classes explain 3.0 %", &|d| {
        d.labels.unexplained = 0.03;
    });
    // Told apart by 0.85 at least: a distance of 1.4, which shares that differ by 0.69 could not make, and by 0.71 could.
    against(
        "at least 1.40) than by such shares they could be (at most 1.38)",
        &|d| {
            d.labels.distance = 0.69;
            d.separation.accuracy_interval.0 = 0.85;
        },
    );
    let d = advised(&|d| {
        d.labels.distance = 0.71;
        d.separation.accuracy_interval.0 = 0.85;
    });
    assert!(corrects(&d), "{:?}", d.suggestions);
    against("differ still", &|d| {
        d.matched.as_mut().unwrap().discrepancy.p = 0.01;
    });
    against("the source has 20 rows and the target 400, too few", &|d| {
        d.matched.as_mut().unwrap().source_rows = 20;
    });
}

/// How often, on other seeds than the tests'. Prints, and asserts nothing: `cargo test --release -p tlkit-core --lib diagnose::tests::advice::rates -- --ignored --nocapture`.
#[test]
#[ignore = "minutes; prints the rates that docs/src/diagnose.md names"]
fn rates() {
    let few = |rows, pair: Pair| Pair { rows, ..pair };
    let skewed: &[f64] = &[0.6, 0.3, 0.1];
    let seventy: &[f64] = &[0.7, 0.2, 0.1];
    for (name, pair) in [
        ("translation 0.1", Pair::translated(THIRDS, 0.1)),
        ("translation 0.2", Pair::translated(THIRDS, 0.2)),
        ("translation 0.4", Pair::translated(THIRDS, 0.4)),
        ("translation 0.6", Pair::translated(THIRDS, 0.6)),
        ("translation 0.9", Pair::translated(THIRDS, 0.9)),
        ("translation 0.2, two", Pair::translated(HALVES, 0.2)),
        ("translation 0.2, five", Pair::translated(FIFTHS, 0.2)),
        ("translation 0.2, skewed", Pair::translated(skewed, 0.2)),
        (
            "translation 0.2, 200 rows",
            few(200, Pair::translated(THIRDS, 0.2)),
        ),
        (
            "translation 0.5, 100 rows",
            few(100, Pair::translated(THIRDS, 0.5)),
        ),
        ("shares 0.5 0.3 0.2", Pair::shares(THIRDS, &[0.5, 0.3, 0.2])),
        ("shares 0.7 0.2 0.1", Pair::shares(THIRDS, seventy)),
        ("shares, 100 rows", few(100, Pair::shares(THIRDS, seventy))),
        ("shares, skewed", Pair::shares(skewed, &[0.1, 0.3, 0.6])),
        ("shares, two", Pair::shares(HALVES, &[0.8, 0.2])),
        ("missing", Pair::shares(THIRDS, &[0.5, 0.5, 0.0])),
    ] {
        let (mut correct, mut lack, mut seldom) = (0, 0, 0);
        for seed in 500..540 {
            let d = pair.diagnosed(seed);
            correct += usize::from(any(&d, &["em-prior", "bbse"]));
            lack += usize::from(said(&d, "seems to lack"));
            seldom += usize::from(said(&d, "seldom harm"));
        }
        println!(
            "{name}: of 40 {correct} correct shares, {lack} lack a class, {seldom} seldom harm"
        );
    }
}

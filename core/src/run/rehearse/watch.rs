//! The clock beside a run in small.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::{Cost, Course, Extent, Forecast, NOISE, Sizes, ratio};
use crate::train::{Event, Observer};
use crate::{Error, Result};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    Phase(usize),
    Step {
        padded: u64,
    },
    Epoch,
    /// Of a pass; whether for scores, and rows done.
    Pass {
        scores: bool,
        done: usize,
    },
    End,
}

/// When.
pub(super) struct Watch {
    began: Instant,
    seen: Mutex<Vec<(f64, Seen)>>,
}

impl Default for Watch {
    fn default() -> Self {
        Watch {
            began: Instant::now(),
            seen: Mutex::default(),
        }
    }
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        self.event_of(match *event {
            Event::Phase { index, .. } => Seen::Phase(index),
            Event::Step { padded, .. } => Seen::Step { padded },
            Event::Epoch { .. } => Seen::Epoch,
            Event::Pass { what, done, .. } => Seen::Pass {
                scores: what == "evaluation",
                done,
            },
            _ => return,
        });
    }
}

/// One phase, timed.
#[derive(Default)]
struct Timed {
    /// From its beginning to its first step, or its end where it has none.
    before: f64,
    /// Whether rows passed through a network in that time.
    passes: bool,
    /// Tokens and seconds by step. The first is not among them where there are others: it warms caches up.
    steps: Vec<(u64, f64)>,
    /// Seconds from an epoch's last step to its end.
    validations: Vec<f64>,
}

impl Watch {
    pub fn event_of(&self, seen: Seen) {
        let at = self.began.elapsed().as_secs_f64();
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((at, seen));
    }

    /// Until what was seen last.
    pub fn seconds(&self) -> f64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last().map_or(0.0, |s| s.0)
    }

    /// What the whole takes.
    pub fn forecast(&self, courses: &[Course], sizes: &Sizes, baselines: f64) -> Result<Forecast> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        forecast(&seen, courses, sizes, baselines)
    }
}

fn forecast(
    seen: &[(f64, Seen)],
    courses: &[Course],
    sizes: &Sizes,
    baselines: f64,
) -> Result<Forecast> {
    let (setup, timed, scoring, tail) = parts(seen)?;
    let (mut costs, mut spread, mut measured) = (Vec::new(), 0.0, Vec::new());
    let mut add = |what: String, seconds: f64| {
        if seconds > 0.0 {
            costs.push(Cost { what, seconds });
        }
    };
    add("loading the model".into(), setup);
    let (mut padded, mut own) = (0.0, 0.0);
    let (mut shared, mut beginning) = (0.0, true);
    for (course, t) in courses.iter().zip(&timed) {
        beginning &= course.shared;
        let before = match t.passes || course.steps == 0 {
            true => t.before * ratio(sizes.train),
            false => t.before,
        };
        if course.steps == 0 {
            add(course.name.clone(), before);
            if beginning {
                shared += before;
            }
            continue;
        }
        let epochs = course.steps as f64 / course.per_epoch.max(1) as f64;
        let (rate, wide) = rate(&t.steps);
        let steps = rate * course.epoch.padded as f64 * epochs;
        add(
            format!("{}: {} steps", course.name, course.steps),
            before + steps,
        );
        spread += wide * steps;
        let (first, again) = match t.validations[..] {
            [] => (0.0, 0.0),
            [only] => (only, only),
            [first, .., again] => (first, again),
        };
        let times = (epochs.ceil() - 1.0).max(0.0);
        let what = match course.chooses {
            true => sizes.chosen,
            false => sizes.scored,
        };
        let scored = (first + again * times) * ratio(what);
        add(
            format!("{}: {} validations", course.name, epochs.ceil()),
            scored,
        );
        if beginning {
            shared += before + steps + scored;
        }
        padded += course.epoch.padded as f64 * epochs;
        own += course.epoch.own as f64 * epochs;
        measured.extend(t.steps.iter().map(|s| s.1));
    }
    // Scoring grows with the rows; writing the model does not.
    let few = sizes.validation.0.padded + sizes.test.0.padded;
    let many = sizes.validation.1.padded + sizes.test.1.padded;
    let scored = scoring.min(tail) * many as f64 / few.max(1) as f64;
    add("scores".into(), scored);
    let beside = baselines * rows(sizes.train);
    add("baselines".into(), beside);
    add("writing".into(), (tail - scoring - baselines).max(0.0));
    let seconds = costs.iter().map(|c| c.seconds).sum::<f64>();
    let wide = spread + NOISE * seconds;
    Ok(Forecast {
        parts: costs,
        seconds,
        shared,
        between: ((seconds - wide).max(0.0), seconds + wide),
        phases: courses.to_vec(),
        measured,
        memory_mib: 0,
        disk_bytes: 0,
        padding: match padded > 0.0 {
            true => 1.0 - own / padded,
            false => 0.0,
        },
        took: 0.0,
    })
}

fn rows((small, whole): (Extent, Extent)) -> f64 {
    whole.rows as f64 / small.rows.max(1) as f64
}

/// Seconds a token, and how far off that may be, as a share of it: two standard errors of the ratio. A step that took more than twice as long by the token as
/// the middle one was held up, and says nothing of the others.
fn rate(steps: &[(u64, f64)]) -> (f64, f64) {
    let mut each: Vec<f64> = steps.iter().map(|&(t, s)| s / t.max(1) as f64).collect();
    each.sort_by(f64::total_cmp);
    let most = each.get(each.len() / 2).map_or(0.0, |middle| 2.0 * middle);
    let undisturbed = |&&(t, s): &&(u64, f64)| s <= most * t.max(1) as f64;
    let steps: Vec<(u64, f64)> = steps.iter().filter(undisturbed).copied().collect();
    let tokens: u64 = steps.iter().map(|s| s.0).sum();
    let seconds: f64 = steps.iter().map(|s| s.1).sum();
    if tokens == 0 || seconds == 0.0 {
        return (0.0, 0.0);
    }
    let rate = seconds / tokens as f64;
    let n = steps.len() as f64;
    let off: f64 = steps
        .iter()
        .map(|&(t, s)| (s - rate * t as f64).powi(2))
        .sum();
    let error = (off / (n - 1.0).max(1.0)).sqrt() * n.sqrt() / seconds;
    (rate, 2.0 * error)
}

/// Seconds until the first phase, the phases, the passes for scores after them, and everything after them.
fn parts(seen: &[(f64, Seen)]) -> Result<(f64, Vec<Timed>, f64, f64)> {
    let begun = seen.iter().position(|s| matches!(s.1, Seen::Phase(_)));
    let Some(begun) = begun else {
        return Err(Error::msg("the run in small had no phase"));
    };
    let setup = seen[begun].0;
    let mut timed: Vec<Timed> = Vec::new();
    let (mut last_step, mut began, mut over) = (None, setup, setup);
    let (mut scoring, mut last_pass) = (0.0, None);
    let mut open = false;
    for &(at, what) in &seen[begun..] {
        match what {
            Seen::Phase(_) => {
                if let (true, Some(t)) = (open, timed.last_mut()) {
                    t.before = at - began;
                }
                timed.push(Timed::default());
                (began, over, last_step, open) = (at, at, None, true);
            }
            Seen::Step { padded } => {
                let Some(t) = timed.last_mut() else { continue };
                match last_step {
                    None => {
                        t.before = at - began;
                        t.steps.push((padded, 0.0));
                    }
                    Some(last) => t.steps.push((padded, at - last)),
                }
                (last_step, over, open) = (Some(at), at, false);
            }
            Seen::Epoch => {
                if let (Some(t), Some(last)) = (timed.last_mut(), last_step) {
                    t.validations.push(at - last);
                }
                (last_step, over) = (Some(at), at);
            }
            Seen::Pass { scores: false, .. } => {
                if let (true, Some(t)) = (open, timed.last_mut()) {
                    t.passes = true;
                }
            }
            Seen::Pass { scores: true, done } => {
                // A closed form has no event at its end: the first pass for scores is one.
                if let (true, Some(t)) = (open, timed.last_mut()) {
                    t.before = at - began;
                    (over, open) = (at, false);
                }
                if let Some((before, rows)) = last_pass
                    && rows < done
                {
                    scoring += at - before;
                } else {
                    scoring += at - over.max(last_pass.map_or(over, |p: (f64, usize)| p.0));
                }
                last_pass = Some((at, done));
            }
            Seen::End => {
                if let (true, Some(t)) = (open, timed.last_mut()) {
                    t.before = at - began;
                    over = at;
                }
            }
        }
        if matches!(what, Seen::Step { .. } | Seen::Epoch | Seen::Phase(_)) {
            (scoring, last_pass) = (0.0, None);
        }
    }
    for t in &mut timed {
        settle(t);
    }
    let end = seen.last().map_or(over, |s| s.0);
    Ok((setup, timed, scoring, end - over))
}

/// The first step is part of what came before it: it takes the others' time, and the rest is kept.
fn settle(t: &mut Timed) {
    if t.steps.is_empty() {
        return;
    }
    let (first, _) = t.steps.remove(0);
    if t.steps.is_empty() {
        t.steps.push((first, t.before));
        t.before = 0.0;
        return;
    }
    let (rate, _) = rate(&t.steps);
    t.before = (t.before - rate * first as f64).max(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(rows: usize, padded: u64) -> Extent {
        Extent {
            rows,
            own: padded / 2,
            padded,
        }
    }

    fn sizes() -> Sizes {
        Sizes {
            train: (extent(10, 100), extent(1000, 10_000)),
            scored: (extent(10, 100), extent(20, 200)),
            chosen: (extent(10, 100), extent(40, 400)),
            validation: (extent(10, 100), extent(20, 200)),
            test: (extent(10, 100), extent(50, 500)),
        }
    }

    #[test]
    fn a_step_that_was_held_up_is_not_counted() {
        let steps = [(10, 1.0), (20, 2.0), (10, 1.0)];
        let disturbed = [(10, 1.0), (20, 2.0), (10, 9.0), (10, 1.0)];
        assert_eq!(rate(&disturbed), rate(&steps));
        assert!((rate(&steps).0 - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_training_grows_by_its_tokens_and_its_validations_by_theirs() -> Result<()> {
        let step = |padded| Seen::Step { padded };
        let score = |done| Seen::Pass { scores: true, done };
        // 2 s of setup; steps of 0.1 s a token, the first 1 s slower; validation 0.5 s; test 0.6 s, writing 0.4 s.
        let seen = [
            (2.0, Seen::Phase(0)),
            (4.0, step(10)),
            (6.0, step(20)),
            (6.5, Seen::Epoch),
            (7.5, step(10)),
            (9.5, step(20)),
            (10.0, Seen::Epoch),
            (10.5, score(10)),
            (11.1, score(10)),
            (11.5, Seen::End),
        ];
        let course = Course {
            name: "fine-tune".into(),
            steps: 300,
            per_epoch: 100,
            epoch: extent(1000, 1500),
            shared: true,
            chooses: false,
        };
        let own = Course {
            shared: false,
            chooses: true,
            ..course.clone()
        };
        // What decides is looked at besides.
        let chosen = forecast(&seen, std::slice::from_ref(&own), &sizes(), 0.0)?;
        let part = chosen
            .parts
            .iter()
            .find(|p| p.what.contains("3 validations"));
        let wanted = 3.0 * 0.5 * 4.0;
        assert!(
            (part.map_or(0.0, |p| p.seconds) - wanted).abs() < 1e-9,
            "{chosen:?}"
        );
        let f = forecast(&seen, &[course], &sizes(), 0.0)?;
        assert_eq!(forecast(&seen, &[own], &sizes(), 0.0)?.shared, 0.0);
        let of = |what: &str| {
            let part = f.parts.iter().find(|p| p.what.contains(what));
            part.map_or(0.0, |p| p.seconds)
        };
        assert!((of("loading") - 2.0).abs() < 1e-9);
        assert!(
            (of("300 steps") - (1.0 + 3.0 * 150.0)).abs() < 1e-9,
            "{f:?}"
        );
        assert!(
            (of("3 validations") - 3.0 * 0.5 * 2.0).abs() < 1e-9,
            "{f:?}"
        );
        let common = of("300 steps") + of("3 validations");
        assert!((f.shared - common).abs() < 1e-9, "{f:?}");
        assert!((of("scores") - 1.1 * 700.0 / 200.0).abs() < 1e-9, "{f:?}");
        assert!((of("writing") - 0.4).abs() < 1e-9, "{f:?}");
        assert!((f.padding - 0.5).abs() < 1e-9);
        assert!(f.between.0 < f.seconds && f.seconds < f.between.1);
        Ok(())
    }

    #[test]
    fn a_closed_form_grows_with_the_rows_that_pass() -> Result<()> {
        let pass = |scores, done| Seen::Pass { scores, done };
        let seen = [
            (1.0, Seen::Phase(0)),
            (2.0, pass(false, 10)),
            (3.0, pass(true, 10)),
            (3.5, pass(true, 20)),
            (4.0, Seen::End),
        ];
        let course = Course {
            name: "logistic".into(),
            steps: 0,
            per_epoch: 0,
            epoch: Extent::default(),
            shared: false,
            chooses: false,
        };
        let f = forecast(&seen, &[course], &sizes(), 0.0)?;
        let fit = f.parts.iter().find(|p| p.what == "logistic");
        assert!(
            (fit.map_or(0.0, |p| p.seconds) - 200.0).abs() < 1e-9,
            "{f:?}"
        );
        Ok(())
    }
}

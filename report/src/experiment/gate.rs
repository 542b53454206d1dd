//! One question with an exit code: `accuracy >= source_only + 2pt`.

use super::read::{Arm, Experiment};
use super::rows::Metric;

/// A bound that a method has to reach.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The method that is asked; every one but that it is compared with where none is named, and never the ceiling unless it is named.
    pub subject: Option<String>,
    /// The score.
    pub metric: Metric,
    /// The method that it is compared with; none for a bound in itself.
    pub against: Option<String>,
    /// What it has to be at least: a difference, or a score. Shares of 1.
    pub bound: f64,
}

/// How it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every interval lies at or above the bound.
    Met(Vec<String>),
    /// An interval lies below it.
    NotMet(Vec<String>),
    /// An interval holds the bound, or there is none: the data do not say.
    Undecided(Vec<String>),
}

impl Gate {
    /// Reads `[METHOD:] METRIC >= [METHOD +|-] NUMBER[pt|%]`.
    ///
    /// # Errors
    /// In words, with what was expected.
    pub fn parse(text: &str) -> Result<Gate, String> {
        let form = "write a gate like `accuracy >= source_only + 2pt`, `mcc: accuracy >= frozen - 0.5pt` or `accuracy >= 80%`";
        let wrong = |what: String| format!("{what}\n  {form}");
        let (left, right) = text
            .split_once(">=")
            .ok_or_else(|| wrong(format!("the gate `{text}` has no `>=`")))?;
        let (subject, metric) = match left.split_once(':') {
            Some((subject, metric)) => (Some(subject.trim().to_string()), metric.trim()),
            None => (None, left.trim()),
        };
        let metric = Metric::named(metric).ok_or_else(|| {
            wrong(format!(
                "the gate asks for `{metric}`; scores are accuracy, macro_f1, mcc and auroc"
            ))
        })?;
        let right = right.trim();
        if let Some(bound) = number(right) {
            within(right, bound).map_err(&wrong)?;
            return Ok(Gate {
                subject,
                metric,
                against: None,
                bound,
            });
        }
        // The last sign with blanks around it: a method's name may have one without.
        let cut = [" + ", " - "]
            .iter()
            .filter_map(|sign| right.rfind(sign).map(|at| (at, *sign)))
            .max();
        let (against, bound) = match cut {
            None => (right, 0.0),
            Some((at, sign)) => {
                let amount = right[at + sign.len()..].trim();
                let amount = number(amount).ok_or_else(|| {
                    wrong(format!("the gate's `{amount}` is no number of points"))
                })?;
                within(right[at + sign.len()..].trim(), amount).map_err(&wrong)?;
                (
                    right[..at].trim(),
                    if sign == " - " { -amount } else { amount },
                )
            }
        };
        if against.is_empty() || against.contains(' ') {
            return Err(wrong(format!(
                "the gate's right side `{right}` cannot be read"
            )));
        }
        Ok(Gate {
            subject,
            metric,
            against: Some(against.to_string()),
            bound,
        })
    }

    /// Whether all that it names are among these methods.
    ///
    /// # Errors
    /// In words, with the names that there are.
    pub fn known(&self, methods: &[&str]) -> Result<(), String> {
        let mut names = [&self.subject, &self.against].into_iter().flatten();
        let Some(odd) = names.find(|name| !methods.iter().any(|m| same(m, name))) else {
            return Ok(());
        };
        let mut there = methods.to_vec();
        there.dedup();
        Err(format!(
            "the gate names `{odd}`; the methods are {}",
            there.join(", ")
        ))
    }

    /// Asks it. Where several rows are asked, all have to reach the bound.
    ///
    /// # Errors
    /// A method that the experiment does not have.
    pub fn ask(&self, e: &Experiment) -> Result<Outcome, String> {
        let e = &Experiment {
            metric: self.metric,
            ..e.clone()
        };
        let methods: Vec<&str> = e.arms.iter().map(|a| a.method.as_str()).collect();
        self.known(&methods)?;
        let all = e.every_pair();
        let (mut met, mut not, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for (i, arm) in e.arms.iter().enumerate() {
            let asked = match (&self.subject, &self.against) {
                (Some(s), _) => same(&arm.method, s),
                (None, Some(a)) => !twin(arm, a) && !arm.added && !arm.is_ceiling(),
                // Of what was added only the reference: another baseline is no method that somebody chose.
                (None, None) => !(arm.is_ceiling() || arm.added && arm.reference.is_some()),
            };
            if !asked {
                continue;
            }
            let name = e.arm_words(i);
            let mut other = None;
            let (what, found) = match &self.against {
                None => {
                    let row = e.row(i);
                    (self.metric.words().to_string(), row.mean.zip(row.interval))
                }
                Some(against) => {
                    // A method with keys of its own has a twin of its own, which it is compared with in the table too.
                    let own = arm.reference.filter(|&r| twin(&e.arms[r], against));
                    let named = || {
                        let at = |o: &Arm| same(&o.method, against) && o.values == arm.values;
                        e.arms.iter().position(at)
                    };
                    let Some(o) = own.or_else(named) else {
                        open.push(format!("{name}: there is no run of `{against}` beside it"));
                        continue;
                    };
                    other = Some(o);
                    let d = e.difference(i, o, &all);
                    (
                        format!(
                            "{} less that of `{}`",
                            self.metric.words(),
                            e.arms[o].method
                        ),
                        d.and_then(|d| Some((d.mean, d.interval?))),
                    )
                }
            };
            let bound = format!("{:.1}", 100.0 * self.bound);
            match found {
                None => open.push(format!(
                    "{name}: {what} has no interval{}",
                    e.no_interval(i, other)
                )),
                Some((mean, (low, high))) => {
                    let line = format!(
                        "{name}: {what} is {:.1} [{:.1}, {:.1}] points, the bound {bound}",
                        100.0 * mean,
                        100.0 * low,
                        100.0 * high
                    );
                    match () {
                        () if low >= self.bound => met.push(line),
                        () if high < self.bound => not.push(line),
                        () => open.push(line),
                    }
                }
            }
        }
        if met.is_empty() && not.is_empty() && open.is_empty() {
            return Err(
                "the gate asks nothing: there is no method besides the one it names".into(),
            );
        }
        Ok(match (not.is_empty(), open.is_empty()) {
            (false, _) => Outcome::NotMet(not),
            (true, false) => Outcome::Undecided(open),
            (true, true) => Outcome::Met(met),
        })
    }
}

/// Scores and their differences are shares of 1: a bound beyond that is a unit forgotten.
fn within(text: &str, bound: f64) -> Result<(), String> {
    if !bound.is_finite() {
        return Err(format!("the gate's bound `{text}` is no number"));
    }
    if bound.abs() > 1.0 {
        let points = (1e8 * bound).round() / 1e6;
        return Err(format!(
            "the gate's bound `{text}` is {points} points, which no score reaches: write `80%` or `0.8`, `2pt` or `0.02`"
        ));
    }
    Ok(())
}

/// `2pt`, `2 pt`, `80%`, `0.02`: a share of 1.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    for unit in ["points", "point", "pt", "%"] {
        if let Some(rest) = text.strip_suffix(unit) {
            return rest.trim().parse::<f64>().ok().map(|v| v / 100.0);
        }
    }
    text.parse().ok()
}

/// Whether an arm is the method of this name, or that method's twin of another: `source-only as wide`.
fn twin(arm: &Arm, name: &str) -> bool {
    let base = arm.method.split_once(" as ").map(|(base, _)| base);
    same(&arm.method, name)
        || same(&arm.strategy, name) && arm.added
        || base.is_some_and(|b| same(b, name))
}

/// One name in two spellings: `source_only`, `source-only`.
fn same(a: &str, b: &str) -> bool {
    let plain = |s: &str| s.replace(['-', ' '], "_").to_lowercase();
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read() {
        let gate = |text: &str| Gate::parse(text).expect(text);
        let g = gate("accuracy >= source_only + 2pt");
        assert_eq!((g.against.as_deref(), g.bound), (Some("source_only"), 0.02));
        assert!(same("source-only", "source_only"));
        let g = gate("mcc-t2: macro_f1 >= fine-tune - 0.5 pt");
        assert_eq!(g.subject.as_deref(), Some("mcc-t2"));
        assert_eq!((g.against.as_deref(), g.bound), (Some("fine-tune"), -0.005));
        let g = gate("accuracy>=80%");
        assert_eq!((g.against, g.bound), (None, 0.8));
        assert_eq!(gate("accuracy >= frozen").bound, 0.0);
        for wrong in [
            "accuracy > 3",
            "speed >= 3",
            "accuracy >= frozen + much",
            "accuracy >= a b",
            "accuracy >= 80",
            "accuracy >= frozen + 2",
            "accuracy >= nan",
            "accuracy >= inf",
            "accuracy >= frozen - nan",
            "m: accuracy >= -5",
        ] {
            let said = Gate::parse(wrong).expect_err(wrong);
            assert!(said.contains("write a gate like"), "{said}");
        }
    }
}

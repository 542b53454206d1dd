//! One question with an exit code: `accuracy >= source_only + 2pt`.

use super::read::Experiment;
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

    /// Asks it. Where several rows are asked, all have to reach the bound.
    ///
    /// # Errors
    /// A method that the experiment does not have.
    pub fn ask(&self, e: &Experiment) -> Result<Outcome, String> {
        let e = &Experiment {
            metric: self.metric,
            ..e.clone()
        };
        for name in [&self.subject, &self.against].into_iter().flatten() {
            if !e.arms.iter().any(|a| same(&a.method, name)) {
                let mut names: Vec<&str> = e.arms.iter().map(|a| a.method.as_str()).collect();
                names.dedup();
                return Err(format!(
                    "the gate names `{name}`; the methods are {}",
                    names.join(", ")
                ));
            }
        }
        let all: Vec<usize> = (0..e.pairs.len().max(1)).collect();
        let comparison = e.compare(None);
        let (mut met, mut not, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for (i, arm) in e.arms.iter().enumerate() {
            let asked = match (&self.subject, &self.against) {
                (Some(s), _) => same(&arm.method, s),
                (None, Some(a)) => !same(&arm.method, a) && arm.method != "target-supervised",
                (None, None) => arm.method != "target-supervised",
            };
            if !asked {
                continue;
            }
            let name = e.arm_words(i);
            let (what, found) = match &self.against {
                None => {
                    let row = &comparison.rows[i];
                    (self.metric.words().to_string(), row.mean.zip(row.interval))
                }
                Some(against) => {
                    let other = e
                        .arms
                        .iter()
                        .position(|o| same(&o.method, against) && o.values == arm.values);
                    let Some(other) = other else { continue };
                    let d = e.difference(i, other, &all);
                    (
                        format!(
                            "{} less that of `{}`",
                            self.metric.words(),
                            e.arms[other].method
                        ),
                        d.and_then(|d| Some((d.mean, d.interval?))),
                    )
                }
            };
            let bound = format!("{:.1}", 100.0 * self.bound);
            match found {
                None => open.push(format!(
                    "{name}: {what} has no interval{}",
                    match self.metric.is_mean() {
                        true => " yet",
                        false => ", which takes five runs on one pair",
                    }
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
        ] {
            let said = Gate::parse(wrong).expect_err(wrong);
            assert!(said.contains("write a gate like"), "{said}");
        }
    }
}

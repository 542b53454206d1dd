//! From interval and adjusted p to a word.

use serde::Serialize;

/// What a comparison came to. The words depend on what was compared: [`Verdict::words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Better, and by enough: the interval is above 0 and the difference is worth having.
    Better,
    /// Not better by what would be worth having: the interval ends below that.
    NotWorth,
    /// Worse: the interval is below 0.
    Worse,
    /// The data do not say.
    Undecided,
}

impl Verdict {
    /// In words: of an adaptation against source-only, or of a method against another.
    pub fn words(self, adaptation: bool) -> &'static str {
        match (self, adaptation) {
            (Verdict::Better, true) => "adapt",
            (Verdict::NotWorth, true) => "do not adapt",
            (Verdict::Worse, true) => "it harms",
            (Verdict::Undecided, true) => "inconclusive",
            (Verdict::Better, false) => "better",
            (Verdict::NotWorth, false) => "no gain",
            (Verdict::Worse, false) => "worse",
            (Verdict::Undecided, false) => "not distinguishable",
        }
    }
}

/// What a verdict is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// The difference.
    pub mean: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// The adjusted p-value of the difference being 0.
    pub of_zero: f64,
    /// The adjusted p-value of the difference being `worth`.
    pub of_worth: f64,
}

/// The verdict: *better* when the interval is above 0 and the difference at least `worth`; *no gain* when the interval ends
/// below `worth`, *worse* when it ends below 0; each only where the adjusted p-value says so too. `alpha` is 1 less the level.
pub fn verdict(t: &Tested, worth: f64, alpha: f64) -> Verdict {
    let (low, high) = t.interval;
    if low > 0.0 && t.mean >= worth && t.of_zero < alpha {
        Verdict::Better
    } else if high < 0.0 && t.of_zero < alpha {
        Verdict::Worse
    } else if high < worth && t.of_worth < alpha {
        Verdict::NotWorth
    } else {
        Verdict::Undecided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word() {
        let t = |mean, low, high, of_zero, of_worth| Tested {
            mean,
            interval: (low, high),
            of_zero,
            of_worth,
        };
        let say = |t: Tested| verdict(&t, 0.01, 0.05).words(true);
        assert_eq!(say(t(0.03, 0.01, 0.05, 0.01, 0.1)), "adapt");
        assert_eq!(say(t(0.002, -0.004, 0.008, 0.6, 0.01)), "do not adapt");
        // There is a difference, but not one worth having.
        assert_eq!(say(t(0.004, 0.001, 0.007, 0.01, 0.01)), "do not adapt");
        assert_eq!(say(t(-0.03, -0.05, -0.01, 0.01, 0.001)), "it harms");
        assert_eq!(say(t(0.02, -0.01, 0.05, 0.2, 0.5)), "inconclusive");
        // The correction takes the word back.
        assert_eq!(say(t(0.03, 0.001, 0.06, 0.09, 0.3)), "inconclusive");
        assert_eq!(say(t(-0.03, -0.05, -0.001, 0.09, 0.06)), "inconclusive");
        assert_eq!(Verdict::Undecided.words(false), "not distinguishable");
    }
}

//! From values to places, and where the ticks stand.

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Ends in values; of their logarithms where it is logarithmic.
    low: f64,
    high: f64,
    /// Ends in places.
    from: f64,
    to: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Ends where it is told to; about `n` ticks within.
    pub fn linear(low: f64, high: f64, (from, to): (f64, f64), n: usize) -> Axis {
        let (low, high) = apart(low, high);
        let step = step(low, high, n);
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        Axis {
            low,
            high,
            from,
            to,
            logarithmic: false,
            ticks: (first..=last).map(|i| i as f64 * step).collect(),
        }
    }

    /// The same for whole numbers: steps.
    pub fn whole(low: f64, high: f64, places: (f64, f64), n: usize) -> Axis {
        let mut axis = Axis::linear(low, high, places, n);
        axis.ticks.retain(|t| (t - t.round()).abs() < 1e-9);
        axis
    }

    /// Ends at ticks around the values.
    pub fn round(low: f64, high: f64, places: (f64, f64), n: usize) -> Axis {
        let (low, high) = apart(low, high);
        // A curve near zero is read from zero.
        let low = if low > 0.0 && low < 0.4 * high {
            0.0
        } else {
            low
        };
        let step = step(low, high, n);
        let ends = ((low / step).floor() * step, (high / step).ceil() * step);
        Axis::linear(ends.0, ends.1, places, n)
    }

    /// The same for shares: there is nothing above all of it, and nothing below none.
    pub fn share(low: f64, high: f64, places: (f64, f64), n: usize) -> Axis {
        let axis = match high > low {
            true => Axis::round(low, high, places, n),
            // One value alone: a few points around it.
            false => Axis::round(low - 0.05, high + 0.05, places, n),
        };
        let floor = if low < 0.0 { axis.low } else { 0.0 };
        Axis::linear(axis.low.max(floor), axis.high.min(1.0), places, n)
    }

    /// Ends at 1, 2 or 5 times a power of ten around the values, which are positive; ticks at powers of ten.
    pub fn logarithmic(low: f64, high: f64, (from, to): (f64, f64)) -> Axis {
        let power = |v: f64| 10f64.powf(v.log10().floor());
        let times = |v: f64| v / power(v);
        let below = [5.0, 2.0, 1.0]
            .into_iter()
            .find(|t| *t <= times(low) * (1.0 + 1e-9));
        let above = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|t| *t >= times(high) * (1.0 - 1e-9));
        let ends = (
            (below.unwrap_or(1.0) * power(low)).log10(),
            (above.unwrap_or(10.0) * power(high)).log10(),
        );
        let (first, last) = (
            (ends.0 - 1e-9).ceil() as i32,
            (ends.1 + 1e-9).floor() as i32,
        );
        let every = (f64::from(last - first) / 6.0).ceil().max(1.0) as usize;
        Axis {
            low: ends.0,
            high: ends.1,
            from,
            to,
            logarithmic: true,
            ticks: (first..=last)
                .step_by(every)
                .map(|i| 10f64.powi(i))
                .collect(),
        }
    }

    /// The place of a value.
    pub fn at(&self, value: f64) -> f64 {
        let value = match self.logarithmic {
            true => value.log10(),
            false => value,
        };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Values that are written beside the axis.
    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Whether equal distances are equal factors.
    pub fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }
}

/// The smallest and the largest; none of nothing.
pub fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|v| v.is_finite())
        .fold(None, |ends, v| match ends {
            None => Some((v, v)),
            Some((low, high)) => Some((f64::min(low, v), f64::max(high, v))),
        })
}

/// Two ends that differ.
fn apart(low: f64, high: f64) -> (f64, f64) {
    if high > low {
        return (low, high);
    }
    let around = if low == 0.0 { 1.0 } else { low.abs() * 0.5 };
    (low - around, low + around)
}

/// 1, 2 or 5 times a power of ten, so that about `n` steps fit.
fn step(low: f64, high: f64, n: usize) -> f64 {
    let rough = (high - low) / n as f64;
    let power = 10f64.powf(rough.log10().floor());
    let times = match rough / power {
        r if r <= 1.0 + 1e-9 => 1.0,
        r if r <= 2.0 + 1e-9 => 2.0,
        r if r <= 5.0 + 1e-9 => 5.0,
        _ => 10.0,
    };
    times * power
}

/// A tick in as few characters as it takes.
pub fn label(v: f64) -> String {
    let size = v.abs();
    if v == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        let text = format!("{v:.1e}");
        return text.replace(".0e", "e");
    }
    let text = format!("{v:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Axis::linear(1.0, 380.0, (0.0, 100.0), 5);
        assert_eq!(axis.ticks(), [100.0, 200.0, 300.0]);
        assert_eq!((axis.at(1.0), axis.at(380.0)), (0.0, 100.0));
        assert_eq!(Axis::whole(1.0, 2.0, (0.0, 1.0), 5).ticks(), [1.0, 2.0]);
        let axis = Axis::round(0.02, 0.69, (100.0, 0.0), 4);
        assert_eq!(axis.ticks().len(), 5);
        assert_eq!((axis.at(0.0), axis.at(0.8)), (100.0, 0.0));
        let axis = Axis::logarithmic(2.1e-4, 3.0, (0.0, 1.0));
        assert_eq!(axis.ticks(), [1e-3, 1e-2, 1e-1, 1.0]);
        assert!(axis.at(2e-4).abs() < 1e-9 && (axis.at(5.0) - 1.0).abs() < 1e-9);
        let axis = Axis::logarithmic(1e-30, 1e30, (0.0, 1.0));
        assert_eq!(axis.ticks().len(), 7);
        assert!((axis.ticks()[0] / 1e-30 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_value_has_an_axis_too() {
        for v in [0.0, 0.5, -3.0, 1e9] {
            let axis = Axis::round(v, v, (0.0, 1.0), 4);
            assert!((0.0..=1.0).contains(&axis.at(v)), "{v}");
            assert!(!axis.ticks().is_empty(), "{v}");
        }
    }

    #[test]
    fn shares_end_at_all_of_it() {
        let ends = |low, high| {
            let axis = Axis::share(low, high, (0.0, 1.0), 4);
            (axis.at(0.0), axis.at(1.0), axis.ticks().last().copied())
        };
        // One value, near the end and at it.
        for v in [0.9, 1.0, 0.97] {
            let (_, at, last) = ends(v, v);
            assert!(
                at >= 1.0 - 1e-9 && last <= Some(1.0 + 1e-9),
                "{v}: {at} {last:?}"
            );
            assert!(Axis::share(v, v, (0.0, 1.0), 4).at(v) > 0.0, "{v}");
        }
        assert_eq!(Axis::share(0.0, 0.0, (0.0, 1.0), 4).at(0.0), 0.0);
        assert!((ends(0.62, 0.99).1 - 1.0).abs() < 1e-9);
        // Matthews' coefficient may be below none.
        assert!(Axis::share(-0.2, 0.5, (0.0, 1.0), 4).at(-0.2) >= 0.0);
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(
            [0.0, 0.25, 100.0, 1e-5, 5e-4, 2e6, -0.5].map(label),
            ["0", "0.25", "100", "1e-5", "5e-4", "2e6", "-0.5"],
            "ticks"
        );
    }
}

//! Learning-rate schedules, as a factor of the peak rate.

/// The course of a learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Its shape after the warm-up.
    pub shape: Shape,
    /// Share of the steps that rise linearly from 0 to the peak.
    pub warmup: f64,
}

/// The shape after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Stays at the peak.
    Constant,
    /// Falls in a line to zero (as BERT was fine-tuned).
    Linear,
    /// Half a cosine to zero (Loshchilov & Hutter 2017).
    Cosine,
    /// Rises from 1/25 of the peak over 30 % of the steps and falls to 1/10,000 of that, both along cosines (Smith & Topin 2018).
    /// It has its own rise: the warm-up is not added.
    OneCycle,
    /// Times `factor` after each `every` share of the steps.
    Step {
        /// Share of the steps.
        every: f64,
        /// What it is multiplied by.
        factor: f64,
    },
    /// `sqrt(warm-up steps / step)` (Vaswani et al. 2017).
    InverseSqrt,
    /// `(1 + 10 p)^-0.75`, as DANN's (Ganin et al. 2016).
    Dann,
}

impl Schedule {
    /// The names a recipe may write.
    pub const NAMES: [&'static str; 7] = [
        "constant",
        "linear",
        "cosine",
        "one-cycle",
        "step",
        "inverse-sqrt",
        "dann",
    ];

    /// A constant rate.
    pub fn constant() -> Self {
        Schedule {
            shape: Shape::Constant,
            warmup: 0.0,
        }
    }

    /// By name and warm-up share.
    pub fn parse(name: &str, warmup: f64) -> Option<Self> {
        let shape = match name {
            "constant" => Shape::Constant,
            "linear" => Shape::Linear,
            "cosine" => Shape::Cosine,
            "one-cycle" => Shape::OneCycle,
            "step" => Shape::Step {
                every: 1.0 / 3.0,
                factor: 0.1,
            },
            "inverse-sqrt" => Shape::InverseSqrt,
            "dann" => Shape::Dann,
            _ => return None,
        };
        Some(Schedule { shape, warmup })
    }

    /// How many of `total` steps warm up. A single step does not: its rate would be 0.
    pub fn warmup_steps(&self, total: u64) -> u64 {
        match self.shape {
            _ if total <= 1 => 0,
            Shape::OneCycle => (0.3 * total as f64).round() as u64,
            _ => (self.warmup * total as f64).ceil() as u64,
        }
    }

    /// The factor at step `step` (from 0) of `total`.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        let total = total.max(1);
        let warm = self.warmup_steps(total);
        let cosine = |from: f64, to: f64, p: f64| {
            to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * p).cos())
        };
        if self.shape == Shape::OneCycle {
            let p = |a: u64, b: u64| {
                (step.saturating_sub(a)) as f64 / (b.saturating_sub(a)).max(1) as f64
            };
            return if step < warm {
                cosine(1.0 / 25.0, 1.0, p(0, warm))
            } else {
                cosine(1.0, 1e-4 / 25.0, p(warm, total))
            };
        }
        if step < warm {
            return step as f64 / warm as f64;
        }
        let progress = (step - warm) as f64 / (total - warm).max(1) as f64;
        match self.shape {
            Shape::Constant | Shape::OneCycle => 1.0,
            Shape::Linear => (1.0 - progress).max(0.0),
            Shape::Cosine => cosine(1.0, 0.0, progress.min(1.0)),
            Shape::Step { every, factor } => {
                factor.powi((step as f64 / total as f64 / every).floor() as i32)
            }
            Shape::InverseSqrt => (warm.max(1) as f64 / (step + 1).max(warm) as f64).sqrt(),
            Shape::Dann => (1.0 + 10.0 * step as f64 / total as f64).powf(-0.75),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, warmup: f64, step: u64) -> f64 {
        Schedule::parse(name, warmup).unwrap().factor(step, 100)
    }

    #[test]
    fn known_points() {
        assert_eq!(at("linear", 0.1, 0), 0.0);
        assert_eq!(at("linear", 0.1, 5), 0.5);
        assert_eq!(at("linear", 0.1, 10), 1.0);
        assert_eq!(at("linear", 0.1, 55), 0.5);
        assert_eq!(at("constant", 0.0, 99), 1.0);
        assert!((at("cosine", 0.0, 50) - 0.5).abs() < 1e-12);
        assert!((at("one-cycle", 0.0, 30) - 1.0).abs() < 1e-12);
        assert!((at("one-cycle", 0.0, 0) - 0.04).abs() < 1e-12);
        assert!((at("step", 0.0, 40) - 0.1).abs() < 1e-12);
        assert!((at("inverse-sqrt", 0.1, 39) - 0.5).abs() < 1e-12);
        assert!((at("one-cycle", 0.0, 100) - 4e-6).abs() < 1e-12);
        assert!((at("dann", 0.0, 0) - 1.0).abs() < 1e-12);
        assert!((at("dann", 0.0, 50) - 6f64.powf(-0.75)).abs() < 1e-12);
    }

    #[test]
    fn a_single_step_is_made_at_the_peak() {
        for name in Schedule::NAMES.iter().filter(|n| **n != "one-cycle") {
            let schedule = Schedule::parse(name, 0.1).unwrap();
            assert_eq!(schedule.factor(0, 1), 1.0, "{name}");
            // Two steps are as they were.
            assert_eq!(
                (schedule.factor(0, 2), schedule.warmup_steps(2)),
                (0.0, 1),
                "{name}"
            );
        }
    }

    #[test]
    fn every_name_parses_and_stays_between_zero_and_one() {
        for name in Schedule::NAMES {
            for step in 0..100 {
                let f = at(name, 0.06, step);
                assert!((0.0..=1.0).contains(&f), "{name} at {step}: {f}");
            }
        }
    }
}

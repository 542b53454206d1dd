//! Lines of `metrics.jsonl` about single steps, for curves.

use super::optimizer::Optimizer;

/// Most step lines of a phase, but for one.
const STEP_LINES: u64 = 500;

/// Whether the step (from 0) of `total` has a line: at most [`STEP_LINES`] evenly, and the last one. It depends on nothing else, so a
/// resumed run writes the same ones.
pub(super) fn step_has_line(step: u64, total: u64) -> bool {
    step.is_multiple_of(total.div_ceil(STEP_LINES).max(1)) || step + 1 == total
}

/// The line: `seconds` are those of the run so far, the only number in it that is another one each time.
pub(super) fn step_line(
    phase: &str,
    step: u64,
    total: u64,
    loss: f64,
    optimizer: Option<&Optimizer>,
    seconds: f64,
) -> serde_json::Value {
    serde_json::json!({
        "phase": phase,
        "step": step + 1,
        "loss": loss,
        "learning_rate": optimizer.map(|o| o.rate(step, total)),
        "gradient_norm": optimizer.map(Optimizer::gradient_norm),
        "seconds": (seconds * 1e3).round() / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::step_has_line;

    #[test]
    fn a_phase_has_at_most_about_500_step_lines_evenly_and_the_last() {
        for total in [1, 3, 499, 500, 501, 999, 1000, 12_345, 1_000_000] {
            let steps: Vec<u64> = (0..total).filter(|&s| step_has_line(s, total)).collect();
            assert!(steps.len() <= 501, "{total}: {}", steps.len());
            assert!(
                steps.len() as u64 >= total.min(250),
                "{total}: {}",
                steps.len()
            );
            assert_eq!((steps[0], steps[steps.len() - 1]), (0, total - 1));
            let gaps: Vec<u64> = steps.windows(2).map(|w| w[1] - w[0]).collect();
            let (last, even) = gaps.split_last().map_or((&0, &[][..]), |(l, e)| (l, e));
            assert!(even.iter().all(|g| *g == even[0] && last <= g), "{total}");
        }
    }
}

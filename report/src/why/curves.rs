//! What the curves of `metrics.jsonl` say.

use super::tensors::median_movement;
use super::{Evidence, Finding, Level, Look};
use crate::number::{percent, short};
use crate::record::Phase;

/// Pieces that the step lines of a phase are averaged in: single steps of small batches jump about.
const PIECES: usize = 20;
/// The training loss rose when its end is so many times its beginning.
const ROSE: f64 = 1.1;
/// It jumped when a piece is so many times the lowest before it, and above the beginning by [`ROSE`].
const JUMPED: f64 = 2.0;
/// It hardly fell when it lost less than this share.
const HARDLY: f64 = 0.05;
/// It still fell at the end when the last quarter of the steps had more than this share of the fall.
const STILL: f64 = 0.2;
/// The validation loss rose when it ends so many times above its lowest, at least two epochs later.
const OVER: f64 = 1.1;
/// Tensors hardly moved, or moved far, when the median of change over norm is below or above.
const MOVED: (f64, f64) = (0.005, 0.5);

/// Learning rate too high or too low, by the training loss.
pub fn training(e: &Evidence<'_>) -> Look {
    let several = e.record.phases.len() > 1;
    let mut seen = false;
    let mut findings = Vec::new();
    for phase in &e.record.phases {
        let loss = match phase.steps("loss") {
            steps if !steps.is_empty() => steps,
            _ => phase.epoch_loss(),
        };
        let pieces = pieces(&loss);
        if pieces.len() < 4 {
            continue;
        }
        seen = true;
        let within = match several {
            true => format!(" in phase `{}`", phase.name),
            false => String::new(),
        };
        findings.extend(of_loss(e, phase, &pieces, &within));
    }
    match seen {
        true => Look::Seen(findings),
        false => Look::Absent("metrics.jsonl has fewer than four points of it".into()),
    }
}

fn of_loss(
    e: &Evidence<'_>,
    phase: &Phase,
    pieces: &[(f64, f64)],
    within: &str,
) -> Option<Finding> {
    let (first, last) = (pieces[0].1, pieces[pieces.len() - 1].1);
    let finding = |kind: &str, level: Level, words: String| {
        let mut lines = rates(phase);
        lines.extend(median_movement(&e.liveness).map(|m| {
            let share = percent(m);
            format!("median movement of a tensor over the whole run: {share} of its norm")
        }));
        Some(Finding {
            kind: kind.into(),
            level,
            words,
            lines,
            from: "metrics.jsonl, liveness.json",
        })
    };
    let (from, to) = (short(first), short(last));
    if last > first * ROSE {
        let words = format!(
            "the learning rate looks too high: training loss rose{within} from {from} (first steps) to {to} (last steps)"
        );
        return finding("learning-rate-high", Level::Warning, words);
    }
    let mut low = pieces[0];
    for &(step, loss) in pieces {
        if loss > low.1 * JUMPED && loss > first * ROSE {
            let words = format!(
                "the learning rate looks too high: training loss jumped{within} from {} (about step {}) to {} (about step {})",
                short(low.1),
                low.0.round(),
                short(loss),
                step.round()
            );
            return finding("learning-rate-high", Level::Warning, words);
        }
        if loss < low.1 {
            low = (step, loss);
        }
    }
    if first - last < first.abs() * HARDLY {
        let (kind, looks) = match median_movement(&e.liveness) {
            Some(m) if m < MOVED.0 => ("learning-rate-low", "the learning rate looks too low: "),
            Some(m) if m > MOVED.1 => ("learning-rate-high", "the learning rate looks too high: "),
            _ => ("did-not-learn", ""),
        };
        let words = format!(
            "{looks}training loss hardly fell{within}: {from} (first steps) to {to} (last steps)"
        );
        return finding(kind, Level::Warning, words);
    }
    let quarter = pieces.len().div_ceil(4);
    let mean = |part: &[(f64, f64)]| part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64;
    let end = mean(&pieces[pieces.len() - quarter..]);
    let earlier = mean(&pieces[pieces.len() - 2 * quarter..pieces.len() - quarter]);
    // A validation loss that rises says the opposite: enough was learned.
    if earlier - end > (first - end) * STILL && rise(phase).is_none() {
        let words = format!(
            "training loss was still falling when training ended{within}: {} -> {} over the last quarter of the steps, {from} at the start",
            short(earlier),
            short(end)
        );
        return finding("still-falling", Level::Note, words);
    }
    None
}

/// Means of at most [`PIECES`] consecutive pieces, each at its middle step.
fn pieces(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.is_empty() {
        return Vec::new();
    }
    let size = points.len().div_ceil(PIECES);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        let sum = part.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
        (sum.0 / n, sum.1 / n)
    };
    points.chunks(size).map(mean).collect()
}

/// The learning rate's peak and the gradient's norm.
fn rates(phase: &Phase) -> Vec<String> {
    let mut lines = Vec::new();
    let rate = match phase.steps("learning_rate") {
        steps if !steps.is_empty() => steps,
        _ => phase.epochs("learning_rate"),
    };
    if let Some(peak) = rate.iter().max_by(|a, b| a.1.total_cmp(&b.1)) {
        lines.push(format!("learning rate {} at its peak", short(peak.1)));
    }
    let mut norms: Vec<f64> = phase.steps("gradient_norm").iter().map(|p| p.1).collect();
    norms.sort_by(f64::total_cmp);
    if let (Some(median), Some(most)) = (norms.get(norms.len() / 2), norms.last()) {
        lines.push(format!(
            "gradient norm {} in the median, {} at most",
            short(*median),
            short(*most)
        ));
    }
    lines
}

/// Epoch and value of the lowest validation loss, and the last, where it rose.
fn rise(phase: &Phase) -> Option<((usize, f64), f64)> {
    let losses = phase.epochs("validation_loss");
    let (at, low) = losses
        .iter()
        .enumerate()
        .min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
    let last = losses.last()?.1;
    (losses.len() - 1 - at >= 2 && last > low.1 * OVER).then_some(((at, low.1), last))
}

/// A validation loss that rises while the training loss falls.
pub fn over_fitting(e: &Evidence<'_>) -> Look {
    let validated = |p: &&Phase| p.epochs("validation_loss").len() >= 3;
    let Some(phase) = e.record.phases.iter().rfind(validated) else {
        return Look::Absent("fewer than three epochs with a validation loss".into());
    };
    let training = phase.epoch_loss();
    let Some(((at, low), last)) = rise(phase) else {
        return Look::Seen(Vec::new());
    };
    let (Some(then), Some(now)) = (training.get(at), training.last()) else {
        return Look::Absent("metrics.jsonl has no training loss by epoch".into());
    };
    if now.1 >= then.1 {
        return Look::Seen(Vec::new());
    }
    let epoch = phase.epochs[at]["epoch"].as_u64().unwrap_or(at as u64 + 1);
    let mut lines = Vec::new();
    let accuracy = phase.epochs("validation_accuracy");
    if let (Some(then), Some(now)) = (accuracy.get(at), accuracy.last()) {
        lines.push(format!(
            "validation accuracy over the same epochs: {} -> {}",
            percent(then.1),
            percent(now.1)
        ));
    }
    let selection = &e.run.result["selection"];
    if let (Some(by), Some(kept)) = (selection["by"].as_str(), selection["epoch"].as_u64()) {
        let loss = phase
            .epochs
            .iter()
            .find(|line| line["epoch"].as_u64() == Some(kept))
            .and_then(|line| line["validation_loss"].as_f64());
        let loss = loss.map_or(String::new(), |l| format!(", validation loss {}", short(l)));
        lines.push(format!("epoch {kept} was kept, by {by}{loss}"));
    }
    Look::Seen(vec![Finding {
        kind: "over-fitting".into(),
        level: Level::Warning,
        words: format!(
            "over-fitting: validation loss has risen since epoch {epoch} ({} -> {}) while training loss fell ({} -> {})",
            short(low),
            short(last),
            short(then.1),
            short(now.1)
        ),
        lines,
        from: "metrics.jsonl",
    }])
}

//! What the curves of `metrics.jsonl` say.

use super::tensors::median_movement;
use super::{Evidence, Finding, Level, Look};
use crate::number::{percent, short};
use crate::record::Phase;

/// Pieces that the step lines of a phase are averaged in: single steps of small batches jump about.
const PIECES: usize = 20;
/// A piece of fewer steps than this is too few to speak of a jump.
const PIECE: usize = 5;
/// The training loss rose when the last fifth of the steps is so many times the first.
const ROSE: f64 = 1.1;
/// It jumped when a piece is so many times the lowest before it, and above the first by [`ROSE`].
const JUMPED: f64 = 2.0;
/// It shot up when a piece is so many times the loss of the very first step, before anything was learned.
const SHOT_UP: f64 = 3.0;
/// It hardly fell when the last fifth lost less than this share of the first, and the very first step was no higher than [`HIGHER`]
/// times the last fifth.
const HARDLY: f64 = 0.05;
const HIGHER: f64 = 1.5;
/// It still fell at the end when the last quarter of the steps had more than this share of the fall.
const STILL: f64 = 0.2;
/// A difference of means counts from so many standard errors on.
const ERRORS: f64 = 3.0;
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
        findings.extend(of_loss(e, phase, &loss, &pieces, &within));
    }
    match seen {
        true => Look::Seen(findings),
        false => Look::Absent("metrics.jsonl has fewer than four points of it".into()),
    }
}

fn of_loss(
    e: &Evidence<'_>,
    phase: &Phase,
    loss: &[(f64, f64)],
    pieces: &[(f64, f64)],
    within: &str,
) -> Option<Finding> {
    let finding = |kind: &str, level: Level, words: String| {
        let mut lines = rates(phase);
        lines.extend(median_movement(&e.liveness).map(|m| {
            let share = short(m * 100.0);
            format!("median movement of a tensor over the whole run: {share} % of its norm")
        }));
        Some(Finding {
            kind: kind.into(),
            level,
            words,
            lines,
            from: "metrics.jsonl, liveness.json",
        })
    };
    let fifth = (loss.len() / 5).max(1);
    let (first, last) = (
        Part::of(&loss[..fifth]),
        Part::of(&loss[loss.len() - fifth..]),
    );
    let start = loss.first().map_or(first.mean, |p| p.1);
    let (from, to) = (short(first.mean), short(last.mean));
    let peak = pieces.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some(peak) = peak.filter(|p| start > 0.0 && p.1 > start * SHOT_UP) {
        let words = format!(
            "the learning rate looks too high: training loss shot up{within} from {} (first step) to {} (about step {}), and ended at {to}",
            short(start),
            short(peak.1),
            peak.0.round()
        );
        return finding("learning-rate-high", Level::Warning, words);
    }
    if last.mean > first.mean * ROSE && last.above(&first) {
        let words = format!(
            "the learning rate looks too high: training loss rose{within} from {from} (first fifth of the steps) to {to} (last fifth)"
        );
        return finding("learning-rate-high", Level::Warning, words);
    }
    let mut low = pieces[0];
    for &(step, loss) in pieces.iter().filter(|_| fifth >= PIECES / 5 * PIECE) {
        // A multiple of a loss below 0 (SHOT's, an entropy less another) is no jump.
        if low.1 > 0.0 && loss > low.1 * JUMPED && loss > first.mean * ROSE {
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
    let fell = first.mean - last.mean;
    if fell < first.mean.abs() * HARDLY && start < last.mean * HIGHER {
        let (kind, looks) = match median_movement(&e.liveness) {
            Some(m) if m < MOVED.0 => ("learning-rate-low", "the learning rate looks too low: "),
            Some(m) if m > MOVED.1 => ("learning-rate-high", "the learning rate looks too high: "),
            _ => ("did-not-learn", ""),
        };
        let words = format!(
            "{looks}training loss hardly fell{within}: {from} (first fifth of the steps) to {to} (last fifth)"
        );
        return finding(kind, Level::Warning, words);
    }
    let quarter = (loss.len() / 4).max(1);
    let end = Part::of(&loss[loss.len() - quarter..]);
    let earlier = Part::of(&loss[loss.len() - 2 * quarter..loss.len() - quarter]);
    let fall = first.mean.max(start) - end.mean;
    // A validation loss that rises says the opposite: enough was learned.
    if earlier.mean - end.mean > fall * STILL && earlier.above(&end) && rise(phase).is_none() {
        let words = format!(
            "training loss was still falling when training ended{within}: {} -> {} over the last quarter of the steps, {from} at the start",
            short(earlier.mean),
            short(end.mean)
        );
        return finding("still-falling", Level::Note, words);
    }
    None
}

/// The mean of some steps' losses, and its standard error.
struct Part {
    mean: f64,
    error: f64,
}

impl Part {
    fn of(points: &[(f64, f64)]) -> Part {
        let n = points.len() as f64;
        let mean = points.iter().map(|p| p.1).sum::<f64>() / n;
        let square = points.iter().map(|p| (p.1 - mean).powi(2)).sum::<f64>();
        // One point says nothing of its error; epoch means come this way.
        let error = (square / (n - 1.0).max(1.0) / n).sqrt();
        Part { mean, error }
    }

    /// Whether it is above another by more than chance.
    fn above(&self, other: &Part) -> bool {
        self.mean - other.mean > ERRORS * self.error.hypot(other.error)
    }
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

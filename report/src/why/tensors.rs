//! What `liveness.json` says of each tensor.

use serde_json::Value;

use super::{Evidence, Finding, Level, Look, some};

/// Tensors that should train and end with the bits they started with.
pub fn unmoved(e: &Evidence<'_>) -> Look {
    let Some(tensors) = e.liveness["tensors"].as_array() else {
        return Look::Absent("there is no liveness.json".into());
    };
    let trained: Vec<&Value> = tensors.iter().filter(|t| trains(t)).collect();
    let still: Vec<String> = trained
        .iter()
        .filter(|t| t["change"].as_f64() == Some(0.0))
        // Zero at both ends and outside the model: an adapter that was added to the weights it stood beside.
        .filter(|t| t["stage"].is_string() || t["norm"].as_f64() != Some(0.0))
        .filter_map(|t| t["name"].as_str().map(String::from))
        .collect();
    if still.is_empty() {
        return Look::Seen(Vec::new());
    }
    Look::Seen(vec![Finding {
        kind: "never-moved".into(),
        level: Level::Warning,
        words: format!(
            "{} of {} tensors that train end with the bits they started with: {}",
            still.len(),
            trained.len(),
            some(&still)
        ),
        lines: Vec::new(),
        from: "liveness.json",
    }])
}

/// Whether it trains, and its gradient is not zero in mathematics.
fn trains(tensor: &Value) -> bool {
    tensor["trains"] == true && tensor["invariant"] != true
}

/// The median over tensors that train of change over norm; none where nothing is recorded. A tensor that starts at zero has no such
/// number.
pub fn median_movement(liveness: &Value) -> Option<f64> {
    let tensors = liveness["tensors"].as_array()?;
    let mut shares: Vec<f64> = tensors
        .iter()
        .filter(|t| trains(t))
        .filter_map(|t| {
            let norm = t["norm"].as_f64().filter(|n| *n > 0.0)?;
            Some(t["change"].as_f64()? / norm)
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    shares.get(shares.len() / 2).copied()
}

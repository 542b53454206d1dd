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

/// Whether it is one of the model's that trains, and its gradient is not zero in mathematics. (What stands beside the model is not what it was at the end of
/// training: an adapter was added to its weight, a discriminator put back with the epoch that is kept.)
fn trains(tensor: &Value) -> bool {
    let of_model = |name: &str| name.starts_with("model.");
    tensor["trains"] == true
        && tensor["invariant"] != true
        && tensor["name"].as_str().is_some_and(of_model)
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

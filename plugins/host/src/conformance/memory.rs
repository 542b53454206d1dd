//! Whether memory grows.

use tlkit_core::{Error, Result};

/// Pages that this process holds, in bytes; Linux only.
pub(super) fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

/// Makes so many calls, then twice as many; the second round must hold no more memory than the first.
pub(super) fn leaks(calls: usize, mut round: impl FnMut(usize) -> Result<()>) -> Result<String> {
    round(calls)?;
    let Some(before) = resident() else {
        return Ok("not known on this system".into());
    };
    round(2 * calls)?;
    let grown = resident().unwrap_or(before).saturating_sub(before);
    match grown > 8 << 20 {
        true => Err(Error::msg(format!(
            "{} calls kept {:.1} MB",
            2 * calls,
            grown as f64 / 1e6
        ))),
        false => Ok(String::new()),
    }
}

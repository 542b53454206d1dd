//! Whether memory grows.

use tlkit_core::{Error, Result};

/// What a round may hold more than the one before it, in bytes.
const SLACK: u64 = 8 << 20;

/// How often a round that grew is made again: a leak grows in each, an allocator that keeps pages for later
/// does not.
const ROUNDS: usize = 4;

/// Pages that this process holds, in bytes; Linux only.
pub(super) fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

/// Makes so many calls, then rounds of twice as many, until one holds no more memory than the one before it.
pub(super) fn leaks(calls: usize, round: impl FnMut(usize) -> Result<()>) -> Result<String> {
    grows(calls, round, resident)
}

fn grows(
    calls: usize,
    mut round: impl FnMut(usize) -> Result<()>,
    mut resident: impl FnMut() -> Option<u64>,
) -> Result<String> {
    round(calls)?;
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        let Some(before) = resident() else {
            return Ok("not known on this system".into());
        };
        round(2 * calls)?;
        least = least.min(resident().unwrap_or(before).saturating_sub(before));
        if least <= SLACK {
            return Ok(String::new());
        }
    }
    Err(Error::msg(format!(
        "{} calls kept {:.1} MB, and so did each of {ROUNDS} rounds of them",
        2 * calls,
        least as f64 / 1e6
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages before and after each round.
    fn told(pages: &[u64]) -> Result<String> {
        let mut pages = pages.iter();
        grows(20, |_| Ok(()), || pages.next().map(|mb| mb << 20))
    }

    #[test]
    fn what_grows_in_each_round_is_a_leak_and_what_grows_once_is_not() {
        told(&[100, 105]).expect("within the slack");
        told(&[100, 130, 130, 131]).expect("grew once");
        told(&[100, 130, 130, 160, 160, 150]).expect("shrank in the end");
        let leak = told(&[100, 130, 130, 160, 160, 175, 175, 205]).expect_err("a leak");
        let leak = leak.to_string();
        assert!(leak.starts_with("40 calls kept 15.7 MB"), "{leak}");
    }
}

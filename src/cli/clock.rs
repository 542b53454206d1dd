//! UTC time as run ids and log lines write it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Year, month, day, hour, minute, second.
fn now() -> [u64; 6] {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    civil(seconds)
}

/// From seconds since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
fn civil(seconds: u64) -> [u64; 6] {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [
        year,
        month,
        day,
        second / 3600,
        second / 60 % 60,
        second % 60,
    ]
}

/// `20261120-204512`.
pub fn compact() -> String {
    let [year, month, day, hour, minute, second] = now();
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// `2026-11-20T20:45:12Z`.
pub fn stamp() -> String {
    let [year, month, day, hour, minute, second] = now();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn known_days() {
        assert_eq!(civil(0), [1970, 1, 1, 0, 0, 0]);
        // date -u -d @951782400, the leap day of a century that has one; date -u -d @1795207512.
        assert_eq!(civil(951_782_400), [2000, 2, 29, 0, 0, 0]);
        assert_eq!(civil(1_795_207_512), [2026, 11, 20, 20, 45, 12]);
    }
}

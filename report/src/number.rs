//! Numbers as a person reads them.

/// Two or three digits that count: `0.41`, `0.043`, `12.3`, `1.2e-5`.
pub fn short(v: f64) -> String {
    let size = v.abs();
    match size {
        _ if v == 0.0 => "0".into(),
        _ if !v.is_finite() => format!("{v}"),
        _ if !(0.001..10_000.0).contains(&size) => exponent(v),
        _ if size >= 100.0 => format!("{v:.0}"),
        _ if size >= 9.95 => format!("{v:.1}"),
        _ if size >= 0.095 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    }
}

fn exponent(v: f64) -> String {
    let text = format!("{v:.1e}");
    text.replace(".0e", "e")
}

/// A share: `74.7 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A score with four digits, as the result table has it.
pub fn score(v: f64) -> String {
    format!("{v:.4}")
}

/// Thousands apart: `2,114,560`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.4 s`, `61 s`, `12 min`, `3 h 20 min`.
pub fn seconds(s: f64) -> String {
    match s {
        _ if s < 10.0 => format!("{s:.1} s"),
        _ if s < 120.0 => format!("{s:.0} s"),
        _ if s < 7200.0 => format!("{:.0} min", s / 60.0),
        _ => {
            let minutes = (s / 60.0).round() as u64;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// `1 row`, `2 rows`.
pub fn count(n: u64, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{} {one}s", thousands(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let text: Vec<String> = [
            0.0, 0.4123, 0.0436, 0.73, 12.34, 733.4, 9999.4, 1e5, 1.2e-5, -0.5, 9.96,
        ]
        .map(short)
        .into();
        assert_eq!(
            text,
            [
                "0", "0.41", "0.044", "0.73", "12.3", "733", "9999", "1e5", "1.2e-5", "-0.50",
                "10.0"
            ]
        );
        assert_eq!(short(f64::INFINITY), "inf");
        assert_eq!(thousands(2_114_560), "2,114,560");
        assert_eq!(thousands(999), "999");
        assert_eq!(percent(0.7467), "74.7 %");
        assert_eq!(seconds(7500.0), "2 h 5 min");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(1200, "row"), "1,200 rows");
    }
}

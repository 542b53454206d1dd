//! `[evaluate]`: how the result is judged.

use crate::recipe::Keys;

/// Reads the table.
pub(super) fn read(evaluate: &Keys) {
    evaluate.describe("how the result is judged");
    for (key, why) in [
        ("folds", "cross-validation comes later"),
        ("baselines", "baselines come later"),
        ("worth", "verdicts come with `tlkit compare`"),
        ("level", "intervals are at 95 % in this version"),
        ("overlap", "the audit of overlapping rows comes later"),
    ] {
        evaluate.reserved(key, why);
    }
}

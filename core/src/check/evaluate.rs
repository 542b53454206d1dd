//! `[evaluate]`: how the result is judged.

use crate::audit::Overlap;
use crate::recipe::Keys;

/// Reads the table.
pub(super) fn read(evaluate: &Keys) -> Overlap {
    evaluate.describe("how the result is judged");
    for (key, why) in [
        ("folds", "cross-validation comes later"),
        ("baselines", "baselines come later"),
        ("worth", "verdicts come with `tlkit compare`"),
        ("level", "intervals are at 95 % in this version"),
    ] {
        evaluate.reserved(key, why);
    }
    let overlap = evaluate
        .string("overlap")
        .one_of(Overlap::NAMES)
        .default("drop", "a model is not judged on rows it has learned")
        .help("what becomes of training texts that also stand in the validation or test rows: left out of training, kept, or an error")
        .read();
    Overlap::named(&overlap).unwrap_or_default()
}

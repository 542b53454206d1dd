//! The page.

use super::compare::Comparison;

impl Comparison {
    pub(super) fn html(&self) -> String {
        String::new()
    }
}

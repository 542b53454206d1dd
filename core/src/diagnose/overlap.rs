//! Whether both domains have the same classes, as far as can be seen without labels of the target.

use rayon::prelude::*;
use serde::Serialize;

use super::Table;
use super::labels::LabelShift;

/// What one domain may have alone.
#[derive(Clone, Debug, Serialize)]
pub struct Overlap {
    /// Classes of the source whose estimated share of the target is under a tenth of their share of the source, where shares explain the answers: an
    /// estimate that they do not explain runs to the edge whatever the classes. Never of two classes, of which shares explain almost any.
    pub missing: Vec<String>,
    /// Share of target rows that are farther from every source row than 95 % of the source rows are from the nearest other one. 0.05 where the
    /// domains are alike; much of it is rows of no class of the source, or a large shift.
    pub far: f64,
}

/// Under this part of its share of the source a class counts as missing.
const MISSING: f64 = 0.1;

impl Overlap {
    pub(super) fn of(source: Table<'_>, target: Table<'_>, labels: &LabelShift) -> Overlap {
        let nearest = |row: &[f64], skip: Option<usize>| -> f64 {
            let rows = (0..source.rows()).filter(|&i| Some(i) != skip);
            let distance = |i: usize| -> f64 {
                let to = source.row(i);
                row.iter().zip(to).map(|(a, b)| (a - b).powi(2)).sum()
            };
            rows.map(distance).fold(f64::INFINITY, f64::min)
        };
        let mut own: Vec<f64> = (0..source.rows())
            .into_par_iter()
            .map(|i| nearest(source.row(i), Some(i)))
            .collect();
        own.sort_by(f64::total_cmp);
        let edge = own
            .get(own.len() * 95 / 100)
            .copied()
            .unwrap_or(f64::INFINITY);
        let far = (0..target.rows())
            .into_par_iter()
            .filter(|&i| nearest(target.row(i), None) > edge)
            .count();
        let told = labels.shares.len() > 2 && labels.explains();
        let missing = labels
            .shares
            .iter()
            .filter(|s| told && s.target < MISSING * s.source);
        Overlap {
            missing: missing.map(|s| s.class.clone()).collect(),
            far: far as f64 / target.rows().max(1) as f64,
        }
    }
}

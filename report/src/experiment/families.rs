//! Questions that are asked at once, and pairs of domains as samples of new ones.

use super::compare::{Comparison, Row};
use super::difference::Difference;
use super::read::Experiment;
use crate::statistics::{Tally, holm, independent, mean_ranks, wilcoxon};

impl Experiment {
    /// Whether a row is a question: it is compared with something, and is not the ceiling.
    pub(super) fn asks(&self, arm: usize) -> bool {
        self.arms[arm].reference.is_some() && !self.arms[arm].is_ceiling()
    }
}

/// Holm over the rows of the table; over the cells of pairs apart; then the words. A row that is not finished, failed or has no p is a question all the
/// same: what is asked is settled by the design, not by what came through.
pub(super) fn adjust(e: &Experiment, rows: &mut [Row]) {
    let asked = |i: usize| e.asks(i);
    let of_rows = rows.iter_mut().enumerate().filter(|(i, _)| asked(*i));
    family(e, of_rows.map(|(_, r)| r.difference.as_mut()).collect());
    let cells = rows.iter_mut().enumerate().filter(|(i, _)| asked(*i));
    let cells = cells.flat_map(|(_, r)| &mut r.pairs);
    family(e, cells.map(|c| c.difference.as_mut()).collect());
    for row in rows {
        if let Some(d) = &mut row.difference {
            d.settle_words(e, false);
        }
        let mut cells = Vec::new();
        for cell in &mut row.pairs {
            if let Some(d) = &mut cell.difference {
                d.settle_words(e, true);
                cells.extend(d.p_adjusted.map(|p| (d.mean, p)));
            }
        }
        if row.difference.is_some() && !row.pairs.is_empty() && cells.len() == row.pairs.len() {
            let t = Tally::of(&cells, 1.0 - e.level);
            row.tally = Some([t.wins, t.ties, t.losses]);
        }
    }
}

fn family(e: &Experiment, mut all: Vec<Option<&mut Difference>>) {
    let of = |get: fn(&Difference) -> Option<f64>, all: &[Option<&mut Difference>]| {
        let p = |d: &Option<&mut Difference>| d.as_ref().and_then(|d| get(d)).unwrap_or(1.0);
        holm(&all.iter().map(p).collect::<Vec<f64>>())
    };
    let (zero, worth) = (of(|d| d.p, &all), of(|d| d.p_worth, &all));
    let size = all.len();
    for (k, d) in all.iter_mut().enumerate() {
        let Some(d) = d else { continue };
        d.p_adjusted = d.p.map(|_| zero[k]);
        d.p_worth_adjusted = d.p_worth.map(|_| worth[k]);
        d.asked_of(size, e.level);
    }
}

impl Comparison {
    /// What can be said of new domains: a p-value of Wilcoxon's test, adjusted by Holm over the rows that are compared, only where no two pairs share a
    /// domain and there are at least six. A ceiling is asked nothing.
    pub fn new_domains(&self, row: &Row) -> Option<f64> {
        if !independent(&self.pairs) {
            return None;
        }
        let arms = &self.experiment.arms;
        let asked: Vec<&Row> = (self.rows.iter().zip(arms.iter()))
            .filter(|(_, a)| a.reference.is_some() && !a.is_ceiling())
            .map(|(r, _)| r)
            .collect();
        let of = |r: &Row| differences(r).and_then(|d| wilcoxon(&d));
        let at = asked
            .iter()
            .position(|r| r.method == row.method && r.values == row.values)?;
        of(row)?;
        let p: Vec<f64> = asked.iter().map(|r| of(r).unwrap_or(1.0)).collect();
        holm(&p).get(at).copied()
    }

    /// The mean rank over the pairs of each row that has a score of every pair, among those at the same value; no rank without the test above.
    pub(super) fn ranks(&self) -> Vec<Vec<(&Row, f64)>> {
        let mut groups: Vec<Vec<&Row>> = Vec::new();
        for row in self.rows.iter().filter(|r| !r.baseline && !is_ceiling(r)) {
            match groups.iter_mut().find(|g| g[0].values == row.values) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        groups
            .into_iter()
            .filter(|g| g.len() > 1)
            .filter_map(ranked)
            .collect()
    }
}

fn ranked(group: Vec<&Row>) -> Option<Vec<(&Row, f64)>> {
    let of = |r: &Row| -> Option<Vec<f64>> { r.pairs.iter().map(|c| c.mean).collect() };
    let (rows, scores): (Vec<&Row>, Vec<Vec<f64>>) =
        group.into_iter().filter_map(|r| Some((r, of(r)?))).unzip();
    (rows.len() > 1).then(|| rows.into_iter().zip(mean_ranks(&scores)).collect())
}

fn is_ceiling(row: &Row) -> bool {
    row.difference.as_ref().is_some_and(|d| d.ceiling)
}

/// By pair; none where one is missing, or of a ceiling.
fn differences(row: &Row) -> Option<Vec<f64>> {
    let of = |d: &Difference| (!d.ceiling).then_some(d.mean);
    let each = row.pairs.iter().map(|c| c.difference.as_ref().and_then(of));
    each.collect()
}

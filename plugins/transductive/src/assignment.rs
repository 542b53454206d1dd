//! The cheapest pairing of rows with columns (Jonker & Volgenant 1987; the shortest augmenting paths of the Hungarian method), `O(n^3)`.
//! Between two batches of equal size, every row of weight `1 / n`, optimal transport is this.

/// For each row of a square matrix its column; `None` where a cost is no number.
pub fn assign(cost: &[Vec<f64>]) -> Option<Vec<usize>> {
    let n = cost.len();
    if cost.iter().flatten().any(|c| !c.is_finite()) || cost.iter().any(|r| r.len() != n) {
        return None;
    }
    // Potentials of rows and columns, from 1; column 0 stands for the row that is being placed.
    let (mut u, mut v) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let mut row_of = vec![0usize; n + 1];
    for row in 1..=n {
        row_of[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; n + 1];
        let mut way = vec![0usize; n + 1];
        let mut used = vec![false; n + 1];
        loop {
            used[column] = true;
            let here = row_of[column];
            let (mut step, mut next) = (f64::INFINITY, 0);
            for j in (1..=n).filter(|&j| !used[j]) {
                let reduced = cost[here - 1][j - 1] - u[here] - v[j];
                if reduced < least[j] {
                    (least[j], way[j]) = (reduced, column);
                }
                if least[j] < step {
                    (step, next) = (least[j], j);
                }
            }
            for j in 0..=n {
                if used[j] {
                    u[row_of[j]] += step;
                    v[j] -= step;
                } else {
                    least[j] -= step;
                }
            }
            column = next;
            if row_of[column] == 0 {
                break;
            }
        }
        while column != 0 {
            let before = way[column];
            row_of[column] = row_of[before];
            column = before;
        }
    }
    let mut columns = vec![0; n];
    for j in 1..=n {
        columns[row_of[j] - 1] = j - 1;
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::assign;
    use tlkit_core::random::Stream;

    fn total(cost: &[Vec<f64>], columns: &[usize]) -> f64 {
        columns.iter().enumerate().map(|(r, &c)| cost[r][c]).sum()
    }

    fn cheapest(cost: &[Vec<f64>], free: &mut Vec<usize>, row: usize) -> f64 {
        if row == cost.len() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for i in 0..free.len() {
            let column = free.remove(i);
            best = best.min(cost[row][column] + cheapest(cost, free, row + 1));
            free.insert(i, column);
        }
        best
    }

    #[test]
    fn no_other_pairing_is_cheaper() {
        for n in 1..7 {
            for draw in 0..20 {
                let random = Stream::new(draw).purpose("costs").at(n as u64);
                let cost: Vec<Vec<f64>> = (0..n)
                    .map(|i| {
                        (0..n)
                            .map(|j| random.uniform((i * n + j) as u64) - 0.5)
                            .collect()
                    })
                    .collect();
                let columns = assign(&cost).unwrap();
                let mut sorted = columns.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>());
                let best = cheapest(&cost, &mut (0..n).collect(), 0);
                assert!((total(&cost, &columns) - best).abs() < 1e-12);
            }
        }
        assert_eq!(assign(&[]), Some(vec![]));
        assert_eq!(assign(&[vec![f64::NAN]]), None);
    }
}

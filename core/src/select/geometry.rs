//! Scores that look at how the target's rows lie: nuclear norm, silhouette, neighbourhoods.

use super::Seen;
use super::seen::some;

/// Most rows of which each is compared with each.
const MOST: usize = 500;
/// Of the soft neighbourhoods (Saito et al. 2021).
const TEMPERATURE: f64 = 0.05;

/// The nuclear norm of the predictions `(rows, classes)` over the largest that it can be, `sqrt(rows * min(rows, classes))`.
pub(super) fn nuclear_share(seen: &Seen) -> f64 {
    let (n, k) = (seen.rows(), seen.classes);
    let mut gram = vec![0.0; k * k];
    for p in seen.predictions() {
        for i in 0..k {
            for j in 0..k {
                gram[i * k + j] += p[i] * p[j];
            }
        }
    }
    let norm: f64 = eigenvalues(gram, k).iter().map(|v| v.max(0.0).sqrt()).sum();
    norm / ((n * n.min(k)).max(1) as f64).sqrt()
}

/// The eigenvalues of a symmetric matrix, by Jacobi's rotations: there are as many as classes.
fn eigenvalues(mut a: Vec<f64>, n: usize) -> Vec<f64> {
    let norm: f64 = a.iter().map(|v| v * v).sum();
    for _ in 0..60 {
        let mut rest = 0.0;
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                rest += apq * apq;
                if apq.abs() < 1e-300 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for r in 0..n {
                    let (x, y) = (a[r * n + p], a[r * n + q]);
                    a[r * n + p] = c * x - s * y;
                    a[r * n + q] = s * x + c * y;
                }
                for r in 0..n {
                    let (x, y) = (a[p * n + r], a[q * n + r]);
                    a[p * n + r] = c * x - s * y;
                    a[q * n + r] = s * x + c * y;
                }
            }
        }
        if rest <= 1e-24 * norm {
            break;
        }
    }
    (0..n).map(|i| a[i * n + i]).collect()
}

/// The mean silhouette of the target's features by predicted class; -1 where only one class is predicted.
pub(super) fn silhouette(seen: &Seen) -> f64 {
    let rows = some(seen.rows(), MOST);
    let n = rows.len();
    let predicted = seen.predicted();
    let labels: Vec<usize> = rows.iter().map(|&r| predicted[r as usize]).collect();
    let row = |i: usize| {
        let at = rows[i] as usize * seen.width;
        &seen.target_features[at..at + seen.width]
    };
    let mut counts = vec![0usize; seen.classes];
    labels.iter().for_each(|&l| counts[l] += 1);
    if counts.iter().filter(|c| **c > 0).count() < 2 {
        return -1.0;
    }
    let mut sum = 0.0;
    for i in 0..n {
        let own = labels[i];
        // Alone in its class: 0, as Rousseeuw (1987) has it.
        if counts[own] < 2 {
            continue;
        }
        let mut to = vec![0.0; seen.classes];
        for j in (0..n).filter(|&j| j != i) {
            let squares = row(i).iter().zip(row(j)).map(|(a, b)| (a - b) * (a - b));
            to[labels[j]] += squares.sum::<f64>().sqrt();
        }
        let within = to[own] / (counts[own] - 1) as f64;
        let others = (0..seen.classes).filter(|&c| c != own && counts[c] > 0);
        let nearest = others
            .map(|c| to[c] / counts[c] as f64)
            .fold(f64::INFINITY, f64::min);
        let most = within.max(nearest);
        if most > 0.0 {
            sum += (nearest - within) / most;
        }
    }
    sum / n as f64
}

/// Soft neighbourhood density: the mean entropy of a softmax over the similarities of each prediction, at length one, to all others.
pub(super) fn neighbourhood(seen: &Seen) -> f64 {
    let rows = some(seen.rows(), MOST);
    let n = rows.len();
    let predictions: Vec<&[f64]> = seen.predictions().collect();
    let unit: Vec<Vec<f64>> = rows
        .iter()
        .map(|&r| {
            let p = predictions[r as usize];
            let length = p.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
            p.iter().map(|v| v / length).collect()
        })
        .collect();
    let mut sum = 0.0;
    for i in 0..n {
        let likes: Vec<f64> = (0..n)
            .filter(|&j| j != i)
            .map(|j| {
                let dot: f64 = unit[i].iter().zip(&unit[j]).map(|(a, b)| a * b).sum();
                dot / TEMPERATURE
            })
            .collect();
        let most = likes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = likes.iter().map(|v| (v - most).exp()).sum();
        sum += likes
            .iter()
            .map(|v| {
                let p = (v - most).exp() / total;
                if p > 0.0 { -p * p.ln() } else { 0.0 }
            })
            .sum::<f64>();
    }
    sum / n.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: Vec<f64>, features: Vec<f64>) -> Seen {
        Seen {
            width: 1,
            classes: 2,
            target_features: features,
            target,
            ..Seen::default()
        }
    }

    #[test]
    fn the_nuclear_norm_is_largest_for_sure_and_even_predictions() {
        let even = of([1.0, 0.0, 0.0, 1.0].repeat(10), vec![0.0; 20]);
        assert!((nuclear_share(&even) - 1.0).abs() < 1e-9);
        let one = of([1.0, 0.0].repeat(20), vec![0.0; 20]);
        assert!((nuclear_share(&one) - 0.5f64.sqrt()).abs() < 1e-9);
        let unsure = of(vec![0.5; 40], vec![0.0; 20]);
        assert!(nuclear_share(&unsure) < nuclear_share(&one));
    }

    #[test]
    fn eigenvalues_of_a_known_matrix() {
        let mut found = eigenvalues(vec![2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0], 3);
        found.sort_by(f64::total_cmp);
        let root = 2f64.sqrt();
        for (a, b) in found.iter().zip([2.0 - root, 2.0, 2.0 + root]) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn classes_that_lie_apart_have_a_silhouette_near_one() {
        let predictions = [[1.0, 0.0].repeat(10), [0.0, 1.0].repeat(10)].concat();
        let apart = [vec![0.0; 10], vec![9.0; 10]].concat();
        assert!((silhouette(&of(predictions.clone(), apart)) - 1.0).abs() < 1e-9);
        let mixed: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
        assert!(silhouette(&of(predictions, mixed)) < 0.1);
        assert_eq!(silhouette(&of([1.0, 0.0].repeat(20), vec![0.0; 20])), -1.0);
    }

    #[test]
    fn neighbourhoods_are_densest_where_all_say_the_same() {
        let same = of([1.0, 0.0].repeat(20), vec![0.0; 20]);
        assert!((neighbourhood(&same) - 19f64.ln()).abs() < 1e-9);
        let two = of([1.0, 0.0, 0.0, 1.0].repeat(10), vec![0.0; 20]);
        assert!(neighbourhood(&two) < neighbourhood(&same));
    }
}

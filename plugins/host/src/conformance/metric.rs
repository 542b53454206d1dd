//! Trials of metrics.

use tlkit_core::metrics::{Metric, softmax};
use tlkit_core::random::Stream;
use tlkit_core::{Error, Result};

use super::memory::leaks;
use super::{Tell, first_line};

/// Probabilities and true classes of rows.
fn rows(n: usize, classes: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<u32>) {
    let stream = Stream::new(seed);
    let logits: Vec<Vec<f32>> = (0..n as u64)
        .map(|row| stream.at(row).normals(classes))
        .collect();
    let truth = (0..n as u64).map(|row| stream.below(row, classes as u64) as u32);
    (softmax(&logits), truth.collect())
}

/// Tries a metric.
pub fn metric<M: Metric>(make: &dyn Fn() -> Result<M>, tell: Tell<'_>) {
    let made = match make() {
        Ok(made) => made,
        Err(e) => return tell("it is made", Err(e)),
    };
    let perfect = (|| {
        let truth: Vec<u32> = (0..60).map(|i| i % 3).collect();
        let sure = |&t: &u32| (0..3).map(|c| f32::from(u8::from(c == t))).collect();
        let right: Vec<Vec<f32>> = truth.iter().map(sure).collect();
        let wrong: Vec<Vec<f32>> = truth.iter().map(|t| sure(&((t + 1) % 3))).collect();
        let (best, worst) = (made.score(&right, &truth)?, made.score(&wrong, &truth)?);
        Ok(format!(
            "{best} where all is right, {worst} where nothing is"
        ))
    })();
    tell("a number of what is right, and of what is wrong", perfect);
    let same = (|| {
        let (p, truth) = rows(200, 4, 1);
        let first = made.score(&p, &truth)?.to_bits();
        let there = std::thread::scope(|s| s.spawn(|| made.score(&p, &truth)).join());
        let there = there
            .map_err(|_| Error::msg("a thread panicked"))??
            .to_bits();
        let other = make()?.score(&p, &truth)?.to_bits();
        match first == there && first == other {
            true => Ok(String::new()),
            false => Err(Error::msg("the bits differ")),
        }
    })();
    tell(
        "equal calls give equal bits, on any thread, of any instance",
        same,
    );
    let order = (|| {
        let (p, truth) = rows(200, 4, 2);
        let first = made.score(&p, &truth)?;
        let order = Stream::new(9).permutation(200);
        let (q, u): (Vec<Vec<f32>>, Vec<u32>) = order
            .iter()
            .map(|&i| (p[i as usize].clone(), truth[i as usize]))
            .unzip();
        let second = made.score(&q, &u)?;
        // Sums in f32 keep six digits.
        match (first - second).abs() <= 1e-5 * first.abs().max(1.0) {
            true => Ok(String::new()),
            false => Err(Error::msg(format!(
                "{first}, and {second} of the same rows in another order"
            ))),
        }
    })();
    tell("the order of rows does not matter", order);
    let edges = [(1, 2), (0, 2), (3, 1)].map(|(n, classes)| {
        let (p, truth) = rows(n, classes, 3);
        match made.score(&p, &truth) {
            Ok(v) => format!("{n} rows of {classes} classes: {v:.3}"),
            Err(e) => {
                let text = e.to_string();
                let said = text
                    .split_once("`: ")
                    .map_or(text.as_str(), |(_, said)| said);
                format!("{n} rows of {classes} classes: {}", first_line(said))
            }
        }
    });
    tell(
        "one row, no row, one class: a number or an error",
        Ok(edges.join("; ")),
    );
    let many = (0..1000u64).try_for_each(|i| {
        let stream = Stream::new(i);
        let (n, classes) = (
            20 + stream.below(0, 60) as usize,
            2 + stream.below(1, 6) as usize,
        );
        let (p, truth) = rows(n, classes, i);
        made.score(&p, &truth)
            .map(drop)
            .map_err(|e| Error::msg(format!("call {i}: {e}")))
    });
    tell("a thousand random calls", many.map(|()| String::new()));
    let (p, truth) = rows(5000, 10, 4);
    let memory = leaks(200, |calls| {
        (0..calls).try_for_each(|_| make()?.score(&p, &truth).map(drop))
    });
    tell("memory does not grow", memory);
}

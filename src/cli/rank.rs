//! `tlkit rank`: which source to carry over, from features and labels alone.

use std::path::Path;

use rayon::prelude::*;
use tlkit_core::cache::Cache;
use tlkit_core::random::Stream;
use tlkit_core::rank::{h_score, halves, log_me};
use tlkit_core::run;
use tlkit_report::{Align, Table};

use super::arguments::Rank;
use super::exit::Failure;
use super::output;
use super::parts::Fetch;
use super::progress::Progress;
use super::recipe::read_aloud;

/// Rows that are looked at: the time of the scores grows with their cube.
const MOST: usize = 1_000;
/// Halves of the rows that the order is tried on.
const HALVES: usize = 20;
/// Deviations that a gap has to be from nothing: t of 19 degrees of freedom at 95 %.
const SURE: f64 = 2.093;

/// What was found of one source.
struct Scored {
    name: String,
    width: usize,
    log_me: f64,
    h_score: f64,
    /// On each half of the rows.
    halves: Vec<f64>,
}

/// Ranks the sources.
pub fn rank(arguments: &Rank) -> Result<(), Failure> {
    let mut all: Vec<Scored> = Vec::new();
    let (mut rows, mut of) = (0, 0);
    let mut same: Option<String> = None;
    for name in &arguments.sources {
        let mut sets = arguments.overrides.sets.clone();
        // A path of the command line is seen from here; in a recipe it would be seen from the recipe. A JSON string is a TOML string.
        let seen = match Path::new(name).exists() {
            true => std::path::absolute(name).unwrap_or_else(|_| name.into()),
            false => name.into(),
        };
        let seen = seen.to_string_lossy();
        sets.push(format!("source.checkpoint={}", serde_json::json!(seen)));
        let checked = read_aloud(&arguments.recipe, &sets, Fetch::Aloud)?.checked;
        if let Some(first) = same.replace(checked.data_sha256())
            && first != checked.data_sha256()
        {
            return Err(Failure::Wrong(format!(
                "{name} reads other rows than the sources before it"
            )));
        }
        let cache = if checked.cache {
            Cache::of_the_user()
        } else {
            None
        };
        let progress = Progress::new(arguments.json);
        let (data, labels) = run::features(&checked, cache.as_ref(), &progress)?;
        progress.finish();
        let (n, width) = (data.labels.len(), data.width);
        let mut kept = Stream::new(0).purpose("rank").permutation(n);
        kept.truncate(MOST);
        kept.sort_unstable();
        let (data, labels) = (data.pick(&kept), labels.pick(&kept));
        (rows, of) = (kept.len(), n);
        let parts = halves(&labels, HALVES, Stream::new(0).purpose("halves"));
        all.push(Scored {
            name: name.clone(),
            width,
            log_me: log_me(&data),
            h_score: h_score(&data),
            halves: parts
                .par_iter()
                .map(|rows| log_me(&data.pick(rows)))
                .collect(),
        });
    }
    all.sort_by(|a, b| b.log_me.total_cmp(&a.log_me));
    let said = verdict(&all);
    if arguments.json {
        let sources: Vec<_> = all
            .iter()
            .map(|s| {
                serde_json::json!({ "source": s.name, "width": s.width, "log_me": s.log_me, "h_score": s.h_score, "halves": s.halves })
            })
            .collect();
        let json = serde_json::json!({ "rows": rows, "of": of, "sources": sources, "words": said });
        output::out(&format!("{json:#}\n"));
        return Ok(());
    }
    let mut table = Table::new(&[
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Right,
    ]);
    table.row(["source", "features", "LogME", "H-score", "best on halves"]);
    for s in &all {
        let first = (0..HALVES)
            .filter(|&h| all.iter().all(|o| s.halves[h] >= o.halves[h]))
            .count();
        table.row([
            s.name.clone(),
            s.width.to_string(),
            format!("{:.4}", s.log_me),
            format!("{:.3}", s.h_score),
            format!("{first} of {HALVES}"),
        ]);
    }
    let looked = match rows < of {
        true => format!("{rows} of {of} training rows, drawn once"),
        false => format!("{of} training rows"),
    };
    output::out(&format!(
        "{}\n\n{said}\n({looked}; nothing was trained)\n",
        table.lines("").join("\n")
    ));
    Ok(())
}

/// Which to take, and how sure that is.
fn verdict(all: &[Scored]) -> String {
    let [first, second, ..] = all else {
        return "one source alone has no order".into();
    };
    let ahead = |h: usize| first.halves[h] - second.halves[h];
    let gaps: Vec<f64> = (0..first.halves.len()).map(ahead).collect();
    let wins = gaps.iter().filter(|g| **g > 0.0).count();
    let n = gaps.len();
    let best = all.iter().map(|s| s.h_score).fold(f64::MIN, f64::max);
    let agree = match first.h_score >= best {
        true => "the H-score agrees",
        false => "the H-score prefers another",
    };
    let gap = first.log_me - second.log_me;
    let apart = gap / other_rows(&gaps);
    // Halves that are drawn from the same rows agree sooner than other rows would: the gap itself has to stand out.
    if wins * 20 >= n * 17 && apart > SURE {
        format!(
            "take {}: its LogME is {gap:.4} above that of {}, {apart:.1} times what other rows would change, and above it on {wins} of {n} halves of the rows; {agree}",
            first.name, second.name
        )
    } else {
        format!(
            "{} and {} are not distinguishable: {gap:.4} apart in LogME, {apart:.1} times what other rows would change, and the first is ahead on {wins} of {n} halves of the rows; {agree}",
            first.name, second.name
        )
    }
}

/// How far from each other gaps on other rows would be: the deviation of the halves'. (Half of the rows without the other half are as far from all of them as all of
/// them are from those that there might have been.)
fn other_rows(gaps: &[f64]) -> f64 {
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let squares: f64 = gaps.iter().map(|g| (g - mean).powi(2)).sum();
    // Halves that are all alike leave nothing to be unsure of.
    (squares / (n - 1.0)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(name: &str, h_score: f64, halves: &[f64]) -> Scored {
        Scored {
            name: name.into(),
            width: 4,
            log_me: halves.iter().sum::<f64>() / halves.len() as f64,
            h_score,
            halves: halves.to_vec(),
        }
    }

    #[test]
    fn a_lead_on_every_half_is_said_and_a_coin_toss_too() {
        let wavy = |by: f64| -> Vec<f64> {
            (0..20)
                .map(|i| by + if i % 2 == 0 { 0.05 } else { -0.05 })
                .collect()
        };
        let a = scored("a", 2.0, &wavy(0.5));
        let b = scored("b", 1.0, &[0.3; 20]);
        let text = verdict(&[a, b]);
        assert_eq!(
            text,
            "take a: its LogME is 0.2000 above that of b, 3.9 times what other rows would change, and above it on 20 of 20 halves of the rows; the H-score agrees"
        );
        // Ahead on every half, by no more than other rows would change.
        let (a, b) = (scored("a", 2.0, &wavy(0.36)), scored("b", 1.0, &[0.3; 20]));
        let text = verdict(&[a, b]);
        assert!(
            text.contains("not distinguishable") && text.contains("ahead on 20 of 20"),
            "{text}"
        );
        let mixed: Vec<f64> = (0..20)
            .map(|i| if i % 2 == 0 { 0.5 } else { 0.1 })
            .collect();
        let (a, b) = (scored("a", 1.0, &mixed), scored("b", 2.0, &[0.2; 20]));
        let text = verdict(&[a, b]);
        assert!(
            text.contains("not distinguishable") && text.contains("ahead on 10 of 20"),
            "{text}"
        );
        assert!(text.ends_with("the H-score prefers another"), "{text}");
    }
}

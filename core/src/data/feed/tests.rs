//! Batches, kept rows, and rows that are prepared ahead.

use std::collections::BTreeSet;

use super::*;
use crate::data::Input;

struct Counting(usize);

impl Samples for Counting {
    fn len(&self) -> usize {
        self.0
    }

    fn id(&self, row: usize) -> String {
        row.to_string()
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        Ok(Input::Text("x".repeat(1 + row * 7 % 13).into()))
    }
}

struct Letters(AtomicUsize);

impl Prepare for Letters {
    fn digest(&self) -> String {
        "letters".into()
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let Input::Text(t) = input else {
            unreachable!("texts only")
        };
        Ok(Example::new(t.len()).with("input", Field::Ids(vec![1; t.len()])))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let n = examples.len();
        Ok(Batch::new(n, Tensor::new(vec![0u32; n], device)?))
    }
}

/// A view is the row's length and a draw; now and then it takes long.
struct Slow;

impl Prepare for Slow {
    fn digest(&self) -> String {
        "slow".into()
    }

    fn views(&self) -> &[View] {
        &[View::Plain, View::Weak]
    }

    fn length(&self) -> Option<usize> {
        Some(1)
    }

    fn slow(&self) -> bool {
        true
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        let Input::Text(t) = input else {
            unreachable!("texts only")
        };
        match t.len() {
            13 => Err(crate::Error::msg("a row of 13")),
            n => Ok(Example::new(1).with("input", Field::Bytes(vec![n as u8]))),
        }
    }

    fn view(&self, plain: &Example, _: View, random: Stream) -> Result<Example> {
        if random.uniform(1) < 0.1 {
            std::thread::yield_now();
        }
        let draw = (random.uniform(0) * 256.0) as u8;
        let bytes = [plain.raw("input"), &[draw]].concat();
        Ok(Example::new(1).with("input", Field::Bytes(bytes)))
    }

    fn mix(&self, a: &Example, b: &Example, _: View, random: Stream) -> Result<(Example, f64)> {
        let bytes = [a.raw("input"), b.raw("input")].concat();
        let mixed = Example::new(1).with("input", Field::Bytes(bytes));
        Ok((mixed, random.uniform(0)))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let n = examples.len();
        Ok(Batch::new(n, Tensor::new(vec![0u32; n], device)?))
    }
}

#[test]
fn a_row_is_mixed_with_another_whatever_batch_it_is_in() -> Result<()> {
    let classes: Vec<u32> = (0..11).collect();
    let domain = Domain {
        name: "rows".into(),
        inputs: Arc::new(Counting(11)),
        labels: Labels {
            classes,
            names: Arc::new((0..11).map(|c| c.to_string()).collect()),
        },
    };
    let rows = Arc::new(Loaded::labelled(&domain, Arc::new(Slow)));
    let random = Stream::new(1);
    let go = |rows_of: &[u32]| rows.examples(rows_of, View::Mixup, random);
    let all = go(&[0, 1, 2, 3, 4, 5])?;
    assert_eq!(all, [go(&[0, 1])?, go(&[2, 3, 4, 5])?].concat());
    let batch = rows.collate(&all, &Device::Cpu)?;
    let others = batch.want(OTHER)?.to_vec1::<u32>()?;
    let shares = batch.want(SHARE)?.to_vec1::<f32>()?;
    for ((example, other), share) in all.iter().zip(&others).zip(&shares) {
        // A view is the length and a draw; the other's label is its row, and a row's length is a function of it.
        assert_eq!(example.raw("input")[2] as u32, 1 + other * 7 % 13);
        assert!((0.0..1.0).contains(share));
    }
    assert!(others.iter().any(|o| *o != others[0]), "{others:?}");
    // Another epoch, another partner; and none without labels.
    let later = rows.examples(&[0, 1, 2, 3, 4, 5], View::Mixup, Stream::new(2))?;
    assert_ne!(all, later);
    let blind = Loaded::unlabelled(&domain, Arc::new(Slow));
    let error = blind.examples(&[0], View::Mixup, random).err();
    assert!(error.is_some_and(|e| e.to_string().contains("none that training may see")));
    // Plain rows carry nothing.
    let plain = rows.collate(&rows.examples(&[0, 1], View::Plain, random)?, &Device::Cpu)?;
    assert!(plain.get(OTHER).is_none());
    Ok(())
}

#[test]
fn rows_prepared_ahead_are_the_same_and_no_more_than_was_said() -> Result<()> {
    let domain = Domain {
        name: "rows".into(),
        inputs: Arc::new(Counting(60)),
        labels: (),
    };
    let load = || Arc::new(Loaded::unlabelled(&domain, Arc::new(Slow)));
    // Rows of 13 letters fail.
    let good: Vec<u32> = (0..60).filter(|r| 1 + r * 7 % 13 != 13).collect();
    let batches: Vec<&[u32]> = good.chunks(8).collect();
    let random = Stream::new(5);
    let go = |ahead: usize, threads: usize| -> Result<Vec<Vec<Arc<Example>>>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map_err(|e| crate::Error::msg(e.to_string()))?
            .install(|| {
                let rows = load();
                let mut all = Vec::new();
                for step in 0..batches.len() {
                    let next = batches[step..].iter().take(ahead + 1);
                    let next: Vec<_> = next.map(|b| (*b, View::Weak, random)).collect();
                    if ahead > 0 {
                        rows.expect(&next);
                        assert!(rows.ahead.len() <= 8 * (ahead + 1) + threads);
                    }
                    all.push(rows.examples(batches[step], View::Weak, random)?);
                    // A second time, as a repeated update asks.
                    let again = rows.examples(batches[step], View::Weak, random)?;
                    assert_eq!(again, all[step]);
                }
                Ok(all)
            })
    };
    let plain = go(0, 1)?;
    for (ahead, threads) in [(1, 1), (2, 1), (2, 4), (3, 8)] {
        assert_eq!(
            go(ahead, threads)?,
            plain,
            "{ahead} ahead, {threads} threads"
        );
    }
    // An error comes to the one who asks, not to the one who was ahead.
    let rows = load();
    let bad: Vec<u32> = vec![0, 11, 12];
    rows.expect(&[(&bad, View::Weak, random)]);
    let error = rows.examples(&bad, View::Weak, random).err();
    assert_eq!(
        error.map(|e| e.to_string()).as_deref(),
        Some("11: a row of 13")
    );
    Ok(())
}

#[test]
fn rows_beyond_the_budget_are_prepared_anew_and_the_same() -> Result<()> {
    let feed = Feed {
        from: From::Target,
        views: vec![View::Plain],
        batch: 4,
        sampler: Sampler::ByLength,
        drop_last: false,
        not_alone: false,
    };
    let go = |budget: usize| -> Result<_> {
        let prepare = Arc::new(Letters(AtomicUsize::new(0)));
        let domain = Domain {
            name: "rows".into(),
            inputs: Arc::new(Counting(50)),
            labels: (),
        };
        let mut rows = Loaded::unlabelled(&domain, prepare.clone());
        rows.budget = budget;
        let order = rows.epoch(&feed, Stream::new(0), 0)?;
        let lengths = |rows: &Loaded| -> Result<Vec<usize>> {
            (0..50).map(|r| Ok(rows.example(r)?.length())).collect()
        };
        let read = (lengths(&rows)?, rows.by_length(8)?);
        let times = prepare.0.load(Ordering::SeqCst);
        Ok((order, read, times, rows.kept.load(Ordering::SeqCst)))
    };
    let (all, some, none) = (go(KEPT)?, go(10_000)?, go(0)?);
    assert_eq!((&all.0, &all.1), (&some.0, &some.1));
    assert_eq!((&all.0, &all.1), (&none.0, &none.1));
    assert_eq!((all.2, none.2), (50, 100));
    assert!(50 < some.2 && some.2 < 100, "{}", some.2);
    assert!(some.3 <= 10_000 && none.3 == 0);
    Ok(())
}

/// Where only whole batches are wanted, what is left over is drawn anew each epoch: it is not always the longest rows.
#[test]
fn every_row_comes_in_some_epoch() -> Result<()> {
    let domain = Domain {
        name: "rows".into(),
        inputs: Arc::new(Counting(50)),
        labels: (),
    };
    let rows = Loaded::unlabelled(&domain, Arc::new(Letters(AtomicUsize::new(0))));
    let mut spreads = Vec::new();
    for sampler in [Sampler::ByLength, Sampler::Mixed] {
        let feed = Feed {
            from: From::Target,
            views: vec![View::Plain],
            batch: 8,
            sampler,
            drop_last: true,
            not_alone: false,
        };
        let mut seen = BTreeSet::new();
        let mut spread = 0;
        for epoch in 0..30 {
            let batches = rows.epoch(&feed, Stream::new(0), epoch)?;
            assert_eq!(batches.len(), 6);
            for batch in batches.iter() {
                assert_eq!(batch.len(), 8);
                let lengths = batch.iter().map(|&r| rows.length(r));
                let lengths = lengths.collect::<Result<Vec<_>>>()?;
                spread += lengths.iter().max().unwrap() - lengths.iter().min().unwrap();
            }
            seen.extend(batches.concat());
        }
        assert_eq!(seen.len(), 50, "{sampler:?}");
        spreads.push(spread);
    }
    // Rows of like length meet in the one and not in the other.
    assert!(3 * spreads[0] < spreads[1], "{spreads:?}");
    Ok(())
}

/// Batch norm has no variance of one row.
#[test]
fn a_row_alone_joins_the_batch_before_it() -> Result<()> {
    let domain = Domain {
        name: "rows".into(),
        inputs: Arc::new(Counting(33)),
        labels: (),
    };
    let rows = Loaded::unlabelled(&domain, Arc::new(Letters(AtomicUsize::new(0))));
    for sampler in [
        Sampler::Ordered,
        Sampler::Shuffled,
        Sampler::ByLength,
        Sampler::Mixed,
    ] {
        let feed = |not_alone: bool| Feed {
            from: From::Source,
            views: vec![View::Plain],
            batch: 8,
            sampler,
            drop_last: false,
            not_alone,
        };
        for epoch in 0..5 {
            let sizes = |not_alone| -> Result<Vec<usize>> {
                let batches = rows.epoch(&feed(not_alone), Stream::new(0), epoch)?;
                assert_eq!(
                    batches.concat().into_iter().collect::<BTreeSet<_>>().len(),
                    33
                );
                Ok(batches.iter().map(Vec::len).collect())
            };
            let (mut plain, mut joined) = (sizes(false)?, sizes(true)?);
            plain.sort_unstable();
            joined.sort_unstable();
            assert_eq!(
                (plain, joined),
                (vec![1, 8, 8, 8, 8], vec![8, 8, 8, 9]),
                "{sampler:?}"
            );
        }
    }
    Ok(())
}

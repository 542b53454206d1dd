//! The cache on disk: whole or not at all, once for all who ask, no larger than allowed, and no failure of a run.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tlkit_core::cache::{Cache, Key, Rows, kept};
use tlkit_core::train::{Event, Observer, Silent};
use tlkit_core::{Error, Result};

const ROWS: usize = 100;
const WIDTH: usize = 3;

fn folder(name: &str) -> PathBuf {
    let dir =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cache-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn key(name: &str) -> Key {
    Key::new("test").with("name", name)
}

/// Rows in an order of their own, a few at a time; fails after so many.
fn make(cache: Option<&Cache>, name: &str, fail: usize, made: &AtomicUsize) -> Result<Rows> {
    kept(cache, &key(name), ROWS, &Silent, &mut |sink| {
        made.fetch_add(1, Ordering::SeqCst);
        let order: Vec<u32> = (0..ROWS as u32).rev().collect();
        for (i, rows) in order.chunks(7).enumerate() {
            if i == fail {
                return Err(Error::msg("failed"));
            }
            let values = rows.iter().flat_map(|&r| [r as f32, 0.1 * r as f32, -1.5]);
            sink.put(rows, &values.collect::<Vec<_>>())?;
        }
        Ok(())
    })
}

fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn bits(rows: &Rows) -> Vec<u32> {
    rows.values().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn what_is_kept_has_the_bits_of_what_was_computed() -> Result<()> {
    let dir = folder("bits");
    let cache = Cache::at(&dir, u64::MAX);
    let made = AtomicUsize::new(0);
    let memory = make(None, "a", usize::MAX, &made)?;
    let cold = make(Some(&cache), "a", usize::MAX, &made)?;
    let warm = make(Some(&cache), "a", usize::MAX, &made)?;
    assert_eq!(made.load(Ordering::SeqCst), 2);
    assert_eq!((memory.len(), memory.width()), (ROWS, WIDTH));
    assert_eq!(bits(&memory), bits(&cold));
    assert_eq!(bits(&memory), bits(&warm));
    assert_eq!(warm.row(42), [42.0, 0.1 * 42.0, -1.5]);
    let picked = warm.gather(&[3, 99, 3], &candle_core::Device::Cpu)?;
    assert_eq!(picked.dims(), [3, WIDTH]);
    assert_eq!(picked.to_vec2::<f32>()?[1][0], 99.0);
    assert_eq!(files(&dir), [format!("{}.rows", key("a").name())]);
    std::fs::remove_dir_all(dir).map_err(Error::io("cache"))
}

/// An entry that cannot be put in its place is none, and the rows are there all the same.
#[test]
fn a_place_that_is_taken_is_no_failure() -> Result<()> {
    let dir = folder("taken");
    let cache = Cache::at(&dir, u64::MAX);
    let made = AtomicUsize::new(0);
    let memory = make(None, "a", usize::MAX, &made)?;
    let entry = dir.join(format!("{}.rows", key("a").name()));
    std::fs::create_dir_all(entry.join("something")).map_err(Error::io(&entry))?;
    let rows = make(Some(&cache), "a", usize::MAX, &made)?;
    assert_eq!(bits(&memory), bits(&rows));
    let left: Vec<String> = files(&dir);
    assert!(left.iter().all(|f| !f.ends_with(".part")), "{left:?}");
    std::fs::remove_dir_all(dir).map_err(Error::io("cache"))
}

#[test]
fn an_entry_is_whole_or_not_there() -> Result<()> {
    let dir = folder("whole");
    let cache = Cache::at(&dir, u64::MAX);
    let made = AtomicUsize::new(0);
    assert!(make(Some(&cache), "a", 5, &made).is_err());
    assert!(files(&dir).is_empty(), "{:?}", files(&dir));
    // Too few rows are an error too, and no entry.
    let few = kept(Some(&cache), &key("a"), ROWS, &Silent, &mut |sink| {
        sink.put(&[0], &[1.0])
    });
    assert!(few.is_err());
    assert!(files(&dir).is_empty(), "{:?}", files(&dir));
    let whole = make(Some(&cache), "a", usize::MAX, &made)?;
    let path = dir.join(format!("{}.rows", key("a").name()));
    let bytes = std::fs::read(&path).unwrap();
    // Cut, longer, of another kind: computed anew, and right again.
    let longer = [bytes.as_slice(), &[0]].concat();
    let other = [b"something".as_slice(), &bytes[9..]].concat();
    for broken in [
        &bytes[..bytes.len() - 4],
        &bytes[..10],
        &longer,
        &other,
        &[],
    ] {
        let beside = dir.join("beside");
        std::fs::write(&beside, broken).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        let before = made.load(Ordering::SeqCst);
        assert_eq!(
            bits(&make(Some(&cache), "a", usize::MAX, &made)?),
            bits(&whole)
        );
        assert_eq!(made.load(Ordering::SeqCst), before + 1);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    std::fs::remove_dir_all(dir).map_err(Error::io("cache"))
}

/// Numbers that a disk gives back changed are not learned from.
#[test]
fn a_bit_that_was_turned_is_computed_again_and_said() -> Result<()> {
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);
    impl Observer for Notes {
        fn event(&self, event: &Event<'_>) {
            if let Event::Note(text) = event {
                self.0.lock().unwrap().push(text.to_string());
            }
        }
    }
    let dir = folder("turned");
    let cache = Cache::at(&dir, u64::MAX);
    let made = AtomicUsize::new(0);
    let whole = make(Some(&cache), "a", usize::MAX, &made)?;
    let path = dir.join(format!("{}.rows", key("a").name()));
    let bytes = std::fs::read(&path).unwrap();
    // Of the first number, a middle and the last one; of the sum itself.
    for at in [64, 64 + 4 * 151 + 2, bytes.len() - 1, 41] {
        let mut turned = bytes.clone();
        turned[at] ^= 1;
        let beside = dir.join("beside");
        std::fs::write(&beside, turned).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        let notes = Notes::default();
        let again = kept(Some(&cache), &key("a"), ROWS, &notes, &mut |sink| {
            (0..ROWS as u32).try_for_each(|r| sink.put(&[r], whole.row(r as usize)))
        })?;
        assert_eq!(bits(&again), bits(&whole), "{at}");
        let notes = notes.0.into_inner().unwrap();
        assert!(
            notes.len() == 1 && notes[0].contains("not the numbers that were written"),
            "{at}: {notes:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{at}");
    }
    std::fs::remove_dir_all(dir).map_err(Error::io("cache"))
}

#[test]
fn many_who_ask_at_once_compute_it_once() -> Result<()> {
    let dir = folder("once");
    let cache = Cache::at(&dir, u64::MAX);
    let made = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let rows = kept(Some(&cache), &key("a"), 2, &Silent, &mut |sink| {
                    made.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    sink.put(&[1, 0], &[1.0, 0.0])
                });
                all.lock().unwrap().push(bits(&rows.unwrap()));
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
    assert!(
        all.lock()
            .unwrap()
            .iter()
            .all(|b| *b == [0, 1f32.to_bits()])
    );
    assert_eq!(files(&dir).len(), 1, "{:?}", files(&dir));
    std::fs::remove_dir_all(dir).map_err(Error::io("cache"))
}

/// Whoever waits heeds Ctrl-C, and says why nothing happens.
#[test]
fn who_waits_can_be_stopped() {
    struct Stopping(Mutex<Vec<String>>);
    impl Observer for Stopping {
        fn event(&self, event: &Event<'_>) {
            if let Event::Note(note) = event {
                self.0.lock().unwrap().push(note.to_string());
            }
        }
        fn stopping(&self) -> bool {
            true
        }
    }
    let dir = folder("stop");
    std::fs::create_dir_all(&dir).unwrap();
    let lock = dir.join(format!("{}.lock", key("a").name()));
    let held = std::fs::File::create(lock).unwrap();
    held.lock().unwrap();
    let observer = Stopping(Mutex::default());
    let cache = Cache::at(&dir, u64::MAX);
    let asked = kept(Some(&cache), &key("a"), 1, &observer, &mut |sink| {
        sink.put(&[0], &[1.0])
    });
    assert!(matches!(asked.err(), Some(Error::Stopped { .. })));
    assert!(observer.0.lock().unwrap()[0].contains("waiting"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_oldest_make_room_and_the_newest_stays() -> Result<()> {
    let dir = folder("room");
    let made = AtomicUsize::new(0);
    let one = 64 + (ROWS * WIDTH * 4) as u64;
    let cache = Cache::at(&dir, 2 * one);
    let name = |n: &str| format!("{}.rows", key(n).name());
    let aged = |n: &str, seconds: u64| {
        let file = std::fs::File::options()
            .append(true)
            .open(dir.join(name(n)))
            .unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        file.set_modified(then).unwrap();
    };
    make(Some(&cache), "a", usize::MAX, &made)?;
    make(Some(&cache), "b", usize::MAX, &made)?;
    aged("a", 200);
    aged("b", 100);
    // Used again: `b` is the oldest now.
    make(Some(&cache), "a", usize::MAX, &made)?;
    assert_eq!(made.load(Ordering::SeqCst), 2);
    make(Some(&cache), "c", usize::MAX, &made)?;
    let mut wanted = vec![name("a"), name("c")];
    wanted.sort();
    assert_eq!(files(&dir), wanted);
    // One that alone is too large is kept until the next.
    let small = Cache::at(&dir, 1);
    make(Some(&small), "d", usize::MAX, &made)?;
    assert_eq!(files(&dir), [name("d")]);
    std::fs::remove_dir_all(dir).map_err(Error::io("cache"))
}

#[test]
fn a_folder_that_cannot_be_made_is_no_failure() -> Result<()> {
    let dir = folder("file");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("file"), "a file").unwrap();
    let cache = Cache::at(dir.join("file/rows"), u64::MAX);
    let made = AtomicUsize::new(0);
    let rows = make(Some(&cache), "a", usize::MAX, &made)?;
    assert_eq!(bits(&rows), bits(&make(None, "a", usize::MAX, &made)?));
    std::fs::remove_dir_all(dir).map_err(Error::io("cache"))
}

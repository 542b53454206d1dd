//! What the audit finds in images: copies, single ones, grey and tiny ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use tlkit_core::data::{Likeness, Look, Pictures};
use tlkit_data::Codecs;
use tlkit_image::bmp;

use super::*;

#[test]
fn copies_are_found_whatever_their_size() {
    let world = World::new();
    world
        .photos("train", &["cat", "dog"], 5, 0)
        .photos("test", &["cat", "dog"], 3, 7);
    // The same bytes in both: dropped. Another size: found and kept. Twice in one class: noted.
    let cat = picture(0, 40, 30);
    world.put("test/cat/same.jpg", &thumbnail(&cat, 64));
    world.put("test/dog/small.jpg", &thumbnail(&picture(100, 40, 30), 36));
    world.put("train/dog/again.bmp", &bmp(&picture(101, 40, 30)));
    let data = world.data("train = \"train\"\ntest = \"test\"\nsplit = { validation = 0.0 }");
    assert_eq!(data.audit().dropped["overlap"], 1);
    assert_eq!(
        findings(&data),
        [
            "!overlap train 1: 1 row of train also stands in test and is left out of train",
            "size train 10: the images of train have 40 x 30 pixels",
            "copies train 1: 1 image of train looks like one of test without being the same file and stays, which of images under 64 pixels on a side says little: other ones may look alike",
            "copies train 1: 1 image of train looks like an earlier one without being the same file",
        ]
    );
    assert_eq!(data.audit().findings[2].examples[0].row, "train/dog/0.jpg");
}

/// Of larger images a likeness is a warning: single digits look alike in 9 x 8 pixels, photographs hardly.
#[test]
fn copies_of_large_images_are_warned_of() {
    let world = World::new();
    for (i, split) in [(0, "train"), (10, "test")] {
        world.put(&format!("{split}/cat/1.bmp"), &bmp(&picture(i, 80, 64)));
        world.put(&format!("{split}/dog/1.bmp"), &bmp(&picture(i + 1, 80, 64)));
    }
    world.put("test/dog/small.jpg", &thumbnail(&picture(1, 80, 64), 40));
    let data = world.data("train = \"train\"\ntest = \"test\"\nsplit = { validation = 0.0 }");
    let copies: Vec<String> = findings(&data)
        .into_iter()
        .filter(|f| f.contains("copies"))
        .collect();
    assert_eq!(
        copies,
        [
            "!copies train 1: 1 image of train looks like one of test without being the same file and stays"
        ]
    );
}

/// Counts what it is asked to compare.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Pictures for Counting {
    fn look(&self, bytes: &[u8]) -> std::result::Result<Look, String> {
        Codecs.look(bytes)
    }

    fn near(&self, one: &Likeness, other: &Likeness) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        Codecs.near(one, other)
    }

    fn thumbnail(&self, bytes: &[u8], side: usize) -> Option<Vec<u8>> {
        Codecs.thumbnail(bytes, side)
    }
}

/// The cells of an experiment have the same rows many times over; other rows are compared anew.
#[test]
fn recipes_of_one_plan_compare_the_same_rows_once() {
    let world = World::new();
    world
        .photos("train", &["cat", "dog"], 5, 0)
        .photos("test", &["cat", "dog"], 3, 7)
        .photos("other", &["cat", "dog"], 3, 8);
    world.put("test/dog/small.jpg", &thumbnail(&picture(100, 40, 30), 36));
    world.put("train/dog/again.bmp", &bmp(&picture(101, 40, 30)));
    world.put("other/dog/small.jpg", &thumbnail(&picture(2, 40, 30), 36));
    let counting = Arc::new(Counting::default());
    let mut registry = Registry::new();
    tlkit_data::register(&mut registry).unwrap();
    registry.set_pictures(counting.clone());
    let read = |registry: &Registry, test: &str| {
        let before = counting.0.load(Ordering::Relaxed);
        let target =
            format!("train = \"train\"\ntest = \"{test}\"\nsplit = {{ validation = 0.0 }}");
        let (data, said) = world.read_with(registry, &target);
        assert_eq!(said, "");
        let compared = counting.0.load(Ordering::Relaxed) - before;
        (findings(&data.unwrap()), compared)
    };
    let (alone, compared) = read(&registry, "test");
    assert!(alone.iter().any(|f| f.contains("copies")), "{alone:?}");
    assert!(compared > 0);
    assert_eq!(read(&registry, "test"), (alone.clone(), compared));

    let plan = registry.sharing();
    assert_eq!(read(&plan, "test"), (alone.clone(), compared));
    assert_eq!(read(&plan, "test"), (alone, 0));
    let (other, again) = read(&registry, "other");
    let (shared, compared) = read(&plan, "other");
    assert_eq!(shared, other);
    assert!(0 < compared && compared < again, "{compared} of {again}");
}

#[test]
fn a_class_of_one_grey_images_and_tiny_ones() {
    let world = World::new();
    world.photos("photos", &["cat", "dog"], 4, 0);
    world.put("photos/fish/1.bmp", &bmp(&picture(900, 9, 9)));
    let grey = Pixels::new(
        40,
        30,
        (0..1200).flat_map(|i| [(i * 3 % 250) as u8; 3]).collect(),
    )
    .unwrap();
    world.put("photos/cat/grey.bmp", &bmp(&grey));
    let data = world.data(&format!("train = \"photos\"\n{NO_SPLIT}"));
    assert_eq!(
        findings(&data),
        [
            "!single train 1: train has a single image of `fish`",
            "!size train 1: 1 image of train has fewer than 16 pixels on a side",
            "size train 10: the images of train have from 9 x 9 to 40 x 30 pixels, the middle one 40 x 30; 10 % of them is grey",
        ]
    );
}

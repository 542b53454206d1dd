//! Drawn scenes.

use tlkit_data::Drawn;
use tlkit_image::{Limits, decode};

use super::*;

#[test]
fn drawn_scenes_are_the_same_every_time_and_even() {
    let open = |name: &str, side: usize| {
        let options = ReadOptions {
            drawn_side: side,
            ..ReadOptions::default()
        };
        Drawn.open(name, &Blob::Embedded(&[]), &options)
    };
    let table = open("builtin:scenes/day/train#200", 48).unwrap();
    assert_eq!(table.rows(), 200);
    let mut counts = std::collections::BTreeMap::new();
    for row in 0..200 {
        *counts.entry(text(table.cell(row, 1).unwrap())).or_insert(0) += 1;
    }
    assert_eq!(
        (counts.len(), counts.values().all(|&n| n == 20)),
        (10, true)
    );
    let all = open("builtin:scenes/day/train", 48).unwrap();
    assert_eq!(all.rows(), 2_000);
    let one = bytes(table.cell(13, 0).unwrap());
    assert_eq!(one, bytes(all.cell(13, 0).unwrap()));
    let image = decode(&one, &Limits::default()).unwrap();
    assert_eq!((image.width, image.height), (48, 48));
    for other in ["builtin:scenes/day/test", "builtin:scenes/night/train"] {
        assert_ne!(
            one,
            bytes(open(other, 48).unwrap().cell(13, 0).unwrap()),
            "{other}"
        );
    }
    assert_eq!(
        text(
            open("builtin:scenes/source/train", 48)
                .unwrap()
                .cell(19, 1)
                .unwrap()
        ),
        "umbrella"
    );
    let error = |name: &str| {
        open(name, 48)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert!(error("builtin:scenes/dya/train").contains("did you mean `builtin:scenes/day/train`?"));
    assert!(error("builtin:scenes/day/train#0").contains("a number of rows is wanted, from 1 to"));
    assert_eq!(table.place(0), "builtin:scenes/day/train:1");
}

#[test]
fn scenes_in_a_recipe() {
    let world = World::new();
    let data = world.data(
        "train = \"builtin:scenes/day/train#40\"\ntest = \"builtin:scenes/night/test#50\"\nscene_size = 32\nsplit = { validation = 0.25 }",
    );
    let rows = |split: &str| data.domain(split).unwrap().unwrap().inputs.len();
    assert_eq!(
        (rows("train"), rows("validation"), rows("test")),
        (30, 10, 50)
    );
    let copies: Vec<String> = findings(&data)
        .into_iter()
        .filter(|f| f.contains("copies"))
        .collect();
    assert_eq!(copies, [""; 0]);
    assert_eq!(data.row_form().unwrap().scene_size, Some(32));
    world.says(
        "train = \"builtin:scenes/day/train\"\nscene_size = 16",
        &["scene_size"],
    );
    assert_eq!(data.domain("train").unwrap().unwrap().name, "day");
}

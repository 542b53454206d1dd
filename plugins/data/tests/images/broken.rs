//! Images that cannot be read.

use tlkit_image::bmp;

use super::*;

/// A PNG's header that says 50,000 x 50,000, and nothing behind it.
fn enormous() -> Vec<u8> {
    let mut bitmap = bmp(&picture(1, 4, 4));
    bitmap[18..22].copy_from_slice(&50_000i32.to_le_bytes());
    bitmap[22..26].copy_from_slice(&50_000i32.to_le_bytes());
    bitmap
}

fn hostile(world: &World) {
    world.photos("photos", &["cat", "dog"], 6, 0);
    let whole = thumbnail(&picture(5, 60, 60), 64);
    world
        .put("photos/cat/empty.jpg", b"")
        .put("photos/cat/enormous.bmp", &enormous())
        .put("photos/cat/note.jpg", b"Buy milk.\n")
        .put("photos/dog/cut.jpg", &whole[..whole.len() / 2])
        .put("photos/dog/phone.heic", b"\0\0\0\x18ftypheic");
}

#[test]
fn images_that_cannot_be_read_stop_the_run_by_name() {
    let world = World::new();
    hostile(&world);
    world.says(
        &format!("train = \"photos\"\n{NO_SPLIT}"),
        &[
            "5 of 17 images of `train` cannot be read",
            "photos/cat/empty.jpg: the file is empty",
            "photos/cat/enormous.bmp: 50000 x 50000 pixels are more than are read",
            "photos/cat/note.jpg: not an image: text",
            "photos/dog/cut.jpg: the JPEG is cut short: its end is missing",
            "photos/dog/phone.heic: HEIC is not read; convert it to JPEG or PNG",
            "`skip_broken = true` beside the data leaves them out",
        ],
    );
}

#[test]
fn images_that_cannot_be_read_are_left_out_where_the_recipe_says_so() {
    let world = World::new();
    hostile(&world);
    let data = world.data(&format!(
        "train = \"photos\"\nskip_broken = true\n{NO_SPLIT}"
    ));
    assert_eq!(data.domain("train").unwrap().unwrap().inputs.len(), 12);
    assert_eq!(data.audit().dropped["broken"], 5);
    assert_eq!(
        findings(&data)[0],
        "!broken train 5: 5 images of train cannot be read and are left out"
    );
    let example = &data.audit().findings[0].examples[0];
    assert_eq!(
        (example.row.as_str(), example.text.as_str()),
        ("photos/cat/empty.jpg", "the file is empty")
    );
    // A column of something else is not a set of broken images.
    world.put("words.csv", b"image,label\ncat.jpg,a\ndog.jpg,b\n");
    world.says(
        &format!("train = \"words.csv\"\nskip_broken = true\n{NO_SPLIT}"),
        &[
            "2 of 2 images of `train` cannot be read",
            "is `image` the right column?",
        ],
    );
}

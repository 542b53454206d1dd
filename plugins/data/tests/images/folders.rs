//! A folder a class.

use super::*;

#[test]
fn a_folder_a_class() {
    let world = World::new();
    world.photos("photos", &["dog", "cat"], 2, 0);
    world
        .put("photos/cat/deeper/9.PNG", b"x")
        .put("photos/cat/notes.txt", b"x");
    world
        .put("photos/.hidden/a.jpg", b"x")
        .put("photos/cat/.b.jpg", b"x");
    let table = world.open("photos").unwrap();
    assert_eq!(table.columns(), ["image", "label"]);
    let labels: Vec<String> = (0..table.rows())
        .map(|r| text(table.cell(r, 1).unwrap()))
        .collect();
    assert_eq!(labels, ["cat", "cat", "cat", "dog", "dog"]);
    assert_eq!(table.place(2), "photos/cat/deeper/9.PNG");
    assert_eq!(table.id(3).unwrap(), "dog/0.jpg");
    assert_eq!(
        bytes(table.cell(3, 0).unwrap()),
        fs::read(world.path("photos/dog/0.jpg")).unwrap()
    );
}

#[test]
fn folders_that_are_no_classes() {
    let world = World::new();
    let says = |name: &str, words: &str| {
        let error = world
            .open(name)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(error.contains(words), "{error}\nhas no: {words}");
    };
    world.put("none/readme.txt", b"");
    says("none", "none: no image in it; images are .jpg,");
    world.photos("empty", &["cat", "dog"], 1, 0);
    fs::create_dir(world.path("empty/fish")).unwrap();
    says("empty", "the class `fish` has no image; put some into");
    world
        .photos("loose", &["cat"], 1, 0)
        .put("loose/x.jpg", b"");
    says(
        "loose",
        "1 image lies beside the folders of the classes, x.jpg among them",
    );
    world
        .photos("split/train", &["cat", "dog"], 1, 0)
        .photos("split/test", &["cat", "dog"], 1, 1);
    says(
        "split",
        "its folders are splits and not classes (`test`, `train`); write `train = \"split/train\"`",
    );
    world
        .photos("val/train", &["cat", "dog"], 1, 0)
        .photos("val/val", &["cat", "dog"], 1, 1);
    says("val", "(`train`, `val`); write `train = \"val/train\"`");
    world.put("flat/1.jpg", b"").put("flat/2.jpg", b"");
    assert_eq!(world.open("flat").unwrap().columns(), ["image"]);
    world.says(
        "train = \"flat\"",
        &[
            "which column is the label?",
            "it has images and no classes",
            "a folder a class, `photos/cat/1.jpg`",
        ],
    );
}

#[test]
fn a_folder_is_split_by_shares_and_knows_its_name() {
    let world = World::new();
    world.photos("pets/train", &["cat", "dog"], 20, 0);
    let data = world.data("train = \"pets/train\"\nsplit = { validation = 0.1, test = 0.2 }");
    let rows = |split: &str| data.domain(split).unwrap().unwrap().inputs.len();
    assert_eq!(
        (rows("train"), rows("validation"), rows("test")),
        (28, 4, 8)
    );
    assert_eq!(data.classes().as_slice(), ["cat", "dog"]);
    let domain = data.domain("train").unwrap().unwrap();
    assert_eq!(domain.name, "pets");
    assert!(domain.inputs.place(0).starts_with("pets/train/cat/"));
    assert_eq!(
        findings(&data),
        ["size train 28: the images of train have 40 x 30 pixels"]
    );
    assert_eq!(data.row_form().unwrap().image.as_deref(), Some("image"));
}

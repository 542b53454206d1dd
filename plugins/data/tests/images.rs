//! Images as rows: folders, tables of paths, IDX, drawn scenes; what is wrong with them, said in words; what the audit finds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tlkit_core::Result;
use tlkit_core::audit::{Level, Overlap};
use tlkit_core::data::{Blob, DataKeys, Form, Found, Input, ReadOptions, Reader, Resolve, Table};
use tlkit_core::recipe::Written;
use tlkit_core::registry::{Context, Registry};
use tlkit_data::{Drawn, Folder, Idx};
use tlkit_image::{Limits, Pixels, bmp, decode, thumbnail};

struct Disk;

impl Resolve for Disk {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        let path = base.join(name);
        Ok(match path.is_dir() {
            true => Found::Folder(path),
            false => Found::File(Blob::Path(path)),
        })
    }
}

/// Data in a folder that is gone afterwards.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        World(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Pictures that differ, `n` a class.
    fn photos(&self, folder: &str, classes: &[&str], n: u64, seed: u64) -> &Self {
        for (c, class) in classes.iter().enumerate() {
            for i in 0..n {
                let picture = picture(seed * 1000 + c as u64 * 100 + i, 40, 30);
                self.put(
                    &format!("{folder}/{class}/{i}.jpg"),
                    &thumbnail(&picture, 64),
                );
            }
        }
        self
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Table>> {
        Folder.open(name, &Blob::Path(self.path(name)), &ReadOptions::default())
    }

    fn read(&self, target: &str) -> (Option<DataKeys>, String) {
        let text = format!("[target]\n{target}\n");
        let written = Written::parse("recipe.toml", &text, &[]).unwrap();
        let mut registry = Registry::new();
        tlkit_data::register(&mut registry).unwrap();
        let resolve: Arc<dyn Resolve> = Arc::new(Disk);
        let cx = Context {
            overlap: Overlap::Drop,
            ..Context::new(&registry, &resolve, self.0.path())
        };
        let data = DataKeys::target(&written.keys().table("target"), &cx, Form::Images);
        let said = written.finish().to_text(false);
        assert!(
            data.is_some() || !said.is_empty(),
            "nothing, and no word of why"
        );
        (
            data,
            said.replace(&self.0.path().display().to_string(), "HERE"),
        )
    }

    #[track_caller]
    fn data(&self, target: &str) -> DataKeys {
        let (data, said) = self.read(target);
        assert_eq!(said, "");
        data.unwrap()
    }

    #[track_caller]
    fn says(&self, target: &str, words: &[&str]) {
        let (_, said) = self.read(target);
        assert_ne!(said, "", "it was read");
        for w in words {
            assert!(said.contains(w), "{said}\nhas no: {w}");
        }
    }
}

/// Blocks of colours, others for each seed.
fn picture(seed: u64, width: usize, height: usize) -> Pixels {
    let block = |x: usize, y: usize, c: usize| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(
            (x * 8 / width * 64 + y * 8 / height * 8 + c) as u64 * 0xbf58_476d_1ce4_e5b9,
        );
        z = (z ^ (z >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 56) as u8
    };
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            rgb.extend((0..3).map(|c| block(x, y, c)));
        }
    }
    Pixels::new(width, height, rgb).unwrap()
}

fn bytes(input: Input<'_>) -> Vec<u8> {
    match input {
        Input::Image(b) => b.into_owned(),
        other => panic!("{}", other.kind()),
    }
}

fn text(input: Input<'_>) -> String {
    match input {
        Input::Text(t) => t.into_owned(),
        other => panic!("{}", other.kind()),
    }
}

fn findings(data: &DataKeys) -> Vec<String> {
    let line = |f: &tlkit_core::audit::Finding| {
        let level = if f.level == Level::Warning { "!" } else { "" };
        format!("{level}{} {} {}: {}", f.kind, f.split, f.count, f.words)
    };
    data.audit().findings.iter().map(line).collect()
}

const NO_SPLIT: &str = "split = { validation = 0.0 }";

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
    let rows = |split: &str| data.domain(split).unwrap().inputs.len();
    assert_eq!(
        (rows("train"), rows("validation"), rows("test")),
        (28, 4, 8)
    );
    assert_eq!(data.classes().as_slice(), ["cat", "dog"]);
    let domain = data.domain("train").unwrap();
    assert_eq!(domain.name, "pets");
    assert!(domain.inputs.place(0).starts_with("pets/train/cat/"));
    assert_eq!(
        findings(&data),
        ["size train 28: the images of train have 40 x 30 pixels"]
    );
    assert_eq!(data.row_form().unwrap().image.as_deref(), Some("image"));
}

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
    assert_eq!(data.domain("train").unwrap().inputs.len(), 12);
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

#[test]
fn a_table_of_paths() {
    let world = World::new();
    world.photos("set/photos", &["cat", "dog"], 3, 0);
    world.put(
        "set/train.csv",
        b"file,label\nphotos/cat/0.jpg,cat\nphotos/dog/0.jpg,dog\nphotos/dog/1.jpg,dog\nphotos/cat/2.jpg,cat\n",
    );
    let data = world.data(&format!("train = \"set/train.csv\"\n{NO_SPLIT}"));
    let domain = data.domain("train").unwrap();
    assert_eq!(
        bytes(domain.inputs.input(1).unwrap()),
        fs::read(world.path("set/photos/dog/0.jpg")).unwrap()
    );
    assert_eq!(domain.inputs.place(1), "set/train.csv:3");
    assert_eq!(domain.labels.classes, [0, 1, 1, 0]);
    world.put(
        "set/wrong.csv",
        b"label,where\ncat,photos/cat/0.jpg\ndog,photos/dog/77.jpg\ncat,\ndog,photos/dog/1.jpg\n",
    );
    world.says(
        &format!("train = \"set/wrong.csv\"\nimage = \"where\"\n{NO_SPLIT}"),
        &[
            "2 of 4 images of `train` cannot be read",
            "set/wrong.csv:3:5: `photos/dog/77.jpg` is not there; paths are relative to the table's folder",
            "set/wrong.csv:4:5: no path of an image",
        ],
    );
    world.says(
        "train = \"set/wrong.csv\"\nimage = \"picture\"",
        &[
            "the data has no column `picture`",
            "it has `label`, `where`",
        ],
    );
    // Pictures where paths should be: the error does not repeat them.
    let picture = |letter: &str| letter.repeat(30_000);
    let table = format!(
        "image,label\n{},cat\n{},dog\n",
        picture("A"),
        picture("bc/")
    );
    world.put("set/within.csv", table.as_bytes());
    world.says(
        &format!("train = \"set/within.csv\"\n{NO_SPLIT}"),
        &[
            &format!("set/within.csv:2:1: `{}...`, of 30000 bytes, is no path; a table that holds the pictures themselves is read from Parquet", "A".repeat(120)),
            &format!("set/within.csv:3:1: `{}...`", "bc/".repeat(40)),
        ],
    );
}

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
            "!copies train 1: 1 image of train looks like one of test without being the same file and stays",
            "size train 10: the images of train have 40 x 30 pixels",
            "copies train 1: 1 image of train looks like an earlier one without being the same file",
        ]
    );
    assert_eq!(data.audit().findings[1].examples[0].row, "train/dog/0.jpg");
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

fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| out.extend(d.to_be_bytes()));
    out.extend(values);
    out
}

#[test]
fn idx_files_with_their_labels_beside_them() {
    let world = World::new();
    let pixels: Vec<u8> = (0..24).map(|i| i * 10).collect();
    world.put("train-images-idx3-ubyte", &idx(&[4, 3, 2], &pixels));
    world.put("train-labels-idx1-ubyte", &idx(&[4], &[7, 0, 7, 0]));
    let path = Blob::Path(world.path("train-images-idx3-ubyte"));
    let table = Idx.open("mnist", &path, &ReadOptions::default()).unwrap();
    assert_eq!((table.columns().len(), table.rows()), (2, 4));
    assert_eq!(text(table.cell(2, 1).unwrap()), "7");
    let image = decode(&bytes(table.cell(1, 0).unwrap()), &Limits::default()).unwrap();
    assert_eq!((image.width, image.height), (2, 3));
    assert_eq!(image.at(1, 2), [110; 3]);
    let data = world.data(&format!("train = \"train-images-idx3-ubyte\"\n{NO_SPLIT}"));
    assert_eq!(data.classes().as_slice(), ["0", "7"]);

    let says = |images: Vec<u8>, labels: Vec<u8>, words: &str| {
        world
            .put("x-images-idx3-ubyte", &images)
            .put("x-labels-idx1-ubyte", &labels);
        let path = Blob::Path(world.path("x-images-idx3-ubyte"));
        let error = Idx.open("x", &path, &ReadOptions::default()).err();
        let error = error.map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{error}\nhas no: {words}");
    };
    let good = || idx(&[4, 3, 2], &pixels);
    says(
        good(),
        idx(&[3], &[1, 2, 3]),
        "has 3 labels, and there are 4 images; are the two of one set?",
    );
    says(
        idx(&[4, 3, 2], &pixels[..9]),
        idx(&[4], &[0; 4]),
        "its header says 24 values, and 9 follow",
    );
    says(
        idx(&[u32::MAX, u32::MAX, u32::MAX], &[]),
        vec![],
        "its header says too many values, and 0 follow",
    );
    says(idx(&[4], &[0; 4]), vec![], "not an IDX file");
    says(
        idx(&[4, 3, 2], &pixels),
        idx(&[4, 3, 2], &pixels),
        "for labels; this has the type 8 and 3 dimensions",
    );
    says(b"hello".to_vec(), vec![], "not an IDX file");
}

#[test]
fn the_real_mnist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/images/mnist");
    if !path.is_dir() {
        println!("skipped: no ../shared/data");
        return;
    }
    let file = path.join("t10k-images-idx3-ubyte.gz");
    assert!(Idx.reads(&file.display().to_string()));
    let table = Idx
        .open("mnist", &Blob::Path(file), &ReadOptions::default())
        .unwrap();
    assert_eq!(table.rows(), 10_000);
    let firsts: Vec<String> = (0..8).map(|r| text(table.cell(r, 1).unwrap())).collect();
    assert_eq!(firsts, ["7", "2", "1", "0", "4", "1", "4", "9"]);
}

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
    let rows = |split: &str| data.domain(split).unwrap().inputs.len();
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
    assert_eq!(data.domain("train").unwrap().name, "day");
}

/// Four images as data sets of the hub hold them: a group of bytes and path, and numbered classes whose names the file says.
fn hub_file(world: &World) {
    let names = r#"{"info": {"features": {"picture": {"_type": "Image"}, "kind": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;
    let schema = "message rows {
        optional group picture { optional binary bytes; optional binary path (utf8); }
        required int64 kind;
    }";
    let entry = KeyValue::new("huggingface".to_string(), names.to_string());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry]));
    let out = fs::File::create(world.path("train.parquet")).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(properties.build())).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    let images: Vec<ByteArray> = (0..4)
        .map(|i| ByteArray::from(bmp(&picture(i, 20, 16))))
        .collect();
    let paths: Vec<ByteArray> = (0..4)
        .map(|i| ByteArray::from(format!("{i}.bmp").into_bytes()))
        .collect();
    for values in [images, paths] {
        let mut c = rows.next_column().unwrap().unwrap();
        c.typed::<ByteArrayType>()
            .write_batch(&values, Some(&[2; 4]), None)
            .unwrap();
        c.close().unwrap();
    }
    let mut c = rows.next_column().unwrap().unwrap();
    c.typed::<Int64Type>()
        .write_batch(&[0, 1, 1, 0], None, None)
        .unwrap();
    c.close().unwrap();
    rows.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_data_set_of_the_hub_calls_an_image_by_its_group() {
    let world = World::new();
    hub_file(&world);
    for image in ["image = \"picture\"", "image = \"picture.bytes\""] {
        let target = format!(
            "train = \"train.parquet\"\n{image}\nlabel = \"kind\"\nsplit = {{ validation = 0.0 }}"
        );
        let data = world.data(&target);
        assert_eq!(**data.classes(), ["cat".to_string(), "dog".to_string()]);
        let train = data.domain("train").unwrap();
        assert_eq!(
            bytes(train.inputs.input(1).unwrap()),
            bmp(&picture(1, 20, 16))
        );
        assert_eq!(train.labels.classes, [0, 1, 1, 0]);
    }
    world.says(
        "train = \"train.parquet\"\nimage = \"photo\"\nlabel = \"kind\"",
        &["has no column `photo`", "`picture.bytes`"],
    );
}

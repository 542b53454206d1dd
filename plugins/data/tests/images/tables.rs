//! Tables that name images or hold them.

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tlkit_image::bmp;

use super::*;

#[test]
fn a_table_of_paths() {
    let world = World::new();
    world.photos("set/photos", &["cat", "dog"], 3, 0);
    world.put(
        "set/train.csv",
        b"file,label\nphotos/cat/0.jpg,cat\nphotos/dog/0.jpg,dog\nphotos/dog/1.jpg,dog\nphotos/cat/2.jpg,cat\n",
    );
    let data = world.data(&format!("train = \"set/train.csv\"\n{NO_SPLIT}"));
    let domain = data.domain("train").unwrap().unwrap();
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
        let train = data.domain("train").unwrap().unwrap();
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

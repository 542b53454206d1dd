//! Parquet: values of every flat type, nulls, class names, codecs, row groups; small in memory and large on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    FloatType, Int32Type, Int64Type,
};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tlkit_core::data::{Blob, Cache, Input, ReadOptions, Reader, Table};
use tlkit_data::Parquet;

const NAMES: &str = r#"{"info": {"features": {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}"#;

/// Two row groups of `n` rows: text (every fifth absent), label 0 or 1, a number, a truth, an image, a list.
fn write(path: &Path, n: usize, codec: Compression, names: Option<&str>, wrong: bool) {
    let schema = "message rows {
        optional binary text (utf8);
        required int64 label;
        optional double score;
        required boolean seen;
        optional group image { optional binary bytes; }
        repeated int64 tokens;
    }";
    let mut properties = WriterProperties::builder().set_compression(codec);
    if let Some(names) = names {
        let entry = KeyValue::new("huggingface".to_string(), names.to_string());
        properties = properties.set_key_value_metadata(Some(vec![entry]));
    }
    let file = std::fs::File::create(path).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build())).unwrap();
    for group in 0..2 {
        let mut rows = writer.next_row_group().unwrap();
        let all = |i: usize| group * n + i;
        let there = |i: &usize| all(*i) % 5 != 4;
        let levels =
            |some: i16| -> Vec<i16> { (0..n).map(|i| if there(&i) { some } else { 0 }).collect() };
        let texts: Vec<ByteArray> = (0..n)
            .filter(there)
            .map(|i| ByteArray::from(format!("text {} é", all(i)).into_bytes()))
            .collect();
        let mut c = rows.next_column().unwrap().unwrap();
        c.typed::<ByteArrayType>()
            .write_batch(&texts, Some(&levels(1)), None)
            .unwrap();
        c.close().unwrap();
        let labels: Vec<i64> = (0..n)
            .map(|i| {
                if wrong && all(i) == 7 {
                    2
                } else {
                    (all(i) % 3) as i64 - 1
                }
            })
            .collect();
        let mut c = rows.next_column().unwrap().unwrap();
        c.typed::<Int64Type>()
            .write_batch(&labels, None, None)
            .unwrap();
        c.close().unwrap();
        let scores: Vec<f64> = (0..n).filter(there).map(|i| all(i) as f64 / 4.0).collect();
        let mut c = rows.next_column().unwrap().unwrap();
        c.typed::<DoubleType>()
            .write_batch(&scores, Some(&levels(1)), None)
            .unwrap();
        c.close().unwrap();
        let seen: Vec<bool> = (0..n).map(|i| i % 2 == 0).collect();
        let mut c = rows.next_column().unwrap().unwrap();
        c.typed::<BoolType>()
            .write_batch(&seen, None, None)
            .unwrap();
        c.close().unwrap();
        let images: Vec<ByteArray> = (0..n)
            .filter(there)
            .map(|i| ByteArray::from(vec![0xff, 0xd8, i as u8]))
            .collect();
        let mut c = rows.next_column().unwrap().unwrap();
        c.typed::<ByteArrayType>()
            .write_batch(&images, Some(&levels(2)), None)
            .unwrap();
        c.close().unwrap();
        let mut c = rows.next_column().unwrap().unwrap();
        let zeros = vec![0i16; n];
        c.typed::<Int64Type>()
            .write_batch(&[], Some(&zeros), Some(&zeros))
            .unwrap();
        c.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

fn open(path: &Path, in_memory: u64) -> tlkit_core::Result<Arc<dyn Table>> {
    let options = ReadOptions {
        cache: Cache::Folder(path.with_extension("cache")),
        in_memory,
        ..ReadOptions::default()
    };
    Parquet.open("data.parquet", &Blob::Path(path.to_path_buf()), &options)
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("a.parquet")
}

fn shown(table: &dyn Table, row: usize) -> Vec<String> {
    // All at once, and in another order, they are what they are alone.
    let columns: Vec<usize> = (0..table.columns().len()).rev().chain([0]).collect();
    let cells = table.cells(row, &columns);
    assert_eq!(cells.len(), columns.len());
    for (&c, cell) in columns.iter().zip(cells) {
        assert_eq!(cell.unwrap(), table.cell(row, c).unwrap());
    }
    (0..table.columns().len())
        .map(|c| match table.cell(row, c).unwrap() {
            Input::Text(t) => t.into_owned(),
            Input::Image(b) => format!("{b:?}"),
            other => panic!("{}", other.kind()),
        })
        .collect()
}

#[test]
fn every_flat_type_in_every_codec() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        write(&file(&dir), 700, codec, Some(NAMES), false);
        for in_memory in [1 << 20, 0] {
            let t = open(&file(&dir), in_memory).unwrap();
            assert_eq!(
                t.columns(),
                ["text", "label", "score", "seen", "image.bytes"]
            );
            assert_eq!(t.rows(), 1400);
            assert_eq!(
                shown(&*t, 1),
                ["text 1 é", "neg", "0.25", "false", "[255, 216, 1]"]
            );
            assert_eq!(
                shown(&*t, 2),
                ["text 2 é", "pos", "0.5", "true", "[255, 216, 2]"]
            );
            // -1 is how a data set says that it gives no label.
            assert_eq!(shown(&*t, 9), ["", "", "", "false", ""]);
            assert_eq!(shown(&*t, 701)[..2], ["text 701 é", "pos"]);
            assert_eq!(t.place(701), "data.parquet:702");
        }
    }
}

#[test]
fn without_names_a_label_is_its_number() {
    let dir = tempfile::tempdir().unwrap();
    write(&file(&dir), 10, Compression::SNAPPY, None, false);
    let t = open(&file(&dir), 1 << 20).unwrap();
    assert_eq!(shown(&*t, 2)[1], "1");
}

/// One column of a type, as its values are written.
fn one<T: parquet::data_type::DataType>(path: &Path, column: &str, values: &[T::T]) {
    let schema = format!("message rows {{ required {column}; }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    let mut c = rows.next_column().unwrap().unwrap();
    c.typed::<T>().write_batch(values, None, None).unwrap();
    c.close().unwrap();
    rows.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn numbers_are_what_their_logical_type_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    let read = || {
        let t = open(&path, 1 << 20).unwrap();
        let first = |row| shown(&*t, row).remove(0);
        (0..t.rows()).map(first).collect::<Vec<String>>()
    };
    one::<Int32Type>(&path, "int32 a (decimal(3,2))", &[150, 200, -5]);
    assert_eq!(read(), ["1.50", "2.00", "-0.05"]);
    one::<Int64Type>(&path, "int64 a (decimal(12,3))", &[-1_234_567, 0]);
    assert_eq!(read(), ["-1234.567", "0.000"]);
    let fixed = |bytes: [u8; 2]| FixedLenByteArray::from(bytes.to_vec());
    one::<FixedLenByteArrayType>(
        &path,
        "fixed_len_byte_array(2) a (decimal(4,2))",
        &[fixed([0, 150]), fixed([0xff, 0xfb])],
    );
    assert_eq!(read(), ["1.50", "-0.05"]);
    one::<ByteArrayType>(
        &path,
        "binary a (decimal(20,1))",
        &[ByteArray::from(vec![0x01, 0x00])],
    );
    assert_eq!(read(), ["25.6"]);
    let large = 3_000_000_000u32.cast_signed();
    one::<Int32Type>(&path, "int32 a (uint_32)", &[7, large]);
    assert_eq!(read(), ["7", "3000000000"]);
    one::<Int32Type>(&path, "int32 a (integer(32,false))", &[large]);
    assert_eq!(read(), ["3000000000"]);
    one::<Int64Type>(&path, "int64 a (uint_64)", &[-1]);
    assert_eq!(read(), ["18446744073709551615"]);
    one::<Int64Type>(&path, "int64 a", &[-1]);
    assert_eq!(read(), ["-1"]);
    // 1.5, -0.25 and the number nearest to 0.1.
    one::<FixedLenByteArrayType>(
        &path,
        "fixed_len_byte_array(2) a (float16)",
        &[
            fixed([0x00, 0x3e]),
            fixed([0x00, 0xb4]),
            fixed([0x66, 0x2e]),
        ],
    );
    assert_eq!(read(), ["1.5", "-0.25", "0.099975586"]);
}

/// pandas writes a value that is not there as NaN.
#[test]
fn a_nan_is_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    let cells = || {
        let t = open(&path, 1 << 20).unwrap();
        [shown(&*t, 0), shown(&*t, 1)].concat()
    };
    one::<DoubleType>(&path, "double a", &[1.5, f64::NAN]);
    assert_eq!(cells(), ["1.5", ""]);
    one::<FloatType>(&path, "float a", &[0.1, f32::NAN]);
    assert_eq!(cells(), ["0.1", ""]);
}

#[test]
fn wrong_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    write(&path, 10, Compression::SNAPPY, Some(NAMES), true);
    let said = |in_memory| open(&path, in_memory).err().unwrap().to_string();
    assert_eq!(
        said(1 << 20),
        "data.parquet:8: the class 2 is not among the 2 that the file names"
    );
    assert_eq!(
        said(0),
        "data.parquet:8: the class 2 is not among the 2 that the file names"
    );
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let cut = said(0);
    assert!(
        cut.starts_with("data.parquet: not a whole Parquet file ("),
        "{cut}"
    );
    assert!(cut.ends_with("); copy or write it again"), "{cut}");
}

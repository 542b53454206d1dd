//! Parquet, without nested columns. Its pages cannot be read a row at a time, so a file is written out once as rows: in memory where
//! it is small, in the cache folder where it is not.
//!
//! A struct's fields are columns named `struct.field`; columns of lists are left out. Where the file says what its classes are
//! called (Hugging Face's `ClassLabel`), a label is its name and not its number. Numbers are shown as their logical type has them, unsigned
//! ones and decimals too; a NaN is a value that is not there.

use std::collections::BTreeMap;
use std::fs::File;
use std::result::Result;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use serde_json::Value;
use tlkit_core::Error;
use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::cache::{self, Cached, Made, Making};
use crate::format::{Cell, Cells, Wrong, text, up_to_wrong};
use crate::open::{InMemory, OnDisk, unchanged};
use crate::pipe;
use crate::scan::{Failure, Sink};
use crate::store::Store;
use crate::table::Indexed;

/// Rows decoded at a time.
const BATCH: usize = 256;

/// Reads `.parquet`.
#[derive(Clone, Copy, Debug)]
pub struct Parquet;

/// Cells one after the other, each a kind, a length and its bytes.
#[derive(Clone, Copy, Debug)]
struct Rows;

const NONE: u8 = 0;
const TEXT: u8 = 1;
const BYTES: u8 = 2;

impl Reader for Parquet {
    fn extensions(&self) -> &[&str] {
        &["parquet"]
    }

    fn open(
        &self,
        name: &str,
        blob: &Blob,
        options: &ReadOptions,
    ) -> tlkit_core::Result<Arc<dyn Table>> {
        let table = |columns, store| Ok(Indexed::table(name, columns, store, Rows));
        let path = match blob {
            Blob::Embedded(bytes) => {
                let mut sink = memory();
                let bytes = bytes::Bytes::from_static(bytes);
                let columns = rows(name, bytes, &mut sink).map_err(|f| failed(name, f))?;
                return table(columns, sink.store());
            }
            Blob::Path(path) => path,
        };
        pipe::refuse(name, path)?;
        let made = Made::from(path, Rows.key()).map_err(Error::io(path))?;
        let file = || File::open(path).map_err(Error::io(path));
        let folder = cache::folder(&options.cache);
        let of_cached = |cached: Cached| {
            let columns = cached.columns.clone();
            table(
                columns,
                Store::cached(cached, None).map_err(Error::io(path))?,
            )
        };
        if let Some(cached) = folder.as_ref().and_then(|f| Cached::find(f, &made)) {
            return of_cached(cached);
        }
        let large = size(name, file()?).map_err(|f| failed(name, f))? > options.in_memory;
        if let Some(folder) = folder.filter(|_| large) {
            let file = file()?;
            let made_now = || -> Result<Cached, Failure> {
                let mut sink = OnDisk {
                    making: Making::begin(&folder, &made).map_err(Failure::Sink)?,
                    keep_text: true,
                };
                let columns = rows(name, file, &mut sink)?;
                sink.making.finish(&columns).map_err(Failure::Sink)
            };
            match made_now() {
                Ok(cached) => {
                    unchanged(name, path, &made)?;
                    return of_cached(cached);
                }
                // The folder cannot be written, or is full: memory will have to do.
                Err(Failure::Sink(_)) => {}
                Err(failure) => return Err(failed(name, failure)),
            }
        }
        let mut sink = memory();
        let columns = rows(name, file()?, &mut sink).map_err(|f| failed(name, f))?;
        table(columns, sink.store())
    }
}

fn memory() -> InMemory {
    InMemory {
        text: Some(Vec::new()),
        limit: u64::MAX,
        entries: Vec::new(),
    }
}

fn failed(name: &str, failure: Failure) -> Error {
    match failure {
        Failure::Data(e) => e,
        Failure::Read(e) | Failure::Sink(e) => Error::msg(format!("{name}: {e}")),
    }
}

fn not_parquet(name: &str, e: &ParquetError) -> Failure {
    let words = e.to_string();
    // What the crate says of a codec that was left out when it was compiled.
    let codec = words.contains("Disabled feature at compile time") || words.contains("codec");
    Failure::Data(Error::msg(match codec {
        true => format!(
            "{name}: packed in a way that is not read ({words}); write it again with snappy, gzip or zstd"
        ),
        false => format!("{name}: not a whole Parquet file ({words}); copy or write it again"),
    }))
}

fn opened<R: ChunkReader + 'static>(
    name: &str,
    file: R,
) -> Result<SerializedFileReader<R>, Failure> {
    SerializedFileReader::new(file).map_err(|e| not_parquet(name, &e))
}

/// Bytes of all its columns, unpacked.
fn size(name: &str, file: File) -> Result<u64, Failure> {
    let reader = opened(name, file)?;
    let groups = reader.metadata().row_groups().iter();
    Ok(groups.map(|g| g.total_byte_size().max(0) as u64).sum())
}

/// Writes a file out as rows. Gives the columns' names.
fn rows<R: ChunkReader + 'static>(
    name: &str,
    file: R,
    sink: &mut impl Sink,
) -> Result<Vec<String>, Failure> {
    let reader = opened(name, file)?;
    let wrong = |e: ParquetError| not_parquet(name, &e);
    let meta = reader.metadata().file_metadata();
    let schema = meta.schema_descr();
    let classes = class_names(meta.key_value_metadata());
    let flat: Vec<usize> = (0..schema.num_columns())
        .filter(|&c| {
            let column = schema.column(c);
            column.max_rep_level() == 0 && column.physical_type() != parquet::basic::Type::INT96
        })
        .collect();
    let columns: Vec<String> = flat
        .iter()
        .map(|&c| schema.column(c).path().parts().join("."))
        .collect();
    if columns.is_empty() {
        return Err(Failure::Data(Error::msg(format!(
            "{name}: every column is a list; a column of texts or numbers is wanted"
        ))));
    }
    let logical: Vec<Logical> = flat
        .iter()
        .map(|&c| Logical::of(&schema.column(c)))
        .collect();
    let (mut offset, mut row) = (0u64, 0u64);
    for g in 0..reader.num_row_groups() {
        let group = reader.get_row_group(g).map_err(wrong)?;
        let mut left = group.metadata().num_rows().max(0) as usize;
        let mut readers = Vec::new();
        for &c in &flat {
            let most = schema.column(c).max_def_level();
            readers.push((group.get_column_reader(c).map_err(wrong)?, most));
        }
        while left > 0 {
            let n = left.min(BATCH);
            let mut cells: Vec<Vec<Vec<u8>>> = Vec::new();
            for (i, (reader, most)) in readers.iter_mut().enumerate() {
                let place = |r: usize| format!("{name}:{}", row + r as u64 + 1);
                let got = column(
                    reader,
                    *most,
                    n,
                    logical[i],
                    classes.get(&columns[i]),
                    &place,
                )
                .map_err(|e| match e {
                    Bad::File(e) => not_parquet(name, &e),
                    Bad::Cell(words) => Failure::Data(Error::msg(words)),
                })?;
                if got.len() != n {
                    return Err(Failure::Data(Error::msg(format!(
                        "{name}: not a whole Parquet file (`{}` has too few rows); copy or write it again",
                        columns[i]
                    ))));
                }
                cells.push(got);
            }
            for r in 0..n {
                row += 1;
                sink.row(offset, row).map_err(Failure::Sink)?;
                for cell in &cells {
                    sink.text(&cell[r]).map_err(Failure::Sink)?;
                    offset += cell[r].len() as u64;
                }
            }
            left -= n;
        }
    }
    if row == 0 {
        return Err(Failure::Data(Error::msg(format!("{name}: no rows"))));
    }
    Ok(columns)
}

/// What a column's numbers or bytes stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Logical {
    /// Themselves.
    Plain,
    Text,
    /// Integers without a sign.
    Unsigned,
    /// An integer and its power of ten, 10^-n.
    Decimal(usize),
    /// A number of two bytes.
    Half,
    /// Days since 1970.
    Date,
    /// Of a day, in so many parts of a second.
    Time(i64),
    /// Since 1970, in so many parts of a second.
    Timestamp(i64),
}

impl Logical {
    /// As the file says it, today's way or that of before.
    fn of(column: &ColumnDescriptor) -> Self {
        match column.logical_type_ref() {
            Some(LogicalType::String | LogicalType::Json | LogicalType::Enum) => {
                return Logical::Text;
            }
            Some(LogicalType::Integer(int)) if !int.is_signed => return Logical::Unsigned,
            Some(LogicalType::Decimal(decimal)) => {
                return Logical::Decimal(decimal.scale.max(0) as usize);
            }
            Some(LogicalType::Float16) => return Logical::Half,
            Some(LogicalType::Date) => return Logical::Date,
            Some(LogicalType::Time(t)) => return Logical::Time(parts(&t.unit)),
            Some(LogicalType::Timestamp(t)) => return Logical::Timestamp(parts(&t.unit)),
            _ => {}
        }
        match column.converted_type() {
            ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM => Logical::Text,
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Logical::Unsigned,
            ConvertedType::DECIMAL => Logical::Decimal(column.type_scale().max(0) as usize),
            ConvertedType::DATE => Logical::Date,
            ConvertedType::TIME_MILLIS => Logical::Time(1_000),
            ConvertedType::TIME_MICROS => Logical::Time(1_000_000),
            ConvertedType::TIMESTAMP_MILLIS => Logical::Timestamp(1_000),
            ConvertedType::TIMESTAMP_MICROS => Logical::Timestamp(1_000_000),
            _ => Logical::Plain,
        }
    }
}

fn parts(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    }
}

/// `2024-02-29` of days since 1970, by the Gregorian calendar carried backwards (Hinnant's algorithm, 2013).
fn date(days: i64) -> String {
    // Years begin in March, so that a leap day is the last of one.
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `10:20:30.5` of a day's seconds in so many parts.
fn time(value: i64, parts: i64) -> String {
    let (seconds, rest) = (value.div_euclid(parts), value.rem_euclid(parts));
    let clock = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    let digits = parts.ilog10() as usize;
    match format!("{rest:0digits$}").trim_end_matches('0') {
        "" => clock,
        part => format!("{clock}.{part}"),
    }
}

/// `2024-02-29T10:20:30`.
fn timestamp(value: i64, parts: i64) -> String {
    let day = 86_400 * parts;
    format!(
        "{}T{}",
        date(value.div_euclid(day)),
        time(value.rem_euclid(day), parts)
    )
}

/// An integer times 10^-scale: `-0.05`.
fn decimal(value: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{part}")
}

/// Big-endian bytes in two's complement; `None` where the number is larger than 128 bits.
fn integer(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let (more, last) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut all = [fill; 16];
    all[16 - last.len()..].copy_from_slice(last);
    let value = i128::from_be_bytes(all);
    let fits = more.iter().all(|&b| b == fill) && (value < 0) == negative;
    fits.then_some(value)
}

enum Bad {
    File(ParquetError),
    Cell(String),
}

/// The next `n` cells of a column, ready to be written.
fn column(
    reader: &mut ColumnReader,
    most: i16,
    n: usize,
    logical: Logical,
    classes: Option<&Vec<String>>,
    place: &dyn Fn(usize) -> String,
) -> Result<Vec<Vec<u8>>, Bad> {
    let named = |row: usize, v: i128| -> Result<Vec<u8>, Bad> {
        if let Logical::Decimal(scale) = logical {
            return Ok(packed(TEXT, decimal(v, scale).as_bytes()));
        }
        // A moment is no measurement: as a number of nanoseconds it would drown every other.
        let moment = i64::try_from(v).ok().and_then(|v| match logical {
            Logical::Date => Some(date(v)),
            Logical::Time(parts) => Some(time(v, parts)),
            Logical::Timestamp(parts) => Some(timestamp(v, parts)),
            _ => None,
        });
        if let Some(moment) = moment {
            return Ok(packed(TEXT, moment.as_bytes()));
        }
        match (classes, usize::try_from(v)) {
            (None, _) => Ok(packed(TEXT, v.to_string().as_bytes())),
            (Some(names), Ok(i)) if i < names.len() => Ok(packed(TEXT, names[i].as_bytes())),
            // How data sets whose labels are not given away say so.
            (Some(_), Err(_)) => Ok(packed(NONE, &[])),
            (Some(names), Ok(i)) => Err(Bad::Cell(format!(
                "{}: the class {i} is not among the {} that the file names",
                place(row),
                names.len()
            ))),
        }
    };
    let bytes = |row: usize, b: &[u8]| -> Result<Vec<u8>, Bad> {
        if let Logical::Decimal(scale) = logical {
            let value = integer(b).ok_or_else(|| {
                Bad::Cell(format!(
                    "{}: a decimal of more than 38 digits; write the column as texts or as doubles",
                    place(row)
                ))
            })?;
            return Ok(packed(TEXT, decimal(value, scale).as_bytes()));
        }
        let text = logical == Logical::Text || std::str::from_utf8(b).is_ok();
        Ok(packed(if text { TEXT } else { BYTES }, b))
    };
    let unsigned = logical == Logical::Unsigned;
    // NaN is how pandas says that there is no value.
    let float = |v: f64, shown: &dyn std::fmt::Display| match v.is_nan() {
        true => packed(NONE, &[]),
        false => packed(TEXT, shown.to_string().as_bytes()),
    };
    match reader {
        ColumnReader::BoolColumnReader(r) => next(r, most, n, |_, v| {
            Ok(packed(TEXT, v.to_string().as_bytes()))
        }),
        ColumnReader::Int32ColumnReader(r) => next(r, most, n, |i, v| match unsigned {
            true => named(i, i128::from(v.cast_unsigned())),
            false => named(i, i128::from(*v)),
        }),
        ColumnReader::Int64ColumnReader(r) => next(r, most, n, |i, v| match unsigned {
            true => named(i, i128::from(v.cast_unsigned())),
            false => named(i, i128::from(*v)),
        }),
        ColumnReader::FloatColumnReader(r) => next(r, most, n, |_, v| Ok(float(f64::from(*v), v))),
        ColumnReader::DoubleColumnReader(r) => next(r, most, n, |_, v| Ok(float(*v, v))),
        ColumnReader::ByteArrayColumnReader(r) => next(r, most, n, |i, v| bytes(i, v.data())),
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            next(r, most, n, |i, v| match (logical, v.data()) {
                (Logical::Half, &[low, high]) => {
                    let v = half::f16::from_le_bytes([low, high]);
                    Ok(float(v.to_f64(), &v))
                }
                (_, data) => bytes(i, data),
            })
        }
        // Moments, as they were written before 2018.
        ColumnReader::Int96ColumnReader(r) => next(r, most, n, |_, v| {
            let moment = timestamp(v.to_micros(), 1_000_000);
            Ok(packed(TEXT, moment.as_bytes()))
        }),
    }
}

fn next<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    most: i16,
    n: usize,
    cell: impl Fn(usize, &T::T) -> Result<Vec<u8>, Bad>,
) -> Result<Vec<Vec<u8>>, Bad> {
    let mut out = Vec::with_capacity(n);
    while out.len() < n {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let definition = (most > 0).then_some(&mut levels);
        let (records, ..) = reader
            .read_records(n - out.len(), definition, None, &mut values)
            .map_err(Bad::File)?;
        if records == 0 {
            break;
        }
        let mut values = values.iter();
        for i in 0..records {
            let there = most == 0 || levels.get(i).is_some_and(|&l| l == most);
            let row = out.len();
            out.push(match there.then(|| values.next()).flatten() {
                Some(value) => cell(row, value)?,
                None => packed(NONE, &[]),
            });
        }
    }
    Ok(out)
}

fn packed(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut cell = Vec::with_capacity(5 + bytes.len());
    cell.push(kind);
    // A Parquet value is shorter than 2^31 bytes.
    cell.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    cell.extend_from_slice(bytes);
    cell
}

/// What the file says its classes are called, by column.
fn class_names(
    metadata: Option<&Vec<parquet::file::metadata::KeyValue>>,
) -> BTreeMap<String, Vec<String>> {
    let said = || -> Option<BTreeMap<String, Vec<String>>> {
        let entry = metadata?.iter().find(|e| e.key == "huggingface")?;
        let json: Value = serde_json::from_str(entry.value.as_deref()?).ok()?;
        let features = json["info"]["features"].as_object()?;
        let classes = features.iter().filter(|(_, f)| f["_type"] == "ClassLabel");
        let names = classes.filter_map(|(column, f)| {
            let names = f["names"].as_array()?.iter();
            let names: Option<Vec<String>> =
                names.map(|n| n.as_str().map(str::to_string)).collect();
            Some((column.clone(), names?))
        });
        Some(names.collect())
    };
    said().unwrap_or_default()
}

/// The cells of a row, each its kind and its bytes, up to its end or to where it is broken.
fn each(row: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = row;
    std::iter::from_fn(move || {
        let (head, after) = rest.split_at_checked(5)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (bytes, after) = after.split_at_checked(length)?;
        rest = after;
        Some((head[0], bytes))
    })
}

fn value(cell: Option<(u8, &[u8])>) -> Result<Cell<'_>, Wrong> {
    match cell {
        None => Err(Wrong::row(
            "the unpacked rows are broken; delete the cache folder",
        )),
        Some((TEXT, bytes)) => Ok(Cell::Text(text(bytes)?.into())),
        Some((BYTES, bytes)) => Ok(Cell::Bytes(bytes.into())),
        Some(_) => Ok(Cell::Text("".into())),
    }
}

impl Cells for Rows {
    fn key(&self) -> &'static str {
        "parquet 2"
    }

    fn cell<'r>(&self, row: &'r [u8], column: usize, _: &[String]) -> Result<Cell<'r>, Wrong> {
        value(each(row).nth(column))
    }

    fn cells<'r>(
        &self,
        row: &'r [u8],
        wanted: &[usize],
        _: &[String],
    ) -> Vec<Result<Cell<'r>, Wrong>> {
        let all: Vec<(u8, &[u8])> = each(row).collect();
        up_to_wrong(wanted, |column| value(all.get(column).copied()))
    }

    fn offset(&self, _: &[u8], _: usize, _: &[String]) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_with_their_point() {
        for (value, scale, shown) in [
            (150, 2, "1.50"),
            (-5, 2, "-0.05"),
            (0, 3, "0.000"),
            (7, 0, "7"),
            (-1234, 1, "-123.4"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
        ] {
            assert_eq!(decimal(value, scale), shown);
        }
        let cases: [(&[u8], Option<i128>); 7] = [
            (&[], Some(0)),
            (&[0, 150], Some(150)),
            (&[0xff, 0xfb], Some(-5)),
            (&[0xff; 17], Some(-1)),
            (&[0x80; 17], None),
            (&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None),
            // Positive, and its sign lies in the byte that is cut off.
            (
                &[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                None,
            ),
        ];
        for (bytes, value) in cases {
            assert_eq!(integer(bytes), value, "{bytes:?}");
        }
    }
}

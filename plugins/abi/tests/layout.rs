//! Header and mirror agree: the header is compiled, and says every size, offset and constant that the mirror has.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use tlkit_abi as abi;

/// `C name`, `Rust type`, `fields`; C's names of fields where they differ.
macro_rules! tables {
    ($($c:literal: $rust:ty { $($field:ident $(as $other:literal)?),* };)*) => {
        vec![$((
            $c,
            size_of::<$rust>(),
            vec![$((tables!(@name $field $(, $other)?), offset_of!($rust, $field))),*],
        )),*]
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident, $other:literal) => { $other };
}

fn mirror() -> Vec<(&'static str, usize, Vec<(&'static str, usize)>)> {
    tables! {
        "tlkit_head": abi::Head { size, major, minor };
        "tlkit_text": abi::Text { data, size };
        "tlkit_call": abi::Call { head, host, fail, answer, number, text, give };
        "tlkit_tensor": abi::Tensor {
            dlpack_major, dlpack_minor, manager, deleter, flags, data, device_type, device_id, dimensions, code, bits, lanes, shape,
            strides, byte_offset
        };
        "tlkit_moment": abi::Moment { head, seed, step, progress, training, reserved };
        "tlkit_file": abi::File { head, name, path, bytes, header, reserved };
        "tlkit_reader": abi::Reader { head, extensions, open, close, rows, columns, cell, place, folders, reserved };
        "tlkit_loss_term": abi::LossTerm { head, make, drop, describe, forward, vjp, release };
        "tlkit_strategy": abi::Strategy { head, transfer, reserved, phases };
        "tlkit_input": abi::Input { head, kind, reserved, data, second };
        "tlkit_pass": abi::Pass { head, seed, step, weights, training, record };
        "tlkit_source_task": abi::SourceTask { head, make, drop, describe, prepare, forward, vjp, release, gives, reserved, lend };
        "tlkit_target_task": abi::TargetTask { head, describe };
        "tlkit_metric": abi::Metric { head, make, drop, score };
        "tlkit_entry": abi::Entry { head, kind, reserved, name, about, keys, table };
        "tlkit_plugin": abi::Plugin { head, name, version, about, entries, entry };
        "tlkit_host": abi::Host { head, version };
    }
}

fn constants() -> Vec<(&'static str, i64)> {
    vec![
        ("TLKIT_MAJOR", abi::MAJOR.into()),
        ("TLKIT_MINOR", abi::MINOR.into()),
        ("TLKIT_OK", abi::OK.into()),
        ("TLKIT_FAILED", abi::FAILED.into()),
        ("TLKIT_ABSENT", abi::ABSENT.into()),
        ("TLKIT_ANSWER_TEXT", abi::ANSWER_TEXT.into()),
        ("TLKIT_ANSWER_IMAGE", abi::ANSWER_IMAGE.into()),
        ("TLKIT_ANSWER_FEATURES", abi::ANSWER_FEATURES.into()),
        ("TLKIT_CPU", abi::CPU.into()),
        ("TLKIT_FLOAT", abi::FLOAT.into()),
        ("TLKIT_READ_ONLY", abi::READ_ONLY as i64),
        ("TLKIT_RECORD_VJP", abi::RECORD_VJP.into()),
        ("TLKIT_RECORD_INPUT", abi::RECORD_INPUT.into()),
        ("TLKIT_INDUCTIVE", abi::INDUCTIVE.into()),
        ("TLKIT_TRANSDUCTIVE", abi::TRANSDUCTIVE.into()),
        ("TLKIT_READER", abi::READER.into()),
        ("TLKIT_LOSS_TERM", abi::LOSS_TERM.into()),
        ("TLKIT_STRATEGY", abi::STRATEGY.into()),
        ("TLKIT_SOURCE_TASK", abi::SOURCE_TASK.into()),
        ("TLKIT_TARGET_TASK", abi::TARGET_TASK.into()),
        ("TLKIT_METRIC", abi::METRIC.into()),
    ]
}

/// What each table was when it first came, in 1.0 or in 1.1. Fields are only appended: these numbers never change, a later table is only
/// longer.
const FIRST: [(&str, usize); 17] = [
    ("tlkit_head", 16),
    ("tlkit_text", 16),
    ("tlkit_call", 56),
    ("tlkit_tensor", 80),
    ("tlkit_moment", 48),
    ("tlkit_file", 72),
    ("tlkit_reader", 80),
    ("tlkit_loss_term", 64),
    ("tlkit_strategy", 32),
    ("tlkit_entry", 80),
    ("tlkit_plugin", 80),
    ("tlkit_host", 32),
    ("tlkit_input", 56),
    ("tlkit_pass", 48),
    ("tlkit_source_task", 72),
    ("tlkit_target_task", 24),
    ("tlkit_metric", 40),
];

fn header() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/include/tlkit.h")
}

#[test]
fn no_table_is_smaller_than_it_was() {
    let now: BTreeMap<_, _> = mirror().into_iter().map(|(n, size, _)| (n, size)).collect();
    assert_eq!(now.len(), FIRST.len());
    for (name, size) in FIRST {
        assert!(
            now[name] >= size,
            "{name} was {size} bytes and is {}",
            now[name]
        );
    }
}

#[test]
fn the_mirror_names_every_table_and_constant_of_the_header() {
    let text = std::fs::read_to_string(header()).expect("the header");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("typedef struct ") {
            let name = name.trim_end_matches(" {");
            assert!(mirror().iter().any(|(n, ..)| *n == name), "{name}");
        }
        let constant = line
            .strip_prefix("#define ")
            .and_then(|l| l.split_once(' '));
        if let Some((name, value)) = constant
            && value.starts_with(|c: char| c.is_ascii_digit())
            // Allowed for, and used by nobody yet.
            && name != "TLKIT_CUDA"
        {
            assert!(constants().iter().any(|(n, _)| *n == name), "{name}");
        }
    }
}

#[test]
fn the_header_says_the_same_sizes_and_offsets() {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    if Command::new(&compiler).arg("--version").output().is_err() {
        println!("skipped: no C compiler ({compiler})");
        return;
    }
    let mut c = String::from(
        "#include \"tlkit.h\"\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n",
    );
    let mut expected = String::new();
    for (table, size, fields) in mirror() {
        let _ = writeln!(c, "printf(\"{table} %zu\\n\", sizeof({table}));");
        let _ = writeln!(expected, "{table} {size}");
        for (field, offset) in fields {
            let _ = writeln!(
                c,
                "printf(\"{table}.{field} %zu\\n\", offsetof({table}, {field}));"
            );
            let _ = writeln!(expected, "{table}.{field} {offset}");
        }
    }
    for (name, value) in constants() {
        let _ = writeln!(c, "printf(\"{name} %lld\\n\", (long long){name});");
        let _ = writeln!(expected, "{name} {value}");
    }
    c.push_str("return 0; }\n");
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("layout-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (source, program) = (folder.join("layout.c"), folder.join("layout"));
    std::fs::write(&source, c).expect("written");
    let compiled = Command::new(&compiler)
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-I",
        ])
        .arg(header().parent().expect("a folder"))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .status();
    assert!(compiled.expect("the compiler runs").success());
    let said = Command::new(&program).output().expect("it runs").stdout;
    assert_eq!(String::from_utf8_lossy(&said), expected);
    std::fs::remove_dir_all(&folder).expect("my own folder");
}

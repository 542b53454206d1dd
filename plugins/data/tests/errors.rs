//! The words of every error: they point into the data and say what to do.

use tlkit_core::data::{Blob, ReadOptions, Reader};
use tlkit_data::{Csv, JsonLines, Lines, Parquet, SvmLight, Tsv};

#[test]
fn broken_files() {
    let cases: &[(&dyn Reader, &str, &'static [u8], &str)] = &[
        (
            &Tsv,
            "r.tsv",
            b"text\tlabel\na\t1\nb\n",
            "r.tsv:3: 1 field, and line 1 has 2; TSV has no quoting: write a space for a tab or a line break inside a text",
        ),
        (
            &Tsv,
            "r.tsv",
            b"text\tlabel\n",
            "r.tsv:1: no rows follow the names of the columns; write `header = false` if this line is data",
        ),
        (
            &Tsv,
            "r.tsv",
            b"a\ta\n1\t2\n",
            "r.tsv:1: two columns are named `a`; rename one, or write `header = false` if this line is data",
        ),
        (&Tsv, "r.tsv", b"", "r.tsv: the file is empty"),
        (&Lines, "r.txt", b"\n \n", "r.txt: the file is empty"),
        (
            &Tsv,
            "r.tsv",
            b"text\tlabel\n\xc3\xa9t\xe9\t1\n",
            "r.tsv:2:3: not UTF-8; save the file as UTF-8",
        ),
        (
            &Csv,
            "r.csv",
            b"\xff\xfet\0,\0",
            "r.csv: this is UTF-16; save the file as UTF-8",
        ),
        (
            &Csv,
            "r.csv",
            b"text,label\n\n\"a\nb\",1\nc,d,2\n",
            "r.csv:5: 3 fields, and line 1 has 2; put quotes around a field that holds a comma or a line break",
        ),
        (
            &Csv,
            "r.csv",
            b"text,label\r\nok,1\r\n1,2,3\r\n",
            "r.csv:3: 3 fields, and line 1 has 2; put quotes around a field that holds a comma or a line break",
        ),
        (
            &Csv,
            "r.csv",
            "text,label\né,\"open \"\"1\nb,2\n".as_bytes(),
            "r.csv:2:3: a quote is opened here and never closed",
        ),
        (
            &Csv,
            "r.csv",
            b"text,label\n\"a\" b,1\n",
            "r.csv:2:4: text after a closing quote; write a quote inside a quoted field twice: \"\"",
        ),
        (
            &Csv,
            "r.csv",
            b"text,label\na\rb,1\n",
            "r.csv:2:2: a carriage return that ends no line; save the file with Unix or Windows line ends",
        ),
        (
            &Csv,
            "r.csv",
            b"text,label\n\"a\nb\"c,1\n",
            "r.csv:3:3: text after a closing quote; write a quote inside a quoted field twice: \"\"",
        ),
        (
            &Csv,
            "r.csv",
            b"text,label\n\"a\n\xe9\",1\n",
            "r.csv:3:1: not UTF-8; save the file as UTF-8",
        ),
        (
            &Csv,
            "r.csv",
            b"\x28\xb5\x2f\xfd....",
            "r.csv: this is a zstd file, which is not read; unpack it first: `unzstd FILE`",
        ),
        (
            &Csv,
            "r.csv",
            b"PAR1....",
            "r.csv: this is a Parquet file; give its name the ending .parquet",
        ),
        (
            &Tsv,
            "r.tsv",
            b"PK\x03\x04....",
            "r.tsv: this is a zip archive, which is not read; unpack it first: `unzip FILE`",
        ),
        (
            &JsonLines,
            "r.jsonl",
            b"{\"text\": \"a\"}\n{\"text\": \"b\", }\n",
            "r.jsonl:2:15: not JSON (trailing comma); each line is one object",
        ),
        (
            &JsonLines,
            "r.jsonl",
            b"{\"text\": \"a\"}\n[1]\n",
            "r.jsonl:2: a list stands where an object should; JSON Lines has an object a line: {\"text\": \"...\", \"label\": \"...\"}",
        ),
        (
            &JsonLines,
            "r.jsonl",
            b"{\"text\": \"a\"}\n3\n",
            "r.jsonl:2: no object; JSON Lines has an object a line: {\"text\": \"...\", \"label\": \"...\"}",
        ),
        (
            &JsonLines,
            "r.json",
            b"[{\"text\": \"a\"}]\n",
            "r.json:1: the file is one JSON list; write an object a line, for example with `jq -c '.[]' in.json > out.jsonl`",
        ),
        // A list that is laid out over lines, and lists a line each.
        (
            &JsonLines,
            "r.json",
            b"[{\"text\": \"a\"},\n{\"text\": \"b\"}]\n",
            "r.json:1: the file is one JSON list; write an object a line, for example with `jq -c '.[]' in.json > out.jsonl`",
        ),
        (
            &JsonLines,
            "r.json",
            b"\n[{\"text\": \"a\"}]\n\n \n",
            "r.json:2: the file is one JSON list; write an object a line, for example with `jq -c '.[]' in.json > out.jsonl`",
        ),
        (
            &JsonLines,
            "r.jsonl",
            b"[\"a\", 1]\n\n[\"b\", 2]\n",
            "r.jsonl:1: a list stands where an object should; JSON Lines has an object a line: {\"text\": \"...\", \"label\": \"...\"}",
        ),
        (
            &JsonLines,
            "r.json",
            b"{\n  \"text\": \"a\"\n}\n",
            "r.json:1: an object goes on in the next line; write an object a line, for example with `jq -c . in.json > out.jsonl`",
        ),
        (
            &Parquet,
            "r.parquet",
            b"text,label\na,1\n",
            "r.parquet: not a whole Parquet file (Parquet error: Invalid Parquet file. Corrupt footer); copy or write it again",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1 1:2\n-1 2:x\n",
            "r.svmlight:2:6: `x` is not a number that is finite",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1 1:inf\n",
            "r.svmlight:1:5: `inf` is not a number that is finite",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1 -1:2\n",
            "r.svmlight:1:3: the index `-1` is not a whole number from 0",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1 4:2 4:3\n",
            "r.svmlight:1:7: index 4 after index 4; sort the indices of a line, each once",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1 4000000000:1\n",
            "r.svmlight:1:3: the index 4000000000 is larger than 10000000, the widest that is read",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1 7\n",
            "r.svmlight:1:3: `7` is not `index:value`",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1 qid:3 1:2\n",
            "r.svmlight:1:3: `qid` is for ranking, which is not read; remove it",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"1:2 3:4\n",
            "r.svmlight:1:1: `1:2` stands where the label should",
        ),
        (
            &SvmLight,
            "r.svmlight",
            b"# nothing\n",
            "r.svmlight: no rows; every line is a comment",
        ),
    ];
    for (reader, name, bytes, words) in cases {
        let error = reader
            .open(name, &Blob::Embedded(bytes), &ReadOptions::default())
            .err()
            .map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some(*words));
    }
}

/// An error in a cell shows when it is asked for.
#[test]
fn a_list_in_a_column_of_texts() {
    let bytes = b"{\"text\": \"a\"}\n{\"n\": 1, \"text\":  [\"b\"]}\n";
    let table = JsonLines
        .open("r.jsonl", &Blob::Embedded(bytes), &ReadOptions::default())
        .unwrap();
    assert_eq!(
        table.cell(1, 0).unwrap_err().to_string(),
        "r.jsonl:2:19: `text` is a list; a text or a number is wanted"
    );
}

#[test]
fn an_index_below_the_base_of_the_other_files() {
    let options = ReadOptions {
        index_base: Some(1),
        ..ReadOptions::default()
    };
    let error = SvmLight
        .open("r.svmlight", &Blob::Embedded(b"1 0:1\n"), &options)
        .err()
        .unwrap()
        .to_string();
    assert_eq!(
        error,
        "r.svmlight: it has the index 0, and the indices were to count from 1; renumber them"
    );
}

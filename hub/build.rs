//! Lists what lies under `assets/`, so that the binary carries it: every `.tsv` is a table, every folder with a `config.json` a
//! checkpoint. What is not there yet is simply not embedded.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .ok_or(io::ErrorKind::NotFound)
    };
    let assets = variable("CARGO_MANIFEST_DIR")?.join("../assets");
    let (mut tables, mut folders) = (String::new(), String::new());
    if assets.is_dir() {
        println!("cargo::rerun-if-changed=../assets");
        walk(&assets, "", &mut tables, &mut folders)?;
    }
    let code = format!(
        "static TABLES: &[(&str, &[u8])] = &[\n{tables}];\n\
         static FOLDERS: &[(&str, &[(&str, &[u8])])] = &[\n{folders}];\n"
    );
    fs::write(variable("OUT_DIR")?.join("assets.rs"), code)
}

/// `name` is the folder's path below `assets/`, parts joined by `/`.
fn walk(folder: &Path, name: &str, tables: &mut String, folders: &mut String) -> io::Result<()> {
    let entries: io::Result<Vec<PathBuf>> = fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let checkpoint = folder.join("config.json").is_file();
    let mut files = String::new();
    for path in entries {
        // A name that is not UTF-8 cannot be written in a recipe either.
        let Some(own) = path.file_name().and_then(|n| n.to_str()) else {
            continue;
        };
        let full = if name.is_empty() {
            own.to_string()
        } else {
            format!("{name}/{own}")
        };
        if path.is_dir() {
            walk(&path, &full, tables, folders)?;
            continue;
        }
        // From the package's folder, not from the root: a tree that was moved takes its build outputs along.
        let include = format!(
            "include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))",
            format!("/../assets/{full}")
        );
        let to = match full.strip_suffix(".tsv") {
            _ if checkpoint => writeln!(files, "        ({own:?}, {include}),"),
            Some(table) => writeln!(tables, "    ({table:?}, {include}),"),
            None => Ok(()),
        };
        to.map_err(io::Error::other)?;
    }
    if checkpoint {
        writeln!(folders, "    ({name:?}, &[\n{files}    ]),").map_err(io::Error::other)?;
    }
    Ok(())
}

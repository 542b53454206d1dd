//! Embeds every recipe of recipes/ in the binary, for `tlkit recipes`, and where its source can be fetched from, for `tlkit plugins new`.

#[path = "src/cli/plugins/origin.rs"]
mod origin;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Whether the linker is the one that comes with Rust, which makes one of functions that are alike: 600 KB of the binary. (Another that somebody set may not know
/// the flag.)
fn folds_alike() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|v| v == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    is("TARGET", "x86_64-unknown-linux-gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && !["link", "fuse-ld"].iter().any(|part| flags.contains(part))
}

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=recipes");
    println!("cargo::rerun-if-changed=src/cli/plugins/origin.rs");
    let manifest = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let named = env::var("CARGO_PKG_REPOSITORY").unwrap_or_default();
    let repository = origin::repository(&named, Path::new(&manifest)).unwrap_or_default();
    println!("cargo::rustc-env=TLKIT_REPOSITORY={repository}");
    if let Some(config) = origin::config(Path::new(&manifest)) {
        // Below the package's folder by its name there, as that may be moved.
        let config = config.strip_prefix(&manifest).unwrap_or(&config);
        println!("cargo::rerun-if-changed={}", config.display());
    }
    if folds_alike() {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
    let root = Path::new(&manifest).join("recipes");
    let mut found = Vec::new();
    walk(&root, &mut found)?;
    found.sort();
    let mut text = String::from("&[\n");
    for path in &found {
        let inside = path.strip_prefix(&root).map_err(io::Error::other)?;
        let name = inside
            .with_extension("")
            .display()
            .to_string()
            .replace('\\', "/");
        // From the package's folder, not from the root: a tree that was moved takes its build outputs along.
        let below = format!("/recipes/{name}.toml");
        let _ = writeln!(
            text,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {below:?}))),"
        );
    }
    text.push_str("]\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("recipes.rs"), text)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    // Without the folder there are no recipes.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    Ok(())
}

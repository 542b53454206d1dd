//! The floors of the house: which crate may name which. `src > plugins, report, hub > core > ops > candle`, and nothing upwards.

use std::collections::BTreeMap;

fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    [
        ("tlkit-recipe", &[] as &[&str]),
        ("tlkit-image", &[]),
        ("tlkit-pickle", &[]),
        ("tlkit-statistics", &[]),
        ("tlkit-ops", &[]),
        (
            "tlkit-core",
            &["tlkit-recipe", "tlkit-ops", "tlkit-statistics"],
        ),
        ("tlkit-report", &["tlkit-statistics"]),
        ("tlkit-abi", &[]),
        ("tlkit-host", &["tlkit-abi", "tlkit-core", "tlkit-ops"]),
        ("tlkit-plugin", &["tlkit-abi", "tlkit-core", "tlkit-ops"]),
        ("tlkit-hub", &["tlkit-core"]),
        ("tlkit-data", &["tlkit-core", "tlkit-image"]),
        ("tlkit-baselines", &["tlkit-core"]),
        ("tlkit-features", &["tlkit-core", "tlkit-ops"]),
        ("tlkit-bert", &["tlkit-core", "tlkit-ops", "tlkit-pickle"]),
        ("tlkit-inductive", &["tlkit-core", "tlkit-ops"]),
        ("tlkit-transductive", &["tlkit-core", "tlkit-ops"]),
        (
            "tlkit-resnet",
            &["tlkit-core", "tlkit-ops", "tlkit-image", "tlkit-pickle"],
        ),
    ]
    .into()
}

/// Crates that only one room may name.
const HEAVY: [(&str, &str); 12] = [
    // Its layers have no backward: only what stays frozen is made of them, and that in one place.
    ("candle-nn", "tlkit-resnet"),
    ("candle-transformers", "tlkit-resnet"),
    ("libloading", "tlkit-host"),
    ("tokenizers", "tlkit-bert"),
    ("csv-core", "tlkit-data"),
    ("parquet", "tlkit-data"),
    ("lzma-rust2", "tlkit-data"),
    ("clap", "tlkit"),
    ("ureq", "tlkit-hub"),
    ("image", "tlkit-image"),
    ("maud", "tlkit-report"),
    ("nalgebra", "tlkit-transductive"),
];

#[test]
fn no_crate_names_a_floor_above_it() {
    let out = std::process::Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON");
    let allowed = allowed();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() >= allowed.len());
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let normal = package["dependencies"]
            .as_array()
            .expect("a list of dependencies");
        let normal = normal
            .iter()
            .filter(|d| d["kind"].is_null())
            .filter_map(|d| d["name"].as_str());
        for dependency in normal {
            if let Some((_, owner)) = HEAVY.iter().find(|(h, _)| *h == dependency) {
                assert_eq!(name, *owner, "{dependency} belongs to {owner} alone");
            }
            // The binary is the roof: it may name every floor.
            if dependency.starts_with("tlkit") && name != "tlkit" {
                let may = allowed
                    .get(name)
                    .unwrap_or_else(|| panic!("{name} has no floor yet: add it here"));
                assert!(
                    may.contains(&dependency),
                    "{name} names {dependency}, which is not below it"
                );
            }
        }
    }
}

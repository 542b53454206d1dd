//! Which file a recipe means, and why one is not loaded.

use std::fs;

use sha2::Digest;

use crate::bench::Bench;
use crate::compile::{RECIPE, compiler, hostile, tlkit};

fn recipe(bench: &Bench, plugins: &str) {
    let text = RECIPE.replace("[[plugins]]\npath = \"libhostile.so\"\n", plugins);
    bench.write("hostile.toml", &text);
}

#[test]
fn a_name_without_prefix_and_suffix_is_found_beside_the_recipe_on_the_path_and_in_the_users_folder()
{
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    recipe(&bench, "[[plugins]]\npath = \"hostile\"\n");
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    assert!(said.contains("hostile.toml:18:8"), "{said}");
    assert!(said.contains("there is no plugin"), "{said}");
    assert!(said.contains("libhostile"), "{said}");
    let file = hostile(&bench, &compiler, "NONE");
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);

    fs::create_dir_all(bench.path("elsewhere")).expect("a folder");
    let moved = bench.path("elsewhere/libhostile.so");
    fs::rename(&file, &moved).expect("moved");
    let path = bench.path("elsewhere").display().to_string();
    let environment = [("TLKIT_PLUGIN_PATH", path.as_str())];
    bench
        .tlkit_with(&["validate", "hostile.toml"], &environment)
        .code(0);
    let list = bench
        .tlkit_with(&["plugins", "list"], &environment)
        .code(0)
        .out;
    assert!(list.contains("strategy hostile"), "{list}");

    // In the user's own folder it need not be named at all.
    recipe(&bench, "");
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    assert!(
        said.contains("unknown value `hostile` for `method`"),
        "{said}"
    );
    fs::create_dir_all(bench.path("data/tlkit/plugins")).expect("a folder");
    fs::rename(&moved, bench.path("data/tlkit/plugins/libhostile.so")).expect("moved");
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
    let schema = tlkit(&bench, &["schema"]).code(0).out;
    assert!(
        schema.contains("\"hostile\""),
        "a strategy of the user's own is in the schema"
    );

    // One that crashes there is a remark, and every recipe but those that need it works.
    hostile(&bench, &compiler, "ABORT");
    fs::rename(
        bench.path("libhostile.so"),
        bench.path("data/tlkit/plugins/libhostile.so"),
    )
    .expect("moved");
    let ended = tlkit(&bench, &["validate", "small.toml"]).code(0);
    assert!(ended.err.contains("warning: not loaded"), "{}", ended.err);
}

#[test]
fn a_pinned_file_is_loaded_and_no_other() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let file = hostile(&bench, &compiler, "NONE");
    let sum = sha2::Sha256::digest(fs::read(&file).expect("the library"));
    let sum: String = sum.iter().map(|b| format!("{b:02x}")).collect();
    recipe(
        &bench,
        &format!("[[plugins]]\npath = \"hostile\"\nsha256 = \"{sum}\"\n"),
    );
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
    hostile(&bench, &compiler, "FROM_THE_FUTURE");
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    assert!(!said.contains("unknown value"), "{said}");
    assert!(
        said.contains("is not the file that `sha256` pins"),
        "{said}"
    );
    assert!(said.contains("hostile.toml:19:10"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_may_write_is_refused_unless_that_is_allowed() {
    use std::os::unix::fs::PermissionsExt;
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let file = hostile(&bench, &compiler, "NONE");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).expect("changed");
    bench.write("hostile.toml", RECIPE);
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    assert!(
        said.contains("can be written by everybody on this machine"),
        "{said}"
    );
    recipe(
        &bench,
        "[[plugins]]\npath = \"hostile\"\nallow_writable = true\n",
    );
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
}

#[test]
fn no_library_and_one_of_another_platform_are_told_apart() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("hostile.toml", RECIPE);
    bench.write("libhostile.so", "#!/bin/sh\n");
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    assert!(said.contains("is no shared library"), "{said}");
    let file = hostile(&bench, &compiler, "NONE");
    let mut bytes = fs::read(&file).expect("the library");
    if bytes.starts_with(b"\x7fELF") {
        // Of IBM's Z.
        bytes[18] = 0x16;
        fs::write(&file, &bytes).expect("written");
        let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
        assert!(
            said.contains("is a library for Linux on another processor, and this is"),
            "{said}"
        );
        // Cut off in the middle, it is nobody's.
        bytes[18] = fs::read(std::env::current_exe().expect("this test")).expect("it")[18];
        bytes.truncate(bytes.len() / 3);
        fs::write(&file, &bytes).expect("written");
        let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
        assert!(
            said.contains("cannot be loaded") || said.contains("crashed"),
            "{said}"
        );
    }
}

#[test]
fn two_plugins_of_one_name_are_named_both_and_one_twice_is_no_news() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let file = hostile(&bench, &compiler, "FROM_THE_FUTURE");
    fs::rename(&file, bench.path("libother.so")).expect("moved");
    hostile(&bench, &compiler, "NONE");
    recipe(
        &bench,
        "[[plugins]]\npath = \"hostile\"\n[[plugins]]\npath = \"./libhostile.so\"\n",
    );
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
    recipe(
        &bench,
        "[[plugins]]\npath = \"hostile\"\n[[plugins]]\npath = \"other\"\n",
    );
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    for words in [
        "libother.so",
        "libhostile.so",
        "brings one already",
        "strategy `hostile`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_was_found_is_kept_until_the_file_changes() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("hostile.toml", RECIPE);
    hostile(&bench, &compiler, "NONE");
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
    let kept: Vec<_> = fs::read_dir(bench.path("cache/plugins"))
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .collect();
    assert_eq!(kept.len(), 1);
    // What stands there is believed while the file is the same ...
    let text = fs::read_to_string(&kept[0]).expect("text");
    fs::write(&kept[0], text.replace("\"hostile\"", "\"kept\"")).expect("written");
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    assert!(said.contains("unknown value `hostile`"), "{said}");
    // ... and found out again when it is another, or when it cannot be read.
    hostile(&bench, &compiler, "FROM_THE_FUTURE");
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
    fs::write(&kept[0], "{").expect("written");
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
    // A table is taken for what it is: the term's place is not the strategy's.
    let text = fs::read_to_string(&kept[0]).expect("text");
    let swapped = text
        .replace("\"index\":0", "\"index\":9")
        .replace("\"index\":2", "\"index\":0")
        .replace("\"index\":9", "\"index\":2");
    assert_ne!(text, swapped);
    fs::write(&kept[0], swapped).expect("written");
    let said = tlkit(&bench, &["validate", "hostile.toml"]).code(2).err;
    assert!(
        said.contains("hands over other tables than when it was probed"),
        "{said}"
    );
}

#[test]
fn a_run_is_another_where_its_plugin_is_another() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("hostile.toml", RECIPE);
    hostile(&bench, &compiler, "NONE");
    tlkit(&bench, &["run", "hostile.toml", "--out", "r", "-q"]).code(0);
    // Another build of it is another run; the same once more is the same.
    let identity = |run: &str| bench.json(&format!("{run}/result.json"))["identity"].to_string();
    for (rule, out) in [("NONE", "same"), ("FROM_THE_FUTURE", "other")] {
        hostile(&bench, &compiler, rule);
        tlkit(&bench, &["run", "hostile.toml", "--out", out, "-q"]).code(0);
    }
    assert_eq!(identity("r"), identity("same"));
    assert_ne!(identity("r"), identity("other"));
    // The model needs neither the recipe nor the plugin.
    let text = bench.read("r/recipe.toml");
    assert!(text.contains("hostile\""), "{text}");
    hostile(&bench, &compiler, "ABORT");
    bench.write("new.csv", "a,b,c\n0.1,0.2,0.3\n");
    let ended = tlkit(&bench, &["predict", "r", "new.csv", "--format", "csv"]).code(0);
    assert!(ended.out.lines().count() == 2, "{}", ended.out);
    // A copy of the recipe in the run directory says where the plugin is.
    hostile(&bench, &compiler, "NONE");
    tlkit(&bench, &["validate", "r/recipe.toml"]).code(0);
}

#[test]
fn what_the_bases_plugin_brings_may_be_a_row_of_an_experiment() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("hostile.toml", RECIPE);
    let experiment = "[experiment]\nbase = \"hostile.toml\"\nseeds = 1\nmethods = [\"hostile\", \"from-scratch\"]\n";
    bench.write("both.toml", experiment);
    hostile(&bench, &compiler, "NONE");
    tlkit(&bench, &["compare", "both.toml", "--dry-run"]).code(0);
    hostile(&bench, &compiler, "PHASES_FAIL");
    let said = tlkit(&bench, &["compare", "both.toml", "--dry-run"])
        .code(2)
        .err;
    assert!(said.contains("no phases today"), "{said}");
}

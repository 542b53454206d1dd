//! What a recipe names and nobody looked into: a warning, and no key that is unknown for its sake.

use tlkit_recipe::Written;

#[test]
fn what_was_not_checked_is_a_warning_and_excuses_its_own_table_alone() {
    let text = "[source]\ncheckpoint = \"hf:o/n\"\nodd = 1\n[train]\nepoch = 1\n";
    let written = Written::parse("r.toml", text, &[]).expect("TOML");
    let (source, train) = (
        written.keys().table("source"),
        written.keys().table("train"),
    );
    source.string("checkpoint").optional();
    train.usize("epochs").default(3usize, "three").read();
    assert!(!written.is_unchecked());
    assert_eq!(written.finish().errors(), 2);
    source.not_checked(source.at("checkpoint"), "`hf:o/n` needs the download");
    source.leave_unread();
    assert!(written.is_unchecked());
    let report = written.finish();
    assert_eq!((report.errors(), report.warnings()), (1, 1));
    let said = report.to_text(false);
    assert!(
        said.contains("warning: not checked: `hf:o/n` needs the download"),
        "{said}"
    );
    assert!(said.contains("unknown key `epoch`"), "{said}");
    assert!(!said.contains("odd"), "{said}");
}

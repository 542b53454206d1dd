//! Writes the pages of the made-up runs of the tests into a folder, to look at them: `cargo run -p tlkit-report --example pages -- DIR`.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use fixture::Fixture;

fn main() -> std::io::Result<()> {
    let to = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    std::fs::create_dir_all(&to)?;
    for (name, fixture) in [
        ("full", Fixture::full()),
        ("hundred", Fixture::hundred()),
        ("masked", Fixture::masked()),
        ("old", Fixture::old()),
        ("failed", Fixture::failed()),
        ("bare", Fixture::bare()),
    ] {
        let file = format!("{to}/{name}.html");
        std::fs::write(&file, tlkit_report::page(&fixture.run()))?;
        println!("{file}");
    }
    Ok(())
}

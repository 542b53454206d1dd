//! Pages in a headless browser: no console message, nothing that is wider than the window, at 400 and 1600 pixels, light and dark.
//!
//! `TLKIT_BROWSER` names a Chromium; without it the usual names are looked for in PATH, and without any the tests are skipped.

mod fixture;

use std::path::{Path, PathBuf};
use std::process::Command;

use fixture::Fixture;
use fixture::world::{Method, adaptation, two};
use serde_json::Value;
use tlkit_report::{Format, page};

/// The browser, or a word that there is none.
fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TLKIT_BROWSER").filter(|b| !b.is_empty()) {
        return Some(named.into());
    }
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: no chromium in PATH, and TLKIT_BROWSER is not set");
    }
    found
}

/// What a page came to in a window of a width and a scheme.
#[derive(Debug)]
struct Shown {
    title: String,
    /// How much of it is beyond the right edge.
    beyond: f64,
    /// The background's brightness, 0 to 1.
    bright: f64,
    height: f64,
}

/// Shows a page in frames of 400 and 1600 pixels, light and dark; also what the console said.
fn show(browser: &Path, page: &str) -> (Vec<Shown>, Vec<String>) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let escaped = page.replace('&', "&amp;").replace('"', "&quot;");
    let frame = |width: u32, scheme: &str| {
        format!(
            "<iframe width={width} height=900 style='color-scheme:{scheme};border:0' srcdoc=\"{escaped}\"></iframe>"
        )
    };
    let frames: String = [
        (400, "light"),
        (400, "dark"),
        (1600, "light"),
        (1600, "dark"),
    ]
    .map(|(width, scheme)| frame(width, scheme))
    .concat();
    // Whatever is folded is unfolded: it must fit too.
    let measure = "addEventListener('load', () => {
        const out = [...document.querySelectorAll('iframe')].map(f => {
            const d = f.contentDocument, root = d.documentElement;
            d.querySelectorAll('details').forEach(e => e.open = true);
            const [r, g, b] = getComputedStyle(root).backgroundColor.match(/[\\d.]+/g).map(Number);
            return { title: d.title, beyond: root.scrollWidth - f.clientWidth, bright: (r + g + b) / 765, height: root.scrollHeight };
        });
        document.getElementById('out').textContent = JSON.stringify(out);
    });";
    let host = format!(
        "<!DOCTYPE html><meta charset=utf-8><pre id=out></pre>{frames}<script>{measure}</script>"
    );
    let file = folder.path().join("host.html");
    std::fs::write(&file, host).expect("a file");
    let ended = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-extensions",
        ])
        .args([
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser starts");
    let (out, err) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    let found = out
        .split("<pre id=\"out\">")
        .nth(1)
        .and_then(|t| t.split("</pre>").next());
    let found = found.unwrap_or_else(|| panic!("no measurements\n{err}"));
    let found = found
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let rows: Vec<Value> =
        serde_json::from_str(&found).unwrap_or_else(|e| panic!("{e}: {found}\n{err}"));
    let shown = rows.iter().map(|row| Shown {
        title: row["title"].as_str().unwrap_or_default().to_string(),
        beyond: row["beyond"].as_f64().expect("a number"),
        bright: row["bright"].as_f64().expect("a number"),
        height: row["height"].as_f64().expect("a number"),
    });
    let console = err
        .lines()
        .filter(|l| l.contains("CONSOLE"))
        .map(String::from);
    (shown.collect(), console.collect())
}

#[test]
fn pages_fit_and_the_console_is_silent() {
    let Some(browser) = browser() else {
        return;
    };
    for (name, fixture) in [
        ("full", Fixture::full()),
        ("adapted", Fixture::adapted()),
        ("hundred", Fixture::hundred()),
        ("masked", Fixture::masked()),
        ("old", Fixture::old()),
        ("failed", Fixture::failed()),
        ("images", Fixture::images()),
        ("bare", Fixture::bare()),
    ] {
        let (shown, console) = show(&browser, &page(&fixture.run()));
        assert!(console.is_empty(), "{name}: {console:?}");
        assert_eq!(shown.len(), 4);
        for s in &shown {
            assert!(s.beyond <= 0.0, "{name}: {s:?}");
            assert!(s.height > 100.0, "{name}: {s:?}");
            assert_ne!(s.title, "taken", "a review ran as a script");
        }
        for (light, dark) in [(&shown[0], &shown[1]), (&shown[2], &shown[3])] {
            assert!(
                light.bright > 0.9 && dark.bright < 0.15,
                "{name}: {shown:?}"
            );
        }
    }
}

#[test]
fn pages_of_experiments_fit_and_the_console_is_silent() {
    let Some(browser) = browser() else {
        return;
    };
    let mut many = adaptation();
    many.methods = (0..24)
        .map(|i| {
            let name: &str = format!("a-method-with-a-long-name-{i}").leak();
            Method(
                name,
                0.4 + 0.01 * i as f64,
                (i > 0).then_some("a-method-with-a-long-name-0"),
            )
        })
        .collect();
    let mut varied = two();
    varied.values = vec![5, 20, 80];
    for (name, world) in [
        ("two", two()),
        ("adaptation", adaptation()),
        ("many", many),
        ("varied", varied),
    ] {
        let page = world.write().compare().print(Format::Html, false);
        let (shown, console) = show(&browser, &page);
        assert!(console.is_empty(), "{name}: {console:?}");
        assert_eq!(shown.len(), 4);
        for s in &shown {
            assert!(s.beyond <= 0.0, "{name}: {s:?}");
            assert!(s.height > 100.0 && s.title == "made-up", "{name}: {s:?}");
        }
        for (light, dark) in [(&shown[0], &shown[1]), (&shown[2], &shown[3])] {
            assert!(
                light.bright > 0.9 && dark.bright < 0.15,
                "{name}: {shown:?}"
            );
        }
    }
}

/// That the measurements see what they are there for.
#[test]
fn a_page_that_is_too_wide_and_talks_is_seen() {
    let Some(browser) = browser() else {
        return;
    };
    let bad = "<!DOCTYPE html><title>bad</title><div style='width:2000px'>wide</div><script>console.error('oh'); document.title = 'taken'</script>";
    let (shown, console) = show(&browser, bad);
    assert!(
        shown
            .iter()
            .all(|s| s.beyond >= 400.0 && s.title == "taken"),
        "{shown:?}"
    );
    assert!(console.iter().any(|l| l.contains("oh")), "{console:?}");
}

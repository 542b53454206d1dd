//! What a library must hold to, tried out: `tlkit plugins check`. To be run in a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde_json::{Map, Value};
use tlkit_core::data::{Blob, Table};
use tlkit_core::random::Stream;
use tlkit_core::strategy::{Asked, LossTerm};
use tlkit_core::{Error, Result};

use crate::file::Stamp;
use crate::keys;
use crate::library::{self, Plugin};
use crate::manifest::{EntryKind, ManifestEntry};
use crate::reader::CReader;
use crate::strategy::CStrategy;
use crate::tables;
use crate::term::CTerm;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Of what: `loss term centroid`.
    pub entry: String,
    /// What was tried.
    pub tried: String,
    /// How it went: words, or what is wrong.
    pub outcome: std::result::Result<String, String>,
}

/// What to try with.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// A file for the readers.
    pub file: Option<PathBuf>,
    /// Values of keys, over their defaults.
    pub keys: Map<String, Value>,
}

/// Tries everything that the library brings; `say` hears of each line as it is done. Returns how many went wrong.
pub fn check(
    library: &Path,
    material: &Material,
    say: &mut dyn FnMut(&Line),
) -> std::result::Result<usize, crate::LoadError> {
    let stamp = Stamp::of(library, true)?;
    let loaded = library::open(library)?;
    let plugin = Plugin {
        manifest: Arc::new(tables::manifest(loaded)?),
        stamp: Arc::new(stamp),
    };
    let mut wrong = 0;
    for entry in &plugin.manifest.entries {
        let mut tell = |tried: &str, outcome: Result<String>| {
            let line = Line {
                entry: format!("{} {}", entry.kind.words(), entry.name),
                tried: tried.into(),
                outcome: outcome.map_err(|e| e.to_string()),
            };
            wrong += usize::from(line.outcome.is_err());
            say(&line);
        };
        match entry.kind {
            EntryKind::LossTerm => term(&plugin, entry, material, &mut tell),
            EntryKind::Strategy => strategy(&plugin, entry, material, &mut tell),
            EntryKind::Reader => reader(&plugin, entry, material, &mut tell),
        }
    }
    Ok(wrong)
}

type Tell<'t> = &'t mut dyn FnMut(&str, Result<String>);

/// The defaults; of a required key whatever its schema allows; what was given over them.
fn values(entry: &ManifestEntry, material: &Material) -> Result<Map<String, Value>> {
    let none = Map::new();
    let properties = entry.keys.get("properties").and_then(Value::as_object);
    let properties = properties.unwrap_or(&none);
    let mut given = Map::new();
    for name in entry.keys["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let p = &properties[name];
        if p.get("default").is_some() {
            continue;
        }
        let first = p["enum"].as_array().and_then(|all| all.first()).cloned();
        let bound = ["minimum", "maximum"]
            .iter()
            .find_map(|b| p.get(*b))
            .cloned();
        given.insert(
            name.to_string(),
            first.or(bound).unwrap_or_else(|| match p["type"].as_str() {
                Some("number" | "integer") => 1.into(),
                Some("boolean") => true.into(),
                Some("array") => Value::Array(Vec::new()),
                _ => "x".into(),
            }),
        );
    }
    for (name, value) in &material.keys {
        if properties.contains_key(name) {
            given.insert(name.clone(), value.clone());
        }
    }
    keys::given(&Value::Object(given), &entry.keys, "the keys to check with")
}

fn strategy(plugin: &Plugin, entry: &ManifestEntry, material: &Material, tell: Tell<'_>) {
    let make = || {
        let values = values(entry, material)?;
        CStrategy::make(plugin, entry, &values)
    };
    tell(
        "its phases are read, and their terms made, a hundred times",
        (0..100)
            .try_for_each(|_| make().map(drop))
            .map(|()| String::new()),
    );
}

fn reader(plugin: &Plugin, entry: &ManifestEntry, material: &Material, tell: Tell<'_>) {
    use tlkit_core::data::{ReadOptions, Reader};
    let reader = CReader::new(plugin, entry);
    let options = ReadOptions::default();
    let extension = entry.extensions.first().map_or("x", String::as_str);
    let open =
        |path: PathBuf| reader.open(&path.display().to_string(), &Blob::Path(path), &options);
    let missing = open(PathBuf::from(format!("/there/is/no/such/file.{extension}")));
    tell(
        "a file that is not there is an error",
        match missing {
            Ok(_) => Err(Error::msg("it was opened all the same")),
            Err(e) => Ok(e.to_string()),
        },
    );
    for (what, bytes) in [
        ("an empty file", Vec::new()),
        ("a file of zeros", vec![0u8; 4096]),
        ("a file of noise", noise(4096)),
    ] {
        let tried = (|| {
            let file = tempfile::Builder::new()
                .suffix(&format!(".{extension}"))
                .tempfile();
            let file = file.map_err(|e| Error::msg(e.to_string()))?;
            std::fs::write(file.path(), &bytes).map_err(Error::io(file.path()))?;
            match open(file.path().to_path_buf()).and_then(|t| every_cell(t.as_ref())) {
                Ok((rows, _)) => Ok(format!("a table of {rows} rows")),
                Err(e) => Ok(format!("an error: {}", first_line(&e.to_string()))),
            }
        })();
        tell(&format!("{what} is an error or a table"), tried);
    }
    let Some(file) = &material.file else {
        return;
    };
    let twice = (|| {
        let (a, b) = (open(file.clone())?, open(file.clone())?);
        let (one, other) = (every_cell(a.as_ref())?, every_cell(b.as_ref())?);
        let again = every_cell(a.as_ref())?;
        match one == other && one == again {
            true => Ok(format!("{} rows, {} columns", one.0, a.columns().len())),
            false => Err(Error::msg("two readings of the same cells differ")),
        }
    })();
    tell("the file reads the same twice", twice);
    let backwards = (|| {
        let table = open(file.clone())?;
        let cell =
            |row: usize| Ok::<_, Error>(format!("{:?} {}", table.cell(row, 0)?, table.place(row)));
        let mut last = (0..table.rows())
            .rev()
            .map(cell)
            .collect::<Result<Vec<_>>>()?;
        last.reverse();
        let first = (0..table.rows()).map(cell).collect::<Result<Vec<_>>>()?;
        match first == last {
            true => Ok(String::new()),
            false => Err(Error::msg("rows read from the last to the first differ")),
        }
    })();
    tell("rows may be asked for in any order", backwards);
}

/// How many rows, and all that was read.
fn every_cell(table: &dyn Table) -> Result<(usize, Vec<String>)> {
    let mut all = Vec::new();
    for row in 0..table.rows() {
        for column in 0..table.columns().len() {
            all.push(format!("{:?}", table.cell(row, column)?));
        }
    }
    Ok((table.rows(), all))
}

fn noise(n: usize) -> Vec<u8> {
    let stream = Stream::new(7);
    (0..n as u64).map(|i| stream.below(i, 256) as u8).collect()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Rows of each feed in the main trial: two feeds need not be alike.
const ROWS: [usize; 3] = [5, 7, 4];
const WIDTH: usize = 6;
const CLASSES: usize = 3;

/// Inputs for a term: taps of so many rows, then parameters.
fn inputs(term: &CTerm, rows: &[usize], width: usize, seed: u64) -> Result<Vec<Tensor>> {
    let draw = |name: &str, dims: &[usize]| -> Result<Tensor> {
        let n = dims.iter().product();
        let values = Stream::new(seed).purpose(name).normals(n);
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    };
    let mut all = Vec::new();
    for tap in term.taps() {
        let (name, feed) = tap.rsplit_once(':').unwrap_or((tap, "0"));
        let feed: usize = feed.parse().unwrap_or(0);
        let columns = if name == "logits" { CLASSES } else { width };
        all.push(draw(tap, &[rows[feed % rows.len()], columns])?);
    }
    for p in term.params() {
        all.push(draw(&p.name, &p.shape)?);
    }
    Ok(all)
}

fn asked(wanted: Vec<bool>) -> Asked {
    Asked {
        seed: 11,
        step: 3,
        progress: 0.25,
        wanted,
    }
}

fn flat(t: &Tensor) -> Result<Vec<f32>> {
    Ok(t.flatten_all()?.to_vec1::<f32>()?)
}

fn bits(outcome: &(f64, Vec<Tensor>)) -> Result<Vec<u64>> {
    let mut all = vec![outcome.0.to_bits()];
    for t in &outcome.1 {
        all.extend(flat(t)?.iter().map(|v| u64::from(v.to_bits())));
    }
    Ok(all)
}

fn term(plugin: &Plugin, entry: &ManifestEntry, material: &Material, tell: Tell<'_>) {
    let who = format!("{}: the loss term `{}`", plugin.name(), entry.name);
    let make = || -> Result<CTerm> {
        let values = values(entry, material)?;
        CTerm::make(plugin.table(entry.index)?, &who, &values)
    };
    let made = make();
    let (term, line) = match made {
        Ok(term) => {
            let words = format!("takes {}", term.input_names().join(", "));
            (Some(term), Ok(words))
        }
        Err(e) => (None, Err(e)),
    };
    tell("it is made, and describes itself", line);
    let Some(term) = term else { return };
    if term
        .taps()
        .iter()
        .any(|t| !t.starts_with("features:") && !t.starts_with("logits:"))
    {
        tell(
            "the rest was left out",
            Ok("it takes the output of a stage, whose shape only a recipe knows".into()),
        );
        return;
    }
    tell(
        "its gradients are those of finite differences",
        differences(&term),
    );
    tell("the gradient of the value is a factor", factor(&term));
    tell("a gradient that nobody wants changes no other", mask(&term));
    tell(
        "equal calls give equal bits, on any thread, of any instance",
        same_bits(&term, &make),
    );
    tell(
        "few rows, one row, no rows: a number or an error",
        edges(&term),
    );
    tell(
        "feeds of different widths: a number or an error",
        widths(&term),
    );
    tell("a thousand random calls", thousand(&term));
    tell("memory does not grow", leaks(&term, &make));
}

/// Central differences along random directions; the step is what f32 made of it.
fn differences(term: &CTerm) -> Result<String> {
    let names = term.input_names();
    let mut worst: f64 = 0.0;
    for seed in 0..3 {
        let at = inputs(term, &ROWS, WIDTH, seed)?;
        let all = asked(vec![true; at.len()]);
        let (_, gradients) = term.at(&at, &all, 1.0)?;
        for (i, name) in names.iter().enumerate() {
            let (x, g) = (flat(&at[i])?, flat(&gradients[i])?);
            // Every number by itself where there are few, directions where there are many.
            let directions = if x.len() <= 64 { x.len() } else { 16 };
            for d in 0..directions {
                let along: Vec<f32> = match x.len() <= 64 {
                    true => (0..x.len()).map(|j| f32::from(u8::from(j == d))).collect(),
                    false => Stream::new(seed)
                        .purpose("direction")
                        .at(d as u64)
                        .normals(x.len()),
                };
                let moved = |by: f32| -> Result<(f64, Vec<f32>)> {
                    let v: Vec<f32> = x.iter().zip(&along).map(|(x, a)| x + by * a).collect();
                    let mut all = at.clone();
                    all[i] = Tensor::from_vec(v.clone(), at[i].dims(), &Device::Cpu)?;
                    Ok((term.at(&all, &asked(vec![false; all.len()]), 1.0)?.0, v))
                };
                let ((up, above), (down, below)) = (moved(5e-3)?, moved(-5e-3)?);
                let expected: f64 = (above.iter().zip(&below).zip(&g))
                    .map(|((a, b), g)| (f64::from(*a) - f64::from(*b)) * f64::from(*g))
                    .sum();
                let gap = (up - down - expected).abs() / 1e-2;
                let scale = (expected.abs() / 1e-2).max(0.1);
                // Values are of f32 inputs: about seven digits, of which the difference keeps four.
                if gap > 2e-2 * scale + 1e-6 * up.abs() / 1e-2 {
                    return Err(Error::msg(format!(
                        "`{name}`: the value moves by {:.6e} along a direction, the gradient says {:.6e}",
                        (up - down) / 1e-2,
                        expected / 1e-2
                    )));
                }
                worst = worst.max(gap / scale);
            }
        }
    }
    Ok(format!("largest gap {worst:.1e}"))
}

fn factor(term: &CTerm) -> Result<String> {
    let at = inputs(term, &ROWS, WIDTH, 5)?;
    let all = asked(vec![true; at.len()]);
    let (one, four) = (term.at(&at, &all, 1.0)?, term.at(&at, &all, -4.0)?);
    for ((a, b), name) in one.1.iter().zip(&four.1).zip(term.input_names()) {
        for (a, b) in flat(a)?.into_iter().zip(flat(b)?) {
            if (b + 4.0 * a).abs() > 1e-5 * a.abs().max(1e-3) {
                return Err(Error::msg(format!("`{name}`: {a} for 1, {b} for -4")));
            }
        }
    }
    Ok(String::new())
}

fn mask(term: &CTerm) -> Result<String> {
    let at = inputs(term, &ROWS, WIDTH, 6)?;
    let all = term.at(&at, &asked(vec![true; at.len()]), 1.0)?;
    for i in 0..at.len() {
        let wanted: Vec<bool> = (0..at.len()).map(|j| j == i).collect();
        let alone = term.at(&at, &asked(wanted), 1.0)?;
        if flat(&alone.1[i])? != flat(&all.1[i])? {
            let name = &term.input_names()[i];
            return Err(Error::msg(format!(
                "`{name}` alone has another gradient than with the others"
            )));
        }
    }
    Ok(String::new())
}

fn same_bits(term: &CTerm, make: &dyn Fn() -> Result<CTerm>) -> Result<String> {
    let at = inputs(term, &ROWS, WIDTH, 8)?;
    let all = asked(vec![true; at.len()]);
    let first = bits(&term.at(&at, &all, 1.0)?)?;
    let other = make()?;
    let elsewhere = std::thread::scope(|s| {
        let there = s.spawn(|| term.at(&at, &all, 1.0).and_then(|o| bits(&o)));
        there.join()
    });
    let elsewhere = elsewhere.map_err(|_| Error::msg("a thread panicked"))??;
    match first == bits(&term.at(&at, &all, 1.0)?)?
        && first == elsewhere
        && first == bits(&other.at(&at, &all, 1.0)?)?
    {
        true => Ok(String::new()),
        false => Err(Error::msg("the bits differ")),
    }
}

fn edges(term: &CTerm) -> Result<String> {
    let mut said = Vec::new();
    for rows in [[2usize; 3], [1; 3], [0; 3]] {
        let at = inputs(term, &rows, WIDTH, 9)?;
        said.push(match term.at(&at, &asked(vec![true; at.len()]), 1.0) {
            Ok((value, _)) => format!("{} rows: {value:.3}", rows[0]),
            Err(e) => format!("{} rows: {}", rows[0], reason(&e)),
        });
    }
    Ok(said.join("; "))
}

fn widths(term: &CTerm) -> Result<String> {
    let mut at = inputs(term, &ROWS, WIDTH, 10)?;
    if term.taps().len() < 2 {
        return Ok("it has one tap".into());
    }
    at[0] = Tensor::zeros((ROWS[0], WIDTH + 3), candle_core::DType::F32, &Device::Cpu)?;
    Ok(match term.at(&at, &asked(vec![true; at.len()]), 1.0) {
        Ok((value, _)) => format!("{value:.3}"),
        Err(e) => reason(&e).to_string(),
    })
}

/// What an error says after who it is from.
fn reason(e: &Error) -> String {
    let text = e.to_string();
    let said = text
        .split_once("`: ")
        .map_or(text.as_str(), |(_, said)| said);
    first_line(said).to_string()
}

fn thousand(term: &CTerm) -> Result<String> {
    let stream = Stream::new(3).purpose("thousand");
    for i in 0..1000u64 {
        let draw = |k: u64, n: u64| 1 + stream.below(8 * i + k, n) as usize;
        let at = inputs(term, &[draw(0, 9), draw(1, 9), draw(2, 9)], draw(3, 9), i)?;
        let wanted = (0..at.len() as u64).map(|k| stream.below(8 * i + 4 + k, 2) == 1);
        let wanted = asked(wanted.collect());
        if let Err(e) = term.at(&at, &wanted, 1.0) {
            return Err(Error::msg(format!("call {i}: {}", reason(&e))));
        }
    }
    Ok(String::new())
}

/// Pages that this process holds, in bytes; Linux only.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

fn leaks(term: &CTerm, make: &dyn Fn() -> Result<CTerm>) -> Result<String> {
    let at = inputs(term, &[64; 3], 256, 12)?;
    let round = |calls: usize| -> Result<()> {
        for i in 0..calls {
            let wanted = vec![i % 2 == 0; at.len()];
            term.at(&at, &asked(wanted), 1.0)?;
            make()?;
        }
        Ok(())
    };
    round(200)?;
    let Some(before) = resident() else {
        return Ok("not known on this system".into());
    };
    round(400)?;
    let grown = resident().unwrap_or(before).saturating_sub(before);
    // A leak of one input a call would be 26 MB.
    match grown > 8 << 20 {
        true => Err(Error::msg(format!(
            "400 calls kept {:.1} MB",
            grown as f64 / 1e6
        ))),
        false => Ok(String::new()),
    }
}

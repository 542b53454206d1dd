//! `tlkit init`: from a file of rows, or a folder of photographs, to a recipe that runs as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlkit_core::Error;
use tlkit_core::data::{Input, ReadOptions, Table, open_tables};
use tlkit_core::recipe::quote;
use tlkit_core::registry::{Context, Registry};
use tlkit_data::guess::{self, Guess, Guessed};

use super::arguments::Init;
use super::exit::{Failure, WRONG};
use super::parts::{self, Fetch};
use super::{output, recipe};

/// The encoder where nobody names one.
const TEXT: &str = "builtin:bert-mini";
/// The same for photographs; `builtin:` has none that has seen any.
const IMAGES: &str = "hf:timm/resnet18.a1_in1k";

/// How images are learned where nobody says.
const IMAGE_METHOD: &str =
    "method = \"feature-extraction\"    # \"fine-tune\" takes longer, and pays with many images\n";

/// Guesses, writes, checks, and says what was guessed and why.
pub fn init(arguments: &Init) -> Result<(), Failure> {
    let registry = parts::registry()?;
    let data = &arguments.data;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => PathBuf::from(format!("{}.toml", stem(data))),
    };
    let same = || std::fs::canonicalize(&out).ok() == std::fs::canonicalize(data).ok();
    if out.is_dir() || out.exists() && same() {
        let what = if out.is_dir() {
            "a folder"
        } else {
            "the data itself"
        };
        return Err(Failure::Wrong(format!(
            "{} is {what}; `--out` names the recipe's file",
            out.display()
        )));
    }
    if out.exists() && !arguments.force {
        return Err(Failure::Wrong(format!(
            "{} is there already; `--force` overwrites it, `--out` names another",
            out.display()
        )));
    }
    if Path::new(data).is_dir() {
        return images(arguments, &out, &registry);
    }
    let (table, header, why) = open(data, &registry)?;
    let facts = guess::facts(table.as_ref()).map_err(Failure::wrong)?;
    let like = match facts.iter().any(|f| f.pictures) {
        true => "scenes",
        false => "sentiment",
    };
    let guessed = guess::guess(facts, table.rows())
        .map_err(|e| Failure::Wrong(format!("{data}: {e}\n  write the recipe by hand: `tlkit recipes copy {like}` is one to start from")))?;
    let text = rows(arguments, &out, &guessed, table.rows(), header)?;
    write(&out, &text)?;
    let mut said = format!("{}: {} rows\n", data, table.rows());
    if let Some(why) = why {
        said.push_str(&format!("  no header: {why}\n"));
    }
    for line in reasons(&guessed) {
        said.push_str(&format!("  {line}\n"));
    }
    output::err(&said);
    said_written(&out)
}

/// The table, whether its first line names the columns, and why not.
fn open(
    data: &str,
    registry: &Registry,
) -> Result<(Arc<dyn Table>, bool, Option<String>), Failure> {
    let cx = Context::new(registry, &parts::resolve(Fetch::Aloud), Path::new("."));
    let read = |header: bool| {
        let options = ReadOptions {
            header,
            ..ReadOptions::default()
        };
        let first = open_tables(&cx, data, &options)?.into_iter().next();
        first.ok_or_else(|| Error::msg(format!("{data} has no files")))
    };
    let named = match read(true) {
        Ok(table) => table,
        // Two columns of one name: then the first line may be data.
        Err(e) => match read(false) {
            Ok(table) if is_data(table.as_ref()).map_err(Failure::wrong)? => {
                let why = "its first line cannot name the columns".to_string();
                return Ok((table, false, Some(why)));
            }
            _ => return Err(Failure::wrong(e)),
        },
    };
    let facts = guess::facts(named.as_ref()).map_err(Failure::wrong)?;
    match guess::headless(&facts) {
        None => Ok((named, true, None)),
        Some(why) => Ok((read(false).map_err(Failure::wrong)?, false, Some(why))),
    }
}

/// Whether a first line that does not do as names is a row like the others: it is not the only one, and every word that stands in it twice is a number or
/// stands in another row too.
fn is_data(table: &dyn Table) -> tlkit_core::Result<bool> {
    let columns = table.columns().len();
    if table.rows() < 2 || columns < 2 {
        return Ok(false);
    }
    let cell = |row: usize, column: usize| -> tlkit_core::Result<String> {
        Ok(match table.cell(row, column)? {
            Input::Text(text) => text.trim().to_string(),
            _ => String::new(),
        })
    };
    let first: Vec<String> = (0..columns).map(|c| cell(0, c)).collect::<Result<_, _>>()?;
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for word in &first {
        *times.entry(word).or_default() += 1;
    }
    for (c, word) in first.iter().enumerate() {
        let repeated = times[word.as_str()] > 1;
        if !repeated || word.is_empty() || word.parse::<f64>().is_ok() {
            continue;
        }
        let mut again = false;
        for row in 1..table.rows() {
            again = again || cell(row, c)? == *word;
        }
        if !again {
            return Ok(false);
        }
    }
    Ok(true)
}

fn reasons(guessed: &Guessed) -> Vec<String> {
    let line = |[role, column, why]: &[String; 3]| match column.is_empty() {
        true => format!("{role}: {why}"),
        false => format!("{role} `{column}`: {why}"),
    };
    guessed.reasons.iter().map(line).collect()
}

/// The recipe of a file of rows.
fn rows(
    arguments: &Init,
    out: &Path,
    guessed: &Guessed,
    rows: usize,
    header: bool,
) -> Result<String, Failure> {
    let data = &arguments.data;
    let column = |c: usize| match header {
        true => quote(&guessed.columns[c].name),
        false => (c + 1).to_string(),
    };
    let mut text = format!(
        "# Made by `tlkit init` from {} ({rows} rows).\n#\n",
        one_line(data)
    );
    for line in reasons(guessed) {
        text.push_str(&format!("# {}\n", one_line(&line)));
    }
    text.push_str("#\n# `tlkit explain` prints it with every default.\n\n[source]\n");
    let (task, label) = match &guessed.guess {
        Guess::Text { label, .. } => {
            let source = arguments.source.as_deref().unwrap_or(TEXT);
            let source = quote(&seen_from(out, source));
            let known = match arguments.source.as_deref().unwrap_or(TEXT) == TEXT {
                true => "what is known already: an encoder for English",
                false => "what is known already",
            };
            text.push_str(&format!("checkpoint = {source}    # {known}\n"));
            ("text-classification", *label)
        }
        Guess::Image { label, .. } => {
            text.push_str(&photographs(arguments, out));
            ("image-classification", *label)
        }
        Guess::Vector { label, .. } => {
            if arguments.source.is_some() {
                return Err(Failure::Wrong(format!(
                    "{data} holds numbers, and no checkpoint knows what they mean; leave out `--source`"
                )));
            }
            text.push_str(
                "task = \"features\"    # a small network on numbers, from fresh weights\n",
            );
            ("classification", *label)
        }
    };
    let train = quote(&seen_from(out, data));
    text.push_str(&format!("\n[target]\ntask = \"{task}\"\ntrain = {train}\n"));
    if !header {
        text.push_str("header = false\n");
    }
    if let Guess::Text {
        text: first, pair, ..
    } = guessed.guess
    {
        text.push_str(&format!("text = {}\n", column(first)));
        if let Some(pair) = pair {
            text.push_str(&format!("pair = {}\n", column(pair)));
        }
    }
    if let Guess::Image { image, .. } = guessed.guess {
        text.push_str(&format!("image = {}\n", column(image)));
    }
    text.push_str(&format!("label = {}\n", column(label)));
    if let Guess::Vector { without, .. } = &guessed.guess
        && !without.is_empty()
    {
        // Where there is no header, their numbers are their names.
        let name = |&c: &usize| quote(&guessed.columns[c].name);
        let names: Vec<String> = without.iter().map(name).collect();
        text.push_str(&format!("without = [{}]\n", names.join(", ")));
    }
    text.push_str("split = { validation = 0.1, test = 0.2 }    # shares of the rows; a test file of its own is better: test = \"...\"\n");
    text.push_str("\n[strategy]\nkind = \"inductive\"\n");
    text.push_str(match task {
        "classification" => "method = \"from-scratch\"\n",
        "image-classification" => IMAGE_METHOD,
        _ => "method = \"fine-tune\"    # \"feature-extraction\" takes seconds, and is hard to beat with few rows\n",
    });
    Ok(text)
}

/// The encoder of images, in a line.
fn photographs(arguments: &Init, out: &Path) -> String {
    let named = arguments.source.as_deref();
    let source = quote(&seen_from(out, named.unwrap_or(IMAGES)));
    let why = match named {
        Some(_) => "what is known already",
        None => {
            "what is known already: a million photographs; the built-in resnet-mini knows drawings only"
        }
    };
    format!("checkpoint = {source}    # {why}\n")
}

/// A folder with a folder of images a class.
fn images(arguments: &Init, out: &Path, registry: &Registry) -> Result<(), Failure> {
    let data = &arguments.data;
    let cx = Context::new(registry, &parts::resolve(Fetch::Aloud), Path::new("."));
    let tables = open_tables(&cx, data, &ReadOptions::default()).map_err(Failure::wrong)?;
    let table = tables.into_iter().next();
    let table = table.ok_or_else(|| Failure::Wrong(format!("{data}: nothing in it")))?;
    let Some(label) = table.columns().iter().position(|c| c == "label") else {
        return Err(Failure::Wrong(format!(
            "{data}: images without classes; put them into a folder a class, `{}`",
            Path::new(data).join("cat").join("1.jpg").display()
        )));
    };
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for row in 0..table.rows() {
        if let Input::Text(name) = table.cell(row, label).map_err(Failure::wrong)? {
            *classes.entry(name.into_owned()).or_default() += 1;
        }
    }
    if classes.len() < 2 {
        return Err(Failure::Wrong(format!(
            "{data}: one class, and a classifier needs two; a class is a folder with images in it"
        )));
    }
    let n: usize = classes.values().sum();
    let mut listed: Vec<String> = classes
        .iter()
        .take(30)
        .map(|(c, n)| format!("{c} {n}"))
        .collect();
    if classes.len() > 30 {
        listed.push(format!("and {} more", classes.len() - 30));
    }
    let listed = one_line(&listed.join(", "));
    let source = photographs(arguments, out);
    let train = quote(&seen_from(out, data));
    let text = format!(
        "# Made by `tlkit init` from {} ({n} images).\n#\n# {} classes, a folder each: {listed}\n#\n# `tlkit explain` prints it with every default.\n\n\
         [source]\n{source}\n\
         [target]\ntask = \"image-classification\"\ntrain = {train}\n\
         split = {{ validation = 0.1, test = 0.2 }}    # shares of the images; a test folder of its own is better: test = \"...\"\n\n\
         [strategy]\nkind = \"inductive\"\n{IMAGE_METHOD}",
        one_line(data),
        classes.len(),
    );
    write(out, &text)?;
    output::err(&format!(
        "{data}: {n} images\n  {} classes, a folder each: {listed}\n",
        classes.len()
    ));
    said_written(out)
}

/// Says that the recipe is written. It must run as it is: what is wrong with it is said now; what has to be downloaded first is not looked into.
fn said_written(out: &Path) -> Result<(), Failure> {
    match recipe::read_aloud(out, &[], Fetch::Never) {
        Ok(_) => {}
        Err(Failure::Recipe(report)) if report.errors() == 0 => {}
        Err(failure) => {
            failure.say();
            output::err(&format!(
                "{} is written, and does not run before that is mended\n",
                out.display()
            ));
            return Err(Failure::Said(WRONG));
        }
    }
    let name = out.display().to_string();
    let typed = super::run::quoted(&name);
    output::out(&format!("{name}: written; `tlkit run {typed}` runs it\n"));
    Ok(())
}

fn write(out: &Path, text: &str) -> Result<(), Failure> {
    tlkit_core::run::write_whole(out, text.as_bytes()).map_err(Failure::wrong)
}

/// A path as the recipe in `out` must write it: paths are relative to the recipe. Names that are no paths stay.
fn seen_from(out: &Path, name: &str) -> String {
    if name.starts_with("builtin:") || name.starts_with("hf:") || Path::new(name).is_absolute() {
        return name.to_string();
    }
    let folder = out.parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() || folder == Path::new(".") {
        return name.to_string();
    }
    let (Ok(folder), Ok(path)) = (std::path::absolute(folder), std::path::absolute(name)) else {
        return name.to_string();
    };
    match path.strip_prefix(&folder) {
        Ok(inside) => inside.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

/// The recipe's name: the file's without its endings, the folder's, the last parts of a name that is built in.
fn stem(data: &str) -> String {
    if let Some(name) = data.strip_prefix("builtin:") {
        return name.replace('/', "-");
    }
    let path = std::path::absolute(data).unwrap_or_else(|_| data.into());
    let name = path.file_name().map_or_else(
        || "recipe".to_string(),
        |n| n.to_string_lossy().into_owned(),
    );
    match path.is_dir() {
        true => name,
        false => name
            .split('.')
            .find(|part| !part.is_empty())
            .unwrap_or("recipe")
            .to_string(),
    }
}

/// For a comment, which ends with the line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

//! `tlkit recipes`: those that come with tlkit, embedded by build.rs from the folder recipes/.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tlkit_report::{Align, Table};

use super::arguments::Recipes;
use super::exit::Failure;
use super::parts::Fetch;
use super::run::quoted;
use super::{output, recipe};

/// Name (the path under recipes/ without `.toml`) and text, by name.
const RECIPES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// Lists, shows, copies.
pub fn recipes(verb: &Recipes) -> Result<(), Failure> {
    match verb {
        Recipes::List => {
            let mut table = Table::new(&[Align::Left, Align::Left]);
            for (name, text) in RECIPES {
                table.row([name.to_string(), about(text)]);
            }
            output::out(&(table.lines("").join("\n") + "\n"));
        }
        Recipes::Show { name } => output::out(find(name)?.1),
        Recipes::Copy { name, to, force } => copy(name, to.as_deref(), *force)?,
    }
    Ok(())
}

fn copy(name: &str, to: Option<&Path>, force: bool) -> Result<(), Failure> {
    let (name, text) = find(name)?;
    let stem = name.rsplit('/').next().unwrap_or(name);
    let to = to.map_or_else(
        || match base_of(text) == Some(stem) {
            // Here it stands beside its base, which has the name already.
            true => PathBuf::from(format!("{stem}-experiment.toml")),
            false => PathBuf::from(format!("{stem}.toml")),
        },
        Path::to_path_buf,
    );
    if to.exists() && !force {
        return Err(Failure::Wrong(format!(
            "{} is there already; `--force` overwrites it",
            to.display()
        )));
    }
    let write =
        |to: &Path, text: &str| std::fs::write(to, text).with_context(|| to.display().to_string());
    let Some(base) = base_of(text) else {
        write(&to, text)?;
        return said_copied(&to);
    };
    // An experiment runs over a recipe, which stands beside it here.
    let beside = to.with_file_name(format!("{base}.toml"));
    if to == beside {
        return Err(Failure::Wrong(format!(
            "{} is the name of the recipe that this experiment runs over; give it another",
            to.display()
        )));
    }
    let above = format!("base = \"../{base}.toml\"");
    write(
        &to,
        &text.replace(&above, &format!("base = \"{base}.toml\"")),
    )?;
    let kept = beside.exists();
    if !kept {
        write(&beside, find(base)?.1)?;
    }
    output::out(&format!(
        "{}: written over {}, which {}; `tlkit compare {0}` runs it\n",
        to.display(),
        beside.display(),
        match kept {
            true => "was there already",
            false => "is written too",
        }
    ));
    Ok(())
}

/// Says that a recipe is written, and what it still needs before it runs: rows that only the user has. What has to be downloaded first is not
/// looked into.
fn said_copied(to: &Path) -> Result<(), Failure> {
    let needs = match recipe::read(to, &[], Fetch::Never) {
        Err(Failure::Recipe(report)) if report.errors() > 0 => Some(report),
        Ok(_) | Err(Failure::Recipe(_)) => None,
        Err(other) => return Err(other),
    };
    let said = match needs {
        None => format!(
            "{}: written; `tlkit run {}` runs it\n",
            to.display(),
            quoted(&to.display().to_string())
        ),
        Some(report) => {
            output::err(&report.to_text(output::colour(&std::io::stderr())));
            format!(
                "{}: written; it runs once it has what is missing above; its first lines say how to give it\n",
                to.display()
            )
        }
    };
    output::out(&said);
    Ok(())
}

/// The recipe, of those that come with tlkit, that an experiment runs over.
fn base_of(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|l| l.strip_prefix("base = \"../"))?;
    line.split(".toml").next()
}

fn find(name: &str) -> Result<(&'static str, &'static str), Failure> {
    let wanted = name.strip_suffix(".toml").unwrap_or(name);
    let wanted = wanted.strip_prefix("recipes/").unwrap_or(wanted);
    RECIPES
        .iter()
        .find(|(n, _)| *n == wanted)
        .copied()
        .ok_or_else(|| {
            let names: Vec<&str> = RECIPES.iter().map(|(n, _)| *n).collect();
            Failure::Wrong(format!(
                "there is no recipe `{name}`; there are {}",
                names.join(", ")
            ))
        })
}

/// A recipe of this name among ours, for somebody who has no such file.
pub fn like(path: &Path) -> Option<&'static str> {
    let stem = path.file_stem()?.to_str()?;
    let same = |n: &str| n.rsplit('/').next() == Some(stem);
    RECIPES.iter().find(|(n, _)| same(n)).map(|(n, _)| *n)
}

/// The first sentence of the comment that opens a recipe.
fn about(text: &str) -> String {
    let lines = text.lines().map_while(|l| l.strip_prefix('#'));
    let lines = lines.map(str::trim).take_while(|l| !l.is_empty());
    let whole = lines.collect::<Vec<_>>().join(" ");
    let ends = |(i, c): (usize, char)| {
        matches!(c, '.' | '?') && whole[i + 1..].chars().next().is_none_or(|next| next == ' ')
    };
    match whole.char_indices().find(|&at| ends(at)) {
        Some((i, _)) => whole[..=i].to_string(),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::about;

    #[test]
    fn what_is_said_of_a_recipe_is_a_whole_sentence() {
        let text =
            "# The task of scenes.toml, once\n# more. Then:\n#\n# Needs no network.\n\n[source]\n";
        assert_eq!(about(text), "The task of scenes.toml, once more.");
        assert_eq!(about("# Is it?\n[source]\n# No."), "Is it?");
        assert_eq!(about("# No end\n#\n# here."), "No end");
        assert_eq!(about("[source]"), "");
    }
}

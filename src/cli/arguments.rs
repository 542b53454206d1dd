//! Every verb and flag, with its help. A flag is data: short help on one line, long help below it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Transfer learning from a recipe.
///
/// A recipe is a short TOML file that names a source (what is already known), a target (what is to be learned) and a
/// strategy (how to carry it over). `tlkit run` trains, evaluates and saves; everything of a run is in its directory.
#[derive(Debug, Parser)]
#[command(
    name = "tlkit",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  tlkit init reviews.csv                a recipe for your own data
  tlkit run recipes/sentiment.toml      train, evaluate, save
  tlkit predict latest --text \"...\"    a label and its probability
  tlkit report latest --open            the same as a page, with curves and errors
  tlkit why latest                      what stands out in it

Exit codes: 0 done, 1 the run failed, 2 recipe or command line wrong, 130 stopped after a checkpoint.")]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Writes a recipe for your data: guesses columns and labels, and says why.
    Init(Init),
    /// Trains, evaluates and saves what a recipe says.
    Run(Run),
    /// Labels and probabilities for new rows, by a finished run's model.
    Predict(Predict),
    /// Scores a finished run's model on other labelled rows.
    Evaluate(Evaluate),
    /// Checks recipes without running them, and without a download.
    Validate(Validate),
    /// Prints the complete recipe: every default, and where it comes from.
    Explain(Explain),
    /// Prints the JSON Schema of recipes, for editors, or the reference of all keys.
    #[command(after_help = "\
Examples:
  tlkit schema > tlkit.schema.json
  echo '#:schema ./tlkit.schema.json' | cat - my.toml     the line that editors look for
  tlkit schema --markdown                                 the same for people")]
    Schema {
        /// A page with a table of keys instead of JSON.
        #[arg(long)]
        markdown: bool,
    },
    /// The recipes that come with tlkit.
    #[command(after_help = "\
Examples:
  tlkit recipes list
  tlkit recipes show sentiment
  tlkit recipes copy sentiment my.toml")]
    Recipes {
        #[command(subcommand)]
        verb: Recipes,
    },
    /// The runs under runs/.
    #[command(after_help = "\
Examples:
  tlkit runs list
  tlkit runs show latest
  tlkit runs show sentiment             the newest run of that recipe")]
    Runs {
        #[command(subcommand)]
        verb: Runs,
    },
    /// Writes the page of a run anew, or opens it.
    Report(Report),
    /// Says what stands out in a run: evidence with its numbers, no advice.
    Why(Why),
    /// Prints completions for a shell.
    #[command(after_help = "\
Examples:
  tlkit completions bash > ~/.local/share/bash-completion/completions/tlkit
  tlkit completions zsh > ~/.zfunc/_tlkit
  tlkit completions fish > ~/.config/fish/completions/tlkit.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Overrides that run, validate and explain share.
#[derive(Debug, Args)]
pub struct Overrides {
    /// Overrides one key of the recipe; may be repeated.
    ///
    /// The value is TOML, or else a string as it stands: `train.epochs=3`, `train.betas=[0.9, 0.98]`,
    /// `source.checkpoint=builtin:bert-mini`. It is checked as if it stood in the recipe.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    pub sets: Vec<String>,
}

/// `tlkit init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit init reviews.csv                writes reviews.toml
  tlkit init reviews.csv --source models/all-MiniLM-L6-v2
  tlkit init photos/ --out pets.toml    a folder a class")]
pub struct Init {
    /// A file of rows with labels, or a folder with a folder of pictures a class.
    ///
    /// Label and text are guessed by their names and by what they hold: the label is a column of few different, short values, the
    /// text the one with the most words; columns that are all numbers are a vector. What was guessed, and why, is said, and stands
    /// in the recipe.
    pub data: String,
    /// The recipe; by default the data's name with `.toml`, in this folder.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The checkpoint to start from; by default `builtin:bert-mini`, for photographs one on the hub.
    #[arg(long, value_name = "CHECKPOINT")]
    pub source: Option<String>,
    /// Overwrites a recipe that is there.
    #[arg(long)]
    pub force: bool,
}

/// `tlkit run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit run recipes/sentiment.toml
  tlkit run my.toml --set train.epochs=3 --seed 1
  tlkit run my.toml --resume            go on with the newest unfinished run")]
pub struct Run {
    /// The recipe.
    pub recipe: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    /// The run directory itself, instead of runs/<recipe>/<id>.
    ///
    /// A directory that holds something else is refused; one that holds a run needs `--resume`.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute: `cpu`, `auto`; the same as `--set train.device=..`.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// The seed of every random choice but the data split; the same as `--set train.seed=..`.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Goes on with an unfinished run.
    ///
    /// With `--out` the run in that directory, otherwise the newest unfinished run of this recipe under runs/. It ends
    /// with the same bits as a run that was never interrupted. A recipe or data that changed since are refused.
    #[arg(long)]
    pub resume: bool,
    /// Checks everything, shows what would be done, writes nothing (but downloads into the cache).
    #[arg(long)]
    pub dry_run: bool,
    /// Prints the result table and nothing else.
    #[arg(long, short)]
    pub quiet: bool,
    /// Prints result.json on standard output, and no progress.
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
}

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns, for people.
    Table,
    /// One JSON object a row.
    Jsonl,
    /// One line a row, a column a class.
    Csv,
}

/// `tlkit predict`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit predict latest --text \"Third year of daily use and still sharp.\"
  tlkit predict sentiment new.csv --out answers.csv
  cut -f2 reviews.tsv | tlkit predict sentiment - --format jsonl")]
pub struct Predict {
    /// A recipe's name (its newest run), `latest`, the beginning of an id, or a path.
    ///
    /// A path is a run directory, or a folder `model/` of one, wherever it was copied to. The training data is not needed.
    pub run: String,
    /// Rows without labels: a file, or `-` for standard input, a row a line.
    ///
    /// A file is read as a recipe's data is: by its ending, columns by name. The text's column is the run's own; one named `text`,
    /// or the only one besides the label, will do. A `.txt` has a row a line. On standard input and in `--text` two texts
    /// are separated by a tab, numbers by commas. Blank lines are skipped.
    #[arg(conflicts_with = "text")]
    pub file: Option<String>,
    /// A row of its own instead of a file; may be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Vec<String>,
    /// The text's column, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub column: Option<String>,
    /// The second text's column, where the model takes pairs.
    #[arg(long, value_name = "COLUMN")]
    pub pair: Option<String>,
    /// How it is written; a table on a terminal, JSON Lines otherwise.
    ///
    /// With `--out` the ending decides: `.csv`, `.txt` (the table), anything else JSON Lines.
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "table|jsonl|csv"
    )]
    pub format: Option<Format>,
    /// Only the K likeliest classes of each row, the likeliest first.
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
    /// Answers each line of standard input before the next is read.
    ///
    /// On a terminal that is so anyway. Otherwise 1,024 lines are answered at once, which is faster.
    #[arg(long)]
    pub line_buffered: bool,
    /// Writes into a file, which appears whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `tlkit evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit evaluate sentiment builtin:reviews/kitchen/test
  tlkit evaluate latest held-out.csv --label stars
  tlkit evaluate latest held-out.csv --json | jq .metrics.accuracy")]
pub struct Evaluate {
    /// A recipe's name (its newest run), `latest`, the beginning of an id, or a path.
    ///
    /// A path is a run directory, or a folder `model/` of one, wherever it was copied to.
    pub run: String,
    /// Labelled rows: a file, read as a recipe's data is, or a `builtin:` name.
    ///
    /// Labels that are no class of the run are refused. Rows that the run learned from are counted and noted, where the run
    /// directory is there to say which they were.
    pub data: String,
    /// The text's column, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub column: Option<String>,
    /// The second text's column, where the model takes pairs.
    #[arg(long, value_name = "COLUMN")]
    pub pair: Option<String>,
    /// The label's column.
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// Prints JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `tlkit validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit validate my.toml
  tlkit validate recipes/*.toml
  tlkit validate my.toml --json         diagnostics for editors and scripts")]
pub struct Validate {
    /// The recipes.
    #[arg(required = true, value_name = "RECIPE")]
    pub recipes: Vec<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Diagnostics as JSON on standard output, one line a recipe.
    #[arg(long)]
    pub json: bool,
}

/// `tlkit explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit explain my.toml
  tlkit explain my.toml --set train.optimizer=sgd
  tlkit explain my.toml --summary       the model, stage by stage")]
pub struct Explain {
    /// The recipe.
    pub recipe: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    /// The model instead: stages, shapes, parameters, what trains.
    #[arg(long)]
    pub summary: bool,
}

/// `tlkit report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit report latest --open
  tlkit report sentiment                the newest run of that recipe
  tlkit report 20261120-2045 --out /tmp/report.html")]
pub struct Report {
    /// A recipe's name (its newest run), `latest`, the beginning of an id, or a path.
    pub run: String,
    /// Opens it in the browser.
    #[arg(long)]
    pub open: bool,
    /// The file; by default `report.html` in the run directory.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `tlkit why`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit why latest
  tlkit why sentiment                   the newest run of that recipe
  tlkit why latest --json               for scripts")]
pub struct Why {
    /// A recipe's name (its newest run), `latest`, the beginning of an id, or a path.
    pub run: String,
    /// Findings as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `tlkit recipes`.
#[derive(Debug, Subcommand)]
pub enum Recipes {
    /// Lists them.
    #[command(after_help = "\
Examples:
  tlkit recipes list
  tlkit recipes list | grep frozen
  tlkit recipes show sentiment          one of them in full")]
    List,
    /// Prints one.
    #[command(after_help = "\
Examples:
  tlkit recipes show sentiment
  tlkit recipes show sentiment-frozen
  tlkit recipes show sentiment | tlkit explain /dev/stdin")]
    Show {
        /// Its name.
        name: String,
    },
    /// Writes one into a file of your own.
    #[command(after_help = "\
Examples:
  tlkit recipes copy sentiment          writes ./sentiment.toml
  tlkit recipes copy sentiment my.toml
  tlkit recipes copy sentiment my.toml --force")]
    Copy {
        /// Its name.
        name: String,
        /// The file; by default the recipe's name in this folder.
        to: Option<PathBuf>,
        /// Overwrites a file that is there.
        #[arg(long)]
        force: bool,
    },
}

/// `tlkit runs`.
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// Lists them, newest first.
    #[command(after_help = "\
Examples:
  tlkit runs list
  tlkit runs list | grep unfinished
  tlkit runs show latest                one of them in full")]
    List,
    /// Prints the result table of one.
    #[command(after_help = "\
Examples:
  tlkit runs show latest
  tlkit runs show 20261120-2045         the beginning of an id
  tlkit runs show /tmp/mine             a run directory")]
    Show {
        /// A recipe's name (its newest run), `latest`, the beginning of an id, or a path.
        run: String,
    },
}

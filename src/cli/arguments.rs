//! Every verb and flag, with its help. A flag is data: short help on one line, long help below it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::plugins::Plugins;

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

Exit codes: 0 done, 1 the run failed, 2 recipe or command line wrong, 3 a gate was not met, 130 stopped after a checkpoint.")]
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
    /// Looks at the source and the target of a recipe before training: how far apart they are, and where to begin.
    Diagnose(Diagnose),
    /// Says what a run will take, time, memory and disk, from a few measured steps.
    Plan(Plan),
    /// Says which of several sources to carry over, from features and labels, without training.
    Rank(Rank),
    /// Runs an experiment (a table of runs), or compares runs: differences, how sure they are, and a verdict.
    Compare(Compare),
    /// Puts predictions that were made elsewhere into an experiment's table.
    Import(Import),
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
    /// Plugins that were built elsewhere: a shared library that a recipe names.
    #[command(after_help = "\
Examples:
  tlkit plugins list
  tlkit plugins info target/release/mine    what it brings, its keys, its sha256
  tlkit plugins check target/release/mine   the conformance suite: gradients, determinism, errors")]
    Plugins {
        #[command(subcommand)]
        verb: Plugins,
    },
    /// Writes the page of a run anew, or opens it.
    Report(Report),
    /// Says what stands out in a run: evidence with its numbers, no advice.
    Why(Why),
    /// Prints completions for a shell.
    #[command(after_help = "\
Examples:
  (the folder has to be there: `mkdir -p FOLDER`)
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
    /// `source.checkpoint=builtin:bert-mini`. It is checked as if it stood in the recipe, and a path is relative to the recipe's
    /// folder, not to where you are.
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
  tlkit run my.toml --resume            go on with the newest unfinished run

Threads: one a physical core, or as many as RAYON_NUM_THREADS says. The bits are the same.")]
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
    /// Where to compute: `cpu`, `cuda`, `cuda:1`, `auto`; the same as `--set train.device=..`.
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
    /// Stops after a checkpoint when standard input ends: how an experiment stops its cells, also when it is killed.
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
    /// A folder where runs that begin alike leave their beginnings to each other: how an experiment learns a source once.
    #[arg(long, hide = true)]
    pub shared: Option<PathBuf>,
}

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum TableFormat {
    /// Aligned columns.
    Text,
    /// Markdown.
    Md,
    /// All numbers, a line a row.
    Csv,
    /// All numbers.
    Json,
    /// A `tabular`.
    Latex,
    /// A page, one file.
    Html,
}

/// `tlkit compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit compare recipes/experiments/how-many-labels.toml
  tlkit compare my.toml --dry-run       what would run, how long, and the least difference it can see
  tlkit compare sentiment sentiment-scratch --format md

Exit codes: 0 done, 1 a cell failed, 2 experiment or command line wrong, 3 the gate is not met or undecided, 130 stopped.")]
pub struct Compare {
    /// An experiment (a TOML file), the folder of one, or the runs to compare.
    ///
    /// An experiment runs what is not finished yet and prints its table. A folder that one left prints the table and runs
    /// nothing. Runs are named as for `tlkit runs show`; those that differ only in their seed are one row.
    #[arg(required = true, value_name = "EXPERIMENT|RUN")]
    pub what: Vec<PathBuf>,
    /// Overrides one key of the experiment; may be repeated.
    ///
    /// `experiment.seeds=3`, `experiment.set.'"train.epochs"'=2`. It is checked as if it stood in the file, and a path is
    /// relative to the file's folder.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    pub sets: Vec<String>,
    /// The folder of the experiment, instead of experiments/<name>.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Runs only the cells whose names contain this; may be repeated.
    ///
    /// The table is that of the whole experiment, with what is not there yet left open.
    #[arg(long, value_name = "PART")]
    pub only: Vec<String>,
    /// So many cells at once, each with its share of the cores; one where nothing is said.
    ///
    /// Small models gain: two cells on two cores take less time than one after the other on both. Bits do not change.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// Checks every cell, says what would run and how long it takes, writes nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How the table is printed on standard output; as text where nothing is said.
    #[arg(long, value_enum)]
    pub format: Option<TableFormat>,
    /// The score that the table is of: accuracy, macro_f1, mcc, auroc.
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// A question with an exit code: `accuracy >= source_only + 2pt`, `fine-tune: macro_f1 >= frozen`, `accuracy >= 80%`.
    ///
    /// Met when the whole interval is at or above the bound. Not met when it is below; undecided when it holds the bound: both
    /// exit 3, with different words. Without `METHOD:` before it, every row besides the one named has to reach the bound.
    #[arg(long, value_name = "QUESTION")]
    pub gate: Option<String>,
}

/// `tlkit import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit import predictions.csv --method mine --seed 0 --out experiments/how-many-labels --at target.per_class=20
  tlkit import predictions.csv --method mine --pair books:dvd --seed 0 --out experiments/reviews
  tlkit import predictions.jsonl --method svm --out experiments/which-layers --force")]
pub struct Import {
    /// Columns `id`, `label` and `prediction`; or, in place of `prediction`, a column of probabilities for each class.
    ///
    /// Ids and labels must be those of the experiment's own runs, in the same order.
    pub file: PathBuf,
    /// The name of its row in the table.
    #[arg(long, value_name = "NAME", value_parser = row_name)]
    pub method: String,
    /// The folder of the experiment.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Source and target domain, where the experiment has pairs.
    #[arg(long, value_name = "SOURCE:TARGET")]
    pub pair: Option<String>,
    /// The value of a key that varies in the experiment; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub at: Vec<String>,
    /// The seed that it stands for.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Overwrites what was imported before.
    #[arg(long)]
    pub force: bool,
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
  cut -f2 reviews.tsv | tlkit predict sentiment - --format jsonl --out answers.jsonl
  tlkit predict latest cat.jpg holiday/ 'more/*.png' --top 3")]
pub struct Predict {
    /// A recipe's name (its newest run), `latest`, the beginning of an id, or a path.
    ///
    /// A path is a run directory, or a folder `model/` of one, wherever it was copied to. The training data is not needed.
    pub run: String,
    /// Rows without labels: a file, or `-` for standard input, a row a line.
    ///
    /// A file is read as a recipe's data is: by its ending, columns by name. The text's column is the run's own; one named `text`,
    /// or the only one besides the label, will do. A `.txt` has a row a line. On standard input and in `--text` two texts
    /// are separated by a tab, numbers by commas. Blank lines are skipped. A model of images takes images, folders with images in them at
    /// any depth, and patterns (`*`, `?`), as many as are named; or one table; on standard input a path a line.
    #[arg(conflicts_with = "text", value_name = "FILE")]
    pub files: Vec<String>,
    /// A row of its own instead of a file; may be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Vec<String>,
    /// The text's column, by name or by number from 1.
    #[arg(long, value_name = "COLUMN")]
    pub column: Option<String>,
    /// The second text's column, where the model takes pairs.
    #[arg(long, value_name = "COLUMN")]
    pub pair: Option<String>,
    /// The file's first line is a row, and does not name the columns: numbers are taken in their order, a text by its number.
    #[arg(long)]
    pub no_header: bool,
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
    /// Also writes the features of every row, what enters the classifier, as `(rows, width)` in NumPy's format.
    #[arg(long, value_name = "FILE.npy")]
    pub features: Option<PathBuf>,
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
    /// The file's first line is a row, and does not name the columns: numbers are taken in their order, a text by its number.
    #[arg(long)]
    pub no_header: bool,
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

/// `tlkit diagnose`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit diagnose recipes/day-night.toml
  tlkit diagnose my.toml --set source.checkpoint=builtin:bert-mini
  tlkit diagnose my.toml --format json  for scripts")]
pub struct Diagnose {
    /// The recipe; `kind = "transductive"`, with labelled source rows. No label of the target is read.
    pub recipe: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Spoken::Text)]
    pub format: Spoken,
}

/// For whom something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Spoken {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `tlkit plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit plan my.toml
  tlkit plan my.toml --set train.batch_size=64
  tlkit plan my.toml --json             for scripts")]
pub struct Plan {
    /// The recipe.
    ///
    /// It is run in small: a few rows of each split, the shortest and the longest among them, two epochs of three batches; then of four
    /// times the rows and batches, and again, until it has taken 3 seconds or has all rows. What that took is scaled to the whole by the
    /// tokens that each part works through. Nothing is kept; features that are cached already make the run faster than said, and so does
    /// early stopping.
    pub recipe: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Every number as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `tlkit rank`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit rank recipes/scenes.toml --sources builtin:resnet-mini,runs/mine/model
  tlkit rank my.toml --sources hf:timm/resnet18.a1_in1k,hf:timm/resnet50.a1_in1k
  tlkit rank my.toml --sources a,b --json        for scripts")]
pub struct Rank {
    /// The recipe, whose target's training rows are looked at.
    pub recipe: PathBuf,
    /// Checkpoints to take the place of `source.checkpoint`, separated by commas.
    ///
    /// Each makes features of the training rows, once: they are kept in the cache, where a run of the recipe finds them. The sources are then
    /// ordered by LogME, and the H-score stands beside it. How sure the order is, is tried on 20 halves of the rows.
    #[arg(long, required = true, value_delimiter = ',', value_name = "A,B,..")]
    pub sources: Vec<String>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Prints JSON on standard output.
    #[arg(long)]
    pub json: bool,
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

fn row_name(name: &str) -> Result<String, String> {
    tlkit_core::experiment::named(name).map(|()| name.to_string())
}

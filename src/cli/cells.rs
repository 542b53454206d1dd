//! The cells of an experiment, run: each in a process of its own, so that its memory is its own and its failure too.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tlkit_core::experiment::{Cell, Plan};
use tlkit_core::run::write_whole;
use tlkit_core::train::Stop;
use tlkit_report::{Run, Status};

use super::compare::recipe_of;
use super::exit::{Failure, STOPPED};
use super::progress::Progress;
use super::turns::{self, Beginnings};

/// How often a cell that works is looked at.
const LOOK: Duration = Duration::from_millis(40);
/// A cell that takes long shows that it lives this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// A cell of an experiment that was killed writes a checkpoint before it lets go; so long it is waited for.
const LET_GO: Duration = Duration::from_secs(60);

/// What is to be done about a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: it is finished, and the same.
    Done,
    /// It has not begun.
    Fresh,
    /// It has begun, or failed, and goes on.
    Resume,
    /// What stands there is another run: recipe, data, weights or version changed.
    Changed,
    /// Another process works on it.
    Held,
}

/// How the cells ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// All were run.
    Failed {
        /// Of which so many failed.
        cells: usize,
    },
    /// Somebody asked to stop.
    Stopped {
        /// So many are not finished.
        left: usize,
    },
}

/// What stands in a cell's directory.
pub fn state(cell: &Cell, folder: &Path) -> State {
    let run = Run::read(&folder.join(&cell.name));
    let same = run.identity["identity"] == cell.identity.identity.as_str();
    match run.status {
        Status::None => State::Fresh,
        Status::Running => State::Held,
        Status::Done if same && run.result["identity"] == cell.identity.identity.as_str() => {
            State::Done
        }
        Status::Failed | Status::Unfinished if same => State::Resume,
        _ => State::Changed,
    }
}

/// What all workers share.
struct Work<'a> {
    plan: &'a Plan,
    folder: &'a Path,
    /// Cells to run, by number.
    queue: Vec<usize>,
    next: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicUsize,
    jobs: usize,
    threads: usize,
    progress: &'a Progress,
    stop: &'a Stop,
    beginnings: Beginnings,
    /// Seconds of finished cells, by group.
    seconds: Mutex<BTreeMap<String, Vec<f64>>>,
    /// Cells that work right now, by number, and since when.
    working: Mutex<BTreeMap<usize, Instant>>,
}

/// Runs what is not finished, `jobs` at once.
pub fn run(
    plan: &Plan,
    folder: &Path,
    to_do: &[usize],
    jobs: usize,
    progress: &Progress,
    stop: &Stop,
) -> Result<Ended, Failure> {
    let mut seconds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut queue = Vec::new();
    let mut changed = 0;
    for &i in to_do {
        let cell = &plan.cells[i];
        let state = state(cell, folder);
        changed += usize::from(state == State::Changed);
        match state {
            State::Done => {
                let run = Run::read(&folder.join(&cell.name));
                let took = run.result["seconds"].as_f64();
                seconds.entry(plan.group(cell)).or_default().extend(took);
            }
            _ => queue.push(i),
        }
    }
    let (all, open) = (to_do.len(), queue.len());
    progress.line(&match (all - open, open) {
        (0, 1) => format!("1 cell in {}", folder.display()),
        (0, n) => format!("{n} cells in {}", folder.display()),
        (done, 0) => format!("{done} cells in {}, all finished", folder.display()),
        (done, n) => format!(
            "{all} cells in {}: {done} finished, {n} to run",
            folder.display()
        ),
    });
    if changed > 0 {
        progress.line(&format!(
            "{changed} of them changed since they ran: what they left is deleted as they run again"
        ));
    }
    let jobs = jobs.min(open.max(1));
    let queue = turns::order(plan, queue, jobs);
    let work = Work {
        plan,
        folder,
        beginnings: Beginnings::of(plan, &queue, folder),
        queue,
        next: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
        jobs,
        threads: (rayon::current_num_threads() / jobs).max(1),
        progress,
        stop,
        seconds: Mutex::new(seconds),
        working: Mutex::new(BTreeMap::new()),
    };
    let results: Vec<Result<(), Failure>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| scope.spawn(|| work.take_turns()))
            .collect();
        workers
            .into_iter()
            .map(|w| {
                w.join()
                    .unwrap_or_else(|_| Err(Failure::Failed("a worker panicked".into())))
            })
            .collect()
    });
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    let failed = work.failed.into_inner();
    let left = open - work.done.into_inner() - failed;
    if left == 0 {
        work.beginnings.over();
    }
    Ok(match left {
        0 => Ended::Failed { cells: failed },
        left => Ended::Stopped { left },
    })
}

impl Work<'_> {
    fn take_turns(&self) -> Result<(), Failure> {
        while !self.stop.asked() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&i) = self.queue.get(turn) else {
                return Ok(());
            };
            let working = || self.working.lock().unwrap_or_else(|e| e.into_inner());
            working().insert(i, Instant::now());
            let ended = self.one(i);
            working().remove(&i);
            ended?;
            if !self.stop.asked() {
                self.beginnings.ended(&self.plan.cells[i]);
            }
        }
        Ok(())
    }

    /// Runs one cell. A cell that fails is counted and said; the others go on.
    fn one(&self, i: usize) -> Result<(), Failure> {
        let cell = &self.plan.cells[i];
        let directory = self.folder.join(&cell.name);
        let until = Instant::now() + LET_GO;
        let mut state = state(cell, self.folder);
        while state == State::Held && Instant::now() < until && !self.stop.asked() {
            std::thread::sleep(LOOK);
            state = self::state(cell, self.folder);
        }
        match state {
            State::Held => {
                return Err(Failure::Wrong(format!(
                    "another process works on {} right now",
                    directory.display()
                )));
            }
            State::Changed => {
                // Out of the way in one move: half a run would be taken for something else.
                let gone = self.folder.join(format!("{}.gone", cell.name));
                let _ = fs::remove_dir_all(&gone);
                fs::rename(&directory, &gone).with_context(|| directory.display().to_string())?;
                fs::remove_dir_all(&gone).with_context(|| gone.display().to_string())?;
            }
            State::Done => {
                self.done.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            State::Fresh | State::Resume => {}
        }
        let started = Instant::now();
        let child = self.start(cell, &directory, state == State::Resume)?;
        let (code, said) = self.wait(child, cell, &directory)?;
        let run = Run::read(&directory);
        let words = self.plan.words(cell);
        if code == Some(0) && run.status == Status::Done {
            if run.result["identity"] != cell.identity.identity.as_str() {
                return Err(Failure::Failed(format!(
                    "{} is not the run that was planned: its recipe or its data changed meanwhile\n  start again",
                    directory.display()
                )));
            }
            let took = started.elapsed().as_secs_f64();
            let mut seconds = self.seconds.lock().unwrap_or_else(|e| e.into_inner());
            seconds.entry(self.plan.group(cell)).or_default().push(took);
            drop(seconds);
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            let accuracy = run.test_accuracy();
            let score = accuracy.map_or_else(String::new, |a| format!("accuracy {a:.3}, "));
            self.progress.line(&format!(
                "[{}/{}] {words}: {score}{}{}",
                done + self.failed.load(Ordering::Relaxed),
                self.queue.len(),
                time(took),
                self.left(i)
            ));
        } else if code == Some(STOPPED.into()) {
            // Stopped from outside while nobody asked us: go on with it when the experiment does.
            self.stop.ask();
        } else {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            let said = match said.trim() {
                "" => "it ended without a word; was it killed for its memory?",
                text => text,
            };
            if matches!(run.status, Status::None | Status::Unfinished) {
                self.leave(cell, &directory, said)?;
            }
            self.progress.always(&format!(
                "[{}/{}] {words}: failed\n  {}",
                self.done.load(Ordering::Relaxed) + failed,
                self.queue.len(),
                said.replace('\n', "\n  ")
            ));
        }
        Ok(())
    }

    /// The result of a cell that ended before it could write one, so that the table says failed, not missing.
    fn leave(&self, cell: &Cell, directory: &Path, said: &str) -> Result<(), Failure> {
        let result = json!({
            "format": 1,
            "recipe": cell.name,
            "version": env!("CARGO_PKG_VERSION"),
            "seed": cell.seed,
            "status": "failed",
            "error": said.strip_prefix("error: ").unwrap_or(said),
        });
        let place = || directory.display().to_string();
        fs::create_dir_all(directory).with_context(place)?;
        write_whole(
            &directory.join("result.json"),
            format!("{result:#}").as_bytes(),
        )?;
        Ok(())
    }

    fn start(&self, cell: &Cell, directory: &Path, resume: bool) -> Result<Child, Failure> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut command = Command::new(program);
        command
            .arg("run")
            .arg(recipe_of(self.folder, &cell.name))
            .arg("--out")
            .arg(directory)
            .args(["--quiet", "--until-stdin-closes"])
            .env("RAYON_NUM_THREADS", self.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if resume {
            command.arg("--resume");
        }
        if let Some(folder) = self.beginnings.folder(cell) {
            command.arg("--shared").arg(folder);
        }
        // A terminal's Ctrl-C goes to us alone; we pass it on by closing the cell's standard input.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command.spawn().context("a process for a cell")?)
    }

    /// Waits for the end, and hands on a request to stop. The exit code, and what was said on standard error.
    fn wait(
        &self,
        mut child: Child,
        cell: &Cell,
        directory: &Path,
    ) -> Result<(Option<i32>, String), Failure> {
        let mut stdin = child.stdin.take();
        let stderr = child.stderr.take();
        let reader = std::thread::spawn(move || stderr.map_or_else(String::new, all_of));
        let mut said = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().context("a cell")? {
                break status;
            }
            if self.stop.asked() {
                drop(stdin.take());
            }
            if said.elapsed() > SIGN_OF_LIFE {
                said = Instant::now();
                if let Some(line) = last_line(&directory.join("log.txt")) {
                    self.progress
                        .line(&format!("  {}: {}", self.plan.words(cell), cut(&line)));
                }
            }
            std::thread::sleep(LOOK);
        };
        Ok((status.code(), reader.join().unwrap_or_default()))
    }

    /// `; about 4 min left`: of the cells that have not begun, and of those that work besides this one.
    fn left(&self, ended: usize) -> String {
        let from = self.next.load(Ordering::Relaxed).min(self.queue.len());
        let seconds = self.seconds.lock().unwrap_or_else(|e| e.into_inner());
        let of = |cells: &[&Cell]| expected(self.plan, cells, &seconds);
        let rest: Vec<&Cell> = self.queue[from..]
            .iter()
            .map(|&i| &self.plan.cells[i])
            .collect();
        let working = self.working.lock().unwrap_or_else(|e| e.into_inner());
        let others: Vec<f64> = working
            .iter()
            .filter(|(i, _)| **i != ended)
            .map(|(&i, since)| of(&[&self.plan.cells[i]]) - since.elapsed().as_secs_f64())
            .map(|s| s.max(0.0))
            .collect();
        let all = (of(&rest) + others.iter().sum::<f64>()) / self.jobs as f64;
        // The last ones work beside idle workers.
        let left = others.into_iter().fold(all, f64::max);
        match rest.is_empty() && left < 1.0 {
            true => String::new(),
            false => format!("; about {} left", time(left)),
        }
    }
}

/// Seconds that cells take, by what others of their group took; where none of a group is finished, by the mean of all groups.
pub fn expected(plan: &Plan, cells: &[&Cell], seconds: &BTreeMap<String, Vec<f64>>) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let of: BTreeMap<&String, f64> = seconds
        .iter()
        .filter(|(_, v)| !v.is_empty())
        .map(|(g, v)| (g, mean(v)))
        .collect();
    let any = mean(&of.values().copied().collect::<Vec<_>>());
    cells
        .iter()
        .map(|c| of.get(&plan.group(c)).copied().unwrap_or(any))
        .sum()
}

/// `0.4 s`, `12 s`, `4 min`, `2.5 h`.
pub fn time(seconds: f64) -> String {
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// All that a cell said. A plugin, or a library beneath one, may write what is not UTF-8.
fn all_of(mut stderr: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stderr.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What fits into a line beside the cell's name.
fn cut(line: &str) -> String {
    const MOST: usize = 80;
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{} ...", &line[..at]),
        None => line.to_string(),
    }
}

/// The last line of a log, without its time.
fn last_line(path: &PathBuf) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().last()?;
    Some(
        line.split_once(' ')
            .map_or(line, |(_, rest)| rest)
            .to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::{all_of, time};

    #[test]
    fn what_a_cell_said_is_kept_whatever_its_bytes() {
        let said = all_of(&b"error: the column `Gr\xf6\xdfe` is not there"[..]);
        assert_eq!(said, "error: the column `Gr\u{fffd}\u{fffd}e` is not there");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            [0.44, 12.3, 240.0, 9000.0].map(time),
            ["0.4 s", "12 s", "4 min", "2.5 h"]
        );
    }
}

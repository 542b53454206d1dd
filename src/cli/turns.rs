//! In which order the cells of an experiment run, and what those that begin alike leave to each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tlkit_core::experiment::{Cell, Plan};

/// What differs in nothing but the method: seed, values of the axes, pair of domains.
pub type Group = (u64, Vec<usize>, Option<usize>);

/// That of a cell.
pub fn group(cell: &Cell) -> Group {
    (cell.seed, cell.values.clone(), cell.pair)
}

/// The cells of a transductive experiment seed by seed, all methods of a pair in a row: they learn the source once ([`Beginnings`]), and what stands there after a while is
/// whole. Workers are in different groups as far as there are so many. Others stay in the order of the table.
pub fn order(plan: &Plan, queue: Vec<usize>, jobs: usize) -> Vec<usize> {
    if plan.kind != "transductive" {
        return queue;
    }
    let mut groups: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
    for i in queue {
        groups.entry(group(&plan.cells[i])).or_default().push(i);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups
        .chunks(jobs.max(1))
        .flat_map(|side_by_side| {
            let longest = side_by_side.iter().map(Vec::len).max().unwrap_or(0);
            let turn = move |n: usize| side_by_side.iter().filter_map(move |g| g.get(n).copied());
            (0..longest).flat_map(turn)
        })
        .collect()
}

/// Folders where the cells of a group leave their common beginnings, each until its last cell has ended.
pub struct Beginnings {
    folder: PathBuf,
    open: Mutex<BTreeMap<Group, usize>>,
}

impl Beginnings {
    /// For these cells of an experiment in `folder`.
    pub fn of(plan: &Plan, queue: &[usize], folder: &Path) -> Self {
        let mut open = BTreeMap::new();
        if plan.kind == "transductive" {
            for &i in queue {
                *open.entry(group(&plan.cells[i])).or_insert(0) += 1;
            }
        }
        Beginnings {
            folder: folder.join("beginnings"),
            open: Mutex::new(open),
        }
    }

    fn at(&self, of: &Group) -> PathBuf {
        let (seed, values, pair) = of;
        let values: Vec<String> = values.iter().map(|v| format!("{v}-")).collect();
        let pair = pair.map_or_else(String::new, |p| format!("p{p}-"));
        self.folder
            .join(format!("{}{pair}s{seed}", values.concat()))
    }

    /// The folder of a cell's group, where there is somebody to leave something to, or something was left.
    pub fn folder(&self, cell: &Cell) -> Option<PathBuf> {
        let of = group(cell);
        let open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        let left = *open.get(&of)?;
        let at = self.at(&of);
        (left > 1 || at.exists()).then_some(at)
    }

    /// A cell has ended, well or not.
    pub fn ended(&self, cell: &Cell) {
        let of = group(cell);
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        let Some(left) = open.get_mut(&of) else {
            return;
        };
        *left -= 1;
        if *left == 0 {
            // What cannot be removed now goes with the last.
            let _ = fs::remove_dir_all(self.at(&of));
        }
    }

    /// All cells have ended; what an earlier attempt left goes too.
    pub fn over(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

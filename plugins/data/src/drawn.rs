//! The drawn scenes as tables: `builtin:scenes/day/train`.

use std::sync::Arc;

use tlkit_core::data::{Blob, Input, ReadOptions, Reader, Table};
use tlkit_core::recipe::nearest;
use tlkit_core::{Error, Result};
use tlkit_image::{Pixels, bmp};

use crate::scenes::{Kind, Light, SOURCE, TARGET, draw};

/// Makes `builtin:scenes/...`. Nothing is read and nothing is kept: a row is drawn when it is asked for, the same every time.
///
/// | name | what it shows | rows |
/// |---|---|---|
/// | `scenes/day/train`, `scenes/night/train` | the ten kinds of the target, by daylight and at night | 2,000 |
/// | `scenes/day/validation`, `scenes/night/validation` | | 1,000 |
/// | `scenes/day/test`, `scenes/night/test` | | 2,000 |
/// | `scenes/source/train`, `.../validation`, `.../test` | twenty other kinds by daylight, which the small ResNet learned first | 20,000, 1,000, 2,000 |
///
/// `#200` behind a name takes another number of rows: `builtin:scenes/day/train#200` is 20 a class. Kinds take turns, so that any number of rows from the
/// beginning is even; of two numbers the smaller one's rows are the first of the larger one's.
#[derive(Clone, Copy, Debug)]
pub struct Drawn;

/// Most rows of a table.
const MOST: usize = 10_000_000;

/// What a name stands for.
struct Split {
    name: &'static str,
    kinds: &'static [Kind],
    light: Light,
    /// Of its pictures: no split has one of another's.
    seed: u64,
    rows: usize,
}

fn splits() -> [Split; 9] {
    let split = |name, kinds, light, seed, rows| Split {
        name,
        kinds,
        light,
        seed,
        rows,
    };
    [
        split("scenes/day/train", TARGET, Light::Day, 1, 2_000),
        split("scenes/day/validation", TARGET, Light::Day, 2, 1_000),
        split("scenes/day/test", TARGET, Light::Day, 3, 2_000),
        split("scenes/night/train", TARGET, Light::Night, 1, 2_000),
        split("scenes/night/validation", TARGET, Light::Night, 2, 1_000),
        split("scenes/night/test", TARGET, Light::Night, 3, 2_000),
        split("scenes/source/train", SOURCE, Light::Day, 1, 20_000),
        split("scenes/source/validation", SOURCE, Light::Day, 2, 1_000),
        split("scenes/source/test", SOURCE, Light::Day, 3, 2_000),
    ]
}

impl Reader for Drawn {
    fn extensions(&self) -> &[&str] {
        &[]
    }

    fn builtins(&self) -> Vec<String> {
        splits().iter().map(|s| s.name.to_string()).collect()
    }

    fn makes(&self, builtin: &str) -> bool {
        builtin == "scenes" || builtin.starts_with("scenes/")
    }

    fn open(&self, name: &str, _: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>> {
        let builtin = name.strip_prefix("builtin:").unwrap_or(name);
        let (which, rows) = match builtin.split_once('#') {
            None => (builtin, None),
            Some((which, rows)) => {
                let number = rows.parse().ok().filter(|n| (1..=MOST).contains(n));
                let number = number.ok_or_else(|| {
                    Error::msg(format!(
                        "`{name}`: after `#` a number of rows is wanted, from 1 to {MOST}"
                    ))
                })?;
                (which, Some(number))
            }
        };
        let all = splits();
        let meant = nearest(which, all.iter().map(|s| s.name))
            .map_or_else(String::new, |n| format!("; did you mean `builtin:{n}`?"));
        let split = all.into_iter().find(|s| s.name == which).ok_or_else(|| {
            let there: Vec<String> = self
                .builtins()
                .iter()
                .map(|n| format!("`builtin:{n}`"))
                .collect();
            Error::msg(format!(
                "no scenes are drawn as `builtin:{which}`{meant}\nthere are {}",
                there.join(", ")
            ))
        })?;
        Ok(Arc::new(Scenes {
            rows: rows.unwrap_or(split.rows),
            split,
            side: options.drawn_side as u32,
            columns: ["image", "label"].map(String::from).to_vec(),
        }))
    }
}

struct Scenes {
    split: Split,
    rows: usize,
    side: u32,
    columns: Vec<String>,
}

impl Scenes {
    fn kind(&self, row: usize) -> &'static Kind {
        &self.split.kinds[row % self.split.kinds.len()]
    }
}

impl Table for Scenes {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let kind = self.kind(row);
        if column == 1 {
            return Ok(Input::Text(kind.name.into()));
        }
        let index = (row / self.split.kinds.len()) as u64;
        let side = self.side.max(8) as usize;
        let rgb = draw(kind, self.split.light, self.split.seed, index, self.side);
        let pixels = Pixels {
            width: side,
            height: side,
            rgb,
        };
        Ok(Input::Image(bmp(&pixels).into()))
    }

    fn place(&self, row: usize) -> String {
        format!("builtin:{}:{}", self.split.name, row + 1)
    }
}

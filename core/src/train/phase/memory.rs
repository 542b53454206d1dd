//! A step that does not fit into the device's memory: cut smaller, or an error that says what would have fit.
//!
//! Cutting changes no number but the masks of dropout (each pass draws its own), the statistics of a batch norm that follows its batch, and
//! roundings: the means over the passes are weighed as the whole batch's.

use super::update::how_many;
use super::*;
use crate::device::name_of;
use crate::nn::Role;
use crate::strategy::AS_MUCH_AS_FITS;

/// What a pass changes before the optimizer steps.
struct Before {
    statistics: Vec<(Param, Tensor)>,
    objective: State,
}

impl Course<'_, '_, '_> {
    /// One optimizer step of one update; returns the loss.
    pub(super) fn update(&mut self, u: usize, drawn: &[Drawn], random: Stream) -> Result<f64> {
        let auto = self.train.micro_batch == AS_MUCH_AS_FITS;
        // A batch that took in a lone last row is no reason to cut it: each half would have statistics of its own.
        let batch = self.train.feeds.iter().map(|f| f.batch).max();
        let asked = match batch.is_some_and(|b| self.train.micro_batch >= b) {
            true => AS_MUCH_AS_FITS,
            false => self.train.micro_batch,
        };
        let most = drawn.iter().map(|d| d.rows.len()).max().unwrap_or(1);
        loop {
            let micro = match auto {
                true => self.run.position.micro_batch.unwrap_or(AS_MUCH_AS_FITS),
                false => asked,
            };
            let before = auto.then(|| self.kept(u)).transpose()?;
            let error = match self.attempt(u, drawn, random, micro) {
                Err(e) if tlkit_ops::gpu::is_out_of_memory(&e.to_string()) => e,
                other => return other,
            };
            let rows = micro.min(most);
            let less = rows.div_ceil(2);
            // Beside a feed of few rows smaller pieces are the same ones.
            let cuts = rows > 1 && how_many(drawn, less) > how_many(drawn, rows);
            match before {
                Some(before) if cuts => {
                    self.put_back(u, before)?;
                    self.run.position.micro_batch = Some(less);
                    self.job.observer.event(&Event::Note(&format!(
                        "{rows} rows in one pass need more memory than there is: {less} from here on"
                    )));
                }
                _ => return Err(self.too_large(u, drawn, random, rows, &error)),
            }
        }
    }

    fn kept(&self, u: usize) -> Result<Before> {
        let mut statistics = Vec::new();
        for p in self.transfer.store.all() {
            if p.role() == Role::Statistic {
                let value = p.detached().copy()?;
                statistics.push((p, value));
            }
        }
        Ok(Before {
            statistics,
            objective: self.train.updates[u].objective.state(),
        })
    }

    fn put_back(&mut self, u: usize, before: Before) -> Result<()> {
        for (p, value) in before.statistics {
            p.var().set(&value)?;
        }
        self.train.updates[u].objective.restore(before.objective)
    }

    /// The error, and how many rows a pass may have. The run ends with it, so that trying costs nothing.
    fn too_large(
        &mut self,
        u: usize,
        drawn: &[Drawn],
        random: Stream,
        rows: usize,
        error: &Error,
    ) -> Error {
        let device = name_of(self.transfer.store.device());
        let mut fits = rows;
        while fits > 1 {
            let before = how_many(drawn, fits);
            fits = fits.div_ceil(2);
            if how_many(drawn, fits) == before {
                let least = drawn.iter().map(|d| d.rows.len()).min().unwrap_or(1);
                return Error::msg(format!(
                    "out of memory on {device}: {rows} rows in one pass need more than there is, and beside a domain that gives {least} they are not cut further ({error})\n  \
                     a smaller `train.batch_size` does"
                ));
            }
            if self.attempt(u, drawn, random, fits).is_ok() {
                // Terms of an adaptation are statistics of a batch, which is not cut then.
                let batch = self.transfer.settings.batch_size;
                let whole =
                    self.train.micro_batch == batch && (self.train.adapts || self.place.twin);
                let what = match whole {
                    true => format!(
                        "the terms of `{}` are of a whole batch, which is not cut: `train.batch_size = {fits}` fits",
                        self.train.name
                    ),
                    false => format!(
                        "`train.micro_batch = {fits}` or `micro_batch = \"auto\"` makes the same steps of a batch in several passes"
                    ),
                };
                return Error::msg(format!(
                    "out of memory on {device}: {rows} rows in one pass need more than there is, and {fits} fit\n  {what}"
                ));
            }
        }
        Error::msg(format!(
            "out of memory on {device}: not even one row fits ({error})\n  a smaller model, shorter rows or smaller images do"
        ))
    }
}

//! One optimizer step: record, pull back, step.

use super::*;
use crate::data::{Feed, View};

impl Course<'_, '_, '_> {
    /// One optimizer step of one update, `micro` rows a pass; returns the loss.
    pub(super) fn attempt(
        &mut self,
        u: usize,
        drawn: &[Drawn],
        random: Stream,
        micro: usize,
    ) -> Result<f64> {
        let step = self.run.position.step;
        self.transfer
            .store
            .train_only(&self.train.updates[u].trains);
        let pieces = pieces(drawn, micro);
        let rows: usize = drawn.first().map_or(1, |d| d.rows.len());
        let mut total = Gradients::default();
        // Means over pieces are weighed by what each piece's own mean was over, so that cutting a batch changes no number.
        let (mut means, mut mass): (BTreeMap<String, f64>, f64) = Default::default();
        let mut loss = 0.0;
        let single = pieces.len() == 1;
        let settled = self.settled();
        let settling = step < settled && self.total >= settled;
        for (k, piece) in pieces.into_iter().enumerate() {
            let piece_rows = piece.first().map_or(1.0, |d| d.rows.len() as f64);
            let pass = Pass {
                step: self.run.position.total_steps,
                precision: self.transfer.settings.precision,
                ..Pass::training(random.at(k as u64), 0)
            };
            let update = &mut self.train.updates[u];
            let mut state = StepState {
                drawn: piece,
                views: self.train.feeds.iter().map(first_view).collect(),
                batches: BTreeMap::new(),
                models: Models {
                    model: &self.transfer.model,
                    others: &self.transfer.others,
                },
                heads: &self.transfer.heads,
                target: self.transfer.target,
                store: self.transfer.store,
                observer: self.job.observer,
                pass,
                progress: step as f64 / self.total.max(1) as f64,
                taps: update.objective.taps(),
                recordings: RefCell::default(),
                mass: Cell::new(None),
                heads_applied: RefCell::default(),
            };
            let terms = update.objective.terms(&mut state)?;
            let weight = state.mass.get().unwrap_or(piece_rows);
            mass += weight;
            let mut sum: Option<Tensor> = None;
            for term in &terms {
                let value = term
                    .value
                    .to_dtype(candle_core::DType::F64)?
                    .flatten_all()?
                    .sum(0)?
                    .to_scalar::<f64>()?;
                if !value.is_finite() {
                    let batch = state.batches.values().next().cloned();
                    let first = check::first_bad(
                        &self.transfer.model,
                        self.transfer.store,
                        batch.as_ref(),
                    )?;
                    return Err(check::bad_loss(
                        self.run.position.total_steps + 1,
                        value,
                        &first,
                    ));
                }
                loss += value * term.weight * weight;
                *means.entry(term.name.clone()).or_insert(0.0) += value * weight;
                let weighted = if term.weight == 1.0 {
                    term.value.clone()
                } else {
                    crate::nn::scaled(&term.value, term.weight)?
                };
                sum = Some(match sum {
                    Some(s) => (s + weighted)?,
                    None => weighted,
                });
            }
            let Some(sum) = sum else {
                return Err(Error::msg(format!("update `{}` has no loss", update.name)));
            };
            if step == 0 && k == 0 {
                liveness::reaches(&update.name, &terms, &state.recordings.borrow())?;
            }
            if settling && k == 0 {
                let dead = |term: &&crate::strategy::Term| {
                    let name = format!("{u}/{}", term.name);
                    !self.run.position.alive.contains(&name)
                };
                let waiting = terms.iter().filter(dead);
                let alive = liveness::alive(waiting, &state.recordings.borrow())?;
                let alive = alive.into_iter().map(|name| format!("{u}/{name}"));
                self.run.position.alive.extend(alive);
                if step + 1 == settled {
                    let names: Vec<String> = (terms.iter())
                        .filter(|t| t.reaches_model && t.weight != 0.0)
                        .map(|t| format!("{u}/{}", t.name))
                        .filter(|n| !self.run.position.alive.contains(n))
                        .collect();
                    liveness::none_dead(&update.name, &names, &state.recordings.borrow())?;
                }
            }
            let grads = sum.backward()?;
            let mut here = Gradients::default();
            for recording in state.recordings.into_inner().into_iter().rev() {
                recording.pull(&grads, &mut here)?;
            }
            // Parameters that the objective used directly: a discriminator, a second head.
            for p in self.transfer.store.select(&update.trains) {
                if let Some(g) = grads.get(p.var()) {
                    here.add(&p, g.clone())?;
                }
            }
            if single {
                total = here;
            } else {
                total.merge(here, weight)?;
            }
        }
        if !single {
            total.scale(1.0 / mass)?;
        }
        let update = &mut self.train.updates[u];
        if step == 0 {
            liveness::entries(
                &update.name,
                &self.transfer.store.select(&update.trains),
                &total,
            )?;
        }
        if !self.optimizers[u].step(&mut total, step, self.total)? {
            return Err(check::bad_gradient(
                self.run.position.total_steps + 1,
                &total,
            ));
        }
        // Once the step is made, so that one that did not fit and is tried again counts once. A term that several updates of a step have, or one that is
        // repeated, is a mean over all of them.
        let position = &mut self.run.position;
        for (name, sum) in means {
            *position.seen.entry(name.clone()).or_insert(0.0) += rows as f64;
            *position.sums.entry(name).or_insert(0.0) += sum / mass * rows as f64;
        }
        self.transfer.store.touch();
        update.objective.after_step(self.transfer.store)?;
        Ok(loss / mass)
    }
}

/// Cuts every feed's rows into the same number of pieces, so that none holds more than `micro` rows; yet no piece is empty, so beside
/// a feed of few rows (the last batch of a smaller domain) pieces are larger.
fn pieces(drawn: &[Drawn], micro: usize) -> Vec<Vec<Drawn>> {
    let n = how_many(drawn, micro);
    (0..n)
        .map(|k| {
            let cut = |d: &Drawn| {
                let (from, to) = (d.rows.len() * k / n, d.rows.len() * (k + 1) / n);
                Drawn {
                    loaded: d.loaded.clone(),
                    rows: d.rows[from..to].to_vec(),
                    random: d.random,
                }
            };
            drawn.iter().map(cut).collect()
        })
        .collect()
}

/// Into how many pieces these are cut.
pub(super) fn how_many(drawn: &[Drawn], micro: usize) -> usize {
    let rows = || drawn.iter().map(|d| d.rows.len());
    let (most, least) = (rows().max().unwrap_or(1), rows().min().unwrap_or(1));
    most.div_ceil(micro.max(1)).min(least).max(1)
}

/// What an objective looks at that leaves the view to the feed.
fn first_view(feed: &Feed) -> View {
    feed.views.first().copied().unwrap_or_default()
}

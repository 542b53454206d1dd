//! The end of an epoch: scores, and whether it is the best so far.

use super::*;

impl Course<'_, '_, '_> {
    pub(super) fn end_epoch(&mut self) -> Result<()> {
        let position = &mut self.run.position;
        let epoch = position.step.div_ceil(self.per_epoch);
        let rows = |k: &String| position.seen.get(k).copied().unwrap_or(1.0);
        let mut values: BTreeMap<String, f64> = position
            .sums
            .iter()
            .map(|(k, v)| (k.clone(), v / rows(k)))
            .collect();
        if let Some(rate) = self
            .optimizers
            .first()
            .map(|o| o.rate(position.step.saturating_sub(1), self.total))
        {
            values.insert("learning_rate".into(), rate);
        }
        let mut best = false;
        let t = &self.transfer;
        let rank = match &self.job.validation {
            Some(rows) => {
                let scores = Scores::of(&t.model, rows, t.target, t.store, self.job.observer)?;
                for (name, value) in scores.values() {
                    values.insert(format!("{}_{name}", self.job.validated), value);
                }
                Some(scores.rank())
            }
            None => {
                let mut passes = Passes {
                    model: &t.model,
                    domains: &self.job.domains,
                    store: t.store,
                    random: Stream::new(self.job.seed).purpose("validate"),
                    observer: self.job.observer,
                    cache: None,
                    kept: BTreeMap::new(),
                };
                let own = self.train.updates.first_mut();
                let own = own.map_or(Ok(None), |u| u.objective.validate(&mut passes))?;
                own.map(|(name, loss)| {
                    values.insert(format!("validation_{name}"), loss);
                    (-loss, loss)
                })
            }
        };
        for update in &mut self.train.updates {
            for (name, value) in update.objective.curves() {
                values.insert(name, value);
            }
        }
        if self.decides() {
            let (of, kept) = self.candidate(epoch)?;
            values.extend(of);
            best = kept;
        } else if let Some((score, loss)) = rank
            && self.train.select == Selection::Validation
        {
            best = self.keep_if_best(epoch, score, loss)?;
        }
        let mut line = serde_json::json!({ "phase": self.train.name, "epoch": epoch, "step": self.run.position.step });
        for (k, v) in &values {
            line[k] = serde_json::json!(v);
        }
        self.job.record(&line)?;
        self.run.position.lines += 1;
        let by = match &self.job.deciding {
            Some(Deciding::LabelFree { by, .. }) if self.decides() => Some(*by),
            _ => None,
        };
        self.job.observer.event(&Event::Epoch {
            epoch,
            values: &values,
            by,
            best,
        });
        Ok(())
    }

    /// Whether this phase's epochs are chosen between by what decides over an adaptation.
    pub(super) fn decides(&self) -> bool {
        self.job.deciding.is_some()
            && !matches!(self.train.select, Selection::Last | Selection::Validation)
    }

    /// Whether a model stands that can be kept where this phase goes no further. A twin is a training like any other.
    pub(super) fn has_candidates(&self) -> bool {
        self.decides() && !self.place.twin && self.run.position.best.is_some()
    }

    /// Whether the numbers of an adaptation have ended, at a step or where the end of an epoch was looked at, and a model stands from before.
    pub(super) fn ends_here(&mut self, made: Result<()>, epoch: u64) -> Result<bool> {
        let steps = self.run.position.total_steps;
        match made.map_err(|e| e.after(steps)) {
            Err(Error::NonFinite(at)) if self.has_candidates() => {
                self.diverged(&at, epoch);
                Ok(true)
            }
            made => made.map(|()| false),
        }
    }

    /// An adaptation whose numbers end has collapsed as far as one can: the epoch is none that could be kept, and no later one is made.
    fn diverged(&mut self, at: &NonFinite, epoch: u64) {
        let position = &mut self.run.position;
        position.collapsed.push(epoch);
        let words = format!("{} at step {}", at.what, at.step);
        self.job.observer.event(&Event::Note(&format!(
            "{} diverged and ends here: {}; {}. What is kept is of the epochs before",
            self.train.name, words, at.rest
        )));
        position.diverged = Some(words);
    }

    /// Keeps what the model says of the test inputs before the first adaptation.
    pub(super) fn before(&mut self) -> Result<()> {
        self.run.ask_source(self.transfer, self.job)
    }

    /// Scores the model as it is and keeps it if none before was better. What it was scored by, and whether it was kept.
    pub(super) fn candidate(&mut self, epoch: u64) -> Result<(BTreeMap<String, f64>, bool)> {
        let t = &self.transfer;
        let (mut values, mut scores) = (BTreeMap::new(), BTreeMap::new());
        let (score, loss) = match &self.job.deciding {
            None => return Ok((values, false)),
            Some(Deciding::Labelled(rows)) => {
                let scores = Scores::of(&t.model, rows, t.target, t.store, self.job.observer)?;
                let rank = scores.rank();
                values.insert("target_accuracy".to_string(), rank.0);
                rank
            }
            Some(Deciding::LabelFree {
                by,
                minimises,
                look,
            }) => {
                let seen = look.see(&t.model, t.store, self.job.observer)?;
                let position = &mut self.run.position;
                if epoch == 0 {
                    position.reference = Some(Reference::after(position.reference, &seen));
                }
                // The twin minimises none of them: its epoch is the one that `source-only` keeps.
                let own = minimises.as_slice();
                let minimises = if self.place.twin { &[] } else { own };
                let choice = Choice::of(&seen, *by, minimises, position.reference.as_ref());
                if choice.collapsed {
                    position.collapsed.push(epoch);
                }
                for (name, value) in &choice.scores {
                    values.insert(format!("score_{}", name.name()), *value);
                }
                values.insert("effective_classes".into(), seen.effective_classes());
                if *by == LabelFree::Auto && !choice.collapsed {
                    values.insert("score_auto".into(), choice.rank);
                }
                if let (0, Some(reference)) = (epoch, &mut position.reference) {
                    reference.rank = choice.rank;
                }
                scores = choice.scores;
                (choice.rank, 0.0)
            }
        };
        let best = self.keep_if_best(epoch, score, loss)?;
        if best {
            self.run.position.scores = scores;
        }
        if epoch == 0 {
            let mut line = serde_json::json!({ "phase": self.train.name, "epoch": 0, "step": 0 });
            for (k, v) in &values {
                line[k] = serde_json::json!(v);
            }
            self.job.record(&line)?;
            self.run.position.lines += 1;
        }
        Ok((values, best))
    }

    /// Copies the weights if no epoch before was better.
    pub(super) fn keep_if_best(&mut self, epoch: u64, score: f64, loss: f64) -> Result<bool> {
        let twin = false;
        let position = &mut self.run.position;
        let best = position.best.is_none_or(|b| b.beaten_by(score, loss));
        if best {
            position.best = Some(Best {
                epoch,
                score,
                loss,
                twin,
            });
            position.waited = 0;
            self.run.best = copies(self.transfer.store)?;
        } else {
            position.waited += 1;
        }
        Ok(best)
    }
}

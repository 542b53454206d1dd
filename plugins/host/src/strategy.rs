//! A stranger's strategy: its phases are data, and the loss terms in them are its library's.

use std::sync::Arc;

use serde_json::{Map, Value};
use tlkit_abi as abi;
use tlkit_core::data::{Feed, From, View};
use tlkit_core::nn::{NormMode, Select};
use tlkit_core::strategy::{
    Group, Needs, Phase, Selection, Strategy, Train, Transfer, Until, Update, Weighted, WithTerms,
};
use tlkit_core::train::rate_groups;
use tlkit_core::{Error, Result};

use crate::call::{call, one_text};
use crate::describe::is_later;
use crate::keys;
use crate::library::Plugin;
use crate::manifest::{EntryKind, ManifestEntry};
use crate::phases::{PhaseSpec, Trains, parse};
use crate::term::CTerm;

/// What a line of `metrics.jsonl` says besides its terms, and where the model's parameters are: a term of such a name would write over the one, or
/// have its parameters among the other.
const TAKEN: [&str; 6] = ["loss", "phase", "epoch", "step", "seconds", "model"];

/// A strategy made with its keys.
pub(crate) struct CStrategy {
    who: String,
    sha256: String,
    transductive: bool,
    phases: Vec<(PhaseSpec, Vec<Weighted>)>,
    /// Each once, whatever number of phases name it.
    terms: Vec<Weighted>,
}

impl CStrategy {
    /// Asks the plugin for the phases, and makes their terms.
    pub fn make(
        plugin: &Plugin,
        entry: &ManifestEntry,
        values: &Map<String, Value>,
    ) -> Result<Self> {
        let who = format!("{}: the strategy `{}`", plugin.name(), entry.name);
        let table: &'static abi::Strategy = plugin.table(entry)?;
        let phases = table
            .phases
            .ok_or_else(|| Error::msg(format!("{who} has no function `phases`")))?;
        // SAFETY: as tlkit.h says: what is lent lives for the call.
        let said = call(&who, Some(values), |c| unsafe { phases(c) })?;
        let later = is_later(&table.head);
        let said = parse(&one_text(&who, said)?, entry.transductive, later, &who)?;
        let mut known: Vec<(String, Value, Arc<CTerm>, String)> = Vec::new();
        let mut phases = Vec::new();
        for phase in said {
            let mut weighted = Vec::new();
            for spec in &phase.terms {
                let there = known
                    .iter()
                    .find(|(name, keys, ..)| *name == spec.term && *keys == spec.keys);
                let (term, name) = match there {
                    Some((.., term, name)) => (term.clone(), name.clone()),
                    None => {
                        let term = Arc::new(term(plugin, &spec.term, &spec.keys, &who)?);
                        let before = known.iter().filter(|(name, ..)| *name == spec.term).count();
                        let name = match before {
                            0 => spec.term.clone(),
                            n => format!("{}-{}", spec.term, n + 1),
                        };
                        known.push((
                            spec.term.clone(),
                            spec.keys.clone(),
                            term.clone(),
                            name.clone(),
                        ));
                        (term, name)
                    }
                };
                for tap in tlkit_core::strategy::LossTerm::taps(term.as_ref()) {
                    let feed = tap
                        .rsplit_once(':')
                        .and_then(|(_, feed)| feed.parse::<usize>().ok());
                    if feed.is_none_or(|f| f >= phase.feeds.len()) {
                        return Err(Error::msg(format!(
                            "{who}: the term `{}` takes {tap}, and the phase `{}` has {} feeds",
                            spec.term,
                            phase.name,
                            phase.feeds.len()
                        )));
                    }
                }
                weighted.push(Weighted {
                    name,
                    weight: spec.weight,
                    term,
                });
            }
            phases.push((phase, weighted));
        }
        let terms = known.into_iter().map(|(_, _, term, name)| Weighted {
            name,
            weight: 1.0,
            term,
        });
        Ok(CStrategy {
            who,
            sha256: plugin.stamp.sha256.clone(),
            transductive: entry.transductive,
            terms: terms.collect(),
            phases,
        })
    }
}

/// `features` of `features:0`.
fn tap_name(tap: &str) -> &str {
    tap.rsplit_once(':').map_or(tap, |(name, _)| name)
}

/// A term of the same library.
fn term(plugin: &Plugin, name: &str, given: &Value, who: &str) -> Result<CTerm> {
    let terms = || {
        let all = plugin.manifest.entries.iter();
        all.filter(|e| e.kind == EntryKind::LossTerm)
    };
    if TAKEN.contains(&name) {
        return Err(Error::msg(format!(
            "{who} names the loss term `{name}`: a run has something of that name already; call the term by another"
        )));
    }
    let entry = terms().find(|e| e.name == name).ok_or_else(|| {
        let known: Vec<&str> = terms().map(|e| e.name.as_str()).collect();
        Error::msg(format!(
            "{who} names the loss term `{name}`, which its library does not bring; it brings {}",
            if known.is_empty() {
                "none".into()
            } else {
                known.join(", ")
            }
        ))
    })?;
    let values = keys::given(
        given,
        &entry.keys,
        &format!("the keys that {who} gives to `{name}`"),
    )?;
    let who = format!("{}: the loss term `{name}`", plugin.name());
    CTerm::make(plugin.table(entry)?, &who, &values)
}

impl CStrategy {
    /// Patterns are of names that the plugin cannot look up: one that is misspelt would train nothing.
    fn trains_something(
        &self,
        phase: &PhaseSpec,
        terms: &[Weighted],
        transfer: &Transfer<'_>,
    ) -> Result<()> {
        let Trains::Names(names) = &phase.trains else {
            return Ok(());
        };
        let which = Select::Any(vec![
            Select::Names(names.clone()),
            Select::Any(terms.iter().map(Weighted::select).collect()),
        ]);
        if transfer.store.all().iter().any(|p| which.holds(p)) {
            return Ok(());
        }
        let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        let all = transfer.store.all();
        let some: Vec<&str> = all.iter().take(4).map(|p| p.name()).collect();
        Err(Error::msg(format!(
            "{}: the phase `{}` trains {}, and none of the {} parameters is called so; they are {}, ...",
            self.who,
            phase.name,
            quoted.join(", "),
            all.len(),
            some.join(", ")
        )))
    }
}

impl CStrategy {
    /// Whether a term looks at a stage by its name, so that the network has to have it.
    fn names_stages(&self) -> bool {
        let mut taps = self.terms.iter().flat_map(|t| t.term.taps());
        taps.any(|tap| !matches!(tap_name(tap), "features" | "logits"))
    }

    /// Whether the network has what the terms look at. The error begins with the key that it stands at.
    fn has_taps(
        &self,
        phase: &PhaseSpec,
        terms: &[Weighted],
        transfer: &Transfer<'_>,
    ) -> Result<()> {
        let stages = transfer.model.chain().stages().iter();
        let mut known: Vec<&str> = stages.map(|s| s.name()).collect();
        known.extend(["features", "logits"]);
        for Weighted { name, term, .. } in terms {
            let mut taps = term.taps().iter();
            let Some(tap) = taps.find(|t| !known.contains(&tap_name(t))) else {
                continue;
            };
            let why = match tap_name(tap) {
                "labels" => "labels are for the loss of a target task; here the task's own loss is taken on each feed that has some".to_string(),
                stage => format!("there is no stage `{stage}`; there are {}", known.join(", ")),
            };
            return Err(Error::msg(format!(
                "strategy.method: {}: the term `{name}` of the phase `{}` takes {tap}, and {why}",
                self.who, phase.name
            )));
        }
        Ok(())
    }

    /// The phase that a twin stands beside. One on both domains is an adaptation as those of tlkit are; what several phases come to is the plugin's to say.
    fn beside(&self) -> Option<&PhaseSpec> {
        let [(phase, _)] = &self.phases[..] else {
            return None;
        };
        let source = phase.feeds.contains(&From::Source);
        let both = source && phase.feeds.iter().any(|f| *f != From::Source);
        (self.transductive && both).then_some(phase)
    }
}

impl Strategy for CStrategy {
    fn needs(&self) -> Needs {
        Needs {
            source_data: self
                .phases
                .iter()
                .any(|(p, _)| p.feeds.contains(&From::Source)),
            twin: self.beside().is_some(),
            // What comes first is learned from labelled source rows, whatever the phases are fed with.
            trained: self.transductive,
            // Of its terms nobody knows whether they ask for labels.
            own_loss: true,
            arranged: self.names_stages(),
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        self.terms
            .iter()
            .try_for_each(|t| t.arrange(transfer.store))
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let source = match self.transductive {
            true => source_phase(transfer),
            false => None,
        };
        let twin = self.beside().and_then(|p| twin(p, transfer));
        for (phase, terms) in &self.phases {
            self.has_taps(phase, terms, transfer)?;
            self.trains_something(phase, terms, transfer)?;
        }
        let role = match self.transductive {
            true => Role::Adapts,
            false => Role::Learns,
        };
        let own = self.phases.iter();
        let own = own.map(|(p, terms)| train(p, terms, transfer, role));
        let source = source.into_iter().map(Phase::Train);
        Ok(source
            .chain(twin.map(Phase::Twin))
            .chain(own.map(Phase::Train))
            .collect())
    }

    fn digest(&self) -> String {
        format!("plugin {}\n", self.sha256)
    }
}

/// What comes first in every transductive run, whatever the method: the source is learned, the best epoch on its own validation rows
/// kept. None where the source is a finished run, or the recipe leaves the phase out.
fn source_phase(transfer: &Transfer<'_>) -> Option<Train> {
    let s = &transfer.settings;
    let none = matches!(s.source_until, Until::Epochs(0) | Until::Steps(0));
    if none || transfer.source.finished().is_some() {
        return None;
    }
    let spec = PhaseSpec {
        name: "source".into(),
        feeds: vec![From::Source],
        terms: Vec::new(),
        trains: Trains::All,
        until: Some(s.source_until),
        rate: 1.0,
    };
    Some(Train {
        select: Selection::Validation,
        patience: None,
        ..train(&spec, &[], transfer, Role::Source)
    })
}

/// What stands beside the one phase of an adaptation (`select.twin`): the source's loss alone, on the same batches, for as long, of what that
/// phase trains and as fast.
fn twin(beside: &PhaseSpec, transfer: &Transfer<'_>) -> Option<Train> {
    if transfer.settings.twin.is_none() || transfer.source.finished().is_some() {
        return None;
    }
    let other = *beside.feeds.iter().find(|f| **f != From::Source)?;
    let spec = PhaseSpec {
        name: "source-only".into(),
        // The other feed is drawn for its length alone: it may be what sets the epoch of the adaptation.
        feeds: vec![From::Source, other],
        terms: Vec::new(),
        trains: beside.trains.clone(),
        until: beside.until,
        rate: beside.rate,
    };
    let mut train = train(&spec, &[], transfer, Role::Adapts);
    train.micro_batch = transfer.settings.batch_size;
    for update in &mut train.updates {
        update.name = "source".into();
        update.objective = Box::new(WithTerms {
            feeds: vec![transfer.target.view()],
            terms: Vec::new(),
        });
    }
    Some(train)
}

/// What a phase is for, on which it depends how the rows come. They come as they do to tlkit's own phases of that role.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The source is learned, before every method of a transductive recipe.
    Source,
    /// The model is carried over to the target, whose labels are sealed.
    Adapts,
    /// The target's labelled rows are learned.
    Learns,
}

impl Role {
    /// A feed of such a phase.
    fn feed(self, from: From, view: View, transfer: &Transfer<'_>) -> Feed {
        let s = &transfer.settings;
        let moves = transfer.model.norm != NormMode::Frozen;
        Feed {
            from,
            views: vec![view],
            batch: s.batch_size,
            sampler: match self {
                Role::Adapts => s.sampler.mixed(),
                Role::Source | Role::Learns => s.sampler,
            },
            // A statistic of three rows says nothing of a domain, and one of a few rows nothing to batch norm.
            drop_last: match self {
                Role::Source => false,
                Role::Adapts => true,
                Role::Learns => moves,
            },
            not_alone: moves,
        }
    }
}

fn train(p: &PhaseSpec, terms: &[Weighted], transfer: &Transfer<'_>, role: Role) -> Train {
    let s = &transfer.settings;
    let view = |from: From| match from {
        From::Source | From::Target => transfer.target.view(),
        From::TargetTest | From::Validation => View::Plain,
    };
    let feed = |&from: &From| role.feed(from, view(from), transfer);
    let model = match &p.trains {
        Trains::All => Select::stages(transfer.model.chain().stages()),
        Trains::Head => Select::stages(&transfer.model.head.stages),
        Trains::Encoder => Select::stages(transfer.model.encoder.stages()),
        Trains::Names(names) => Select::Names(names.clone()),
    };
    let own = Select::Any(terms.iter().map(Weighted::select).collect());
    let mut groups = rate_groups(&transfer.model, s);
    groups.push(Group {
        which: own.clone(),
        optimizer: s.optimizer,
        rate: s.head_learning_rate,
        schedule: s.schedule,
    });
    for group in &mut groups {
        group.rate *= p.rate;
    }
    Train {
        name: p.name.clone(),
        feeds: p.feeds.iter().map(feed).collect(),
        updates: vec![Update {
            name: p.name.clone(),
            trains: Select::Any(vec![model, own]),
            groups,
            clip: s.clip,
            repeat: 1,
            objective: Box::new(WithTerms {
                feeds: p.feeds.iter().map(|&f| view(f)).collect(),
                terms: terms.to_vec(),
            }),
        }],
        until: p.until.unwrap_or(s.until),
        select: s.select.clone(),
        patience: s.patience,
        // Terms of a loss are functions of a batch, so batches are never cut where there are some.
        micro_batch: match terms.is_empty() {
            true => s.micro_batch,
            false => s.batch_size,
        },
        norm: None,
        adapts: role == Role::Adapts,
        shared: false,
    }
}

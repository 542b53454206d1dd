//! The phases that all gradient-based methods share: first the source is learned, then the model is adapted.
//!
//! The first phase is the same for every method and for `source-only`, so that what differs afterwards is the adaptation alone. In the
//! second, the source's rows come in the same batches whatever the method.

use tlkit_core::data::{Feed, From};
use tlkit_core::nn::{NormMode, Select};
use tlkit_core::strategy::{Group, Objective, Phase, Selection, Train, Transfer, Until, Update};
use tlkit_core::train::rate_groups;

use crate::supervised::Supervised;

/// Shuffled rows of a domain, as the recipe has its training rows looked at, and never grouped by length.
pub(crate) fn feed(from: From, transfer: &Transfer<'_>) -> Feed {
    let s = &transfer.settings;
    Feed {
        from,
        views: vec![transfer.target.view()],
        batch: s.batch_size,
        sampler: s.sampler.mixed(),
        // A statistic of three rows says nothing of a domain.
        drop_last: true,
        not_alone: transfer.model.norm != NormMode::Frozen,
    }
}

/// The source is learned, the best epoch on its own validation rows kept. None where the source is a finished run, or the recipe leaves
/// the phase out (`train.source_epochs = 0`).
pub(crate) fn source_phase(transfer: &Transfer<'_>) -> Option<Phase> {
    let s = &transfer.settings;
    let none = matches!(s.source_until, Until::Epochs(0) | Until::Steps(0));
    if none || transfer.source.finished().is_some() {
        return None;
    }
    let update = Update {
        name: "source".into(),
        trains: Select::name("model.*"),
        groups: rate_groups(&transfer.model, s),
        clip: s.clip,
        repeat: 1,
        objective: Box::new(Supervised),
    };
    Some(Phase::Train(Train {
        name: "source".into(),
        feeds: vec![Feed {
            drop_last: false,
            sampler: s.sampler,
            ..feed(From::Source, transfer)
        }],
        updates: vec![update],
        until: s.source_until,
        select: Selection::Validation,
        patience: None,
        micro_batch: s.micro_batch,
        norm: None,
        adapts: false,
        shared: true,
    }))
}

/// The phase of a method, by the recipe's settings: the epoch is chosen by `[select]`. Terms of the loss are statistics of a batch, so
/// batches are never cut.
pub(crate) fn adaptation(
    name: &str,
    transfer: &Transfer<'_>,
    from: &[From],
    updates: Vec<Update>,
) -> Phase {
    let s = &transfer.settings;
    Phase::Train(Train {
        name: name.to_string(),
        feeds: from.iter().map(|&f| feed(f, transfer)).collect(),
        updates,
        until: s.until,
        select: s.select.clone(),
        patience: s.patience,
        micro_batch: s.batch_size,
        norm: None,
        adapts: true,
        shared: false,
    })
}

/// An update of everything that trains, with the recipe's optimizer: the model at its own rates, what a method added at the head's.
pub(crate) fn update(
    name: &str,
    transfer: &Transfer<'_>,
    trains: Select,
    objective: impl Objective + 'static,
) -> Update {
    let s = &transfer.settings;
    let mut groups = rate_groups(&transfer.model, s);
    groups.push(Group::all(s.optimizer, s.head_learning_rate, s.schedule));
    Update {
        name: name.to_string(),
        trains,
        groups,
        clip: s.clip,
        repeat: 1,
        objective: Box::new(objective),
    }
}

/// What the source model becomes without the adaptation, in as many epochs and on the same source batches: `source-only`'s own phase, whose
/// epochs are candidates beside those of the adaptation. None where the source is a finished run, or the recipe leaves it out (`select.twin`).
pub(crate) fn twin(transfer: &Transfer<'_>) -> Option<Phase> {
    if transfer.settings.twin.is_none() || transfer.source.finished().is_some() {
        return None;
    }
    match source_only(transfer) {
        Phase::Train(train) => Some(Phase::Twin(Train {
            shared: true,
            ..train
        })),
        other => Some(other),
    }
}

/// The source's loss alone, for as long as an adaptation takes.
pub(crate) fn source_only(transfer: &Transfer<'_>) -> Phase {
    let update = update("source", transfer, Select::name("model.*"), Supervised);
    // The target's feed is drawn for its length alone: it may be what sets the epoch of the adaptation beside this.
    let feeds = [From::Source, From::Target];
    match adaptation("source-only", transfer, &feeds, vec![update]) {
        Phase::Train(train) => Phase::Train(Train {
            adapts: false,
            ..train
        }),
        other => other,
    }
}

/// The source phase, and the adaptation after it.
pub(crate) fn after_source(transfer: &Transfer<'_>, adaptation: Phase) -> Vec<Phase> {
    source_phase(transfer)
        .into_iter()
        .chain([adaptation])
        .collect()
}

/// The source phase, the twin, and the adaptation that it stands beside.
pub(crate) fn beside_twin(transfer: &Transfer<'_>, adaptation: Phase) -> Vec<Phase> {
    source_phase(transfer)
        .into_iter()
        .chain(twin(transfer))
        .chain([adaptation])
        .collect()
}

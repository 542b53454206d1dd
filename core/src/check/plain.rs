//! Weights of classes, smoothed labels, dense layers and rates by stage, under methods that have no place for them.

use crate::recipe::Keys;
use crate::strategy::{Needs, Settings};
use crate::task::{Scoring, SourceTask, TargetTask};

/// Notes what the target task asks for and the method would pass over; and that a method which fits or counts classes has none.
pub(super) fn check(
    (strategy, target): (&Keys, &Keys),
    method: &str,
    needs: &Needs,
    task: &dyn TargetTask,
    source: &dyn SourceTask,
) {
    if !matches!(task.scoring(), Scoring::Classes(_)) {
        // What an adaptation needs is said elsewhere, of all methods alike.
        if needs.plain_loss.is_some() && !needs.source_data {
            let title = format!("`{method}` answers with a class, and this target task has none");
            strategy.error(strategy.at("method"), title);
        }
        return;
    }
    if let (Some((why, help)), false) = (needs.plain_loss, task.plain_loss()) {
        let keys = ["class_weights", "label_smoothing"];
        let key = keys.into_iter().find(|k| target.has(k));
        let at = key.map_or_else(|| target.at("task"), |k| target.at(k));
        target.error(at, format!("`{method}` {why}")).help(help);
    }
    // A finished run is what it learned under.
    let said = source.finished().and_then(|f| f.weighted.as_deref());
    if let (Some((why, _)), Some(key)) = (needs.plain_loss, said) {
        strategy
            .error(strategy.at("method"), format!("`{method}` {why}"))
            .note(format!(
                "the source is a finished run that learned under `{key}`"
            ))
            .help("name a run that learned without");
    }
    if let (Some((why, help)), false) = (needs.plain_head, task.plain_head()) {
        let at = target.at("head");
        target.error(at, format!("`{method}` {why}")).help(help);
    }
}

/// Notes rates by stage and a decay where the method has its own.
pub(super) fn rates(train: &Keys, method: &str, needs: &Needs, settings: &Settings) {
    let decay = settings.optimizer.weight_decay();
    if let (Some((why, help)), true) = (needs.own_decay, decay != 0.0) {
        let at = train.at("weight_decay");
        train.error(at, format!("`{method}` {why}")).help(help);
    }
    if let (Some((why, help)), true) = (needs.own_rates, settings.layer_decay != 1.0) {
        let at = train.at("layer_decay");
        train.error(at, format!("`{method}` {why}")).help(help);
    }
}

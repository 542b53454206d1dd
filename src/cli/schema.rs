//! `tlkit schema`: the JSON Schema of recipes, from what the readers of this binary ask for.

use std::path::Path;
use std::sync::Arc;

use tlkit_core::Checked;
use tlkit_core::data::Resolve;
use tlkit_core::recipe::{Schema, Written};
use tlkit_core::registry::{Context, Registry};
use tlkit_core::train::OptimizerSpec;

use super::exit::Failure;
use super::parts::Fetch;
use super::{output, parts, reference};

/// Prints it: JSON for editors, or a page for people.
pub fn print(markdown: bool) -> Result<(), Failure> {
    let schema = schema(&parts::registry()?, &parts::resolve(Fetch::Never)).to_json();
    output::out(&match markdown {
        true => reference::markdown(&schema),
        false => format!("{schema:#}\n"),
    });
    Ok(())
}

/// Reads everything on blank recipes: what is common once, then each task and method on its own.
fn schema(registry: &Registry, resolve: &Arc<dyn Resolve>) -> Schema {
    // A blank recipe builds nothing, so checking it always fails; what it asked for is recorded all the same.
    let common = |written: Written| {
        let _ = Checked::new(&written, registry, resolve);
        written.record()
    };
    let mut schema = Schema::new("tlkit recipe").with(&common(Written::blank()));
    // An optimizer's keys are read where it is chosen.
    for name in OptimizerSpec::NAMES {
        let chosen = Written::blank_with(&[("train", "optimizer", name)]);
        schema = schema.with(&common(chosen));
    }
    let context = Context::new(registry, resolve, Path::new(""));
    for (name, make) in registry.sources() {
        let blank = Written::blank();
        let _ = make(&blank.keys().table("source"), &context);
        schema = schema.variant("source", "task", name, &blank.record());
    }
    for (name, make) in registry.targets() {
        let blank = Written::blank();
        let _ = make(&blank.keys().table("target"), &context);
        schema = schema.variant("target", "task", name, &blank.record());
        // The same where the target's labels are sealed, with the labelled source domain.
        let blank = Written::blank();
        let sealed = Context {
            transductive: true,
            source_keys: Some(blank.keys().table("source")),
            ..context.clone()
        };
        let _ = make(&blank.keys().table("target"), &sealed);
        schema = schema.variant_or("target", "task", name, &blank.record());
    }
    for (name, entry) in registry.strategies() {
        let blank = Written::blank();
        let _ = (entry.make)(&blank.keys().table("strategy"), &context);
        schema = schema.variant("strategy", "method", name, &blank.record());
    }
    schema
}

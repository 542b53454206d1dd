//! Graphs that were cut are refused at the first step.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::{Activation, Flow, Param, Pass, Scope, Select, Stage};
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer};

use crate::world::{INPUTS, Setup, SourceOnly, World, dense, phase, train, update};

/// The task's loss, and how much of the graph beneath a term is cut away.
struct Cut {
    features: bool,
}

impl Strategy for Cut {
    fn needs(&self) -> Needs {
        Needs::default()
    }
    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let update = update(
            "task",
            Select::All,
            0.01,
            Cut {
                features: self.features,
            },
        );
        Ok(vec![phase("cut", &[From::Source], vec![update], 20)])
    }
}

impl Objective for Cut {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, View::Plain)])?.remove(0);
        let mut features = taps.features.clone();
        if self.features {
            features = features.detach();
        }
        Ok(vec![
            Term::new("loss", 1.0, step.task_loss(0, View::Plain, &taps.logits)?),
            Term::new("small", 0.1, features.sqr()?.mean_all()?),
        ])
    }
}

fn refused(world: &World, strategy: &dyn Strategy) -> String {
    let outcome = train(world, strategy, &Setup::default());
    outcome.err().expect("a cut graph is refused").to_string()
}

#[test]
fn a_whole_graph_passes() -> Result<()> {
    train(
        &World::shifted(0.0, 0.0),
        &Cut { features: false },
        &Setup::default(),
    )?;
    Ok(())
}

#[test]
fn a_term_that_reaches_nothing_is_named() {
    assert_eq!(
        refused(&World::shifted(0.0, 0.0), &Cut { features: true }),
        "update `task`: the term `small` has no gradient that reaches the model"
    );
}

/// A stage whose forward cuts the graph, as a fused operation without a backward does.
struct Silent(Arc<dyn Stage>);

impl Stage for Silent {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn params(&self) -> Vec<Param> {
        self.0.params()
    }
    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let y = self.0.forward(x, pass)?;
        Ok(y.with(y.hidden.detach()))
    }
}

#[test]
fn a_stage_that_cuts_the_graph_is_refused_with_the_names_of_its_weights() {
    let first = |scope: &Scope<'_>| -> Result<Arc<dyn Stage>> {
        Ok(Arc::new(Silent(dense(
            scope,
            "first",
            INPUTS,
            16,
            Activation::Relu,
        )?)))
    };
    let world = World {
        first,
        ..World::shifted(0.0, 0.0)
    };
    assert_eq!(
        refused(&world, &SourceOnly),
        "update `task`: 2 of 6 trainable tensors got no gradient at the first step, so they would never learn: \
         model.first.bias, model.first.weight"
    );
}

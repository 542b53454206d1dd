//! Closed-form adaptation of features: nothing is trained by gradients, and a run takes seconds.
//!
//! Each method brings the source's and the target's features together, then a head ([`heads`]) is fitted on the source's aligned rows and answers on the
//! target's. The encoder is frozen and its features are cached, so eight methods on twelve pairs of any encoder cost one pass over the data.
//!
//! | method | what is brought together | paper |
//! |---|---|---|
//! | `source-head` | nothing: the head alone, beside which the others are read | |
//! | `coral` | covariances | Sun et al. 2016 |
//! | `linear-ot` | means and covariances, with least effort | Flamary et al. 2019 |
//! | `subspace-alignment` | principal directions | Fernando et al. 2013 |
//! | `gfk` | principal subspaces, along the way between them | Gong et al. 2012 |
//! | `tca` | means, in few directions | Pan et al. 2011 |
//! | `jda` | means of all rows and of each class | Long et al. 2013 |
//! | `ot` | rows, by a transport plan | Courty et al. 2017 |
//!
//! The head is the same for all unless the recipe says otherwise, so that two rows of a table differ by the alignment alone; the papers use others, which each
//! method's page names.
//!
//! A method that moves the source leaves the target's rows as they are; one that moves both leaves a map for target rows, which a saved model keeps. New target
//! rows go through that map, also where the paper speaks of the given rows alone.

mod align;
mod components;
mod coral;
mod gfk;
#[cfg(test)]
mod golden;
mod heads;
mod jda;
mod linear_ot;
mod matrix;
mod ot;
mod subspace_alignment;
mod svm;
mod tca;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;
use tlkit_core::data::From;
use tlkit_core::model::Model;
use tlkit_core::nn::Store;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::{Context, Kind, Registry, Twin};
use tlkit_core::strategy::{Fit, Infer, Needs, Phase, Strategy, Transfer};
use tlkit_core::{Error, Result};

use align::{Align, Aligned, Pair};
use heads::Head;
use matrix::{Mat, of, tensor};

/// A closed-form method as a strategy.
struct Shallow {
    name: &'static str,
    align: Arc<dyn Align>,
    head: Head,
}

impl Strategy for Shallow {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            frozen: true,
            closed_form: true,
            plain: true,
            plain_loss: Some((
                "weighs all rows alike in its head",
                "take out class_weights and label_smoothing",
            )),
            ..Needs::default()
        }
    }

    /// The head of this strategy takes the place of the classifier.
    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        if transfer.classes == 0 {
            return Err(Error::msg(format!(
                "strategy.method: {} answers with a class, and this target task has none",
                self.name
            )));
        }
        if !transfer.target.plain_loss() {
            return Err(Error::msg(format!(
                "strategy.method: the heads of {} weigh all rows alike; take out class_weights and label_smoothing",
                self.name
            )));
        }
        let head = &transfer.model.head;
        let (stages, pool) = (head.stages[..head.pool].to_vec(), head.pool);
        let encoder = transfer.model.encoder.clone();
        transfer.model = Model::new(encoder, tlkit_core::task::Head { stages, pool });
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        Ok(vec![Phase::Fit {
            name: self.name.into(),
            fit: Box::new(Fitting {
                align: self.align.clone(),
                head: self.head.clone(),
                beside: self.name != NO_ALIGNMENT,
                classes: transfer.classes,
            }),
        }])
    }
}

struct Fitting {
    align: Arc<dyn Align>,
    head: Head,
    /// Whether there is an alignment to judge.
    beside: bool,
    classes: usize,
}

impl Fit for Fitting {
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        _: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        let source = of(&infer.features(From::Source)?)?;
        let target = of(&infer.features(From::Target)?)?;
        let labels = infer.labels(From::Source)?.classes;
        let random = infer.random("closed form");
        let aligned = self.align.align(&Pair {
            source: &source,
            labels: &labels,
            classes: self.classes,
            target: &target,
            head: &self.head,
            random,
            going_on: &|| infer.going_on(),
        })?;
        finite(&aligned.source)?;
        // The same head without the alignment, for the verdict.
        if self.beside && infer.has(From::TargetTest) {
            let head = self
                .head
                .fit((&source, false), &labels, self.classes, random)?;
            let test = infer.features(From::TargetTest)?;
            model.show_unadapted(head.map.apply(&test.to_dtype(DType::F32)?)?);
        }
        let fitted = self.head.fit(
            (&aligned.source, aligned.made),
            &labels,
            self.classes,
            random,
        )?;
        model.show_aligned(tensor(&aligned.source)?, tensor(&aligned.target)?);
        let mut report = aligned.report;
        report.extend(fitted.report);
        if let Some(map) = aligned.map {
            model.add_map(map);
        }
        model.add_adjust(fitted.map);
        Ok(report)
    }
}

fn finite(x: &Mat) -> Result<()> {
    match x.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Error::msg(
            "the aligned features are not finite; scale the features, or give a larger `regularisation`",
        )),
    }
}

/// Nothing is aligned.
struct Nothing;

impl Align for Nothing {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        Ok(Aligned::source_moved(pair.source.clone(), pair.target))
    }
}

/// The head alone.
const NO_ALIGNMENT: &str = "source-head";

type Read = fn(&Keys) -> Arc<dyn Align>;

/// Method, line of help, how it is read.
const METHODS: [(&str, &str, Read); 8] = [
    (
        NO_ALIGNMENT,
        "a closed-form head on the source's features, nothing adapted",
        |_| Arc::new(Nothing),
    ),
    (
        "coral",
        "give the source's features the target's covariance",
        |keys| Arc::new(coral::Coral::read(keys)),
    ),
    (
        "linear-ot",
        "move the source's mean and covariance to the target's with least effort",
        |keys| Arc::new(linear_ot::LinearOt::read(keys)),
    ),
    (
        "subspace-alignment",
        "turn the source's principal directions into the target's",
        |keys| Arc::new(subspace_alignment::SubspaceAlignment::read(keys)),
    ),
    (
        "gfk",
        "distances averaged over the subspaces between source and target",
        |keys| Arc::new(gfk::Gfk::read(keys)),
    ),
    (
        "tca",
        "few directions in which the domains' means lie together",
        |keys| Arc::new(tca::Tca::read(keys)),
    ),
    (
        "jda",
        "few directions in which the means of each class lie together, the target's classes guessed",
        |keys| Arc::new(jda::Jda::read(keys)),
    ),
    (
        "ot",
        "carry each source row to the target rows that a transport plan gives it",
        |keys| Arc::new(ot::Ot::read(keys)),
    ),
];

/// Adds them to a registry.
pub(crate) fn register(registry: &mut Registry) -> Result<()> {
    for (name, about, read) in METHODS {
        let make = move |keys: &Keys, _: &Context| -> Option<Box<dyn Strategy>> {
            let align = read(keys);
            let head = Head::read(keys);
            (!keys.is_blank()).then(|| Box::new(Shallow { name, align, head }) as Box<dyn Strategy>)
        };
        registry.strategy(name, Kind::Transductive, about, Arc::new(make))?;
        registry.closed_form(
            name,
            Twin {
                method: NO_ALIGNMENT,
                keys: &heads::KEYS,
            },
        );
    }
    registry.map(svm::Pairs::KIND, Arc::new(svm::Pairs::load))?;
    registry.map("rbf-kernel", Arc::new(components::Kernel::load))
}

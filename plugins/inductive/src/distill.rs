//! Distillation: a small network learns what a large one says.
//!
//! `of = "logits"` (Hinton et al. 2015) minimises, over rows with labels,
//!
//! ```text
//! (1 - alpha) * cross-entropy(labels) + alpha * T^2 * KL(softmax(teacher / T) || softmax(student / T))
//! ```
//!
//! with `T = temperature`, 2 by default, one of those the paper tried; `alpha` is half by default, which is nobody's finding: labels and teacher
//! count alike. `T^2` keeps the teacher's gradients as large as those of the labels when the temperature changes (section 2 of the paper).
//!
//! `of = "features"` maps the student's pooled features by a linear map to the teacher's width (Romero et al. 2015 called it a regressor) and
//! minimises, without any labels,
//!
//! ```text
//! distance = "cosine":  1 - cos(W student + b, teacher)            (Sanh et al. 2019 have this term)
//! distance = "mse":     mean((W student + b - teacher)^2)          (Reimers & Gurevych 2020)
//! ```
//!
//! The squared distance of vectors of length one is twice the first and no choice of its own. On a task with labels the features' term takes
//! the place of the teacher's above. `W` and `b` are trained and then left behind: `model/` holds the student alone.
//!
//! The teacher's features are pooled as a frozen encoder's are: by the mean, or as its checkpoint says.
//! It reads with its own tokenizer, in evaluation mode, once a row, before the first step; training looks its outputs up.

use std::sync::Arc;

use candle_core::{D, DType, Tensor};
use tlkit_core::cache::Rows;
use tlkit_core::data::{Feed, From, View};
use tlkit_core::nn::{Linear, NormMode, Select};
use tlkit_core::outside::{Output, Outside};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{
    AS_MUCH_AS_FITS, Group, Infer, Needs, Objective, Phase, Step, Strategy, Term, Train, Transfer,
    Update,
};
use tlkit_core::task::Scoring;
use tlkit_core::train::rate_groups;
use tlkit_core::{Error, Result};

/// Where the linear map's weights live: no part of the model.
const MAP: &str = "distill.map";

/// One phase in which a teacher is heard.
pub struct Distill {
    teacher: Arc<Outside>,
    what: What,
    alpha: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Logits { temperature: f64 },
    Features { distance: Distance },
}

#[derive(Clone, Copy, PartialEq)]
enum Distance {
    Cosine,
    Mse,
}

impl Distill {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn Strategy>> {
        let teacher = keys
            .data("teacher")
            .help("who is learned from: a checkpoint, or the folder of a finished run")
            .example("runs/large/20261129-183615-s0")
            .check(|names| match names.len() {
                1 => Ok(()),
                _ => Err("one teacher".into()),
            })
            .required();
        let of = keys
            .string("of")
            .one_of(["logits", "features"])
            .default("logits", "Hinton et al. 2015")
            .help("what is learned: the teacher's answers, or its vectors")
            .read();
        let temperature = keys
            .f64("temperature")
            .above(0.0)
            .help("of both softmaxes, with `of = \"logits\"`")
            .unset("2 (Hinton et al. 2015)")
            .optional();
        let distance = keys
            .string("distance")
            .one_of(["cosine", "mse"])
            .help("between vectors, with `of = \"features\"`")
            .unset("cosine (Sanh et al. 2019)")
            .optional();
        let alpha = keys
            .f64("alpha")
            .range(0.0..=1.0)
            .help("the teacher's share of the loss; the labels have the rest")
            .unset("0.5: labels and teacher alike; 1 where there are no labels")
            .optional();
        let max_length = keys
            .usize("teacher_max_length")
            .range(4..)
            .help("the teacher's longest text, in tokens")
            .unset("the run's own; of a checkpoint what it has as a source")
            .optional();
        if of == "logits" && distance.is_some() {
            keys.conflict(
                &[
                    (keys.at("distance"), "this is between vectors"),
                    (keys.at("of"), "and this learns answers"),
                ],
                "`distance` belongs to `of = \"features\"`",
            );
        }
        if of == "features" && temperature.is_some() {
            keys.conflict(
                &[
                    (keys.at("temperature"), "this is of answers"),
                    (keys.at("of"), "and this learns vectors"),
                ],
                "`temperature` belongs to `of = \"logits\"`",
            );
        }
        let (name, at) = teacher.into_iter().next()?;
        if keys.is_blank() || name.is_empty() {
            return None;
        }
        let (what, output) = match of.as_str() {
            "features" => {
                let distance = match distance.as_deref() {
                    Some("mse") => Distance::Mse,
                    _ => Distance::Cosine,
                };
                (What::Features { distance }, Output::Features)
            }
            _ => {
                let temperature = temperature.unwrap_or(2.0);
                (What::Logits { temperature }, Output::Logits)
            }
        };
        let more = max_length.map_or_else(String::new, |n| format!("max_length = {n}\n"));
        if let (Output::Logits, Ok(Some(why))) = (output, cx.changed(&name)) {
            keys.error(
                at,
                format!("the network of {name} does not give the run's answers: {why}"),
            )
            .help("`of = \"features\"` learns its vectors");
            return None;
        }
        let teacher = cx
            .source(&name, &more)
            .and_then(|source| Outside::new(&name, source, output));
        match teacher {
            Ok(teacher) => Some(Box::new(Distill {
                teacher: Arc::new(teacher),
                what,
                alpha: alpha.unwrap_or(match what {
                    // Where there are labels and where there are none is seen when the phases are made.
                    What::Features { .. } => f64::NAN,
                    What::Logits { .. } => 0.5,
                }),
            })),
            Err(e) => {
                keys.error(at, e.to_string());
                None
            }
        }
    }

    /// From a teacher's answers.
    pub fn answers(teacher: Outside, temperature: f64, alpha: f64) -> Self {
        Distill {
            teacher: Arc::new(teacher),
            what: What::Logits { temperature },
            alpha,
        }
    }

    /// From a teacher's vectors, by angle.
    pub fn vectors(teacher: Outside, alpha: f64) -> Self {
        let distance = Distance::Cosine;
        Distill {
            teacher: Arc::new(teacher),
            what: What::Features { distance },
            alpha,
        }
    }

    /// The teacher's column for each of the target's classes.
    fn order(&self, classes: &[String]) -> Result<Vec<u32>> {
        let theirs = self.teacher.classes();
        let column = |name: &String| theirs.iter().position(|t| t == name).map(|i| i as u32);
        let order: Option<Vec<u32>> = classes.iter().map(column).collect();
        match order {
            Some(order) if theirs.len() == classes.len() => Ok(order),
            _ => Err(Error::msg(format!(
                "strategy.teacher: {} tells {} apart, and the target {}; the names must agree",
                self.teacher.name(),
                theirs.join(", "),
                classes.join(", ")
            ))),
        }
    }

    /// Whether the labels teach alone: then nothing is mapped to the teacher's width, for the map would never learn.
    fn alone(&self) -> bool {
        self.alpha == 0.0
    }

    /// The teacher's share, once it is known whether there are labels.
    fn share(&self, labelled: bool) -> Result<f64> {
        match (labelled, self.alpha.is_nan()) {
            (true, true) => Ok(0.5),
            (true, false) if self.alpha == 1.0 && matches!(self.what, What::Features { .. }) => {
                Err(Error::msg(
                    "strategy.alpha: with 1 nothing teaches the classifier; leave it below 1, or learn vectors alone with `task = \"text-vectors\"`",
                ))
            }
            (true, false) => Ok(self.alpha),
            (false, true) => Ok(1.0),
            (false, false) if self.alpha == 1.0 => Ok(1.0),
            (false, false) => Err(Error::msg(
                "strategy.alpha: this target has no labels, so the teacher's share is 1",
            )),
        }
    }
}

impl Strategy for Distill {
    fn needs(&self) -> Needs {
        Needs {
            plain: true,
            own_loss: true,
            arranged: true,
            ..Needs::default()
        }
    }

    fn digest(&self) -> String {
        // It was built when the recipe was checked, so it has one.
        self.teacher.digest().unwrap_or_default()
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        if !matches!(self.what, What::Features { .. }) || self.alone() {
            return Ok(());
        }
        let width = transfer.model.feature_width();
        let scope = transfer.store.scope(MAP);
        let std = 1.0 / (width as f64).sqrt();
        Linear::new(&scope, width, self.teacher.width(), std)?;
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let s = &transfer.settings;
        let labelled = match (transfer.target.scoring(), self.what) {
            (Scoring::Classes(_), _) => true,
            (Scoring::Vectors, What::Features { .. }) => false,
            (Scoring::Vectors, What::Logits { .. }) => {
                return Err(Error::msg(
                    "strategy.of: text-vectors has no classes; `of = \"features\"` learns the teacher's vectors",
                ));
            }
            (Scoring::Tokens, _) => {
                return Err(Error::msg(
                    "strategy.method: distill learns classes or vectors, and this target task has neither",
                ));
            }
        };
        let order = match (self.what, transfer.target.scoring()) {
            (What::Logits { .. }, Scoring::Classes(names)) => self.order(&names)?,
            _ => Vec::new(),
        };
        let uneven = labelled && self.share(labelled)? < 1.0 && !transfer.target.plain_loss();
        let cut = s.micro_batch < s.batch_size || s.micro_batch == AS_MUCH_AS_FITS;
        if uneven && cut {
            return Err(Error::msg(
                "train.micro_batch: weights of classes are the labels' and not the teacher's, so a batch of distill is not cut beside them; take one of the two out",
            ));
        }
        let mut groups = rate_groups(&transfer.model, s);
        groups.push(Group {
            which: Select::name(format!("{MAP}.*")),
            optimizer: s.optimizer,
            rate: s.head_learning_rate,
            schedule: s.schedule,
        });
        let objective = Heard {
            teacher: self.teacher.clone(),
            what: self.what,
            alpha: self.share(labelled)?,
            labelled,
            order,
            rows: None,
            validation: None,
            map: None,
        };
        Ok(vec![Phase::Train(Train {
            name: "distill".into(),
            feeds: vec![Feed {
                from: From::Target,
                views: vec![View::Plain],
                batch: s.batch_size,
                sampler: s.sampler,
                drop_last: false,
                not_alone: transfer.model.norm != NormMode::Frozen,
            }],
            updates: vec![Update {
                name: "distill".into(),
                trains: Select::Names(vec!["model.*".into(), format!("{MAP}.*")]),
                groups,
                clip: s.clip,
                repeat: 1,
                objective: Box::new(objective),
            }],
            until: s.until,
            select: s.select.clone(),
            patience: s.patience,
            micro_batch: s.micro_batch,
            norm: None,
            adapts: false,
            shared: false,
        })])
    }
}

/// The labels' loss and the teacher's.
struct Heard {
    teacher: Arc<Outside>,
    what: What,
    alpha: f64,
    labelled: bool,
    /// The teacher's column for each class.
    order: Vec<u32>,
    rows: Option<Rows>,
    /// What the teacher says of the validation rows, where there are no labels to score them by.
    validation: Option<Rows>,
    /// To the teacher's width, once a step has looked it up.
    map: Option<Linear>,
}

impl Heard {
    /// Between what the student's vectors are mapped to and the teacher's.
    fn distance(&self, said: &Tensor, features: &Tensor, distance: Distance) -> Result<Tensor> {
        let map = self
            .map
            .as_ref()
            .ok_or_else(|| Error::msg("the map to the teacher's width was not looked up"))?;
        let mapped = map.forward(features)?;
        match distance {
            Distance::Cosine => cosine_distance(said, &mapped),
            Distance::Mse => Ok((said - mapped)?.sqr()?.mean_all()?),
        }
    }
}

impl Objective for Heard {
    fn begin(&mut self, infer: &mut dyn Infer) -> Result<()> {
        self.rows = Some(infer.outside(From::Target, &self.teacher)?);
        if infer.has(From::Validation) {
            self.validation = Some(infer.outside(From::Validation, &self.teacher)?);
        }
        Ok(())
    }

    fn validate(&mut self, infer: &mut dyn Infer) -> Result<Option<(String, f64)>> {
        let (Some(rows), What::Features { distance }) = (&self.validation, self.what) else {
            return Ok(None);
        };
        let features = infer.features(From::Validation)?;
        let said = rows.tensor(features.device())?.to_dtype(features.dtype())?;
        let value = self.distance(&said, &features, distance)?;
        let value = value.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        Ok(Some(("teacher".into(), value)))
    }

    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let taps = step.encode("model", &[(0, View::Plain)])?.remove(0);
        let mut terms = Vec::new();
        if self.labelled && self.alpha < 1.0 {
            let value = step.task_loss(0, View::Plain, &taps.logits)?;
            terms.push(Term::new("loss", 1.0 - self.alpha, value));
        }
        if self.alpha == 0.0 {
            return Ok(terms);
        }
        let rows = self
            .rows
            .as_ref()
            .ok_or_else(|| Error::msg("the teacher was not asked"))?;
        let said = rows
            .gather(step.rows(0), taps.features.device())?
            .to_dtype(taps.features.dtype())?;
        let value = match self.what {
            What::Logits { temperature } => {
                let order = Tensor::new(self.order.as_slice(), said.device())?;
                let said = said.index_select(&order, 1)?;
                soft_labels(&said, &taps.logits, temperature)?
            }
            What::Features { distance } => {
                let param = |name: &str| {
                    let name = format!("{MAP}.{name}");
                    let found = step.store().get(&name);
                    found.ok_or_else(|| Error::msg(format!("no parameter {name}")))
                };
                let map = Linear {
                    weight: param("weight")?,
                    bias: param("bias")?,
                };
                self.map = Some(map);
                self.distance(&said, &taps.features, distance)?
            }
        };
        terms.push(Term::new("teacher", self.alpha, value));
        Ok(terms)
    }
}

/// `T^2 * KL(softmax(teacher / T) || softmax(student / T))`, the mean over rows. Both are `(rows, classes)`.
pub fn soft_labels(teacher: &Tensor, student: &Tensor, temperature: f64) -> Result<Tensor> {
    let log_softmax = |x: &Tensor| -> Result<Tensor> {
        let x = (x / temperature)?;
        Ok(x.broadcast_sub(&x.log_sum_exp(D::Minus1)?.unsqueeze(1)?)?)
    };
    let said = log_softmax(&teacher.detach())?;
    let gap = (&said - log_softmax(student)?)?;
    let divergence = (said.exp()? * gap)?.sum(D::Minus1)?;
    Ok((divergence.mean_all()? * (temperature * temperature))?)
}

/// `1 - cos`, the mean over rows. Both are `(rows, width)`; a vector of length zero is at distance 1 from all.
pub fn cosine_distance(teacher: &Tensor, student: &Tensor) -> Result<Tensor> {
    let unit = |x: &Tensor| -> Result<Tensor> {
        let tiny = if x.dtype() == DType::F64 {
            1e-24
        } else {
            1e-12
        };
        let length = (x.sqr()?.sum_keepdim(D::Minus1)? + tiny)?.sqrt()?;
        Ok(x.broadcast_div(&length)?)
    };
    let cosine = (unit(&teacher.detach())? * unit(student)?)?.sum(D::Minus1)?;
    Ok(cosine.mean_all()?.affine(-1.0, 1.0)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use tlkit_core::random::Stream;

    use super::*;

    fn normal(name: &str, rows: usize, columns: usize) -> Tensor {
        let values = Stream::new(4).purpose(name).normals(rows * columns);
        let t = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap();
        t.to_dtype(DType::F64).unwrap()
    }

    fn value(t: Result<Tensor>) -> f64 {
        t.unwrap().to_scalar().unwrap()
    }

    /// Hinton et al. 2015: the temperature's square keeps the gradients as large as at 1.
    #[test]
    fn soft_labels_are_weighted_by_the_temperatures_square() {
        let (p, q) = ([0.7f64, 0.2, 0.1], [0.5f64, 0.3, 0.2]);
        let kl: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        let at = |p: [f64; 3]| Tensor::new(&[p.map(|p| 2.0 * p.ln())], &Device::Cpu).unwrap();
        let ours = value(soft_labels(&at(p), &at(q), 2.0));
        assert!((ours - 4.0 * kl).abs() < 1e-12, "{ours} and {}", 4.0 * kl);
    }

    /// Central differences of a function of the student, element by element.
    fn check(f: &dyn Fn(&Tensor) -> Result<Tensor>) {
        let x = Var::from_tensor(&normal("student", 3, 5)).unwrap();
        let grads = f(&x).unwrap().backward().unwrap();
        let ours = grads.get(&x).unwrap().flatten_all().unwrap();
        let ours = ours.to_vec1::<f64>().unwrap();
        let at = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for i in 0..at.len() {
            let moved = |by: f64| {
                let mut at = at.clone();
                at[i] += by;
                value(f(&Tensor::from_vec(at, (3, 5), &Device::Cpu).unwrap()))
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - ours[i]).abs() < 1e-8, "{slope} and {}", ours[i]);
        }
        assert!(ours.iter().any(|g| g.abs() > 1e-3));
    }

    #[test]
    fn gradients_match_finite_differences_in_double() {
        let teacher = normal("teacher", 3, 5);
        for temperature in [0.5, 1.0, 2.0, 7.0] {
            check(&|x| soft_labels(&teacher, x, temperature));
        }
        check(&|x| cosine_distance(&teacher, x));
    }

    #[test]
    fn who_says_the_same_is_at_distance_zero() {
        let t = normal("teacher", 3, 5);
        assert!(value(soft_labels(&t, &t, 2.0)).abs() < 1e-12);
        // Softmax knows no common shift, an angle no length.
        assert!(value(soft_labels(&t, &(&t + 3.0).unwrap(), 2.0)).abs() < 1e-12);
        assert!(value(cosine_distance(&t, &(&t * 0.1).unwrap())).abs() < 1e-12);
        let away = value(cosine_distance(&t, &t.neg().unwrap()));
        assert!((away - 2.0).abs() < 1e-12, "{away}");
    }

    #[test]
    fn the_divergence_is_the_textbooks() {
        let at = |v: &[f64]| Tensor::from_slice(v, (1, v.len()), &Device::Cpu).unwrap();
        let (p, q) = ([0.7f64, 0.2, 0.1], [0.5f64, 0.25, 0.25]);
        let log = |v: [f64; 3]| at(&v.map(f64::ln));
        let kl: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        let ours = value(soft_labels(&log(p), &log(q), 1.0));
        assert!((ours - kl).abs() < 1e-12, "{ours} and {kl}");
    }
}

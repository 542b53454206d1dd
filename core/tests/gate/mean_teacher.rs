//! A mean teacher (Tarvainen & Valpola 2017): the student learns from labels on the source and from the teacher on the target, each
//! seeing its own view; the teacher is the average of the student's weights over time, and it is the model that is kept.

use std::sync::{Arc, Mutex};

use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::{Select, Store};
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer};

use crate::world::{Setup, World, phase, softmax, train, update};

const KEEP: f64 = 0.95;

/// The student's first weight after each step, for the test.
type Seen = Arc<Mutex<Vec<Vec<f32>>>>;

#[derive(Default)]
pub struct MeanTeacher {
    seen: Option<Seen>,
}

impl Strategy for MeanTeacher {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            views: vec![View::Weak, View::Strong],
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        let student = transfer.second("student")?;
        transfer.others.insert("student".into(), student);
        transfer.store.fork("model", "student")
    }

    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let objective = Consistency {
            seen: self.seen.clone(),
        };
        let update = update("student", Select::name("student.*"), 0.01, objective);
        Ok(vec![phase(
            "teach",
            &[From::Source, From::Target],
            vec![update],
            300,
        )])
    }
}

struct Consistency {
    seen: Option<Seen>,
}

impl Objective for Consistency {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let student = step.encode("student", &[(0, View::Weak), (1, View::Strong)])?;
        let teacher = step.encode("model", &[(1, View::Weak)])?.remove(0);
        let gap = (softmax(&student[1].logits)? - softmax(&teacher.logits)?)?;
        let ramp = (step.progress() * 4.0).min(1.0);
        Ok(vec![
            Term::new(
                "loss",
                1.0,
                step.task_loss(0, View::Weak, &student[0].logits)?,
            ),
            Term::new("consistency", 3.0 * ramp, gap.sqr()?.mean_all()?),
        ])
    }

    fn after_step(&mut self, store: &Store) -> Result<()> {
        if let Some(seen) = &self.seen {
            seen.lock()
                .unwrap()
                .push(values(store, "student.first.weight")?);
        }
        store.average("student", "model", KEEP)
    }
}

fn values(store: &Store, name: &str) -> Result<Vec<f32>> {
    let p = store.get(name).expect(name);
    Ok(p.detached().flatten_all()?.to_vec1()?)
}

pub fn method() -> (World, Box<dyn Strategy>) {
    (World::shifted(1.0, 0.5), Box::new(MeanTeacher::default()))
}

#[test]
fn the_teacher_is_the_average_of_the_student() -> Result<()> {
    let seen = Seen::default();
    let strategy = MeanTeacher {
        seen: Some(seen.clone()),
    };
    let world = method().0;
    let start = Setup {
        max_steps: Some(0),
        ..Setup::default()
    };
    let mut average = values(
        &train(&world, &strategy, &start)?.store,
        "model.first.weight",
    )?;
    let trained = train(&world, &strategy, &Setup::default())?;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 300);
    for student in seen.iter() {
        for (a, s) in average.iter_mut().zip(student) {
            *a = (f64::from(*a) * KEEP + f64::from(*s) * (1.0 - KEEP)) as f32;
        }
    }
    let teacher = values(&trained.store, "model.first.weight")?;
    let worst = average
        .iter()
        .zip(&teacher)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-5, "{worst}");
    assert_ne!(teacher, seen[299]);
    assert!(trained.target > 0.97, "{}", trained.target);
    Ok(())
}

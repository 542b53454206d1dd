//! A loss term written in C: the distance between the mean features of source and target, under a scale that it learns.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use tlkit_core::Result;
use tlkit_core::data::{From, View};
use tlkit_core::nn::{Activation, Select};
use tlkit_core::random::Stream;
use tlkit_core::strategy::{
    LossTerm, Needs, ParamSpec, Phase, Strategy, Transfer, Valued, Weighted, WithTerms,
};

use crate::border::{CLoss, blocks, call, lend, library, pointers, tensors};
use crate::world::{INPUTS, World, dense, phase, update};

struct InC {
    table: &'static CLoss,
    taps: Vec<String>,
}

impl InC {
    fn load() -> Self {
        let table = library().1;
        InC {
            table,
            taps: table.tap_names(),
        }
    }
}

impl LossTerm for InC {
    fn taps(&self) -> &[String] {
        &self.taps
    }

    fn params(&self) -> Vec<ParamSpec> {
        self.table.specs()
    }

    fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> Result<Valued> {
        let (mut dtaps, mut dparams) = (blocks(taps), blocks(params));
        let (to_taps, to_params) = (pointers(&mut dtaps), pointers(&mut dparams));
        let mut value = 0f64;
        lend(&[taps, params].concat(), |m| {
            let (t, p) = m.split_at(taps.len());
            let run = self.table.value_and_gradients;
            call(|e| {
                run(
                    t.as_ptr(),
                    p.as_ptr(),
                    &mut value,
                    to_taps.as_ptr(),
                    to_params.as_ptr(),
                    e,
                )
            })
        })??;
        Ok(Valued {
            value,
            taps: tensors(dtaps, taps)?,
            params: tensors(dparams, params)?,
        })
    }
}

/// The task's loss on the source, and terms that somebody else brought.
struct WithLoss(Weighted);

impl Strategy for WithLoss {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            ..Needs::default()
        }
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        self.0.arrange(transfer.store)
    }

    fn phases(&self, _: &Transfer<'_>) -> Result<Vec<Phase>> {
        let objective = WithTerms {
            feeds: vec![View::Plain; 2],
            terms: vec![self.0.clone()],
        };
        let trains = Select::Any(vec![Select::name("model.*"), self.0.select()]);
        let update = update("task", trains, 0.01, objective);
        Ok(vec![phase(
            "align",
            &[From::Source, From::Target],
            vec![update],
            200,
        )])
    }
}

pub fn method() -> (World, Box<dyn Strategy>) {
    let term = Weighted {
        name: "means".into(),
        weight: 1.0,
        term: Arc::new(InC::load()),
    };
    let world = World {
        first: |scope| dense(scope, "first", INPUTS, 16, Activation::None),
        ..World::shifted(2.0, 2.0)
    };
    (world, Box::new(WithLoss(term)))
}

#[test]
fn closes_a_shift() -> Result<()> {
    crate::resume::closes_what_source_only_does_not(method())
}

#[test]
fn gradients_agree_with_finite_differences() -> Result<()> {
    let draw = |name: &str, rows: usize| -> Result<Tensor> {
        let values = Stream::new(3).purpose(name).normals(rows * 3);
        Ok(Tensor::from_vec(values, (rows, 3), &Device::Cpu)?)
    };
    let inputs = [
        draw("a", 5)?,
        draw("b", 4)?,
        Tensor::new(&[0.3f32], &Device::Cpu)?,
    ];
    let term = InC::load();
    let at = |all: &[Tensor]| term.value_and_gradients(&all[..2], &all[2..]);
    let exact = at(&inputs)?;
    let exact: Vec<Tensor> = [exact.taps, exact.params].concat();
    for (which, gradient) in exact.iter().enumerate() {
        let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
        for (i, &g) in gradient.iter().enumerate() {
            let moved = |by: f32| -> Result<f64> {
                let mut v = inputs[which].flatten_all()?.to_vec1::<f32>()?;
                v[i] += by;
                let mut all = inputs.clone();
                all[which] = Tensor::from_vec(v, inputs[which].dims(), &Device::Cpu)?;
                Ok(at(&all)?.value)
            };
            let slope = (moved(1e-2)? - moved(-1e-2)?) / 2e-2;
            assert!(
                (slope - f64::from(g)).abs() < 1e-4,
                "{which}[{i}]: {g} and {slope}"
            );
        }
    }
    Ok(())
}

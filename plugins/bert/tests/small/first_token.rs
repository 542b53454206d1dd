//! What only the first token needs, and what somebody else looks at.

use super::*;

/// `FirstToken` that does not say that it reads no more.
struct OfAll;

impl Stage for OfAll {
    fn name(&self) -> &str {
        "of-all"
    }
    fn params(&self) -> Vec<Param> {
        Vec::new()
    }
    fn forward(&self, x: &Flow, pass: &Pass) -> tlkit_core::Result<Flow> {
        assert_eq!(
            x.hidden.dims(),
            x.batch
                .input()
                .dims()
                .iter()
                .copied()
                .chain([16])
                .collect::<Vec<_>>()
        );
        FirstToken.forward(x, pass)
    }
}

#[test]
fn what_only_the_first_token_needs_is_as_among_all() {
    let dir = tempfile::tempdir().unwrap();
    let p = prepare(dir.path());
    let run = |pool: Arc<dyn Stage>| {
        let (_, model) = model(DType::F32, pool);
        let pass = Pass {
            input_gradient: true,
            ..Pass::evaluation()
        };
        let batch = batch(&p, &TEXTS);
        let answers = model.predict(&batch, &Pass::evaluation()).unwrap().1;
        (loss(&model, &batch, &pass), answers)
    };
    let ((first, grads), answers) = run(Arc::new(FirstToken));
    let ((whole, expected), expected_answers) = run(Arc::new(OfAll));
    assert!((first - whole).abs() < 1e-5, "{first} {whole}");
    near("answers", &answers, &expected_answers);
    assert_eq!(grads.iter().count(), expected.iter().count());
    for (name, grad) in expected.iter() {
        near(name, grads.get(name).unwrap(), grad);
    }
}

#[test]
fn a_layer_that_somebody_looks_at_is_computed_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (_, model) = model(DType::F32, Arc::new(FirstToken));
    let batch = batch(&prepare(dir.path()), &TEXTS);
    let pass = Pass::training(Stream::new(5), 2);
    let taps = ["encoder.1".to_string()];
    let start = Flow::start(&batch);
    let (taps, _) = model
        .chain()
        .record(0, start.clone(), &pass, &taps)
        .unwrap();
    let (rows, length) = batch.input().dims2().unwrap();
    assert_eq!(taps.get("encoder.1").unwrap().dims(), [rows, length, 16]);
    // And what a chain gives at a border within it.
    let layers = model.encoder.stages().len();
    let border = model.chain().run(0, layers, start, &Pass::evaluation());
    assert_eq!(border.unwrap().hidden.dims(), [rows, length, 16]);
}

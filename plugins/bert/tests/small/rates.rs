//! The optimizer's groups.

use super::*;

#[test]
fn each_layer_has_its_rate_and_norms_and_biases_do_not_decay() {
    let (store, model) = model(DType::F32, Arc::new(FirstToken));
    let adamw = OptimizerSpec::named("adamw").with_decay(0.1);
    let settings = Settings {
        until: Until::Epochs(1),
        source_until: Until::Epochs(1),
        linear_probe: false,
        batch_size: 2,
        micro_batch: 2,
        learning_rate: 0.8,
        head_learning_rate: 3.0,
        layer_decay: 0.5,
        optimizer: adamw,
        schedule: Schedule::constant(),
        clip: None,
        patience: None,
        sampler: Sampler::Shuffled,
        select: Selection::Last,
        twin: None,
        precision: Precision::F32,
    };
    let groups = rate_groups(&model, &settings);
    let mut seen = 0;
    for p in store.select(&Select::All) {
        let name = p.name();
        let mine: Vec<_> = groups
            .iter()
            .filter(|g| match &g.which {
                Select::Names(names) => names.iter().any(|n| n == name),
                _ => false,
            })
            .collect();
        assert_eq!(mine.len(), 1, "{name}");
        // Embeddings, then two layers: a half for each stage above.
        let rate = match name {
            _ if name.contains("embeddings") => 0.2,
            _ if name.contains("layer.0") => 0.4,
            _ if name.contains("layer.1") => 0.8,
            _ => 3.0,
        };
        assert!(
            (mine[0].rate - rate).abs() < 1e-12,
            "{name}: {}",
            mine[0].rate
        );
        let decays = name.ends_with("weight") && !name.contains("LayerNorm");
        let expected = adamw.with_decay(if decays { 0.1 } else { 0.0 });
        assert_eq!(mine[0].optimizer, expected, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 5 + 2 * 16 + 2);
}

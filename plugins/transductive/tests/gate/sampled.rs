//! How methods draw their batches.

use candle_core::{DType, Device};
use tlkit_core::Result;
use tlkit_core::data::Sampler;
use tlkit_core::nn::Store;
use tlkit_core::strategy::{Phase, Settings, Until};

use super::METHODS;
use super::world::{settings, transfer};

/// Batches of rows of like length serve where the source is learned; what compares domains draws from the whole of each.
#[test]
fn an_adaptation_draws_from_the_whole_domain() -> Result<()> {
    for method in METHODS {
        let (world, strategy) = (method.make)();
        let store = Store::new(&Device::Cpu, DType::F32, 7);
        let grouped = Settings {
            sampler: Sampler::ByLength,
            source_until: Until::Epochs(1),
            twin: Some(0.0),
            ..settings(1)
        };
        let mut transfer = transfer(&world, &store, grouped)?;
        strategy.arrange(&mut transfer)?;
        let mut adapts = 0;
        for phase in strategy.phases(&transfer)? {
            let (Phase::Train(train) | Phase::Twin(train)) = phase else {
                continue;
            };
            let expected = match train.name == "source" {
                true => Sampler::ByLength,
                false => Sampler::Mixed,
            };
            adapts += usize::from(train.name != "source");
            for feed in &train.feeds {
                assert_eq!(feed.sampler, expected, "{}: {}", method.name, train.name);
            }
        }
        assert!(adapts > 0, "{}", method.name);
    }
    Ok(())
}

//! What the numbers depend on, as a hash.

use sha2::{Digest, Sha256};
use tlkit_ops::{Path, Precision};

use crate::Result;
use crate::data::{Input, Samples};
use crate::nn::Param;

/// Counts up when a change of the arithmetic gives other bits: then nothing that was kept before is found.
const NUMERICS: u32 = 3;

/// With what numbers are computed on a device, in words: another one gives other bits.
pub(crate) fn arithmetic(device: &candle_core::Device, precision: Precision) -> String {
    if !device.is_cpu() {
        return format!("{}, numerics {NUMERICS}", gpu(device));
    }
    let by = Path::current().level().name();
    // Of bf16 a processor may multiply pairs or, where those are slow, take another path.
    match precision.path().level().name() {
        own if own == by => format!("{by}, numerics {NUMERICS}"),
        own => format!("{by} (bf16 by {own}), numerics {NUMERICS}"),
    }
}

/// cuBLAS chooses how it sums by the GPU: another one gives other bits.
fn gpu(device: &candle_core::Device) -> String {
    tlkit_ops::gpu::model(device).unwrap_or_else(|| "cuda".to_string())
}

/// Everything that rows depend on. Two keys are equal when what was told of them is.
#[derive(Clone)]
pub struct Key(Sha256);

impl Key {
    /// For a purpose. tlkit's version, that of its numerics and the processor's instructions are part of every key.
    pub fn new(purpose: &str) -> Self {
        let path = Path::current().level().name();
        Key(Sha256::new())
            .with("purpose", purpose)
            .with("tlkit", env!("CARGO_PKG_VERSION"))
            .with("numerics", &NUMERICS.to_string())
            .with("instructions", path)
            .with("precision", "f32")
    }

    /// Tells a fact. Lengths are told too, so that no two lists of facts run together.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.part(name.as_bytes());
        self.part(value.as_bytes());
        self
    }

    /// Tells the bits of weights, with their names and shapes.
    pub fn with_params(mut self, params: &[Param]) -> Result<Self> {
        // Another kind of device adds in another order.
        if let Some(p) = params.first().filter(|p| !p.var().device().is_cpu()) {
            self = self.with("device", &gpu(p.var().device()));
        }
        self.0.update((params.len() as u64).to_le_bytes());
        for p in params {
            self.part(p.name().as_bytes());
            self.part(format!("{:?}", p.dims()).as_bytes());
            let values = p.detached().flatten_all()?;
            for v in values
                .to_dtype(candle_core::DType::F32)?
                .to_vec1::<f32>()?
                .chunks(4096)
            {
                let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()).collect();
                self.0.update(&bytes);
            }
        }
        Ok(self)
    }

    /// Tells every input, in order.
    pub fn with_inputs(mut self, inputs: &dyn Samples) -> Result<Self> {
        self.0.update((inputs.len() as u64).to_le_bytes());
        for row in 0..inputs.len() {
            let input = inputs.input(row)?;
            self.part(input.kind().as_bytes());
            match input {
                Input::Text(t) => self.part(t.as_bytes()),
                Input::Pair(a, b) => {
                    self.part(a.as_bytes());
                    self.part(b.as_bytes());
                }
                Input::Image(b) => self.part(&b),
                Input::Features(f) => {
                    let bytes: Vec<u8> = f.iter().flat_map(|x| x.to_le_bytes()).collect();
                    self.part(&bytes);
                }
            }
        }
        Ok(self)
    }

    /// Its name in a folder.
    pub fn name(&self) -> String {
        crate::hex(&self.0.clone().finalize())
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn facts_do_not_run_together() {
        let name = |a: &str, b: &str| Key::new("test").with(a, b).name();
        assert_eq!(name("a", "bc"), name("a", "bc"));
        assert_ne!(name("a", "bc"), name("ab", "c"));
        assert_ne!(Key::new("one").name(), Key::new("two").name());
    }
}

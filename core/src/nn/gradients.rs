//! Gradients of parameters, summed as they arrive.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};

use super::param::Param;
use crate::{Error, Result};

/// Numbers that lie in somebody else's memory, a plugin's for instance, and stay there until this is dropped.
pub trait Elsewhere: Send + Sync {
    /// All of them, row by row. The same at every call.
    fn numbers(&self) -> &[f32];
    /// Who brought them, for errors.
    fn whose(&self) -> &str;
}

/// Gradients by the names of their parameters.
#[derive(Default)]
pub struct Gradients(BTreeMap<String, Gradient>);

/// One of them. What lies elsewhere is copied when it is first wanted as a tensor; an optimizer reads it where it lies.
struct Gradient {
    tensor: OnceLock<Tensor>,
    elsewhere: Option<(Box<dyn Elsewhere>, Vec<usize>)>,
}

impl Gradient {
    fn here(tensor: Tensor) -> Self {
        Gradient {
            tensor: OnceLock::from(tensor),
            elsewhere: None,
        }
    }

    fn tensor(&self) -> &Tensor {
        self.tensor.get_or_init(|| match &self.elsewhere {
            // As many numbers as the shape says: `add_elsewhere` saw to that.
            Some((there, dims)) => Tensor::from_slice(there.numbers(), &dims[..], &Device::Cpu)
                .expect("as many numbers as the shape has"),
            None => unreachable!("a gradient is here or elsewhere"),
        })
    }
}

impl Gradients {
    /// Adds to a parameter's gradient. A frozen parameter's is dropped.
    pub fn add(&mut self, param: &Param, gradient: Tensor) -> Result<()> {
        if !param.trains() {
            return Ok(());
        }
        // Detached: a gradient that Candle computed carries the graph of its own computation and would pin the activations.
        let gradient = gradient.detach();
        let sum = match self.get(param.name()) {
            Some(sum) => (sum + gradient)?.detach(),
            None => gradient,
        };
        self.put(param.name().to_string(), sum);
        Ok(())
    }

    /// The same with numbers that lie elsewhere. They are read there where nothing is added to them.
    ///
    /// # Errors
    /// Another number of them than the parameter has.
    pub fn add_elsewhere(&mut self, param: &Param, there: Box<dyn Elsewhere>) -> Result<()> {
        let numbers = there.numbers().len();
        if numbers != param.count() {
            return Err(Error::msg(format!(
                "a gradient of {numbers} numbers for the parameter `{}`, which has {}",
                param.name(),
                param.count()
            )));
        }
        if !param.trains() {
            return Ok(());
        }
        let var = param.var();
        let alike = var.dtype() == DType::F32 && matches!(var.device(), Device::Cpu);
        let gradient = Gradient {
            tensor: OnceLock::new(),
            elsewhere: Some((there, param.dims().to_vec())),
        };
        if alike && !self.0.contains_key(param.name()) {
            self.0.insert(param.name().to_string(), gradient);
            return Ok(());
        }
        let tensor = gradient.tensor().to_device(var.device())?;
        self.add(param, tensor.to_dtype(var.dtype())?)
    }

    /// The gradient of a parameter, if any arrived.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name).map(Gradient::tensor)
    }

    /// The numbers of a gradient that lies elsewhere, where they lie.
    pub fn elsewhere(&self, name: &str) -> Option<&[f32]> {
        let (there, _) = self.0.get(name)?.elsewhere.as_ref()?;
        Some(there.numbers())
    }

    /// Who brought a gradient that lies elsewhere.
    pub fn whose(&self, name: &str) -> Option<&str> {
        let (there, _) = self.0.get(name)?.elsewhere.as_ref()?;
        Some(there.whose())
    }

    /// Takes a gradient out.
    pub fn take(&mut self, name: &str) -> Option<Tensor> {
        self.0.remove(name).map(|g| g.tensor().clone())
    }

    /// The names of those that arrived, in order.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Name and gradient, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.0.iter().map(|(name, g)| (name, g.tensor()))
    }

    /// Multiplies every gradient.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        for g in self.0.values_mut() {
            *g = Gradient::here((g.tensor() * factor)?);
        }
        Ok(())
    }

    /// Adds all of `other`, each times `scale`.
    pub fn merge(&mut self, other: Gradients, scale: f64) -> Result<()> {
        for (name, gradient) in other.0 {
            let here = self.get(&name);
            if here.is_none() && scale == 1.0 {
                self.0.insert(name, gradient);
                continue;
            }
            let g = match scale == 1.0 {
                true => gradient.tensor().clone(),
                false => (gradient.tensor() * scale)?,
            };
            let sum = match here {
                Some(sum) => (sum + g)?,
                None => g,
            };
            self.put(name, sum);
        }
        Ok(())
    }

    fn put(&mut self, name: String, tensor: Tensor) {
        self.0.insert(name, Gradient::here(tensor));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::nn::{Init, Role, Select, Store};

    /// Counts how many of its kind are gone.
    struct There(Vec<f32>, Arc<AtomicUsize>);

    impl Elsewhere for There {
        fn numbers(&self) -> &[f32] {
            &self.0
        }

        fn whose(&self) -> &str {
            "there"
        }
    }

    impl Drop for There {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_lies_elsewhere_is_read_there_until_something_is_added_to_it() -> Result<()> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let p = store
            .scope("m")
            .param("w", &[1, 2], Role::Weight, Init::Zeros)?;
        let gone = Arc::new(AtomicUsize::new(0));
        let there = |v: &[f32]| Box::new(There(v.to_vec(), gone.clone()));
        let mut sum = Gradients::default();
        assert!(sum.add_elsewhere(&p, there(&[1.0])).is_err());
        sum.add_elsewhere(&p, there(&[1.0, -2.0]))?;
        assert_eq!(sum.elsewhere("m.w"), Some(&[1.0, -2.0][..]));
        assert_eq!(sum.get("m.w").unwrap().to_vec2::<f32>()?, [[1.0, -2.0]]);
        sum.add_elsewhere(&p, there(&[0.5, 0.5]))?;
        assert_eq!(sum.elsewhere("m.w"), None);
        let mut more = Gradients::default();
        more.add_elsewhere(&p, there(&[4.0, 4.0]))?;
        sum.merge(more, 0.25)?;
        sum.scale(2.0)?;
        assert_eq!(sum.take("m.w").unwrap().to_vec2::<f32>()?, [[5.0, -1.0]]);
        // Of a frozen parameter nothing is kept.
        store.train_only(&Select::Nothing);
        sum.add_elsewhere(&p, there(&[1.0, 1.0]))?;
        assert!(sum.get("m.w").is_none());
        assert_eq!(gone.load(Ordering::Relaxed), 5);
        Ok(())
    }
}

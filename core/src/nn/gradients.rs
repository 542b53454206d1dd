//! Gradients of parameters, summed as they arrive.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use tlkit_ops::embedding::Sparse;

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

/// One of them. What is no tensor becomes one when it is first wanted as such; an optimizer takes it as it is.
struct Gradient {
    tensor: OnceLock<Tensor>,
    form: Form,
}

enum Form {
    /// A tensor.
    Here,
    /// Numbers in somebody else's memory, and the shape that they have.
    Elsewhere(Box<dyn Elsewhere>, Vec<usize>),
    /// Some rows of a table, and how many rows it has.
    Rows(Sparse, usize),
}

impl Gradient {
    fn here(tensor: Tensor) -> Self {
        Gradient {
            tensor: OnceLock::from(tensor),
            form: Form::Here,
        }
    }

    fn new(form: Form) -> Self {
        Gradient {
            tensor: OnceLock::new(),
            form,
        }
    }

    fn tensor(&self) -> &Tensor {
        self.tensor.get_or_init(|| match &self.form {
            // As many numbers as the shape says: `add_elsewhere` saw to that.
            Form::Elsewhere(there, dims) => {
                Tensor::from_slice(there.numbers(), &dims[..], &Device::Cpu)
                    .expect("as many numbers as the shape has")
            }
            // Rows of the table: `add_rows` saw to that.
            Form::Rows(sparse, rows) => sparse.to_dense(*rows).expect("rows of the table"),
            Form::Here => unreachable!("a gradient that is here is a tensor"),
        })
    }

    fn times(&self, factor: f64) -> Result<Gradient> {
        Ok(match &self.form {
            Form::Rows(sparse, rows) => {
                let (ids, values) = (sparse.ids.clone(), (&sparse.rows * factor)?.detach());
                Gradient::new(Form::Rows(Sparse { ids, rows: values }, *rows))
            }
            _ => Gradient::here((self.tensor() * factor)?.detach()),
        })
    }

    fn plus(&self, other: &Gradient) -> Result<Gradient> {
        Ok(match (&self.form, &other.form) {
            (Form::Rows(one, rows), Form::Rows(more, _)) => {
                Gradient::new(Form::Rows(one.plus(more)?, *rows))
            }
            _ => Gradient::here((self.tensor() + other.tensor())?.detach()),
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
        self.join(param.name(), Gradient::here(gradient.detach()))
    }

    /// The same of a table, `(rows, width)`, of which some rows have a gradient.
    ///
    /// # Errors
    /// Rows that the table does not have, or of another width.
    pub fn add_rows(&mut self, param: &Param, gradient: Sparse) -> Result<()> {
        let wide = gradient.rows.dims();
        let last = gradient.ids.last().copied();
        let (&[rows, width], &[_, own]) = (param.dims(), wide) else {
            return Err(Error::msg(format!("`{}` is no table", param.name())));
        };
        if own != width || last.is_some_and(|id| id as usize >= rows) {
            return Err(Error::msg(format!(
                "a gradient of rows of {own} up to number {} for `{}`, which has {rows} of {width}",
                last.unwrap_or(0),
                param.name()
            )));
        }
        if gradient.ids.windows(2).any(|two| two[0] >= two[1]) {
            return Err(Error::msg(format!(
                "a gradient of rows of `{}` has them out of order, or one of them twice",
                param.name()
            )));
        }
        if !param.trains() {
            return Ok(());
        }
        let (ids, values) = (gradient.ids, gradient.rows.detach());
        let sparse = Sparse { ids, rows: values };
        self.join(param.name(), Gradient::new(Form::Rows(sparse, rows)))
    }

    fn join(&mut self, name: &str, gradient: Gradient) -> Result<()> {
        let sum = match self.0.get(name) {
            Some(sum) => sum.plus(&gradient)?,
            None => gradient,
        };
        self.0.insert(name.to_string(), sum);
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
        let gradient = Gradient::new(Form::Elsewhere(there, param.dims().to_vec()));
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
        match &self.0.get(name)?.form {
            Form::Elsewhere(there, _) => Some(there.numbers()),
            _ => None,
        }
    }

    /// The rows of a gradient that came as rows.
    pub fn rows(&self, name: &str) -> Option<&Sparse> {
        match &self.0.get(name)?.form {
            Form::Rows(sparse, _) => Some(sparse),
            _ => None,
        }
    }

    /// Who brought a gradient that lies elsewhere.
    pub fn whose(&self, name: &str) -> Option<&str> {
        match &self.0.get(name)?.form {
            Form::Elsewhere(there, _) => Some(there.whose()),
            _ => None,
        }
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
            *g = g.times(factor)?;
        }
        Ok(())
    }

    /// Adds all of `other`, each times `scale`.
    pub fn merge(&mut self, other: Gradients, scale: f64) -> Result<()> {
        for (name, gradient) in other.0 {
            let scaled = match scale == 1.0 {
                true => gradient,
                false => gradient.times(scale)?,
            };
            self.join(&name, scaled)?;
        }
        Ok(())
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

    #[test]
    fn rows_of_a_table_stay_rows_until_a_whole_gradient_is_added() -> Result<()> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let p = store
            .scope("m")
            .param("table", &[4, 2], Role::Weight, Init::Zeros)?;
        let rows = |ids: &[u32], value: f32| -> Result<Sparse> {
            let rows = Tensor::full(value, (ids.len(), 2), &Device::Cpu)?;
            Ok(Sparse {
                ids: ids.to_vec(),
                rows,
            })
        };
        let mut sum = Gradients::default();
        sum.add_rows(&p, rows(&[1, 3], 1.0)?)?;
        sum.add_rows(&p, rows(&[0, 3], 2.0)?)?;
        sum.scale(0.5)?;
        let mut more = Gradients::default();
        more.add_rows(&p, rows(&[3], 1.0)?)?;
        sum.merge(more, 3.0)?;
        let found = sum.rows("m.table").expect("rows");
        assert_eq!(found.ids, [0, 1, 3]);
        let expected = [[1.0, 1.0], [0.5, 0.5], [0.0, 0.0], [4.5, 4.5]];
        assert_eq!(sum.get("m.table").unwrap().to_vec2::<f32>()?, expected);
        sum.add(&p, Tensor::ones((4, 2), DType::F32, &Device::Cpu)?)?;
        assert!(sum.rows("m.table").is_none());
        let expected = expected.map(|row| row.map(|x: f32| x + 1.0));
        assert_eq!(sum.get("m.table").unwrap().to_vec2::<f32>()?, expected);
        // What the table does not have is an error, and a frozen table keeps nothing.
        assert!(sum.add_rows(&p, rows(&[4], 1.0)?).is_err());
        // Out of order, or twice: what sums them goes by their order.
        assert!(sum.add_rows(&p, rows(&[3, 1], 1.0)?).is_err());
        assert!(sum.add_rows(&p, rows(&[1, 1], 1.0)?).is_err());
        store.train_only(&Select::Nothing);
        let mut none = Gradients::default();
        none.add_rows(&p, rows(&[1], 1.0)?)?;
        assert!(none.get("m.table").is_none());
        Ok(())
    }
}

//! A target task on its way to C: what it is made of, as data.

use serde_json::{Map, Value, json};
use tlkit_abi::{self as abi, Head};
use tlkit_core::data::Form;
use tlkit_core::nn::Activation;
use tlkit_core::recipe::Keys;
use tlkit_core::{Error, Result};

use crate::border::guard;

/// A target task that is made from keys, and whose parts are entries of the same plugin.
pub trait Targets: Sized + 'static {
    /// From the keys of `[target]`: reading is declaring, as for a built-in. `None` after an error was noted.
    fn make(keys: &Keys) -> Option<Self>;
    /// What it is made of.
    fn describe(&self) -> Target;
}

/// Data, head, loss and metrics. Rows with classes, whose files, columns and splits are those of every task.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    form: Form,
    reader: Option<String>,
    head: Vec<Value>,
    loss: Option<Value>,
    metrics: Vec<Value>,
}

impl Target {
    /// With a linear classifier and cross-entropy. `form` is what a row is: [`Form::Text`], [`Form::Features`] or [`Form::Images`].
    pub fn new(form: Form) -> Self {
        Target {
            form,
            reader: None,
            head: Vec::new(),
            loss: None,
            metrics: Vec::new(),
        }
    }

    /// Whatever a recipe names for this task is opened by this reader of the plugin.
    pub fn reader(mut self, name: &str) -> Self {
        self.reader = Some(name.into());
        self
    }

    /// A dense layer before the classifier.
    pub fn dense(mut self, width: usize, activation: Activation) -> Self {
        let activation = match activation {
            Activation::None => "none",
            Activation::Relu => "relu",
            Activation::Gelu => "gelu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
        };
        self.head
            .push(json!({ "dense": width, "activation": activation }));
        self
    }

    /// Dropout before what follows.
    pub fn dropout(mut self, share: f64) -> Self {
        self.head.push(json!({ "dropout": share }));
        self
    }

    /// A loss term of the plugin in the place of cross-entropy. It takes `logits:0` and `labels:0`, and is a mean over rows.
    pub fn loss(mut self, term: &str, keys: Map<String, Value>) -> Self {
        self.loss = Some(json!({ "term": term, "keys": keys }));
        self
    }

    /// A metric of the plugin, beside the usual ones.
    pub fn metric(mut self, name: &str, keys: Map<String, Value>) -> Self {
        self.metrics.push(json!({ "metric": name, "keys": keys }));
        self
    }

    fn json(&self) -> Result<Value> {
        let form = match self.form {
            Form::Text => "text",
            Form::Features => "features",
            Form::Images => "images",
            Form::PlainText => return Err(Error::msg("rows without labels do not cross")),
        };
        let mut all = json!({ "form": form, "metrics": self.metrics });
        if let Some(reader) = &self.reader {
            all["reader"] = reader.as_str().into();
        }
        if !self.head.is_empty() {
            let layers = self.head.iter().cloned();
            all["head"] = layers.chain([json!("classifier")]).collect();
        }
        if let Some(loss) = &self.loss {
            all["loss"] = loss.clone();
        }
        Ok(all)
    }
}

/// The table of a target task.
pub(crate) const fn table<T: Targets>() -> abi::TargetTask {
    abi::TargetTask {
        head: Head::of::<abi::TargetTask>(),
        describe: Some(describe::<T>),
    }
}

unsafe extern "C-unwind" fn describe<T: Targets>(call: *const abi::Call) -> i32 {
    // SAFETY: tlkit.h.
    unsafe {
        guard(call, |host| {
            let task = host.make(T::make)?;
            host.say(&task.describe().json()?.to_string());
            Ok(())
        })
    }
}

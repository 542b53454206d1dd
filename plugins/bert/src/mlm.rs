//! Masked language modelling as a target task (Devlin et al. 2019): hide some tokens, find them again.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::audit::Audit;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading, View};
use tlkit_core::nn::{Batch, Flow, Gradients, Init, Param, Pass, Pullback, Role, Scope, Stage};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_ops::cross_entropy::{CrossEntropy, cross_entropy};
use tlkit_ops::{Precision, embedding, gelu, layer_norm, linear};

/// Texts whose tokens are hidden and found.
pub struct MaskedLanguageModelling {
    data: DataKeys,
}

impl MaskedLanguageModelling {
    /// From the keys of `[target]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn TargetTask>> {
        let data = DataKeys::target(keys, cx, Form::PlainText)?;
        Some(Box::new(MaskedLanguageModelling { data }))
    }
}

impl TargetTask for MaskedLanguageModelling {
    fn domain(&self, split: &str, _: &Reading) -> Result<Option<Domain<Labels>>> {
        self.data.domain(split)
    }

    fn head(&self, scope: &Scope<'_>, source: &dyn SourceTask, _: usize, _: bool) -> Result<Head> {
        let made = source.pretext("mlm", &scope.sub(HEAD))?;
        Ok(made.ok_or_else(no_bert)?.head)
    }

    fn loss(&self, logits: &Tensor, _: Option<&Tensor>, batch: &Batch) -> Result<Tensor> {
        loss(logits, batch)
    }

    fn mass(&self, _: Option<&Tensor>, batch: &Batch) -> Result<f64> {
        Ok(batch.want("targets")?.elem_count() as f64)
    }

    fn scoring(&self) -> Scoring {
        Scoring::Tokens
    }

    fn digest(&self) -> String {
        self.data.digest().to_string()
    }

    fn audit(&self) -> Option<&Audit> {
        Some(self.data.audit())
    }

    fn view(&self) -> View {
        View::Masked
    }
}

/// Where the head lies in a model and in a checkpoint.
pub(crate) const HEAD: &str = "cls.predictions";

/// The token embeddings of the encoder under a scope.
pub(crate) fn words(scope: &Scope<'_>) -> Result<Param> {
    let name = format!("{}.bert.embeddings.word_embeddings.weight", scope.prefix());
    scope.store().get(&name).ok_or_else(no_bert)
}

fn no_bert() -> tlkit_core::Error {
    tlkit_core::Error::msg(
        "masked language modelling needs a BERT: its output is tied to the token embeddings",
    )
}

/// What the head is made of besides the token embeddings, by name.
pub(crate) fn shapes(width: usize, words: usize) -> [(&'static str, Vec<usize>); 5] {
    [
        ("transform.dense.weight", vec![width, width]),
        ("transform.dense.bias", vec![width]),
        ("transform.LayerNorm.weight", vec![width]),
        ("transform.LayerNorm.bias", vec![width]),
        ("bias", vec![words]),
    ]
}

/// The head of masked language modelling, its parameters in a scope, its output tied to the token embeddings.
pub(crate) fn head(scope: &Scope<'_>, words: Param, width: usize, std: f64) -> Result<Head> {
    let transform = scope.sub("transform");
    let stages: Vec<Arc<dyn Stage>> = vec![
        Arc::new(Masked),
        Arc::new(Vocabulary {
            weight: transform.param(
                "dense.weight",
                &[width, width],
                Role::Weight,
                Init::Normal(std),
            )?,
            bias: transform.param("dense.bias", &[width], Role::Bias, Init::Zeros)?,
            norm_weight: transform.param(
                "LayerNorm.weight",
                &[width],
                Role::NormWeight,
                Init::Ones,
            )?,
            norm_bias: transform.param("LayerNorm.bias", &[width], Role::NormBias, Init::Zeros)?,
            out: scope.param("bias", &[words.dims()[0]], Role::Bias, Init::Zeros)?,
            words,
        }),
    ];
    Ok(Head { stages, pool: 1 })
}

/// The mean log loss of the hidden tokens.
pub(crate) fn loss(logits: &Tensor, batch: &Batch) -> Result<Tensor> {
    Ok(cross_entropy(
        logits,
        batch.want("targets")?,
        &CrossEntropy::default(),
    )?)
}

/// The states of the hidden tokens, `(hidden, width)`: nothing else is worth the product with the vocabulary.
struct Masked;

impl Stage for Masked {
    fn name(&self) -> &str {
        "masked-tokens"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let (rows, length, width) = x.hidden.dims3()?;
        let flat = x.hidden.reshape((rows * length, width))?;
        Ok(x.with(flat.index_select(x.batch.want("masked_positions")?, 0)?))
    }

    fn record(&self, x: &Flow, _: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let (rows, length, width) = x.hidden.dims3()?;
        let flat = x.hidden.reshape((rows * length, width))?;
        let positions = x.batch.want("masked_positions")?.clone();
        let y = embedding::forward(&flat, &positions)?;
        let back = MaskedBack {
            positions,
            shape: (rows, length, width),
        };
        Ok((x.with(y), Box::new(back)))
    }
}

struct MaskedBack {
    positions: Tensor,
    shape: (usize, usize, usize),
}

impl Pullback for MaskedBack {
    fn pull(self: Box<Self>, grad: &Tensor, _: &mut Gradients) -> Result<Option<Tensor>> {
        let rows = self.shape.0 * self.shape.1;
        // On a GPU sums of rows are f32, whatever the rows are; the layer below kept its own type.
        let summed = embedding::backward(&self.positions, grad, rows, None)?;
        Ok(Some(summed.to_dtype(grad.dtype())?.reshape(self.shape)?))
    }
}

/// Inside the root of the head's layer norm.
pub(crate) const EPS: f64 = 1e-12;

/// Transform and tied output, as transformers' `BertLMPredictionHead`.
struct Vocabulary {
    weight: Param,
    bias: Param,
    norm_weight: Param,
    norm_bias: Param,
    words: Param,
    out: Param,
}

impl Stage for Vocabulary {
    fn name(&self) -> &str {
        "vocabulary"
    }

    fn params(&self) -> Vec<Param> {
        [
            &self.weight,
            &self.bias,
            &self.norm_weight,
            &self.norm_bias,
            &self.words,
            &self.out,
        ]
        .map(Clone::clone)
        .to_vec()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let h = linear::linear_in(pass.precision, &x.hidden, &self.weight.tensor(), None)?;
        let h = gelu::bias_gelu(&h, Some(&self.bias.tensor()), gelu::Kind::Erf)?;
        let h = layer_norm::layer_norm(
            &h,
            &self.norm_weight.tensor(),
            &self.norm_bias.tensor(),
            EPS,
        )?;
        Ok(x.with(linear::linear_in(
            pass.precision,
            &h,
            &self.words.tensor(),
            Some(&self.out.tensor()),
        )?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let precision = pass.precision;
        let wide = linear::forward_in(precision, &x.hidden, &self.weight.detached(), None)?;
        let act = gelu::forward(&wide, Some(&self.bias.detached()), gelu::Kind::Erf)?;
        let (normed, saved) = layer_norm::forward(
            &act,
            &self.norm_weight.detached(),
            &self.norm_bias.detached(),
            EPS,
        )?;
        let y = linear::forward_in(
            precision,
            &normed,
            &self.words.detached(),
            Some(&self.out.detached()),
        )?;
        let back = VocabularyBack {
            params: self.params(),
            input: x.hidden.detach(),
            need_input: pass.input_gradient,
            precision,
            wide,
            normed,
            saved,
        };
        Ok((x.with(y), Box::new(back)))
    }

    fn output(&self) -> String {
        format!("({})", self.words.dims()[0])
    }
}

struct VocabularyBack {
    params: Vec<Param>,
    input: Tensor,
    need_input: bool,
    precision: Precision,
    wide: Tensor,
    normed: Tensor,
    saved: layer_norm::Saved,
}

impl Pullback for VocabularyBack {
    fn pull(self: Box<Self>, grad: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let [weight, bias, norm_weight, norm_bias, words, out] = &self.params[..] else {
            return Err(tlkit_core::Error::msg("the vocabulary has six parameters"));
        };
        let precision = self.precision;
        if out.trains() {
            into.add(out, linear::backward_bias(grad)?)?;
        }
        if words.trains() {
            into.add(
                words,
                linear::backward_weight_in(precision, &self.normed, grad)?,
            )?;
        }
        let below = [weight, bias, norm_weight, norm_bias];
        if !self.need_input && !below.iter().any(|p| p.trains()) {
            return Ok(None);
        }
        let grad = linear::backward_x_in(precision, &words.detached(), grad)?;
        let grads = layer_norm::backward(&self.saved, &norm_weight.detached(), &grad)?;
        into.add(norm_weight, grads.weight)?;
        into.add(norm_bias, grads.bias)?;
        let grads = gelu::backward(
            &self.wide,
            Some(&bias.detached()),
            gelu::Kind::Erf,
            &grads.x,
        )?;
        if let Some(g) = grads.bias {
            into.add(bias, g)?;
        }
        if weight.trains() {
            into.add(
                weight,
                linear::backward_weight_in(precision, &self.input, &grads.x)?,
            )?;
        }
        if !self.need_input {
            return Ok(None);
        }
        Ok(Some(linear::backward_x_in(
            precision,
            &weight.detached(),
            &grads.x,
        )?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use tlkit_core::nn::{Select, Store, segment};
    use tlkit_core::random::Stream;

    use super::*;

    fn normal(name: &str, shape: &[usize], dtype: DType) -> Tensor {
        let n = shape.iter().product();
        let values = Stream::new(3).purpose(name).normals(n);
        let t = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        t.to_dtype(dtype).unwrap()
    }

    fn head(store: &Store, dtype: DType) -> Vocabulary {
        let param = |name: &str, shape: &[usize], role| {
            let p = store.scope("head").param(name, shape, role, Init::Zeros);
            let p = p.unwrap();
            p.var().set(&normal(name, shape, dtype)).unwrap();
            p
        };
        Vocabulary {
            weight: param("weight", &[9, 9], Role::Weight),
            bias: param("bias", &[9], Role::Bias),
            norm_weight: param("norm_weight", &[9], Role::NormWeight),
            norm_bias: param("norm_bias", &[9], Role::NormBias),
            words: param("words", &[30, 9], Role::Embedding),
            out: param("out", &[30], Role::Bias),
        }
    }

    #[test]
    fn the_written_pullbacks_are_candles_own() {
        for (dtype, precision, tolerance) in [
            (DType::F64, Precision::F32, 1e-12),
            (DType::F32, Precision::F32, 1e-5),
            // A difference in the last bit of an f32 can turn the rounding of an operand.
            (DType::F32, Precision::Bf16, 1e-2),
        ] {
            let store = Store::new(&Device::Cpu, dtype, 0);
            let head = head(&store, dtype);
            // One position twice: its gradients are summed.
            let positions = Tensor::new(&[3u32, 0, 7, 7, 13], &Device::Cpu).unwrap();
            let input = Tensor::zeros((2, 7), DType::U32, &Device::Cpu).unwrap();
            let batch = Arc::new(Batch::new(2, input).with("masked_positions", positions));
            let pass = Pass {
                precision,
                ..Pass::training(Stream::new(0), 0)
            };
            let mut x = Flow::start(&batch).with(normal("x", &[2, 7, 9], dtype));
            let stages: [&dyn Stage; 2] = [&Masked, &head];
            for stage in stages {
                let (a, pull_a) = stage.record(&x, &pass).unwrap();
                let (b, pull_b) = segment(stage, &x, &pass).unwrap();
                let near = |what: &str, a: &Tensor, b: &Tensor| {
                    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
                    let most = |t: Tensor| t.abs().unwrap().max(0).unwrap().to_scalar::<f64>();
                    let gap = most((wide(a) - wide(b)).unwrap()).unwrap();
                    let size = most(wide(b)).unwrap();
                    assert_eq!(a.dims(), b.dims());
                    assert!(gap <= tolerance * size, "{what}: {gap} of {size}");
                };
                near(stage.name(), &a.hidden, &b.hidden);
                let seed = a.hidden.sin().unwrap();
                let (mut ga, mut gb) = (Gradients::default(), Gradients::default());
                let input_a = pull_a.pull(&seed, &mut ga).unwrap();
                let input_b = pull_b.pull(&seed, &mut gb).unwrap();
                near("input", &input_a.unwrap(), &input_b.unwrap());
                for p in stage.params() {
                    near(
                        p.name(),
                        ga.get(p.name()).unwrap(),
                        gb.get(p.name()).unwrap(),
                    );
                }
                x = a;
            }
            // Frozen but for one bias in the middle: nothing else has a gradient.
            store.train_only(&Select::name("head.norm_bias"));
            let pass = Pass {
                input_gradient: false,
                ..pass
            };
            let input = Flow::start(&batch).with(normal("h", &[5, 9], dtype));
            let (y, pull) = head.record(&input, &pass).unwrap();
            let mut grads = Gradients::default();
            assert!(pull.pull(&y.hidden, &mut grads).unwrap().is_none());
            assert_eq!(grads.iter().count(), 1);
        }
    }
}

//! Masked language modelling as a target task (Devlin et al. 2019): hide some tokens, find them again.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::{DataKeys, Domain, Form, Labels, Reading, View};
use tlkit_core::nn::{Batch, Flow, Init, Param, Pass, Role, Scope, Stage};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::task::{Head, Scoring, SourceTask, TargetTask};
use tlkit_ops::cross_entropy::{CrossEntropy, cross_entropy};

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
        Ok(self.data.domain(split))
    }

    fn head(
        &self,
        scope: &Scope<'_>,
        source: &dyn SourceTask,
        width: usize,
        _: bool,
    ) -> Result<Head> {
        let std = source.head_init();
        let words = scope
            .store()
            .get(&format!("{}.bert.embeddings.word_embeddings.weight", scope.prefix()))
            .ok_or_else(|| tlkit_core::Error::msg("masked language modelling needs a BERT: its output is tied to the token embeddings"))?;
        let scope = scope.fresh().sub("cls.predictions");
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
                norm_bias: transform.param(
                    "LayerNorm.bias",
                    &[width],
                    Role::NormBias,
                    Init::Zeros,
                )?,
                out: scope.param("bias", &[words.dims()[0]], Role::Bias, Init::Zeros)?,
                words,
            }),
        ];
        Ok(Head { stages, pool: 1 })
    }

    fn loss(&self, logits: &Tensor, _: Option<&Tensor>, batch: &Batch) -> Result<Tensor> {
        Ok(cross_entropy(
            logits,
            batch.want("targets")?,
            &CrossEntropy::default(),
        )?)
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

    fn view(&self) -> View {
        View::Masked
    }
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
}

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

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let h = tlkit_ops::linear::linear(&x.hidden, &self.weight.tensor(), None)?;
        let h =
            tlkit_ops::gelu::bias_gelu(&h, Some(&self.bias.tensor()), tlkit_ops::gelu::Kind::Erf)?;
        let h = tlkit_ops::layer_norm::layer_norm(
            &h,
            &self.norm_weight.tensor(),
            &self.norm_bias.tensor(),
            1e-12,
        )?;
        Ok(x.with(tlkit_ops::linear::linear(
            &h,
            &self.words.tensor(),
            Some(&self.out.tensor()),
        )?))
    }

    fn output(&self) -> String {
        format!("({})", self.words.dims()[0])
    }
}

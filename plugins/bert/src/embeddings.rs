//! The first stage: token, segment and position embeddings, layer norm, dropout, with a hand-written way back.

use candle_core::Tensor;
use tlkit_core::nn::{Flow, Gradients, Init, Param, Pass, Pullback, Role, Scope, Stage};
use tlkit_core::{Error, Result};
use tlkit_ops::dropout::Dropout;
use tlkit_ops::{dropout, embedding, layer_norm};

use crate::config::BertConfig;
use crate::encoder::{Norm, drop, dropout as dropout_at, kept};

pub(crate) struct Embeddings {
    words: Param,
    positions: Param,
    types: Param,
    norm: Norm,
    dropout: f64,
}

impl Embeddings {
    pub fn new(scope: &Scope<'_>, config: &BertConfig) -> Result<Self> {
        let init = Init::Normal(config.initializer_range);
        let table = |name: &str, rows: usize| {
            scope.param(
                &format!("{name}.weight"),
                &[rows, config.hidden_size],
                Role::Embedding,
                init,
            )
        };
        Ok(Embeddings {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            types: table("token_type_embeddings", config.type_vocab_size)?,
            norm: Norm::new(&scope.sub("LayerNorm"), config)?,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// The ids of words, types and positions, `(rows, length)` each.
    fn ids(&self, x: &Flow) -> Result<[Tensor; 3]> {
        let (rows, length) = x.hidden.dims2()?;
        let most = self.positions.dims()[0];
        if length > most {
            return Err(Error::msg(format!(
                "a text of {length} tokens is longer than the {most} positions of this BERT"
            )));
        }
        let positions = Tensor::arange(0, length as u32, x.hidden.device())?
            .broadcast_as((rows, length))?
            .contiguous()?;
        Ok([
            x.hidden.clone(),
            x.batch.want("type_ids")?.clone(),
            positions,
        ])
    }
}

impl Stage for Embeddings {
    fn name(&self) -> &str {
        "embeddings"
    }

    fn params(&self) -> Vec<Param> {
        let mut all = vec![
            self.words.clone(),
            self.positions.clone(),
            self.types.clone(),
        ];
        all.extend(self.norm.params());
        all
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let [words, types, positions] = self.ids(x)?;
        let look = |table: &Param, ids: &Tensor| -> Result<Tensor> {
            let (table, ids) = table.rows(ids)?;
            Ok(embedding::embedding(&table, &ids, None)?)
        };
        let sum = (look(&self.words, &words)? + look(&self.types, &types)?)?;
        let y = layer_norm::layer_norm(
            &kept(&(sum + look(&self.positions, &positions)?)?, pass)?,
            &self.norm.weight.tensor(),
            &self.norm.bias.tensor(),
            self.norm.eps,
        )?;
        Ok(x.with(drop(&y, self.dropout, pass, "embeddings")?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let ids = self.ids(x)?;
        let tables = [&self.words, &self.types, &self.positions].map(Clone::clone);
        let [words, types, positions] = tables.each_ref().map(Param::detached);
        let sum =
            embedding::sum_forward(&[(&words, &ids[0]), (&types, &ids[1]), (&positions, &ids[2])])?;
        let sum = kept(&sum, pass)?;
        let [weight, bias] = self.norm.params();
        let (y, saved) =
            layer_norm::forward(&sum, &weight.detached(), &bias.detached(), self.norm.eps)?;
        let drop = dropout_at(self.dropout, pass, "embeddings")?;
        let y = match &drop {
            None => y,
            Some(d) => dropout::forward(&y, d)?,
        };
        let back = Back {
            tables,
            ids,
            norm: [weight, bias],
            saved,
            drop,
        };
        Ok((x.with(y), Box::new(back)))
    }

    fn output(&self) -> String {
        format!("(length, {})", self.words.dims()[1])
    }
}

struct Back {
    tables: [Param; 3],
    ids: [Tensor; 3],
    norm: [Param; 2],
    saved: layer_norm::Saved,
    drop: Option<Dropout>,
}

impl Pullback for Back {
    fn pull(self: Box<Self>, grad: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let dropped = match &self.drop {
            None => grad.clone(),
            Some(d) => dropout::backward(grad, d)?,
        };
        let grads = layer_norm::backward(&self.saved, &self.norm[0].detached(), &dropped)?;
        into.add(&self.norm[0], grads.weight)?;
        into.add(&self.norm[1], grads.bias)?;
        for (table, ids) in self.tables.iter().zip(&self.ids) {
            if !table.trains() {
                continue;
            }
            // A GPU writes a whole table at once; elsewhere the rows that were looked up are enough.
            match grads.x.device().is_cpu() {
                true => into.add_rows(table, embedding::sparse_backward(ids, &grads.x, None)?)?,
                false => {
                    let rows = table.dims()[0];
                    into.add(table, embedding::backward(ids, &grads.x, rows, None)?)?;
                }
            }
        }
        // Ids have no gradient.
        Ok(None)
    }
}

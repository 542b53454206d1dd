//! One transformer layer, with a hand-written way back.
//!
//! `forward` is ordinary Candle code on `ops`. `record` computes the same with the ops' tensor doors and keeps only what the way back
//! needs; it is what training uses, and a test holds it to Candle's own backward of `forward`.
//!
//! Where a pass reads only the first token of the output, the others are keys and values and nothing more: their queries, mixes and feed-forward
//! parts, which are 10 of a layer's 12 `width x width` products, are not computed. The outcome is the same; only the dropout behind the residuals
//! draws by the place in what is computed, and so draws other masks.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::nn::{
    Adaptable, Flow, Gradients, Init, Param, Pass, Pullback, Role, Scope, Slot, Stage, segment,
};
use tlkit_ops::dropout::Dropout;
use tlkit_ops::{attention, dropout, gelu, layer_norm, linear};

use crate::config::BertConfig;
use crate::encoder::{Norm, dropout as dropout_at, key_mask};

struct Map {
    weight: Param,
    bias: Param,
    slot: Slot,
}

impl Map {
    fn new(scope: &Scope<'_>, inputs: usize, outputs: usize, std: f64, bias: Role) -> Result<Self> {
        Ok(Map {
            weight: scope.param(
                "weight",
                &[outputs, inputs],
                Role::Weight,
                Init::Normal(std),
            )?,
            bias: scope.param("bias", &[outputs], bias, Init::Zeros)?,
            slot: Slot::default(),
        })
    }

    fn trains(&self) -> bool {
        self.weight.trains() || self.bias.trains() || self.slot.trains()
    }

    fn graph(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = linear::linear_in(
            pass.precision,
            x,
            &self.weight.tensor(),
            Some(&self.bias.tensor()),
        )?;
        self.slot.graph(x, y, pass)
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = linear::forward_in(
            pass.precision,
            x,
            &self.weight.detached(),
            Some(&self.bias.detached()),
        )?;
        self.slot.run(x, y, pass)
    }

    /// Adds the gradients of weight, bias and adapter, and returns what the adapter says of `x`, where that is wanted and there is one.
    fn learn(
        &self,
        x: &Tensor,
        grad: &Tensor,
        need_x: bool,
        pass: &Pass,
        into: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        let precision = pass.precision;
        if self.weight.trains() {
            into.add(
                &self.weight,
                linear::backward_weight_in(precision, x, grad)?,
            )?;
        }
        if self.bias.trains() {
            into.add(&self.bias, linear::backward_bias(grad)?)?;
        }
        self.slot.pull(x, grad, need_x, pass, into)
    }

    /// The same, and the whole gradient of `x` where it is wanted.
    fn pull(
        &self,
        x: &Tensor,
        grad: &Tensor,
        need_x: bool,
        pass: &Pass,
        into: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        let adapted = self.learn(x, grad, need_x, pass, into)?;
        if !need_x {
            return Ok(None);
        }
        let weight = self.weight.detached();
        Ok(Some(match adapted {
            Some(sum) => linear::add_backward_x_in(pass.precision, sum, &weight, grad)?,
            None => linear::backward_x_in(pass.precision, &weight, grad)?,
        }))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    Gelu(gelu::Kind),
    Relu,
}

/// Self-attention and a feed-forward part.
pub struct Layer {
    name: String,
    places: [String; 3],
    query: Map,
    key: Map,
    value: Map,
    mix: Map,
    mix_norm: Norm,
    widen: Map,
    narrow: Map,
    out_norm: Norm,
    act: Act,
    heads: usize,
    dropout: f64,
    attention_dropout: f64,
}

impl Layer {
    /// Under a scope whose names are those of transformers' `BertLayer`.
    pub fn new(name: &str, scope: &Scope<'_>, c: &BertConfig) -> Result<Self> {
        let (h, std) = (c.hidden_size, c.initializer_range);
        let own = scope.sub("attention.self");
        let out = scope.sub("attention.output");
        let act = match c.hidden_act.as_str() {
            "gelu" => Act::Gelu(gelu::Kind::Erf),
            "relu" => Act::Relu,
            _ => Act::Gelu(gelu::Kind::Tanh),
        };
        Ok(Layer {
            name: name.to_string(),
            places: ["attention", "mix", "out"].map(|p| format!("{name}.{p}")),
            query: Map::new(&own.sub("query"), h, h, std, Role::Bias)?,
            // A constant added to every key's score leaves the softmax as it is: this bias never has a gradient.
            key: Map::new(&own.sub("key"), h, h, std, Role::InvariantBias)?,
            value: Map::new(&own.sub("value"), h, h, std, Role::Bias)?,
            mix: Map::new(&out.sub("dense"), h, h, std, Role::Bias)?,
            mix_norm: Norm::new(&out.sub("LayerNorm"), c)?,
            widen: Map::new(
                &scope.sub("intermediate.dense"),
                h,
                c.intermediate_size,
                std,
                Role::Bias,
            )?,
            narrow: Map::new(
                &scope.sub("output.dense"),
                c.intermediate_size,
                h,
                std,
                Role::Bias,
            )?,
            out_norm: Norm::new(&scope.sub("output.LayerNorm"), c)?,
            act,
            heads: c.num_attention_heads,
            dropout: c.hidden_dropout_prob,
            attention_dropout: c.attention_probs_dropout_prob,
        })
    }
}

impl Stage for Layer {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        let maps = [
            &self.query,
            &self.key,
            &self.value,
            &self.mix,
            &self.widen,
            &self.narrow,
        ];
        let mut all: Vec<Param> = maps
            .iter()
            .flat_map(|m| [m.weight.clone(), m.bias.clone()])
            .collect();
        all.extend(maps.iter().flat_map(|m| m.slot.params()));
        all.extend(self.mix_norm.params());
        all.extend(self.out_norm.params());
        all
    }

    fn linears(&self) -> Vec<Adaptable> {
        let maps = [
            ("query", &self.query),
            ("key", &self.key),
            ("value", &self.value),
            ("attention-output", &self.mix),
            ("intermediate", &self.widen),
            ("output", &self.narrow),
        ];
        let one = |(name, map): (&str, &Map)| Adaptable {
            name: format!("{}.{name}", self.name),
            weight: map.weight.clone(),
            slot: map.slot.clone(),
        };
        maps.into_iter().map(one).collect()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let h = &x.hidden;
        let asked = asking(h, pass)?;
        let mask = key_mask(x)?;
        let drop = dropout_at(self.attention_dropout, pass, &self.places[0])?;
        let (q, k, v) = (
            self.query.graph(&asked, pass)?,
            self.key.graph(h, pass)?,
            self.value.graph(h, pass)?,
        );
        let context = attention::attention(&q, &k, &v, self.heads, &mask, drop.as_ref())?;
        let norm = |y: &Tensor, residual: &Tensor, n: &Norm, place: &str| -> Result<Tensor> {
            let drop = dropout_at(self.dropout, pass, place)?;
            Ok(layer_norm::residual_layer_norm(
                y,
                residual,
                &n.weight.tensor(),
                &n.bias.tensor(),
                n.eps,
                drop.as_ref(),
            )?)
        };
        let mixed = norm(
            &self.mix.graph(&context, pass)?,
            &asked,
            &self.mix_norm,
            &self.places[1],
        )?;
        let wide = match self.act {
            Act::Gelu(kind) => {
                let plain =
                    linear::linear_in(pass.precision, &mixed, &self.widen.weight.tensor(), None)?;
                let plain = self.widen.slot.graph(&mixed, plain, pass)?;
                gelu::bias_gelu(&plain, Some(&self.widen.bias.tensor()), kind)?
            }
            Act::Relu => tlkit_ops::relu::relu(&self.widen.graph(&mixed, pass)?)?,
        };
        Ok(x.with(norm(
            &self.narrow.graph(&wide, pass)?,
            &mixed,
            &self.out_norm,
            &self.places[2],
        )?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let Act::Gelu(kind) = self.act else {
            return segment(self, x, pass);
        };
        let precision = pass.precision;
        let h = x.hidden.detach();
        let asked = asking(&h, pass)?;
        let mask = key_mask(x)?;
        let attention_drop = dropout_at(self.attention_dropout, pass, &self.places[0])?;
        let (mix_drop, out_drop) = (
            dropout_at(self.dropout, pass, &self.places[1])?,
            dropout_at(self.dropout, pass, &self.places[2])?,
        );
        let (q, k, v) = (
            self.query.run(&asked, pass)?,
            self.key.run(&h, pass)?,
            self.value.run(&h, pass)?,
        );
        let (context, attended) =
            attention::forward(&q, &k, &v, self.heads, &mask, attention_drop.as_ref())?;
        let norm = |y: &Tensor, residual: &Tensor, n: &Norm, drop: Option<&Dropout>| {
            layer_norm::residual_forward(
                y,
                residual,
                &n.weight.detached(),
                &n.bias.detached(),
                n.eps,
                drop,
            )
        };
        let (mixed, mix_saved) = norm(
            &self.mix.run(&context, pass)?,
            &asked,
            &self.mix_norm,
            mix_drop.as_ref(),
        )?;
        let wide = linear::forward_in(precision, &mixed, &self.widen.weight.detached(), None)?;
        let wide = self.widen.slot.run(&mixed, wide, pass)?;
        let act = gelu::forward(&wide, Some(&self.widen.bias.detached()), kind)?;
        let (y, out_saved) = norm(
            &self.narrow.run(&act, pass)?,
            &mixed,
            &self.out_norm,
            out_drop.as_ref(),
        )?;
        let back = Back {
            maps: [
                &self.query,
                &self.key,
                &self.value,
                &self.mix,
                &self.widen,
                &self.narrow,
            ]
            .map(Map::share),
            norms: [self.mix_norm.params(), self.out_norm.params()],
            kind,
            need_input: pass.input_gradient,
            pass: *pass,
            h,
            asked,
            attended,
            context,
            mix_saved,
            mix_drop,
            mixed,
            wide,
            act,
            out_saved,
            out_drop,
        };
        Ok((x.with(y), Box::new(back)))
    }

    fn output(&self) -> String {
        format!("(length, {})", self.query.weight.dims()[0])
    }
}

impl Map {
    fn share(&self) -> Map {
        Map {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            slot: self.slot.clone(),
        }
    }
}

/// The tokens whose outputs are computed: all, or the first.
fn asking(h: &Tensor, pass: &Pass) -> Result<Tensor> {
    Ok(match pass.first_only {
        true => h.narrow(1, 0, 1)?.contiguous()?,
        false => h.clone(),
    })
}

struct Back {
    maps: [Map; 6],
    norms: [[Param; 2]; 2],
    kind: gelu::Kind,
    need_input: bool,
    pass: Pass,
    h: Tensor,
    /// The tokens of `h` whose outputs were computed.
    asked: Tensor,
    attended: attention::Saved,
    context: Tensor,
    mix_saved: layer_norm::Saved,
    mix_drop: Option<Dropout>,
    mixed: Tensor,
    wide: Tensor,
    act: Tensor,
    out_saved: layer_norm::Saved,
    out_drop: Option<Dropout>,
}

impl Back {
    /// Through a residual layer norm: the gradient of the sum, and that of the branch below the dropout.
    fn norm(
        saved: &layer_norm::Saved,
        params: &[Param; 2],
        drop: Option<&Dropout>,
        grad: &Tensor,
        into: &mut Gradients,
    ) -> Result<(Tensor, Tensor)> {
        let grads = layer_norm::backward(saved, &params[0].detached(), grad)?;
        into.add(&params[0], grads.weight)?;
        into.add(&params[1], grads.bias)?;
        let branch = match drop {
            None => grads.x.clone(),
            Some(d) => dropout::backward(&grads.x, d)?,
        };
        Ok((grads.x, branch))
    }
}

impl Pullback for Back {
    fn pull(self: Box<Self>, grad: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let Back {
            maps,
            norms,
            kind,
            need_input,
            pass,
            h,
            asked,
            attended,
            context,
            mix_saved,
            mix_drop,
            mixed,
            wide,
            act,
            out_saved,
            out_drop,
        } = *self;
        let precision = pass.precision;
        let [query, key, value, mix, widen, narrow] = &maps;
        // What the layers below and the front of this one do not need is not computed.
        let front = need_input
            || [query, key, value, mix].iter().any(|m| m.trains())
            || norms[0].iter().any(Param::trains);
        let (sum, branch) = Back::norm(&out_saved, &norms[1], out_drop.as_ref(), grad, into)?;
        std::mem::drop(out_saved);
        let middle = front || widen.trains();
        let Some(grad_act) = narrow.pull(&act, &branch, middle, &pass, into)? else {
            return Ok(None);
        };
        std::mem::drop((act, branch));
        let grads = gelu::backward(&wide, Some(&widen.bias.detached()), kind, &grad_act)?;
        std::mem::drop((wide, grad_act));
        if let Some(bias) = grads.bias {
            into.add(&widen.bias, bias)?;
        }
        if widen.weight.trains() {
            // The bias's gradient came with the activation's.
            let g = linear::backward_weight_in(precision, &mixed, &grads.x)?;
            into.add(&widen.weight, g)?;
        }
        let adapted = widen.slot.pull(&mixed, &grads.x, front, &pass, into)?;
        if !front {
            return Ok(None);
        }
        let sum = match adapted {
            Some(more) => (sum + more)?,
            None => sum,
        };
        // What was the branch's is dropped: the sum is this function's alone.
        let grad_mixed =
            linear::add_backward_x_in(precision, sum, &widen.weight.detached(), &grads.x)?;
        std::mem::drop((mixed, grads.x));
        let (sum, branch) =
            Back::norm(&mix_saved, &norms[0], mix_drop.as_ref(), &grad_mixed, into)?;
        std::mem::drop((mix_saved, grad_mixed));
        let lower = need_input || [query, key, value].iter().any(|m| m.trains());
        let Some(grad_context) = mix.pull(&context, &branch, lower, &pass, into)? else {
            return Ok(None);
        };
        std::mem::drop((context, branch));
        let (q, k, v) = attention::backward(&attended, &grad_context)?;
        std::mem::drop((attended, grad_context));
        let mut total = need_input.then_some(sum);
        for (map, x, g) in [(query, &asked, q), (key, &h, k), (value, &h, v)] {
            let adapted = map.learn(x, &g, need_input, &pass, into)?;
            if let Some(sum) = total {
                // Behind the queries, whose tokens may be fewer.
                let sum = match x.dim(1)? - sum.dim(1)? {
                    0 => sum,
                    more => sum.pad_with_zeros(1, 0, more)?,
                };
                let weight = map.weight.detached();
                let sum = linear::add_backward_x_in(precision, sum, &weight, &g)?;
                total = Some(match adapted {
                    Some(more) => (sum + more)?,
                    None => sum,
                });
            }
        }
        Ok(total)
    }
}

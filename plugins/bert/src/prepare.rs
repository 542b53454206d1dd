//! Texts to batches: token ids, segments, a mask; masked tokens for the masked-language-modelling view.

use candle_core::{DType, Device, Tensor};
use tlkit_core::data::{Example, Field, Input, Prepare, View};
use tlkit_core::nn::Batch;
use tlkit_core::random::Stream;
use tlkit_core::{Error, Result};

use crate::encoder::MASK_ON_HOST;
use crate::tokenizer::Tokens;

/// Preparation of texts for a BERT.
pub struct TextPrepare {
    tokens: Tokens,
    digest: String,
    pad: u32,
    mask_rate: f64,
}

impl TextPrepare {
    /// By a tokenizer; `digest` identifies it, `mask_rate` is the share of tokens that the masked view hides.
    pub fn new(tokens: Tokens, pad: u32, mask_rate: f64, digest: String) -> Self {
        TextPrepare {
            tokens,
            digest,
            pad,
            mask_rate,
        }
    }

    /// The places of tokens that may be hidden: none of the special ones, unless there are no others. A batch in which nothing is hidden
    /// would have no loss, so a text of unknown words hides one of those, and a text of nothing its last token.
    fn open(&self, ids: &[u32]) -> Vec<u32> {
        let places = |of: &dyn Fn(u32) -> bool| -> Vec<u32> {
            let all = ids.iter().zip(0..);
            all.filter(|&(&id, _)| of(id)).map(|(_, at)| at).collect()
        };
        let plain = places(&|id| !self.tokens.is_special(id));
        if !plain.is_empty() {
            return plain;
        }
        let unknown = places(&|id| Some(id) == self.tokens.unknown());
        match (unknown.is_empty(), ids.len()) {
            (true, 0) => Vec::new(),
            (true, n) => vec![n as u32 - 1],
            (false, _) => unknown,
        }
    }
}

impl Prepare for TextPrepare {
    fn digest(&self) -> String {
        format!("{} to {}", self.digest, self.tokens.max_length())
    }

    fn views(&self) -> &[View] {
        &[View::Plain, View::Masked]
    }

    fn limit(&self) -> Option<usize> {
        Some(self.tokens.max_length())
    }

    fn unknown(&self, example: &Example) -> usize {
        let Some(unknown) = self.tokens.unknown() else {
            return 0;
        };
        let ids = example.ids("input").iter();
        ids.filter(|id| **id == unknown).count()
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        let (ids, types, cut) = match input {
            Input::Text(t) => self.tokens.encode(t, None)?,
            Input::Pair(a, b) => self.tokens.encode(a, Some(b))?,
            other => {
                return Err(Error::msg(format!(
                    "BERT reads text, and this is {}",
                    other.kind()
                )));
            }
        };
        Ok(Example::new(ids.len())
            .with("input", Field::Ids(ids))
            .with("type_ids", Field::Ids(types))
            .cut(cut))
    }

    /// Of the tokens that are hidden, 80 % become `[MASK]`, 10 % a random token, 10 % stay (Devlin et al. 2019).
    fn view(&self, plain: &Example, view: View, random: Stream) -> Result<Example> {
        match view {
            View::Plain => return Ok(plain.clone()),
            View::Masked => {}
            _ => return Err(Error::msg(format!("texts have no {view:?} view"))),
        }
        let mask = self.tokens.mask().ok_or_else(|| {
            Error::msg("the vocabulary has no [MASK], so no tokens can be hidden")
        })?;
        let mut ids = plain.ids("input").to_vec();
        let open = self.open(&ids);
        let wanted = ((open.len() as f64 * self.mask_rate).round() as usize)
            .clamp(open.len().min(1), open.len());
        let order = random.purpose("which").permutation(open.len());
        let mut chosen: Vec<u32> = order
            .into_iter()
            .take(wanted)
            .map(|i| open[i as usize])
            .collect();
        chosen.sort_unstable();
        let mut targets = Vec::with_capacity(chosen.len());
        for &at in &chosen {
            let place = u64::from(at);
            targets.push(ids[at as usize]);
            match random.purpose("how").uniform(place) {
                u if u < 0.8 => ids[at as usize] = mask,
                u if u < 0.9 => {
                    ids[at as usize] = random
                        .purpose("what")
                        .below(place, self.tokens.size() as u64)
                        as u32
                }
                _ => {}
            }
        }
        Ok(Example::new(plain.length())
            .with("input", Field::Ids(ids))
            .with("type_ids", Field::Ids(plain.ids("type_ids").to_vec()))
            .with("masked", Field::Ids(chosen))
            .with("targets", Field::Ids(targets)))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let rows = examples.len();
        let length = examples.iter().map(|e| e.length()).max().unwrap_or(0);
        let mut ids = vec![self.pad; rows * length];
        let mut types = vec![0u32; rows * length];
        let mut mask = vec![0u32; rows * length];
        let (mut positions, mut targets) = (Vec::new(), Vec::new());
        let mut masked = false;
        for (r, e) in examples.iter().enumerate() {
            let from = r * length;
            let n = e.length();
            ids[from..from + n].copy_from_slice(e.ids("input"));
            types[from..from + n].copy_from_slice(e.ids("type_ids"));
            mask[from..from + n].fill(1);
            masked |= !e.ids("masked").is_empty();
            positions.extend(e.ids("masked").iter().map(|&p| from as u32 + p));
            targets.extend_from_slice(e.ids("targets"));
        }
        let shape = (rows, length);
        let on_host = match device.is_cpu() {
            true => None,
            false => Some(Tensor::from_slice(&mask, shape, &Device::Cpu)?),
        };
        let batch = Batch::new(rows, Tensor::from_vec(ids, shape, device)?)
            .with("type_ids", Tensor::from_vec(types, shape, device)?)
            .with(
                "attention_mask",
                Tensor::from_vec(mask, shape, device)?.to_dtype(DType::U32)?,
            );
        let batch = match on_host {
            Some(mask) => batch.with(MASK_ON_HOST, mask),
            None => batch,
        };
        if !masked {
            return Ok(batch);
        }
        Ok(batch
            .with("masked_positions", Tensor::new(positions, device)?)
            .with("targets", Tensor::new(targets, device)?))
    }
}

#[cfg(test)]
mod tests {
    use tlkit_core::data::Found;

    use super::*;

    #[test]
    fn every_text_has_a_token_to_hide() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("vocab.txt"),
            "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nfilm",
        )
        .unwrap();
        let tokens = Tokens::of(&Found::Folder(dir.path().to_path_buf()), 16).unwrap();
        let prepare = TextPrepare::new(tokens, 0, 0.15, String::new());
        for (text, open) in [
            ("a film", vec![1, 2]),
            ("a \u{1f3ac}", vec![1]),
            ("\u{1f3ac} \u{1f3ac}", vec![1, 2]),
            ("", vec![1]),
        ] {
            let plain = prepare.example(&Input::Text(text.into())).unwrap();
            assert_eq!(prepare.open(plain.ids("input")), open, "{text}");
            let hidden = prepare.view(&plain, View::Masked, Stream::new(0)).unwrap();
            let batch = prepare.collate(&[&hidden], &Device::Cpu).unwrap();
            let targets = batch.want("targets").unwrap().elem_count();
            assert_eq!(targets, 1, "{text}");
        }
    }
}

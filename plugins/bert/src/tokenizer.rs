//! Texts to token ids, by the checkpoint's own tokenizer.

use std::sync::Arc;

use tlkit_core::data::{Blob, Found};
use tlkit_core::{Error, Result};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{Tokenizer, TruncationParams, TruncationStrategy};

/// A tokenizer without padding, cut to a length.
#[derive(Clone)]
pub struct Tokens {
    inner: Arc<Tokenizer>,
    max_length: usize,
    mask: Option<u32>,
    unknown: Option<u32>,
    special: Arc<Vec<u32>>,
}

impl Tokens {
    /// From the checkpoint's `tokenizer.json`, or its `vocab.txt`. Whatever padding and truncation the file asks for is
    /// cleared: a fixed length would undo the grouping of rows by length.
    pub fn of(found: &Found, max_length: usize) -> Result<Self> {
        if let Some(file) = found.file("tokenizer.json") {
            let tokenizer = Tokenizer::from_bytes(file.bytes()?)
                .map_err(|e| Error::msg(format!("tokenizer.json: {e}")))?;
            return Self::new(tokenizer, max_length);
        }
        let Some(file) = found.file("vocab.txt") else {
            return Err(Error::msg(
                "the checkpoint has neither tokenizer.json nor vocab.txt",
            ));
        };
        let config: serde_json::Value = match found.file("tokenizer_config.json") {
            Some(config) => serde_json::from_str(&config.text("tokenizer_config.json")?)
                .map_err(|e| Error::msg(format!("tokenizer_config.json: {e}")))?,
            None => serde_json::Value::Null,
        };
        Self::new(from_vocab(&file, normalizer(&config))?, max_length)
    }

    fn new(mut tokenizer: Tokenizer, max_length: usize) -> Result<Self> {
        tokenizer.with_padding(None);
        let cut = TruncationParams {
            max_length,
            strategy: TruncationStrategy::LongestFirst,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|e| Error::msg(format!("tokenizer: {e}")))?;
        let id = |t: &str| tokenizer.token_to_id(t);
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            .iter()
            .filter_map(|t| id(t))
            .collect();
        let (mask, unknown) = (id("[MASK]"), id("[UNK]"));
        Ok(Tokens {
            inner: Arc::new(tokenizer),
            max_length,
            mask,
            unknown,
            special: Arc::new(special),
        })
    }

    /// Token ids and segment ids of a text, or of two, and whether something was cut off.
    pub fn encode(&self, text: &str, pair: Option<&str>) -> Result<(Vec<u32>, Vec<u32>, bool)> {
        let encoded = match pair {
            None => self.inner.encode_fast(text, true),
            Some(pair) => self.inner.encode_fast((text, pair), true),
        };
        let encoded = encoded.map_err(|e| Error::msg(format!("tokenizer: {e}")))?;
        Ok((
            encoded.get_ids().to_vec(),
            encoded.get_type_ids().to_vec(),
            !encoded.get_overflowing().is_empty(),
        ))
    }

    /// Longest text, in tokens.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The id of `[MASK]`.
    pub fn mask(&self) -> Option<u32> {
        self.mask
    }

    /// The id of `[UNK]`, which stands for every word that the vocabulary has no pieces of.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// Whether an id is one of the special tokens.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// How many tokens it has ids for, from 0: one more than the largest.
    pub fn size(&self) -> usize {
        let ids = self.inner.get_vocab(true);
        ids.values().max().map_or(0, |id| *id as usize + 1)
    }

    /// As `tokenizer.json`, without padding or truncation.
    pub fn to_json(&self) -> Result<String> {
        let mut plain = (*self.inner).clone();
        plain.with_padding(None);
        plain
            .with_truncation(None)
            .map_err(|e| Error::msg(format!("tokenizer: {e}")))?;
        plain
            .to_string(true)
            .map_err(|e| Error::msg(format!("tokenizer: {e}")))
    }
}

/// What transformers' BERT does to a text first, by the keys of `tokenizer_config.json`. Accents are taken off where that is not said and letters
/// are made small.
fn normalizer(config: &serde_json::Value) -> BertNormalizer {
    let on = |key: &str| config[key].as_bool().unwrap_or(true);
    BertNormalizer::new(
        true,
        on("tokenize_chinese_chars"),
        config["strip_accents"].as_bool(),
        on("do_lower_case"),
    )
}

/// BERT's tokenizer from a list of word pieces, one a line.
fn from_vocab(file: &Blob, normalizer: BertNormalizer) -> Result<Tokenizer> {
    let text = file.text("vocab.txt")?;
    let pieces: Vec<&str> = text.lines().map(str::trim_end).collect();
    let id = |t: &str| {
        pieces
            .iter()
            .position(|p| *p == t)
            .map(|i| i as u32)
            .ok_or_else(|| Error::msg(format!("vocab.txt has no {t}")))
    };
    let (sep, cls) = (id("[SEP]")?, id("[CLS]")?);
    let model = WordPiece::builder()
        .vocab(
            pieces
                .iter()
                .enumerate()
                .map(|(i, p)| (p.to_string(), i as u32))
                .collect::<ahash::AHashMap<_, _>>(),
        )
        .unk_token("[UNK]".into())
        .build()
        .map_err(|e| Error::msg(format!("vocab.txt: {e}")))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(normalizer))
        .map_err(|e| Error::msg(format!("vocab.txt: {e}")))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(
        ("[SEP]".into(), sep),
        ("[CLS]".into(), cls),
    )));
    tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .map(|t| tokenizers::AddedToken::from(t, true));
    tokenizer
        .add_special_tokens(special.to_vec())
        .map_err(|e| Error::msg(format!("vocab.txt: {e}")))?;
    Ok(tokenizer)
}

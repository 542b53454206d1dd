//! Trains a WordPiece vocabulary: `cargo run --release -p tlkit-bert --example wordpiece -- TEXTS SIZE FOLDER`
//!
//! TEXTS has one text a line. FOLDER gets tokenizer.json and vocab.txt, lower case, as BERT's uncased models have it.

use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model, TokenizerBuilder};

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [texts, size, folder] = &args[..] else {
        return Err("usage: wordpiece TEXTS SIZE FOLDER".into());
    };
    let special: Vec<AddedToken> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .iter()
        .map(|t| AddedToken::from(*t, true))
        .collect();
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(size.parse()?)
        .special_tokens(special)
        .min_frequency(5)
        .show_progress(false)
        .build();
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(WordPiece::builder().unk_token("[UNK]".into()).build()?)
        .with_normalizer(Some(BertNormalizer::new(true, true, None, true)))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(
            ("[SEP]".into(), 3),
            ("[CLS]".into(), 2),
        )))
        .with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()))
        .build()?;
    tokenizer.train_from_files(&mut trainer, vec![texts.clone()])?;
    std::fs::create_dir_all(folder)?;
    tokenizer
        .get_model()
        .save(std::path::Path::new(folder), None)?;
    tokenizer.save(format!("{folder}/tokenizer.json"), false)?;
    println!("{} tokens in {folder}", tokenizer.get_vocab_size(true));
    Ok(())
}

//! An embedder and a tokenizer without a model: words hashed into a vector.

use std::sync::Arc;

use async_trait::async_trait;
use contexture::domain::chunk::Span;
use contexture::domain::ids::Fields;
use contexture::fault::{Fault, reason};
use contexture::ports::embedder::{Embedder, EmbedderInfo, Purpose};
use contexture::ports::tokenizer::{TokenTable, Tokenizer};

/// One token per word.
pub(crate) struct Words;

impl Tokenizer for Words {
    fn name(&self) -> &'static str {
        "words"
    }

    fn count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenTable + 'a> {
        Box::new(WordTable(text))
    }
}

struct WordTable<'a>(&'a str);

impl TokenTable for WordTable<'_> {
    fn count(&self, span: Span) -> usize {
        Words.count(&self.0[span.start..span.end])
    }
}

/// Adds one direction per word; texts that share words are near each other.
pub(crate) struct HashedWords(EmbedderInfo);

impl HashedWords {
    pub(crate) fn new() -> Self {
        Self(EmbedderInfo {
            model: "hashed-words".to_owned(),
            dims: 32,
            tokens_max: 64,
            tokens_reserved: 2,
            batch_texts_max: 8,
        })
    }

    fn embed_one(&self, text: &str) -> Result<Vec<f32>, Fault> {
        let tokens = Words.count(text) + self.0.tokens_reserved;
        if tokens > self.0.tokens_max {
            let detail = format!("{tokens} tokens, at most {}", self.0.tokens_max);
            return Err(Fault::permanent(reason::EMBEDDER_REJECTED, detail));
        }
        let mut vector = vec![0.0_f32; self.0.dims];
        vector[0] = 0.01;
        for word in text.split_whitespace() {
            let hash = Fields::new("contexture test embedder").field(word.as_bytes()).finish();
            vector[usize::from(hash[0]) % self.0.dims] += 1.0;
        }
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        Ok(vector.into_iter().map(|number| number / length).collect())
    }
}

#[async_trait]
impl Embedder for HashedWords {
    fn info(&self) -> &EmbedderInfo {
        &self.0
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        Arc::new(Words)
    }

    async fn embed(&self, texts: &[String], _purpose: Purpose) -> Result<Vec<Vec<f32>>, Fault> {
        texts.iter().map(|text| self.embed_one(text)).collect()
    }
}

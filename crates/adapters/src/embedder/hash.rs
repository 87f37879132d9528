//! A stand-in for a model: deterministic vectors from hashed words.
//!
//! It knows no meaning. Equal texts have equal vectors, and texts that share words are nearer than texts
//! that share none. It takes microseconds, which is enough for benchmarks and tests. Each word
//! (a lower-cased run of letters and digits) adds ±1 at [`MARKS_PER_WORD`] places chosen by BLAKE3: a
//! signed feature hash as in Weinberger et al. 2009, <https://arxiv.org/abs/0902.2206>.

use std::sync::Arc;

use async_trait::async_trait;

use super::inference::{check_batch_fits, scale_to_unit_length};
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::embedder::{Embedder, EmbedderInfo, EmbeddingPurpose};
use contexture_core::ports::tokenizer::Tokenizer;

/// Places that one word marks.
const MARKS_PER_WORD: usize = 8;
/// Most numbers per vector.
pub const DIMS_MAX: usize = 4_096;
/// Most texts of one call.
const BATCH_TEXTS_MAX: usize = 256;

/// An embedder that hashes words.
pub struct HashEmbedder {
    info: EmbedderInfo,
    tokenizer: Arc<dyn Tokenizer>,
}

impl HashEmbedder {
    /// Creates an embedder of `dims` numbers, 1 to [`DIMS_MAX`]; `tokenizer` counts its tokens.
    pub fn new(tokenizer: Arc<dyn Tokenizer>, dims: usize, tokens_max: usize) -> Result<Self, Refusal> {
        if !(1..=DIMS_MAX).contains(&dims) {
            return Err(Refusal::invalid(
                "embedder_dims_out_of_range",
                "embedder.dims",
                format!("embedder.dims is {dims}; give 1 to {DIMS_MAX}"),
            ));
        }
        if tokens_max == 0 {
            return Err(Refusal::invalid(
                "embedder_tokens_max_out_of_range",
                "embedder.tokens_max",
                "embedder.tokens_max is 0; give at least 1",
            ));
        }
        let info = EmbedderInfo {
            model: format!("hash-v1/{dims}"),
            dims,
            tokens_max,
            tokens_reserved: 0,
            batch_texts_max: BATCH_TEXTS_MAX,
            batch_tokens_max: usize::MAX,
            calls_max: 1,
            is_metered: false,
        };
        Ok(Self { info, tokenizer })
    }

    fn vector(&self, text: &str) -> Result<Vec<f32>, Fault> {
        let mut vector = vec![0.0; self.info.dims];
        for word in text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
        {
            let digest = blake3::hash(word.to_lowercase().as_bytes());
            for mark in digest.as_bytes().as_chunks::<4>().0.iter().take(MARKS_PER_WORD) {
                // The lowest bit is the sign, the others are the place.
                let mark = u32::from_le_bytes(*mark);
                let place = (mark >> 1) as usize % self.info.dims;
                vector[place] += if mark & 1 == 0 { 1.0 } else { -1.0 };
            }
        }
        // No word, or marks that cancel out: unit length needs some direction.
        if vector.iter().all(|value| *value == 0.0) {
            vector[0] = 1.0;
        }
        scale_to_unit_length(vector)
    }
}

#[async_trait]
impl Embedder for HashEmbedder {
    fn info(&self) -> &EmbedderInfo {
        &self.info
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        Arc::clone(&self.tokenizer)
    }

    async fn embed(&self, texts: &[String], _purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault> {
        check_batch_fits(&self.info, self.tokenizer.as_ref(), texts, self.info.tokens_reserved)?;
        texts.iter().map(|text| self.vector(text)).collect()
    }
}

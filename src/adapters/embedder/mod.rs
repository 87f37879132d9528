//! TEMPORARY until the embedders' branch is merged.
use crate::adapters::tokenizer::bpe::Bpe;
use crate::domain::pipeline::EmbedderDefinition;
use crate::fault::{Fault, Refusal};
use crate::ports::embedder::*;
use crate::ports::tokenizer::Tokenizer;
use async_trait::async_trait;
use std::sync::Arc;
struct Hash(EmbedderInfo);
/// Opens.
pub fn open(definition: &EmbedderDefinition) -> Result<Arc<dyn Embedder>, Refusal> {
    let (dims, tokens_max) = match definition {
        EmbedderDefinition::Hash { dims, tokens_max } => (*dims, *tokens_max),
        _ => (384, 128),
    };
    Ok(Arc::new(Hash(EmbedderInfo {
        model: "hash".into(),
        dims,
        tokens_max,
        tokens_reserved: 2,
        batch_texts_max: 256,
    })))
}
#[async_trait]
impl Embedder for Hash {
    fn info(&self) -> &EmbedderInfo {
        &self.0
    }
    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        Arc::new(Bpe::cl100k())
    }
    async fn embed(&self, texts: &[String], _: Purpose) -> Result<Vec<Vec<f32>>, Fault> {
        Ok(texts
            .iter()
            .map(|text| {
                let mut v = vec![0.0f32; self.0.dims];
                for word in text.split_whitespace() {
                    let h = blake3::hash(word.to_lowercase().as_bytes());
                    let b = h.as_bytes();
                    let i = (u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize) % v.len();
                    v[i] += if b[4] & 1 == 0 { 1.0 } else { -1.0 };
                }
                let n = v.iter().map(|x| x * x).sum::<f32>().sqrt();
                if n == 0.0 {
                    v[0] = 1.0;
                } else {
                    v.iter_mut().for_each(|x| *x /= n);
                }
                v
            })
            .collect())
    }
}

//! The default embedder: paraphrase-MiniLM-L3-v2 inside the binary, nothing to install.
//!
//! The `pocket-encoder` crate has the weights (stored in 4 bits, computed in 32): 384 numbers per
//! vector, 128 tokens. It truncates longer texts silently and does not expose its tokenizer. So the same
//! `tokenizer.json` is kept in `assets/` (a test compares the fingerprints), and longer texts are
//! rejected before they reach it.

use std::sync::Arc;

use async_trait::async_trait;
use pocket_encoder::Encoder;

use super::inference::{BATCH_TEXTS_MAX, check_batch_fits, embed_each, keep_products_single_threaded};
use contexture_core::fault::{Fault, Refusal, RefusalKind, reason};
use contexture_core::ports::embedder::{Embedder, EmbedderInfo, EmbeddingPurpose};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_tokenizers::hugging_face::HuggingFaceTokenizer;

/// The bytes of the bundled model's tokenizer.
pub const TOKENIZER_JSON: &[u8] = include_bytes!("../../../../assets/paraphrase-MiniLM-L3-v2/tokenizer.json");

/// A text without tokens that the crate nevertheless accepts; it rejects blank ones.
const WORDLESS_TEXT: &str = "\u{200b}";

/// The bundled model.
pub struct BundledEmbedder {
    info: EmbedderInfo,
    encoder: Encoder,
    tokenizer: Arc<HuggingFaceTokenizer>,
}

/// The bundled model's tokenizer.
pub fn tokenizer() -> Result<HuggingFaceTokenizer, Refusal> {
    HuggingFaceTokenizer::from_json("paraphrase-MiniLM-L3-v2", TOKENIZER_JSON)
}

impl BundledEmbedder {
    /// Unpacks the weights, which takes about 0.2 s; open it once per process.
    pub fn open() -> Result<Self, Refusal> {
        keep_products_single_threaded();
        let encoder = Encoder::new().map_err(|error| {
            Refusal::new(RefusalKind::Internal, "bundled_model_broken", "embedder.kind", error.to_string())
        })?;
        let tokenizer = Arc::new(tokenizer()?);
        let model = pocket_encoder::model_info();
        let info = EmbedderInfo {
            model: format!("{}@{}", model.id, model.revision),
            dims: model.dimensions,
            tokens_max: model.max_tokens,
            tokens_reserved: tokenizer.special_tokens(),
            batch_texts_max: BATCH_TEXTS_MAX,
            batch_tokens_max: usize::MAX,
            // One call uses all cores already.
            calls_max: 1,
            is_metered: false,
        };
        Ok(Self { info, encoder, tokenizer })
    }
}

#[async_trait]
impl Embedder for BundledEmbedder {
    fn info(&self) -> &EmbedderInfo {
        &self.info
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenizer>
    }

    async fn embed(&self, texts: &[String], _purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault> {
        check_batch_fits(&self.info, self.tokenizer.as_ref(), texts, self.info.tokens_reserved)?;
        let encoder = self.encoder.clone();
        embed_each(texts.to_vec(), move |text| {
            let text = if text.trim().is_empty() { WORDLESS_TEXT } else { text };
            let vectors = encoder
                .embed(&[text])
                .map_err(|error| Fault::permanent_error(reason::EMBEDDER_REJECTED, error))?;
            vectors.into_iter().next().ok_or_else(|| Fault::transient("the encoder returned no vector"))
        })
        .await
    }
}

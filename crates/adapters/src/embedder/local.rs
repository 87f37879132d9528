//! A sentence-transformers BERT folder, run in process: all-MiniLM-L6-v2, bge-small, e5…
//!
//! Limits come from the folder or the pipeline, never from the truncation that a `tokenizer.json` may
//! contain. The model's name holds a fingerprint of everything that changes a vector: weights,
//! configuration, tokenizer, pooling, prefixes. Vectors always have unit length, as the port requires,
//! whether or not the folder has a `2_Normalize` module.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::bert::BertEncoder;
use super::inference::{
    BATCH_TEXTS_MAX, check_batch_fits, embed_each, keep_products_single_threaded, scale_to_unit_length,
};
use super::model_folder::{ModelFolder, unsupported_model};
use super::pooling::PoolingMode;
use contexture_core::fault::{Fault, Refusal, reason};
use contexture_core::ports::embedder::{Embedder, EmbedderInfo, EmbeddingPurpose};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_tokenizers::hugging_face::HuggingFaceTokenizer;

/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 512;

/// Prefixes that replace the folder's own prompts where given.
#[derive(Debug, Clone, Default)]
pub struct PrefixOverrides {
    /// Put before a question.
    pub query: Option<String>,
    /// Put before a passage.
    pub passage: Option<String>,
}

/// A model from a folder.
pub struct LocalEmbedder {
    info: EmbedderInfo,
    model: Arc<LocalModel>,
    query: EmbeddingPrefix,
    passage: EmbeddingPrefix,
}

struct LocalModel {
    bert: BertEncoder,
    tokenizer: Arc<HuggingFaceTokenizer>,
    pooling: PoolingMode,
    dims: usize,
    tokens_max: usize,
}

struct EmbeddingPrefix {
    text: String,
    /// Tokens of the prefix and special tokens.
    tokens_added: usize,
}

impl LocalEmbedder {
    /// Loads a folder. `tokens_max` overrides the folder's limit.
    pub fn open(path: &Path, prefixes: &PrefixOverrides, tokens_max: Option<usize>) -> Result<Self, Refusal> {
        keep_products_single_threaded();
        let folder = ModelFolder::read(path)?;
        let name =
            path.file_name().map_or_else(|| "local".into(), |name| name.to_string_lossy().into_owned());
        let tokenizer = Arc::new(HuggingFaceTokenizer::from_json(&name, &folder.tokenizer_json)?);
        let prefix = |given: &Option<String>, own: &Option<String>, field: &str| {
            let text = given.clone().or_else(|| own.clone()).unwrap_or_default();
            EmbeddingPrefix::new(text, &tokenizer, field)
        };
        let query = prefix(&prefixes.query, &folder.query_prompt, "embedder.query_prefix")?;
        let passage = prefix(&prefixes.passage, &folder.passage_prompt, "embedder.passage_prefix")?;
        let has_prompt = !query.text.is_empty() || !passage.text.is_empty();
        // `pool` takes in all tokens of a text, the prompt's included.
        if has_prompt && !folder.include_prompt {
            return Err(unsupported_model(path, "it leaves prompts out of the pooling"));
        }
        let tokens_max = tokens_max.unwrap_or(folder.tokens_max);
        check_tokens_max(tokens_max, folder.config.max_position_embeddings, &query, &passage)?;
        let info = EmbedderInfo {
            model: format!("{name}@{}", model_fingerprint(&folder, &query, &passage)),
            dims: folder.config.hidden_size,
            tokens_max,
            // The passages': chunks are sized by it. A query is checked with its own prefix.
            tokens_reserved: passage.tokens_added,
            batch_texts_max: BATCH_TEXTS_MAX,
            batch_tokens_max: usize::MAX,
            // One call uses all cores already.
            calls_max: 1,
            is_metered: false,
        };
        let bert = BertEncoder::load(&folder.config, folder.weights)
            .map_err(|error| unsupported_model(path, &format!("its weights do not fit: {error}")))?;
        let model = LocalModel { bert, tokenizer, pooling: folder.pooling, dims: info.dims, tokens_max };
        Ok(Self { info, model: Arc::new(model), query, passage })
    }
}

impl EmbeddingPrefix {
    fn new(text: String, tokenizer: &HuggingFaceTokenizer, field: &str) -> Result<Self, Refusal> {
        if text.len() > PREFIX_BYTES_MAX {
            return Err(Refusal::invalid(
                "prefix_too_long",
                field,
                format!("{field} has {} bytes, at most {PREFIX_BYTES_MAX}", text.len()),
            ));
        }
        // A prefix that could grow together with the text's first word has no token count.
        if text.ends_with(|last: char| !(last.is_whitespace() || last.is_ascii_punctuation())) {
            return Err(Refusal::invalid(
                "prefix_unbounded",
                field,
                format!("{field} must end in white space or punctuation, as in \"query: \""),
            ));
        }
        Ok(Self { tokens_added: tokenizer.special_tokens() + tokenizer.count(&text), text })
    }
}

fn check_tokens_max(
    tokens_max: usize,
    positions: usize,
    query: &EmbeddingPrefix,
    passage: &EmbeddingPrefix,
) -> Result<(), Refusal> {
    let refuse =
        |message| Err(Refusal::invalid("embedder_tokens_max_out_of_range", "embedder.tokens_max", message));
    if tokens_max > positions {
        return refuse(format!("embedder.tokens_max is {tokens_max}, the model has {positions} positions"));
    }
    let added = query.tokens_added.max(passage.tokens_added);
    if tokens_max <= added {
        return refuse(format!(
            "embedder.tokens_max is {tokens_max}, special tokens and prefix alone take {added}"
        ));
    }
    Ok(())
}

/// BLAKE3 of all that changes a vector, 16 hexadecimal digits.
fn model_fingerprint(folder: &ModelFolder, query: &EmbeddingPrefix, passage: &EmbeddingPrefix) -> String {
    let mut hasher = blake3::Hasher::new();
    let settings = [folder.pooling.name(), &query.text, &passage.text];
    let files = [folder.weights.as_slice(), &folder.tokenizer_json, &folder.config_json];
    for part in files.into_iter().chain(settings.map(str::as_bytes)) {
        // Lengths separate the parts: otherwise bytes could move from one to the next unnoticed.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

impl LocalModel {
    fn embed(&self, text: &str) -> Result<Vec<f32>, Fault> {
        let token_ids = self.tokenizer.encode(text)?;
        if token_ids.len() > self.tokens_max {
            // Only a tokenizer that is not of the BERT family can count prefix and text apart
            // as less than together.
            let what = format!("a text of {} tokens, the model takes {}", token_ids.len(), self.tokens_max);
            return Err(Fault::permanent(reason::EMBEDDER_REJECTED, what));
        }
        let states = self
            .bert
            .forward(&token_ids)
            .map_err(|error| Fault::transient_error("running the model", error))?;
        scale_to_unit_length(self.pooling.pool(&states, self.dims))
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn info(&self) -> &EmbedderInfo {
        &self.info
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        Arc::clone(&self.model.tokenizer) as Arc<dyn Tokenizer>
    }

    async fn embed(&self, texts: &[String], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault> {
        let prefix = match purpose {
            EmbeddingPurpose::Query => &self.query,
            EmbeddingPurpose::Passage => &self.passage,
        };
        check_batch_fits(&self.info, self.model.tokenizer.as_ref(), texts, prefix.tokens_added)?;
        let texts = texts.iter().map(|text| format!("{}{text}", prefix.text)).collect();
        let model = Arc::clone(&self.model);
        embed_each(texts, move |text| model.embed(text)).await
    }
}

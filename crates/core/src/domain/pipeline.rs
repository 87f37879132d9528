//! The pipeline definition of a collection: embedder, chunker and analyzer, from one TOML file.
//!
//! The tests check every file in `pipelines/`. [`Pipeline::to_toml`] is canonical: definitions with the
//! same meaning have the same text. A chunk never exceeds what its embedder reads; a definition that
//! would allow it is refused with both numbers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ids::{Epoch, FieldHasher};
use crate::fault::Refusal;

/// The definition of collections that do not name one.
pub const DEFAULT_PIPELINE_TOML: &str = include_str!("../../../../pipelines/default.toml");
/// Longest definition, in bytes.
pub const PIPELINE_TOML_BYTES_MAX: usize = 64 * 1024;
/// Smallest chunk bound and smallest embedder window, in tokens. A context line has to fit.
pub const CHUNK_TOKENS_MIN: usize = 64;
/// Default target size of chunks, in tokens of the embedder.
pub const CHUNK_TOKENS_TARGET_DEFAULT: usize = 256;
/// Largest embedder window, in tokens.
pub const EMBEDDER_WINDOW_TOKENS_MAX: usize = 1_000_000;
/// Most numbers per vector.
pub const VECTOR_DIMS_MAX: usize = 65_536;
/// Longest prefix of a passage or a query, in bytes.
pub const EMBEDDER_TEXT_BYTES_MAX: usize = 1024;

/// Format of what is embedded and stored; part of every epoch. A change of it makes all indexes outdated.
const EPOCH_SCHEMA_VERSION: u64 = 1;

/// How documents of a collection become chunks, vectors and terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The model.
    pub embedder: EmbedderDefinition,
    /// Sizes of chunks.
    #[serde(default)]
    pub chunker: ChunkerDefinition,
    /// Words to terms.
    #[serde(default)]
    pub analyzer: AnalyzerDefinition,
}

/// Which model embeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum EmbedderDefinition {
    /// Weights inside the binary.
    Bundled {},
    /// A sentence-transformers BERT folder.
    Local {
        /// The folder; a relative path counts from the working directory.
        path: PathBuf,
        /// Put before every question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        query_prefix: Option<String>,
        /// Put before every passage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passage_prefix: Option<String>,
        /// Longest text in tokens, if less than the model's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens_max: Option<usize>,
    },
    /// A model behind HTTP, at a provider of the configuration.
    Provider(ProviderModel),
    /// Vectors from a hash of the text: no model, for tests and benches.
    Hash {
        /// Numbers per vector.
        dims: usize,
        /// Longest text in tokens.
        tokens_max: usize,
    },
}

/// A model at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderModel {
    /// The name of an entry of `providers` in the configuration.
    pub provider: String,
    /// What the provider calls it; for Azure, the deployment.
    pub model: String,
    /// Numbers per vector.
    pub dims: usize,
    /// Whether to ask for `dims`, of a model that can have fewer than its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub send_dims: bool,
    /// Longest text in tokens, special tokens included.
    pub tokens_max: usize,
    /// Special tokens that the model adds to every text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_reserved: Option<usize>,
    /// How its tokens are counted: `cl100k_base`, `o200k_base`, or an entry of `tokenizers`.
    pub tokenizer: String,
    /// Put before every question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_prefix: Option<String>,
    /// Put before every passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passage_prefix: Option<String>,
    /// The provider's word for questions, if not its usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_input_type: Option<String>,
    /// The provider's word for passages, if not its usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passage_input_type: Option<String>,
}

/// Where texts are cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkerKind {
    /// At the borders of the text's structure, chosen for the whole document at once.
    #[default]
    Structure,
    /// Where the text-splitter crate cuts: from the start on, as much as fits.
    Recursive,
}

impl ChunkerKind {
    /// The name in a definition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Recursive => "recursive",
        }
    }

    // Serde passes a reference.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Chunker and sizes of chunks, in tokens of the embedder, context line and special tokens included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkerDefinition {
    /// Where texts are cut.
    #[serde(default, skip_serializing_if = "ChunkerKind::is_default")]
    pub kind: ChunkerKind,
    /// The maximum; the embedder's own bound if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_max: Option<usize>,
    /// The target; if absent, the lesser of [`CHUNK_TOKENS_TARGET_DEFAULT`] and the maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_target: Option<usize>,
}

/// How words become terms of the lexical index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnalyzerDefinition {
    /// The language of stems and stop words.
    pub language: AnalyzerLanguage,
    /// Whether words are reduced to stems.
    pub stem: bool,
    /// Whether stop words are left out.
    pub stop_words: bool,
}

impl Default for AnalyzerDefinition {
    fn default() -> Self {
        Self { language: AnalyzerLanguage::English, stem: true, stop_words: true }
    }
}

macro_rules! languages {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// Languages of the analyzer: those with a Snowball stemmer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum AnalyzerLanguage {
            $(#[doc = $name] $variant,)+
        }

        impl AnalyzerLanguage {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in a definition.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

languages! {
    Arabic = "arabic", Danish = "danish", Dutch = "dutch", English = "english", Finnish = "finnish",
    French = "french", German = "german", Greek = "greek", Hungarian = "hungarian", Italian = "italian",
    Norwegian = "norwegian", Portuguese = "portuguese", Romanian = "romanian", Russian = "russian",
    Spanish = "spanish", Swedish = "swedish", Tamil = "tamil", Turkish = "turkish",
}

/// Chunk sizes for one embedder: `1 <= target <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkTokenBounds {
    /// The maximum.
    pub max: usize,
    /// The target.
    pub target: usize,
}

impl Pipeline {
    /// Reads a definition.
    pub fn from_toml(text: &str) -> Result<Self, Refusal> {
        if text.len() > PIPELINE_TOML_BYTES_MAX {
            return Err(refuse_pipeline(
                "pipeline",
                format!("the definition is longer than {PIPELINE_TOML_BYTES_MAX} bytes"),
            ));
        }
        let pipeline: Self = toml::from_str(text)
            .map_err(|error| refuse_pipeline("pipeline", error.to_string().trim().to_owned()))?;
        pipeline.check()?;
        Ok(pipeline)
    }

    /// The canonical text of this definition.
    pub fn to_toml(&self) -> Result<String, Refusal> {
        toml::to_string(self).map_err(|error| refuse_pipeline("pipeline", error.to_string()))
    }

    /// The chunk sizes for an embedder that reads `embedder_tokens_max` tokens.
    pub fn chunk_tokens(&self, embedder_tokens_max: usize) -> Result<ChunkTokenBounds, Refusal> {
        let max = self.chunker.tokens_max.unwrap_or(embedder_tokens_max);
        if max > embedder_tokens_max {
            return Err(refuse_pipeline(
                "chunker.tokens_max",
                format!(
                    "chunker.tokens_max is {max}, but the embedder reads only {embedder_tokens_max} tokens"
                ),
            ));
        }
        let target = self.chunker.tokens_target.unwrap_or_else(|| CHUNK_TOKENS_TARGET_DEFAULT.min(max));
        if target > max {
            return Err(refuse_pipeline(
                "chunker.tokens_target",
                format!("chunker.tokens_target is {target}, more than the maximum of {max} tokens"),
            ));
        }
        Ok(ChunkTokenBounds { max, target })
    }

    /// The fingerprint of everything that changes chunk ids, vectors or terms.
    ///
    /// `model`, `dims` and `embedder_tokens_max` come from the embedder itself. Refuses what
    /// [`Pipeline::chunk_tokens`] refuses.
    pub fn epoch(
        &self,
        model: &str,
        dims: usize,
        embedder_tokens_max: usize,
        chunker_version: u32,
    ) -> Result<Epoch, Refusal> {
        let chunks = self.chunk_tokens(embedder_tokens_max)?;
        // Destructured in full, so that a new setting cannot be forgotten here.
        let AnalyzerDefinition { language, stem, stop_words } = self.analyzer;
        // The resolved values, not the definition: an explicit default is the same epoch.
        let number = |number: usize| (number as u64).to_le_bytes();
        let hash = FieldHasher::new("contexture epoch v1")
            .field(&EPOCH_SCHEMA_VERSION.to_le_bytes())
            .field(model.as_bytes())
            .field(&number(dims))
            .field(&number(embedder_tokens_max))
            .field(&chunker_version.to_le_bytes())
            .field(&number(chunks.max))
            .field(&number(chunks.target))
            .field(language.name().as_bytes())
            .field(&[u8::from(stem), u8::from(stop_words)]);
        // The default adds nothing: epochs from before there was a choice stay what they are.
        let hash = match self.chunker.kind {
            ChunkerKind::Structure => hash,
            ChunkerKind::Recursive => hash.field(ChunkerKind::Recursive.name().as_bytes()),
        };
        Ok(Epoch::from_bytes(hash.finish()))
    }

    fn check(&self) -> Result<(), Refusal> {
        self.embedder.check()?;
        for (field, tokens) in [
            ("chunker.tokens_max", self.chunker.tokens_max),
            ("chunker.tokens_target", self.chunker.tokens_target),
        ] {
            if let Some(tokens) = tokens {
                check_range(field, tokens, CHUNK_TOKENS_MIN, EMBEDDER_WINDOW_TOKENS_MAX)?;
            }
        }
        // The model's own window is known only when it is loaded; until then the written one counts.
        self.chunk_tokens(self.embedder.tokens_max().unwrap_or(EMBEDDER_WINDOW_TOKENS_MAX)).map(|_| ())
    }
}

impl EmbedderDefinition {
    /// The window in tokens, if the definition has one.
    fn tokens_max(&self) -> Option<usize> {
        match self {
            Self::Bundled {} => None,
            Self::Local { tokens_max, .. } => *tokens_max,
            Self::Hash { tokens_max, .. } | Self::Provider(ProviderModel { tokens_max, .. }) => {
                Some(*tokens_max)
            }
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        if let Some(tokens) = self.tokens_max() {
            check_range("embedder.tokens_max", tokens, CHUNK_TOKENS_MIN, EMBEDDER_WINDOW_TOKENS_MAX)?;
        }
        match self {
            Self::Bundled {} => Ok(()),
            Self::Hash { dims, .. } => check_range("embedder.dims", *dims, 1, VECTOR_DIMS_MAX),
            Self::Local { path, query_prefix, passage_prefix, .. } => {
                if path.as_os_str().is_empty() {
                    return Err(refuse_pipeline("embedder.path", "embedder.path is empty".to_owned()));
                }
                check_text_length("embedder.query_prefix", query_prefix.as_ref())?;
                check_text_length("embedder.passage_prefix", passage_prefix.as_ref())
            }
            Self::Provider(model) => model.check(),
        }
    }
}

impl ProviderModel {
    fn check(&self) -> Result<(), Refusal> {
        for (field, name) in [
            ("embedder.provider", &self.provider),
            ("embedder.model", &self.model),
            ("embedder.tokenizer", &self.tokenizer),
        ] {
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                return Err(refuse_pipeline(field, format!("{field} is empty or has control characters")));
            }
            check_text_length(field, Some(name))?;
        }
        for (field, text) in [
            ("embedder.query_prefix", &self.query_prefix),
            ("embedder.passage_prefix", &self.passage_prefix),
            ("embedder.query_input_type", &self.query_input_type),
            ("embedder.passage_input_type", &self.passage_input_type),
        ] {
            check_text_length(field, text.as_ref())?;
        }
        // More than half the window for special tokens is a mistake, and would leave no room for text.
        if let Some(reserved) = self.tokens_reserved {
            check_range("embedder.tokens_reserved", reserved, 0, self.tokens_max / 2)?;
        }
        check_range("embedder.dims", self.dims, 1, VECTOR_DIMS_MAX)
    }
}

fn check_text_length(field: &str, text: Option<&String>) -> Result<(), Refusal> {
    let bytes = text.map_or(0, String::len);
    if bytes > EMBEDDER_TEXT_BYTES_MAX {
        return Err(refuse_pipeline(
            field,
            format!("{field} has {bytes} bytes; at most {EMBEDDER_TEXT_BYTES_MAX}"),
        ));
    }
    Ok(())
}

fn check_range(field: &str, value: usize, min: usize, max: usize) -> Result<(), Refusal> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(refuse_pipeline(field, format!("{field} is {value}; it must be between {min} and {max}")))
}

fn refuse_pipeline(field: &str, message: String) -> Refusal {
    Refusal::invalid("invalid_pipeline", field, message)
}

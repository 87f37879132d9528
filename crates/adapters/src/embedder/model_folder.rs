//! Reads a sentence-transformers folder: what to load, how to pool, which prefixes.
//!
//! `config.json`, `tokenizer.json` and `model.safetensors` are required. `modules.json`, the pooling
//! module's `config.json`, `sentence_bert_config.json` and `config_sentence_transformers.json` are
//! optional, with the defaults of sentence-transformers: mean pooling, `max_position_embeddings` tokens,
//! no prompts. A folder that needs what the forward pass does not do is rejected, never approximated.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::bert::BertConfig;
use super::pooling::PoolingMode;
use contexture_core::fault::Refusal;

const PATH_FIELD: &str = "embedder.path";

/// The checked contents of a model folder.
pub(super) struct ModelFolder {
    pub(super) config: BertConfig,
    pub(super) config_json: Vec<u8>,
    pub(super) pooling: PoolingMode,
    pub(super) tokens_max: usize,
    pub(super) query_prompt: Option<String>,
    pub(super) passage_prompt: Option<String>,
    /// Whether pooling includes the prompt's tokens.
    pub(super) include_prompt: bool,
    pub(super) tokenizer_json: Vec<u8>,
    pub(super) weights: Vec<u8>,
}

/// An entry of `modules.json`.
#[derive(Deserialize)]
#[serde(expecting = "struct Module")]
struct ModuleEntry {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl ModelFolder {
    /// Reads and checks a folder.
    pub(super) fn read(path: &Path) -> Result<Self, Refusal> {
        if !path.is_dir() {
            return Err(Refusal::invalid(
                "model_folder_missing",
                PATH_FIELD,
                format!("the model folder {} does not exist", path.display()),
            ));
        }
        // The small files come first: an unsupported model is refused before its weights are read.
        let config_json = read_required(path, "config.json")?;
        let config = parse_bert_config(path, &config_json)?;
        let (pooling, include_prompt) = read_pooling(path)?;
        let limits: Option<Map<String, Value>> = read_optional(path, "sentence_bert_config.json")?;
        let sequence_max = limits.as_ref().and_then(|limits| limits.get("max_seq_length")?.as_u64());
        let prompts: Option<Map<String, Value>> = read_optional(path, "config_sentence_transformers.json")?;
        let prompt = |names: &[&str]| {
            let prompts = prompts.as_ref()?.get("prompts")?;
            names.iter().find_map(|name| Some(prompts.get(name)?.as_str()?.to_owned()))
        };
        Ok(Self {
            tokens_max: sequence_max
                .and_then(|tokens| usize::try_from(tokens).ok())
                .unwrap_or(config.max_position_embeddings),
            query_prompt: prompt(&["query"]),
            passage_prompt: prompt(&["passage", "document"]),
            include_prompt,
            tokenizer_json: read_required(path, "tokenizer.json")?,
            weights: read_required(path, "model.safetensors")?,
            config,
            config_json,
            pooling,
        })
    }
}

fn parse_bert_config(path: &Path, json: &[u8]) -> Result<BertConfig, Refusal> {
    let raw: Map<String, Value> = parse_json(path, "config.json", json)?;
    let model_type = raw.get("model_type").and_then(Value::as_str).unwrap_or("unknown");
    if model_type != "bert" {
        return Err(unsupported_model(
            path,
            &format!("its architecture is {model_type}; only bert is supported"),
        ));
    }
    let config: BertConfig = serde_json::from_value(Value::Object(raw))
        .map_err(|error| unsupported_model(path, &format!("its config.json does not fit: {error}")))?;
    // Other positions change the attention. Ignoring that would fail nothing and give wrong vectors.
    if config.position_embedding_type != "absolute" {
        let kind = &config.position_embedding_type;
        return Err(unsupported_model(
            path,
            &format!("its positions are {kind}; only absolute is supported"),
        ));
    }
    Ok(config)
}

/// Reads the pooling mode, and whether pooling includes the prompt's tokens.
fn read_pooling(path: &Path) -> Result<(PoolingMode, bool), Refusal> {
    let Some(modules) = read_optional::<Vec<ModuleEntry>>(path, "modules.json")? else {
        return Ok((PoolingMode::Mean, true));
    };
    let mut folder = None;
    for module in &modules {
        match module.kind.rsplit('.').next() {
            // Normalising changes nothing: all vectors are scaled to unit length anyway.
            Some("Transformer" | "Normalize") => {}
            Some("Pooling") => folder = Some(module.path.as_str()),
            _ => {
                return Err(unsupported_model(path, &format!("its module {} is not supported", module.kind)));
            }
        }
    }
    let Some(folder) = folder else {
        return Err(unsupported_model(path, "its modules.json names no pooling"));
    };
    let name = format!("{folder}/config.json");
    let config: Map<String, Value> = parse_json(path, &name, &read_required(path, &name)?)?;
    let pooling = PoolingMode::from_config(&config).map_err(|modes| {
        Refusal::invalid(
            "pooling_unknown",
            PATH_FIELD,
            format!(
                "{} asks for pooling {modes}; mean, cls and max are supported",
                path.join(&name).display()
            ),
        )
    })?;
    Ok((pooling, config.get("include_prompt") != Some(&Value::Bool(false))))
}

/// The refusal of a model that cannot be run.
pub(super) fn unsupported_model(path: &Path, why: &str) -> Refusal {
    Refusal::invalid(
        "model_unsupported",
        PATH_FIELD,
        format!("the model in {} cannot be used: {why}", path.display()),
    )
}

fn read_required(path: &Path, name: &str) -> Result<Vec<u8>, Refusal> {
    let file = path.join(name);
    std::fs::read(&file).map_err(|error| {
        let (code, why) = if error.kind() == ErrorKind::NotFound {
            ("model_file_missing", "is missing".to_owned())
        } else {
            ("model_file_unreadable", format!("cannot be read: {error}"))
        };
        Refusal::invalid(code, PATH_FIELD, format!("{} {why}", file.display()))
    })
}

fn read_optional<T: DeserializeOwned>(path: &Path, name: &str) -> Result<Option<T>, Refusal> {
    match read_required(path, name) {
        Ok(bytes) => parse_json(path, name, &bytes).map(Some),
        // Only a missing file has defaults. One that cannot be read may say something else than they do.
        Err(refusal) if refusal.code == "model_file_missing" => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

fn parse_json<T: DeserializeOwned>(path: &Path, name: &str, bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.join(name).display());
        Refusal::invalid("model_file_unreadable", PATH_FIELD, message)
    })
}

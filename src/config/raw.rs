//! The configuration as written: one field for each key of `config/default.toml`.
//!
//! The names of these types are part of messages: serde says "must be struct `RawServer`".
//!
//! This file and those of the larger sections import each other, on purpose: what the user wrote and what the
//! program trusts of one section stand side by side in one file, and the whole of what was written stands here.

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::api_keys::RawKey;
use super::backends::{RawBroker, RawLedger, RawVectors};
use super::converters::RawConverter;
use super::doors::serialize_named_path;
use super::issuers::RawIssuer;
use super::named_files::RawNamedFile;
use super::providers::RawProvider;
use super::rerank::RawRerank;
use crate::telemetry::LogFormat;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(serialize_with = "RelativePathBuf::serialize_relative")]
    pub(super) data_dir: RelativePathBuf,
    pub(super) tokenizers: Vec<RawNamedFile>,
    pub(super) templates: Vec<RawNamedFile>,
    pub(super) pipelines: Vec<RawNamedFile>,
    pub(super) providers: Vec<RawProvider>,
    pub(super) converters: Vec<RawConverter>,
    pub(super) server: RawServer,
    pub(super) limits: RawLimits,
    pub(super) workers: RawWorkers,
    pub(super) retrieval: RawRetrieval,
    pub(super) rerank: RawRerank,
    pub(super) broker: RawBroker,
    pub(super) ledger: RawLedger,
    pub(super) vectors: RawVectors,
    pub(super) audit: RawAudit,
    pub(super) metrics: RawMetrics,
    pub(super) auth: RawAuth,
    pub(super) log: RawLog,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    pub(super) listen: String,
    #[serde(serialize_with = "serialize_named_path")]
    pub(super) tls_cert_file: RelativePathBuf,
    #[serde(serialize_with = "serialize_named_path")]
    pub(super) tls_key_file: RelativePathBuf,
    pub(super) cors_origins: Vec<String>,
    pub(super) mcp_origins: Vec<String>,
    pub(super) public_url: String,
    pub(super) create_collections: String,
    pub(super) connections_max: u64,
    pub(super) streams_per_connection_max: u64,
    pub(super) requests_in_flight_max: u64,
    pub(super) request_bytes_in_flight_max: u64,
    pub(super) metadata_bytes_max: u64,
    pub(super) request_deadline_ms: u64,
    pub(super) request_deadline_ms_max: u64,
    pub(super) retry_after_ms: u64,
    pub(super) stream_idle_ms_max: u64,
    pub(super) stream_window_submissions_max: u64,
    pub(super) stream_window_bytes_max: u64,
    pub(super) keepalive_interval_ms: u64,
    pub(super) keepalive_timeout_ms: u64,
    pub(super) drain_ms_max: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) body_bytes_max: u64,
    pub(super) chunks_per_document_max: u64,
    pub(super) disk_free_bytes_min: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "these are the keys of the file, and all are limits")]
pub(super) struct RawWorkers {
    pub(super) chunk_batch_documents_max: u64,
    pub(super) embed_batch_documents_max: u64,
    pub(super) embed_batch_texts_max: u64,
    pub(super) embed_batch_tokens_max: u64,
    pub(super) index_commit_documents_max: u64,
    pub(super) index_commit_ms_max: u64,
    pub(super) index_commit_bytes_max: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetrieval {
    pub(super) lexical_weight: f32,
    pub(super) dense_weight: f32,
    pub(super) sample_questions: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) keys: Vec<RawKey>,
    pub(super) issuers: Vec<RawIssuer>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) level: String,
    pub(super) format: LogFormat,
}

/// `[audit]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    pub(super) interval_ms: u64,
    pub(super) entries_per_second_max: u64,
}

/// `[metrics]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) listen: String,
}

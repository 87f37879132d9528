//! The validated sections of the configuration, and the conditions between two keys.

use std::net::SocketAddr;
use std::time::Duration;

use super::doors::{self, TlsFilesConfig};
use super::raw::{RawAudit, RawConfig, RawLimits, RawMetrics, RawRetrieval, RawWorkers};
use super::refuse_key;
use crate::telemetry::LogFormat;
use contexture_core::fault::Refusal;

/// Most bytes of a submission besides its body.
pub const SUBMISSION_OVERHEAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Largest deviation of the weights' sum from 1: decimal fractions are not exact.
const WEIGHT_SUM_TOLERANCE: f32 = 1e-3;

/// The API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// Its certificate and key; none: no TLS.
    pub tls: Option<TlsFilesConfig>,
    /// Origins whose pages may call over HTTP; "*" is every origin.
    pub cors_origins: Vec<String>,
    /// Origins whose pages may speak MCP.
    pub mcp_origins: Vec<String>,
    /// Where callers reach it: scheme, host and port.
    pub public_url: Option<String>,
    /// Its limits.
    pub limits: ServerLimits,
}

/// The API's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections.
    pub connections_max: usize,
    /// Concurrent calls of one connection.
    pub streams_per_connection_max: u32,
    /// Calls in progress, of all connections.
    pub requests_in_flight_max: usize,
    /// Bytes of requests in memory, of all connections.
    pub request_bytes_in_flight_max: usize,
    /// Bytes of one request message: the largest body and [`SUBMISSION_OVERHEAD_BYTES_MAX`].
    pub message_bytes_max: usize,
    /// Bytes of a call's metadata.
    pub metadata_bytes_max: u32,
    /// Deadline of a call that sets none.
    pub request_deadline: Duration,
    /// Longest deadline.
    pub request_deadline_max: Duration,
    /// How long a refused caller should wait before retrying.
    pub retry_after: Duration,
    /// Longest time without a message on a submit stream.
    pub stream_idle_max: Duration,
    /// Submissions read ahead of a stream's results.
    pub stream_window_submissions_max: usize,
    /// Bytes after which a stream reads no further ahead.
    pub stream_window_bytes_max: usize,
    /// Time between pings.
    pub keepalive_interval: Duration,
    /// Time to answer a ping.
    pub keepalive_timeout: Duration,
    /// Time for calls in progress to finish on shutdown.
    pub drain_max: Duration,
}

/// Limits of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Most chunks.
    pub chunks_per_document_max: usize,
    /// Bytes that stay free on the disk of the data directory; 0 watches nothing.
    pub disk_free_bytes_min: u64,
}

/// Sizes of the stages' batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Documents per batch of the chunk stage.
    pub chunk_batch_documents_max: usize,
    /// Documents per batch of the embed stage.
    pub embed_batch_documents_max: usize,
    /// Texts per call to the embedder.
    pub embed_batch_texts_max: usize,
    /// Tokens per call to the embedder.
    pub embed_batch_tokens_max: usize,
    /// Documents per index commit.
    pub index_commit_documents_max: usize,
    /// Longest time that a document waits for its index commit.
    pub index_commit_interval_max: Duration,
    /// Bytes of text per index commit.
    pub index_commit_bytes_max: usize,
}

/// Weights of fusion by relative scores, which sum to 1, and the number of sampled questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetrievalConfig {
    /// Weight of the lexical list.
    pub lexical_weight: f32,
    /// Weight of the dense list.
    pub dense_weight: f32,
    /// Questions that are sampled of each collection; 0: none.
    pub sample_questions: usize,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// Level or directives.
    pub level: String,
    /// The format of lines.
    pub format: LogFormat,
}

/// How often the stores are compared with the ledger, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditConfig {
    /// Time between two audits of a collection; none: only on request.
    pub interval: Option<Duration>,
    /// Documents, heads and points per second; 0 is no limit.
    pub entries_per_second_max: u32,
}

impl ServerConfig {
    pub(super) fn from_raw(raw: &RawConfig) -> Result<Self, Refusal> {
        let listen = raw.server.listen.parse().map_err(|_| {
            refuse_key("server.listen", "must be an IP address and a port, such as 127.0.0.1:7070")
        })?;
        let server = &raw.server;
        let limits = ServerLimits {
            connections_max: limit_as_usize(server.connections_max),
            streams_per_connection_max: limit_as_u32(server.streams_per_connection_max),
            requests_in_flight_max: limit_as_usize(server.requests_in_flight_max),
            request_bytes_in_flight_max: limit_as_usize(server.request_bytes_in_flight_max),
            message_bytes_max: limit_as_usize(raw.limits.body_bytes_max) + SUBMISSION_OVERHEAD_BYTES_MAX,
            metadata_bytes_max: limit_as_u32(server.metadata_bytes_max),
            request_deadline: Duration::from_millis(server.request_deadline_ms),
            request_deadline_max: Duration::from_millis(server.request_deadline_ms_max),
            retry_after: Duration::from_millis(server.retry_after_ms),
            stream_idle_max: Duration::from_millis(server.stream_idle_ms_max),
            stream_window_submissions_max: limit_as_usize(server.stream_window_submissions_max),
            stream_window_bytes_max: limit_as_usize(server.stream_window_bytes_max),
            keepalive_interval: Duration::from_millis(server.keepalive_interval_ms),
            keepalive_timeout: Duration::from_millis(server.keepalive_timeout_ms),
            drain_max: Duration::from_millis(server.drain_ms_max),
        };
        limits.check_together()?;
        Ok(Self {
            listen,
            tls: doors::tls_files(server)?,
            cors_origins: doors::cors_origins(server)?,
            mcp_origins: doors::mcp_origins(server)?,
            public_url: doors::public_url(server)?,
            limits,
        })
    }
}

impl ServerLimits {
    fn check_together(&self) -> Result<(), Refusal> {
        // One request of the largest size must be able to enter, or it could never be accepted.
        if self.request_bytes_in_flight_max < self.message_bytes_max {
            return Err(refuse_key(
                "server.request_bytes_in_flight_max",
                &format!(
                    "is {}, but one request may have {} bytes (limits.body_bytes_max + {SUBMISSION_OVERHEAD_BYTES_MAX})",
                    self.request_bytes_in_flight_max, self.message_bytes_max
                ),
            ));
        }
        if self.request_deadline > self.request_deadline_max {
            return Err(refuse_key("server.request_deadline_ms", "is beyond server.request_deadline_ms_max"));
        }
        Ok(())
    }
}

impl DocumentLimits {
    pub(super) fn from_raw(raw: &RawLimits) -> Self {
        Self {
            body_bytes_max: limit_as_usize(raw.body_bytes_max),
            chunks_per_document_max: limit_as_usize(raw.chunks_per_document_max),
            disk_free_bytes_min: raw.disk_free_bytes_min,
        }
    }
}

impl WorkerConfig {
    pub(super) fn from_raw(raw: &RawWorkers) -> Self {
        Self {
            chunk_batch_documents_max: limit_as_usize(raw.chunk_batch_documents_max),
            embed_batch_documents_max: limit_as_usize(raw.embed_batch_documents_max),
            embed_batch_texts_max: limit_as_usize(raw.embed_batch_texts_max),
            embed_batch_tokens_max: limit_as_usize(raw.embed_batch_tokens_max),
            index_commit_documents_max: limit_as_usize(raw.index_commit_documents_max),
            index_commit_interval_max: Duration::from_millis(raw.index_commit_ms_max),
            index_commit_bytes_max: limit_as_usize(raw.index_commit_bytes_max),
        }
    }
}

impl RetrievalConfig {
    pub(super) fn from_raw(raw: &RawRetrieval) -> Result<Self, Refusal> {
        for (key, weight) in
            [("retrieval.lexical_weight", raw.lexical_weight), ("retrieval.dense_weight", raw.dense_weight)]
        {
            if !(0.0..=1.0).contains(&weight) {
                return Err(refuse_key(key, &format!("is {weight}; it must be between 0 and 1")));
            }
        }
        // A sum other than 1 would put fused scores on another scale than 0 to 1.
        let sum = raw.lexical_weight + raw.dense_weight;
        if (sum - 1.0).abs() > WEIGHT_SUM_TOLERANCE {
            return Err(refuse_key(
                "retrieval.dense_weight",
                &format!("and retrieval.lexical_weight sum to {sum}; they must sum to 1"),
            ));
        }
        Ok(Self {
            lexical_weight: raw.lexical_weight,
            dense_weight: raw.dense_weight,
            sample_questions: limit_as_usize(raw.sample_questions),
        })
    }
}

impl AuditConfig {
    pub(super) fn from_raw(raw: &RawAudit) -> Self {
        Self {
            interval: (raw.interval_ms > 0).then(|| Duration::from_millis(raw.interval_ms)),
            entries_per_second_max: limit_as_u32(raw.entries_per_second_max),
        }
    }
}

/// The address at which metrics are served; none if the key is empty.
pub(super) fn metrics_address(raw: &RawMetrics) -> Result<Option<SocketAddr>, Refusal> {
    if raw.listen.is_empty() {
        return Ok(None);
    }
    let unreadable = |_| {
        refuse_key("metrics.listen", "must be an IP address and a port, such as 127.0.0.1:9464, or empty")
    };
    raw.listen.parse().map(Some).map_err(unreadable)
}

/// Converts a checked limit. Every range in [`super::limits::LIMITS`] fits a 64-bit `usize`.
pub(super) fn limit_as_usize(limit: u64) -> usize {
    // Never saturates on 64 bits; on 32 bits a limit beyond the address space is none.
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Converts a checked limit whose range fits 32 bits.
pub(super) fn limit_as_u32(limit: u64) -> u32 {
    // Never saturates: the caller picks keys whose range ends below 2^32.
    u32::try_from(limit).unwrap_or(u32::MAX)
}

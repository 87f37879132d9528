//! The sections of the trusted configuration, and the bounds that hold between two keys.

use std::net::SocketAddr;
use std::time::Duration;

use super::raw::{RawConfig, RawLimits, RawRetrieval, RawWorkers};
use super::refuse_key;
use crate::telemetry::LogFormat;
use contexture_core::fault::Refusal;

/// Room for everything of a submission but its body, in bytes.
pub const SUBMISSION_OVERHEAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Weights may miss a sum of 1 by this much, for the sake of decimal fractions.
const WEIGHT_SUM_TOLERANCE: f32 = 1e-3;

/// The API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it lets in.
    pub limits: ServerLimits,
}

/// The API's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections.
    pub connections_max: usize,
    /// Concurrent calls of one connection.
    pub streams_per_connection_max: u32,
    /// Calls in work, of all connections.
    pub requests_in_flight_max: usize,
    /// Bytes of requests in memory, of all connections.
    pub request_bytes_in_flight_max: usize,
    /// Bytes of one request message: the largest body and [`SUBMISSION_OVERHEAD_BYTES_MAX`].
    pub message_bytes_max: usize,
    /// Bytes of a call's metadata.
    pub metadata_bytes_max: u32,
    /// Deadline of a call that brings none.
    pub request_deadline: Duration,
    /// Longest deadline.
    pub request_deadline_max: Duration,
    /// What a refused caller is asked to wait.
    pub retry_after: Duration,
    /// Longest silence of a submit stream.
    pub stream_idle_max: Duration,
    /// Submissions read ahead of a stream's results.
    pub stream_window_submissions_max: usize,
    /// Bytes after which a stream reads no further ahead.
    pub stream_window_bytes_max: usize,
    /// Time between pings.
    pub keepalive_interval: Duration,
    /// Time to answer a ping.
    pub keepalive_timeout: Duration,
    /// Time for calls in work to end on shutdown.
    pub drain_max: Duration,
}

/// Bounds on documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Most chunks.
    pub chunks_per_document_max: usize,
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
    /// Longest wait of a document for its index commit.
    pub index_commit_interval_max: Duration,
    /// Bytes of text per index commit.
    pub index_commit_bytes_max: usize,
}

/// Weights of fusion by relative scores, which sum to 1, and what is kept of questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetrievalConfig {
    /// Of the lexical list.
    pub lexical_weight: f32,
    /// Of the dense list.
    pub dense_weight: f32,
    /// Questions that are kept of each collection; none unless wanted.
    pub sample_questions: usize,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// Level or directives.
    pub level: String,
    /// The form of lines.
    pub format: LogFormat,
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
        Ok(Self { listen, limits })
    }
}

impl ServerLimits {
    fn check_together(&self) -> Result<(), Refusal> {
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

/// A checked limit; every range in [`super::limits::LIMITS`] fits a 64-bit size.
pub(super) fn limit_as_usize(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A checked limit whose range fits 32 bits.
pub(super) fn limit_as_u32(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

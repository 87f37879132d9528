//! The table of all limits: the key, whose name ends in its unit, and the accepted range.

use super::raw::RawConfig;
use contexture_core::fault::Refusal;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;
const EIB: u64 = 1024 * 1024 * TIB;

/// One limit of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct ConfigLimit {
    /// Its path in the configuration.
    pub key: &'static str,
    /// Lowest accepted value.
    pub min: u64,
    /// Highest accepted value.
    pub max: u64,
    read: fn(&RawConfig) -> u64,
}

const fn limit(key: &'static str, min: u64, max: u64, read: fn(&RawConfig) -> u64) -> ConfigLimit {
    ConfigLimit { key, min, max, read }
}

/// Every limit, in the order of `config/default.toml`.
pub const LIMITS: [ConfigLimit; 38] = [
    limit("server.connections_max", 1, 65_536, |raw| raw.server.connections_max),
    limit("server.streams_per_connection_max", 1, 10_000, |raw| raw.server.streams_per_connection_max),
    limit("server.requests_in_flight_max", 1, 65_536, |raw| raw.server.requests_in_flight_max),
    limit("server.request_bytes_in_flight_max", 9 * MIB, TIB, |raw| raw.server.request_bytes_in_flight_max),
    limit("server.metadata_bytes_max", KIB, MIB, |raw| raw.server.metadata_bytes_max),
    limit("server.request_deadline_ms", 10, 600_000, |raw| raw.server.request_deadline_ms),
    limit("server.request_deadline_ms_max", 10, 600_000, |raw| raw.server.request_deadline_ms_max),
    limit("server.retry_after_ms", 1, 60_000, |raw| raw.server.retry_after_ms),
    limit("server.stream_idle_ms_max", 10, 600_000, |raw| raw.server.stream_idle_ms_max),
    limit("server.stream_window_submissions_max", 1, 1000, |raw| raw.server.stream_window_submissions_max),
    limit("server.stream_window_bytes_max", KIB, 64 * MIB, |raw| raw.server.stream_window_bytes_max),
    limit("server.keepalive_interval_ms", 1000, 3_600_000, |raw| raw.server.keepalive_interval_ms),
    limit("server.keepalive_timeout_ms", 1000, 600_000, |raw| raw.server.keepalive_timeout_ms),
    limit("server.drain_ms_max", 0, 60_000, |raw| raw.server.drain_ms_max),
    limit("limits.body_bytes_max", KIB, GIB, |raw| raw.limits.body_bytes_max),
    limit("limits.chunks_per_document_max", 1, 10_000_000, |raw| raw.limits.chunks_per_document_max),
    limit("limits.disk_free_bytes_min", 0, EIB, |raw| raw.limits.disk_free_bytes_min),
    limit("workers.chunk_batch_documents_max", 1, 4096, |raw| raw.workers.chunk_batch_documents_max),
    limit("workers.embed_batch_documents_max", 1, 4096, |raw| raw.workers.embed_batch_documents_max),
    limit("workers.embed_batch_texts_max", 1, 4096, |raw| raw.workers.embed_batch_texts_max),
    limit("workers.embed_batch_tokens_max", 512, 10_000_000, |raw| raw.workers.embed_batch_tokens_max),
    limit("workers.index_commit_documents_max", 1, 4096, |raw| raw.workers.index_commit_documents_max),
    limit("workers.index_commit_ms_max", 1, 60_000, |raw| raw.workers.index_commit_ms_max),
    limit("workers.index_commit_bytes_max", 64 * KIB, GIB, |raw| raw.workers.index_commit_bytes_max),
    limit("retrieval.sample_questions", 0, 1000, |raw| raw.retrieval.sample_questions),
    limit("rerank.timeout_ms", 10, 60_000, |raw| raw.rerank.timeout_ms),
    limit("rerank.candidates_max", 1, 1000, |raw| raw.rerank.candidates_max),
    limit("rerank.texts_max", 1, 1000, |raw| raw.rerank.texts_max),
    limit("broker.prefetch_messages_max", 1, 60_000, |raw| raw.broker.prefetch_messages_max),
    limit("broker.submit_prefetch_messages_max", 1, 60_000, |raw| raw.broker.submit_prefetch_messages_max),
    limit("ledger.connections_max", 1, 1000, |raw| raw.ledger.connections_max),
    limit("ledger.acquire_ms_max", 10, 600_000, |raw| raw.ledger.acquire_ms_max),
    limit("ledger.statement_ms_max", 10, 600_000, |raw| raw.ledger.statement_ms_max),
    limit("ledger.cache_bytes_max", 0, TIB, |raw| raw.ledger.cache_bytes_max),
    limit("vectors.call_ms_max", 10, 600_000, |raw| raw.vectors.call_ms_max),
    limit("vectors.connect_ms_max", 10, 600_000, |raw| raw.vectors.connect_ms_max),
    limit("audit.interval_ms", 0, 604_800_000, |raw| raw.audit.interval_ms),
    limit("audit.entries_per_second_max", 0, 1_000_000, |raw| raw.audit.entries_per_second_max),
];

/// Refuses the first limit that is out of range.
pub(super) fn check_ranges(raw: &RawConfig) -> Result<(), Refusal> {
    for limit in &LIMITS {
        let value = (limit.read)(raw);
        if !(limit.min..=limit.max).contains(&value) {
            return Err(Refusal::invalid(
                "limit_out_of_range",
                limit.key,
                format!("{} is {value}; it must be between {} and {}", limit.key, limit.min, limit.max),
            ));
        }
    }
    Ok(())
}

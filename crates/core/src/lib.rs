//! Contexture without the outside world: no client of a broker, database, index or model is named here.

pub mod context;

pub mod domain {
    //! The domain: data and rules of the service, without I/O, clock or randomness.

    pub mod calendar;
    pub mod chunk;
    pub mod document;
    pub mod document_name;
    pub mod document_url;
    pub mod event;
    pub mod filter;
    pub mod filter_subject;
    mod filter_text;
    pub mod ids;
    pub mod metadata;
    pub mod origin;
    pub mod pipeline;
    pub mod principal;
    pub mod script;
    pub mod sentences;
    pub mod source;
    pub mod submit_message;
    pub mod task;
    pub mod version_fence;
}
pub mod fault;
pub mod ingest;

pub mod jobs {
    //! Work on whole collections, beside ingest and queries.
    //!
    //! [`generation_builder`] fills generations that do not serve, in the background of every process that
    //! embeds. [`reindex`] controls them: start, show, activate, roll back, drop. [`question_sampler`] keeps the
    //! last questions for comparisons, where that is configured. [`audit`] compares the stores with the ledger,
    //! and [`repair`] fixes them.

    pub mod audit;
    pub mod collection_states;
    pub mod generation_builder;
    pub mod question_sampler;
    pub mod reindex;
    pub mod repair;
}

pub mod ports {
    //! The interfaces to everything outside: one trait each, with its contract in prose.
    //!
    //! Stages and queries know only these. Every adapter of a port passes the same behavioural suite
    //! (`crates/adapters/tests/ports`).

    pub mod broker;
    pub mod catalog;
    pub mod clock;
    pub mod collection_drops;
    pub mod converter;
    pub mod disk_space;
    pub mod document_ledger;
    pub mod embedder;
    pub mod embedding_windows;
    pub mod extractor;
    pub mod generations;
    pub mod ledger;
    pub mod ledger_records;
    pub mod lexical;
    pub mod meter;
    pub mod producers;
    pub mod reranker;
    pub mod shared_states;
    pub mod source_ledger;
    pub mod tokenizer;
    pub mod vectors;
}

pub mod resilience {
    //! Rate limits, backpressure and retries towards providers.
    //!
    //! Callers of a provider hold a [`limiter`]: it says who may call and when, and records how calls end.
    //! Its knowledge is one [`quota::CredentialQuota`] per credential, which all processes share. A quota is
    //! made of [`rate_limit`], [`concurrency_window`], [`circuit_breaker`] and [`retry`], which are pure.

    pub mod circuit_breaker;
    pub mod concurrency_window;
    pub mod limiter;
    pub mod quota;
    pub mod quota_protocol;
    pub mod rate_limit;
    pub mod retry;
}

//! The integration tests: one binary, one support folder.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod acknowledging;
mod assembler;
mod audit;
mod baselines;
mod chunker;
mod cli;
mod compose;
mod config;
mod credentials;
mod domain;
mod dropped_early;
mod embedders;
mod grpc;
mod housekeeping;
mod ingest;
mod intake;
mod ports;
#[cfg(feature = "rabbitmq")]
mod producing;
mod providers;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod reader_tokenizers;
mod reranking;
mod support;
mod wordpiece;

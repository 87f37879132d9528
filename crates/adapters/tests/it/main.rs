//! What adapters do beyond their ports, and the stages and jobs over them.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod acknowledging;
mod assembler;
mod audit;
mod converters;
mod credentials;
mod embedders;
mod housekeeping;
mod ingest;
mod intake;
mod outages;
mod providers;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod reader_tokenizers;
mod reranking;
#[allow(dead_code, unused_imports, reason = "other test binaries use the rest")]
mod support;
mod wordpiece;

//! The interfaces to everything outside: one trait each, with its contract in prose.
//!
//! Stages and queries know only these. Every adapter of a port passes the same behavioural suite
//! (`tests/it/ports/`).

pub mod broker;
pub mod catalog;
pub mod clock;
pub mod embedder;
pub mod generations;
pub mod ledger;
pub mod ledger_records;
pub mod lexical;
pub mod meter;
pub mod producers;
pub mod reranker;
pub mod shared_states;
pub mod tokenizer;
pub mod vectors;

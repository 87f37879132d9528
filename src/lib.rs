//! Contexture.
//!
//! ```text
//! main.rs        the command
//! cli/           one file per command
//! wiring/        puts adapters behind ports; nobody else sees them
//! server/        gRPC, authentication, status codes
//! ingest/        a document's way: submit, chunk, embed, index
//! context/       a query's way: retrieve, fuse, assemble, render
//! resilience/    backoff
//! ports/         the seams to everything outside, and their contracts
//! adapters/      one folder per outside system; only here is its crate imported
//! domain/        what we talk about; pure
//! fault.rs       the vocabulary of failure
//! config/        raw to trusted, beside config.rs
//! ```
pub mod adapters;
pub mod cli;
pub mod config;
pub mod context;
pub mod domain;
pub mod fault;
pub mod ingest;
pub mod ports;
pub mod resilience;
pub mod server;
pub mod telemetry;
pub mod wiring;

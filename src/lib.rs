//! Contexture ingests documents from a queue and answers questions with context for prompts.
//!
//! # The picture
//!
//! ```text
//! contexture          the command and the server, in src
//!   main.rs           hands over to cli
//!   cli/              one file per command
//!   wiring/           the composition root: the only folder that imports adapters and server
//!   server/           one port for gRPC and HTTP, the page of metrics, authentication, TLS, the maps from
//!                     refusals to status codes
//!   operations/       what all doors offer: one trait per group of operations, requests and answers as JSON
//!   config/           config.rs and this folder: untrusted text becomes a checked configuration
//!   telemetry/        telemetry.rs sets up logs; the folder holds the metrics, with every name in one place
//! contexture-lab      in crates/lab
//!   lab/              retrieval metrics, baselines, the comparison of two generations
//! contexture-adapters in crates/adapters
//!   adapters/         one folder per external system; only here is its crate imported. Its tokenizers are
//!                     a crate of their own, contexture-tokenizers in crates/tokenizers
//! contexture-core     in crates/core
//!   jobs/             whole collections: build, re-index, audit, repair
//!   ingest/           the path of a document: intake · submit · chunk · embed · index
//!   context/          the path of a query: retrieve · fuse · rerank · assemble · render
//!   resilience/       rate limit, window, circuit breaker, quota, retry, and the limiter over them
//!   ports/            the interfaces to everything outside, each with its contract in prose
//!   domain/           the vocabulary; pure: no I/O, no clock, no randomness
//!   fault/            fault.rs and this folder: the one vocabulary of failure
//! contexture-documents in crates/documents: PDF and Office files to text, each in a child process
//! contexture-formats  in crates/formats: files to text, with the way back
//! contexture-byte-tools in crates/byte-tools: eight and 64 bytes at once, and a direct-mapped cache
//! ```
//!
//! Arrows: `main → cli → wiring → server → operations → lab → jobs → {ingest, context} → resilience → ports
//! → {domain, fault, formats}`, and `adapters → {resilience, ports, domain, fault, documents}`. `ingest` and `context`
//! never import each other. `tests/layers.rs` checks this.
//!
//! # The two paths
//!
//! ```text
//! producer ─▶ submit ─▶ [chunk] ─▶ chunk ─▶ [embed] ─▶ embed ─▶ [index] ─▶ index ─▶ visible
//!               │                    │                   │                   │
//!           ledger: body       ledger: spans     vectors (staged)   lexical commit, fsync:
//!                                                                     the commit point
//!
//! question ─▶ retrieve (lexical ∥ dense, one snapshot) ─▶ fuse ─▶ rerank? ─▶ assemble ─▶ render
//! ```
//!
//! # The promises
//!
//! * An accepted document is stored. Delivery is at least once. The effect per document version is exactly
//!   once. The last version wins, and a deletion is a version ([`domain::version_fence`]).
//! * The lexical index is the manifest. One commit removes the old chunks of a document and publishes its
//!   head and its new chunks. Vectors have no authority: a dense hit that is not in the pinned snapshot is
//!   dropped. So no reader sees half a document, two versions of one, a deleted one, or one that it may not
//!   read.
//! * Every accepted version ends visible, superseded or dead with a reason. At all times
//!   `accepted = in flight + visible + superseded + dead` ([`ports::ledger`]).
//! * Where processes share a ledger, each index follows its log of visible versions
//!   ([`ingest::log_follower`]). An index is a function of the ledger, so any of them may be lost.
//! * An audit finds what an index, the vectors or the queues have lost, by comparison with the ledger. A
//!   repair restores it from there ([`jobs::audit`], [`jobs::repair`]).
//! * After a crash between any two effects, repeating them leads to the same state: ids derive from content
//!   and epoch, never from time, randomness or delivery ([`domain::ids`]).
//! * All callers of a provider credential share one limiter. While a provider throttles, is down or rejects
//!   its credential, no attempt is spent ([`resilience::quota`], [`ingest::embed`]).
//! * The rendered context never exceeds its budget, framing included, counted with the requested tokenizer.
//!   Retrieved text stands inside a fence that it cannot forge ([`context::render`]).
//!
//! # Reading order
//!
//! [`domain`], [`ports`], [`ingest`] with [`ingest::acknowledge`], [`context`], then [`wiring`].

pub mod cli;
pub mod config;
pub mod operations;
pub mod server;
pub mod telemetry;
pub mod wiring;

pub use contexture_adapters as adapters;
pub use contexture_core::{context, domain, fault, ingest, jobs, ports, resilience};
pub use contexture_lab as lab;

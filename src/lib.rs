//! Contexture takes documents in through a queue and gives prompts their context back.
//!
//! # The picture
//!
//! ```text
//! main.rs        the command: hands over to cli
//! cli/           one file per command
//! wiring/        the composition root: the only place that sees adapters and server
//! server/        gRPC, the page of metrics, authentication, the one map from refusals to codes
//! ingest/        a document's way: intake · submit · chunk · embed · index, settled in one place
//! context/       a query's way: retrieve · fuse · rerank · assemble · render
//! jobs/          whole collections: build, re-index, compare, audit, repair
//! resilience/    backoff; rate · window · breaker · budget · quota, and the limiter over them
//! ports/         the seams to everything outside, each with its contract in prose
//! adapters/      one folder per outside system; only here is its crate imported
//! domain/        what we talk about; pure: no I/O, clock, randomness
//! config/        beside config.rs: what the user wrote becomes what the program can trust
//! fault.rs       the single vocabulary of failure
//! telemetry/     beside telemetry.rs, which is logs: metrics, every name in one place
//! ```
//!
//! Arrows: `main → cli → wiring → server → jobs → {ingest, context} → resilience → ports
//! → {domain, fault}`, and `adapters → {resilience, ports, domain, fault}`. `ingest` and `context`
//! never import each other. `tests/layers.rs` proves it.
//!
//! # The two ways
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
//! * Accepted means stored. Delivery is at least once, the effect per document version exactly
//!   once, the last version wins, and a delete is a version ([`domain::version_fence`]).
//! * The lexical index is the manifest. One commit publishes a document's old chunks' removal,
//!   its head and its new chunks; vectors carry no authority, and a dense hit that is not in
//!   the pinned snapshot is dropped. So no reader sees half a document, two versions of one, a
//!   deleted one, or one that is not its to read.
//! * Every accepted version ends visible, superseded or dead with a reason, and at all times
//!   `accepted = in flight + visible + superseded + dead` ([`ports::ledger`]).
//! * Where processes share a ledger, each index follows its log of visible versions
//!   ([`ingest::log_follower`]): it is a function of the ledger, so any of them can be lost.
//! * What is lost of an index, of the vectors or of the queues is found by comparing them with the
//!   ledger, and put back from it ([`jobs::audit`], [`jobs::repair`]).
//! * A crash between any two effects re-executes to the same state: ids derive from content and
//!   epoch, never from time, randomness or delivery ([`domain::ids`]).
//! * All callers of a provider's credential share one limiter. While a provider throttles, is away or
//!   refuses its credential, no attempt is spent ([`resilience::quota`], [`ingest::embed`]).
//! * The rendered context never exceeds its budget, framing included, in the tokenizer asked
//!   for; retrieved text stands inside a fence that it cannot forge ([`context::render`]).
//!
//! # Reading order
//!
//! [`domain`], [`ports`], [`ingest`] with [`ingest::acknowledge`], [`context`], then [`wiring`].

pub mod cli;
pub mod config;
pub mod server;
pub mod telemetry;
pub mod wiring;

pub use contexture_adapters as adapters;
pub use contexture_core::{context, domain, fault, ingest, jobs, ports, resilience};
pub use contexture_lab as lab;

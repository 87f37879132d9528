//! Work on whole collections, beside ingest and queries.
//!
//! [`generation_builder`] fills generations that do not serve, in the background of every process that
//! embeds. [`reindex`] controls them: start, show, activate, roll back, drop. [`question_sampler`] keeps the
//! last questions for comparisons, where that is configured. [`audit`] compares the stores with the ledger,
//! and [`repair`] fixes them.

pub mod audit;
pub mod generation_builder;
pub mod question_sampler;
pub mod reindex;
pub mod repair;

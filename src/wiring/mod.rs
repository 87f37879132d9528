//! The composition root: the only place that imports adapters and server at once.
//!
//! [`ServiceStack`] is everything that one process runs: ledger, queues, open collections, workers, engine.
//! One process at a time writes a data directory; a lock file enforces it. Commands that only read open it
//! beside that process, without the lock. With a shared ledger a command that only queries may read the
//! indexes that another process on its machine writes.
//!
//! `service_stack` opens the parts and uses every other file except the five that add methods to it:
//! `api`, `audit_and_repair`, `comparison`, `mcp` and `reindexing`.

mod api;
mod audit_and_repair;
mod backends;
mod background_tasks;
mod catalog;
mod collection_creator;
mod comparison;
mod credentials;
mod data_directory_lock;
pub mod document_conversion;
pub mod document_extraction;
mod embedding;
mod mcp;
mod metrics;
mod query_resources;
mod reindexing;
mod roles;
mod service_stack;

use crate::config::ContextureConfig;

pub use comparison::GenerationComparer;
pub use contexture_core::ingest::IngestProgress;
pub use data_directory_lock::is_data_directory_locked;
pub use mcp::RemoteMcpEndpoint;
pub use query_resources::check_named_resources;
pub use roles::ProcessRole;
pub use service_stack::ServiceStack;

/// Whether the ledger is a local file that does not exist yet. A command that only reads must not
/// create it.
pub fn is_local_ledger_absent(config: &ContextureConfig) -> bool {
    config.backends.ledger.is_none() && !backends::ledger_file(config).exists()
}

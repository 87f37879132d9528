//! Adapters to the outside world: one file or folder per system. Only here is its crate imported.

pub mod converters;
pub mod credentials;
pub mod disk_floor;
pub mod edge;
pub mod embedder;
pub mod extraction;
pub mod file_references;
pub mod http;
mod ledger_rows;
mod ledger_rules;
mod ledger_sql;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod providers;
#[cfg(feature = "qdrant")]
pub mod qdrant;
mod qdrant_payload;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
pub mod rerank;
pub mod sqlite;
pub mod tantivy;

pub use contexture_tokenizers as tokenizer;

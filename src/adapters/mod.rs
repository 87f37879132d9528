//! The outside world: one file or folder per system, the only place its crate is imported.

pub mod credentials;
pub mod edge;
pub mod embedder;
pub mod files;
pub mod http;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "qdrant")]
pub mod qdrant;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
pub mod rerank;
pub mod sqlite;
mod staged;
pub mod tantivy;
pub mod tokenizer;

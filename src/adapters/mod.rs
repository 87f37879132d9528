//! The outside world: one file or folder per system, the only place its crate is imported.

pub mod edge;
pub mod embedder;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod sqlite;
pub mod tantivy;
pub mod tokenizer;

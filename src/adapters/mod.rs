//! The outside world: one file or folder per system, the only place its crate is imported.

pub mod edge;
pub mod embedder;
pub mod files;
pub mod memory;
pub mod sqlite;
pub mod tantivy;
pub mod tokenizer;

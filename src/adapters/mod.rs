//! The outside world, one folder per system; only here is its crate imported.

pub mod edge;
pub mod embedder;
pub mod memory;
pub mod sqlite;
pub mod tantivy;
pub mod tokenizer;

//! The outside world: one file or folder per system, the only place its crate is imported.

pub mod embedder;
pub mod tokenizer;

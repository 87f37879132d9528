//! The outside: one file or folder per system, and only here is its crate imported.

pub mod tokenizer;

//! Tokenizers: of the models that embed, and of the models that read.

mod basic;
pub mod bpe;
pub mod file;
mod pieces;
mod trie;
pub mod wordpiece;
mod words;

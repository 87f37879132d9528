//! Tokenizers: of the models that embed, and of the models that read.

mod basic;
pub mod bpe;
mod pieces;
mod trie;
pub mod wordpiece;

//! Tokenizers: of the models that embed, and of the models that read.

mod basic;
mod trie;
pub mod wordpiece;

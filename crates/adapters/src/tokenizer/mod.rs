//! Tokenizers: of the models that embed, and of the models that read.

mod bert_counter;
pub mod bpe;
pub mod file;
pub mod hugging_face;
mod pieces;
mod trie;
mod word_boundaries;

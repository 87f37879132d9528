//! Tokenizers: of the models that embed, and of the models that read.

mod bert_counter;
pub mod bpe;
pub mod hugging_face;
mod pieces;
pub mod tiktoken;
mod trie;
mod word_boundaries;

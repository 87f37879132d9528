//! Tokenizers of the models that embed and of the models that read.

pub mod bpe;

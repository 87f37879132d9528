//! A document's way: submit, chunk, embed, index.

pub mod chunk;

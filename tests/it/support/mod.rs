//! What several areas need.

pub(crate) mod contexts;
pub(crate) mod corpora;
pub(crate) mod tokenizers;

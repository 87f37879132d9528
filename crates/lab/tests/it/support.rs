//! Builders, and doubles for what tests must control: those that this binary shares with others.

#[path = "../../../../tests/support/builders.rs"]
mod builders;
#[path = "../../../../tests/support/corpora.rs"]
pub(crate) mod corpora;
#[path = "../../../../tests/support/terms.rs"]
pub(crate) mod terms;
#[path = "../../../../tests/support/tokenizer_files.rs"]
pub(crate) mod tokenizer_files;
#[path = "../../../../tests/support/tokenizers.rs"]
pub(crate) mod tokenizers;

pub(crate) use builders::*;

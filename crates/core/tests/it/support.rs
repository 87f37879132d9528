//! Builders, and doubles for what tests must control: those that this binary shares with others.

#[path = "../../../../tests/support/builders.rs"]
mod builders;
#[path = "../../../../tests/support/contexts.rs"]
pub(crate) mod contexts;
#[path = "../../../../tests/support/corpora.rs"]
pub(crate) mod corpora;
#[path = "../../../../tests/support/schemas.rs"]
pub(crate) mod schemas;
#[path = "../../../../tests/support/strategies.rs"]
pub(crate) mod strategies;
#[path = "../../../../tests/support/terms.rs"]
pub(crate) mod terms;
#[path = "../../../../tests/support/tokenizer_files.rs"]
pub(crate) mod tokenizer_files;
#[path = "../../../../tests/support/tokenizers.rs"]
pub(crate) mod tokenizers;
#[path = "../../../../tests/support/workspace.rs"]
pub(crate) mod workspace;

pub(crate) use builders::*;

//! Work on whole collections, beside the two ways through the house.
//!
//! [`build`] fills generations that do not serve, in the background of every process that embeds;
//! [`reindex`] is what a person does with them: start, look, compare, activate, go back, drop;
//! [`measure`] has the figures that tell what a ranking or a context is worth.

pub mod build;
pub mod measure;
pub mod reindex;

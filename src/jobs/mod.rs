//! Work on whole collections, beside the two ways through the house.
//!
//! [`build`] fills generations that do not serve, in the background of every process that embeds;
//! [`reindex`] is what a person does with them: start, look, activate, go back, drop; [`compare`]
//! asks two of them the same questions, with the figures of [`measure`]; [`sample`] keeps the last
//! that were asked, where somebody wants that.

pub mod build;
pub mod compare;
pub mod measure;
pub mod reindex;
pub mod sample;

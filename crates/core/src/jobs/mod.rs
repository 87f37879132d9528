//! Work on whole collections, beside the two ways through the house.
//!
//! [`generation_builder`] fills generations that do not serve, in the background of every process that embeds;
//! [`reindex`] is what a person does with them: start, look, activate, go back, drop; [`compare`]
//! asks two of them the same questions, with the figures of [`measure`]; [`question_sampler`] keeps the last
//! that were asked, where somebody wants that. [`audit`] compares the stores with the record, and
//! [`repair`] mends them.

pub mod audit;
pub mod generation_builder;
pub mod question_sampler;
pub mod reindex;
pub mod repair;

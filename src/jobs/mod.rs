//! Work on whole collections, beside the two ways through the house.
//!
//! [`build`] fills generations that do not serve, in the background of every process that embeds;
//! [`reindex`] is what a person does with them: start, look, compare, activate, go back, drop.
//! [`audit`] compares the stores with the record, and [`repair`] mends them.

pub mod audit;
pub mod build;
pub mod reindex;
pub mod repair;

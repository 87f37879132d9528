//! What the service talks about, without I/O, clock or randomness.

pub mod chunk;
pub mod document;
pub mod fence;
pub mod filter;
pub mod ids;
pub mod metadata;
pub mod pipeline;
pub mod principal;
pub mod task;

//! What the service talks about, without I/O, clock or randomness.

pub mod calendar;
pub mod chunk;
pub mod document;
pub mod event;
pub mod fence;
pub mod filter;
pub mod ids;
pub mod lanes;
pub mod memo;
pub mod metadata;
pub mod origin;
pub mod pipeline;
pub mod principal;
pub mod producer;
pub mod prose;
pub mod task;

//! The domain: data and rules of the service, without I/O, clock or randomness.

pub mod calendar;
pub mod chunk;
pub mod document;
pub mod event;
pub mod filter;
pub mod ids;
pub mod metadata;
pub mod origin;
pub mod pipeline;
pub mod principal;
pub mod sentences;
pub mod submit_message;
pub mod task;
pub mod version_fence;

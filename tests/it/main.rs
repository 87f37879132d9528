//! The integration tests: one binary, one support folder.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod embedders;
mod wordpiece;

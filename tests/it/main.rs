//! The integration tests: one binary, one support folder.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod domain;
mod ports;
mod support;

//! The laboratory: baselines beside the assembler.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod baselines;
#[allow(dead_code, unused_imports, reason = "other test binaries use the rest")]
mod support;

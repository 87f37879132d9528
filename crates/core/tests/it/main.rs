//! The core without the outside world: the domain, the chunker, the assembler.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod assembler;
mod chunker;
mod domain;
#[allow(dead_code, unused_imports, reason = "other test binaries use the rest")]
mod support;

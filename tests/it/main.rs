//! The integration tests: one binary, one support folder.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

<<<<<<< HEAD
mod domain;
mod ports;
=======
mod assembler;
>>>>>>> main
mod support;

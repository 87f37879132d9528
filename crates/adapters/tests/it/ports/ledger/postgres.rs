//! What only a ledger on a server has: many processes, a network in between, an address with a
//! password. The suite runs on it as on the others.
//!
//! The server is at `CONTEXTURE_TEST_POSTGRES_URL`, else at the default address, where
//! `make test` starts one.

mod claims;
mod crowds;
mod network;
mod schema;
mod secrets;
pub(super) mod support;

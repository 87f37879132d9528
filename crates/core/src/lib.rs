//! Contexture without the outside world: no socket, no file, no database is named here.

pub mod context;
pub mod domain;
pub mod fault;
pub mod ingest;
pub mod jobs;
pub mod ports;
pub mod resilience;

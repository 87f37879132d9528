//! Contexture.
pub mod cli;
pub mod config;
pub mod context;
pub mod domain;
pub mod fault;
pub mod ingest;
pub mod ports;
pub mod telemetry;
pub mod wiring;

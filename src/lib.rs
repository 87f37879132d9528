//! Contexture.
pub mod adapters;
pub mod cli;
pub mod config;
pub mod context;
pub mod domain;
pub mod fault;
pub mod ingest;
pub mod ports;
pub mod resilience;
pub mod server;
pub mod telemetry;
pub mod wiring;

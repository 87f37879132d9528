//! Contexture.
pub mod config;
pub mod context;
pub mod domain;
pub mod fault;
pub mod ports;
pub mod server;
pub mod telemetry;

//! Contexture.
pub mod adapters;
pub mod context;
pub mod domain;
pub mod fault;
pub mod ports;

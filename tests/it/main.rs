//! The program as users meet it: command line, API, configuration, deployment files.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod cli;
mod compose;
mod config;
mod dropped_early;
mod grpc;
#[cfg(feature = "rabbitmq")]
mod producing;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_connection;
mod rerank_settings;
#[allow(dead_code, unused_imports, reason = "other test binaries use the rest")]
mod support;
mod tokenizer_names;

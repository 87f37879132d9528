//! The program as users meet it: command line, API, configuration, deployment files.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]
#![allow(
    clippy::assigning_clones,
    clippy::default_trait_access,
    clippy::format_push_string,
    clippy::needless_pass_by_value,
    clippy::redundant_closure_for_method_calls,
    clippy::similar_names,
    clippy::unnecessary_wraps,
    reason = "a test is read once, where it fails, and runs once"
)]

mod cli;
mod compose;
mod config;
mod doors;
mod dropped_early;
mod grpc;
mod http;
mod mcp_over_stdio;
#[cfg(feature = "rabbitmq")]
mod producing;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_connection;
mod rerank_settings;
#[allow(dead_code, unused_imports, reason = "other test binaries use the rest")]
mod support;
mod tokenizer_names;

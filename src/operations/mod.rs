//! The one set of operations that all doors share: gRPC, HTTP, MCP and the command line only translate.
//!
//! [`api`] has one trait per group of operations. Each operation takes the caller first and checks its scope
//! and its input itself, so every door gives the same answers and the same refusals. [`messages`] has the
//! requests and answers as JSON, which HTTP, MCP and the command line beside a running server speak; gRPC has
//! messages of its own for them. The composition root implements the traits.

pub mod api;
pub mod messages;
pub mod service;

pub use api::{
    AdminApi, ApiServices, CollectionsApi, ContextApi, DeadLettersApi, DocumentsApi, EventsApi, IngestApi,
    SourcesApi, StatusApi, administered_collection, caller_collection,
};

//! The routes, one file for each group. Handlers extract, call the operation, and write its answer.

mod about;
mod audits;
mod collections;
mod comparison;
mod dead_letters;
mod document_writes;
mod documents;
mod events;
mod form_documents;
mod many_documents;
mod questions;
mod reindex;
mod sources;
mod submission_lines;
mod vector_store_filter;
mod vector_stores;

use std::sync::Arc;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::served_state::HttpServices;

pub(super) use self::about::open_routes;

/// The routes that need admission.
pub(super) fn operation_routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default()
        .merge(collections::routes())
        .merge(documents::routes())
        .merge(many_documents::routes())
        .merge(sources::routes())
        .merge(events::routes())
        .merge(questions::routes())
        .merge(vector_stores::routes())
        .merge(dead_letters::routes())
        .merge(reindex::routes())
        .merge(comparison::routes())
        .merge(audits::routes())
        .merge(about::routes())
}

/// A collection in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct CollectionPath {
    /// The collection's name.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9_-]*$", example = "handbook")]
    collection: String,
}

/// A document in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct DocumentPath {
    /// The collection's name.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9_-]*$", example = "handbook")]
    collection: String,
    /// The document's id, percent-encoded; its slashes may stay as they are.
    // The one route without it is that of the document called `delete`.
    #[serde(default = "name_of_delete")]
    #[param(min_length = 1, max_length = 512, example = "handbook/leave.md")]
    document_id: String,
}

fn name_of_delete() -> String {
    "delete".to_owned()
}

/// A request without fields.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoFields {}

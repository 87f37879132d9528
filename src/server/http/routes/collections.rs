//! Collections: making, reading, listing, changing and deleting them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionPath;
use crate::operations::messages::collection::{
    CollectionList, CollectionSettingsChange, CollectionView, CreateCollectionRequest, ListCollectionsRequest,
};
use crate::server::admission::AdmittedCall;
use crate::server::http::extract::{JsonBody, PathParameters, QueryString};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::HttpServices;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default().routes(routes!(list_collections, create_collection)).routes(routes!(
        get_collection,
        update_collection,
        delete_collection
    ))
}

/// Lists your collections by name.
#[utoipa::path(
    get, path = "/v1/collections", operation_id = "list_collections", tag = "collections",
    params(ListCollectionsRequest),
    responses((status = 200, description = "A page of collections.", body = CollectionList)),
)]
async fn list_collections(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    QueryString(request): QueryString<ListCollectionsRequest>,
) -> Result<Json<CollectionList>, HttpProblem> {
    Ok(Json(http.services.collections.list_collections(&call.principal, request).await?))
}

/// Makes a collection.
///
/// Making one again that has the same pipeline changes nothing and answers 200, so programs may make what they
/// need without asking before. Needs the scope `write`.
#[utoipa::path(
    post, path = "/v1/collections", operation_id = "create_collection", tag = "collections",
    request_body = CreateCollectionRequest,
    responses(
        (status = 201, description = "The collection is new.", body = CollectionView,
            headers(("Location" = String, description = "Where it is."))),
        (status = 200, description = "It exists, with this pipeline.", body = CollectionView),
    ),
)]
async fn create_collection(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    JsonBody(request): JsonBody<CreateCollectionRequest>,
) -> Result<Response, HttpProblem> {
    let (view, is_new) = http.services.collections.create_collection(&call.principal, request).await?;
    if !is_new {
        return Ok(Json(view).into_response());
    }
    let location = HeaderValue::from_str(&format!("/v1/collections/{}", view.name));
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    // A collection's name has no characters that a header refuses.
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Returns a collection.
#[utoipa::path(
    get, path = "/v1/collections/{collection}", operation_id = "get_collection", tag = "collections",
    params(CollectionPath),
    responses((status = 200, description = "The collection.", body = CollectionView)),
)]
async fn get_collection(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
) -> Result<Json<CollectionView>, HttpProblem> {
    Ok(Json(http.services.collections.collection(&call.principal, &path.collection).await?))
}

/// Changes the settings of a collection.
///
/// A value replaces, null removes, what is absent stays. Needs the scope `admin`.
#[utoipa::path(
    patch, path = "/v1/collections/{collection}", operation_id = "update_collection", tag = "collections",
    params(CollectionPath),
    request_body = CollectionSettingsChange,
    responses((status = 200, description = "The collection after the change.", body = CollectionView)),
)]
async fn update_collection(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    JsonBody(change): JsonBody<CollectionSettingsChange>,
) -> Result<Json<CollectionView>, HttpProblem> {
    let changed =
        http.services.collections.change_settings(&call.principal, &path.collection, change).await?;
    Ok(Json(changed))
}

/// Deletes a collection with everything in it.
///
/// Needs the scope `admin`.
#[utoipa::path(
    delete, path = "/v1/collections/{collection}", operation_id = "delete_collection", tag = "collections",
    params(CollectionPath),
    responses((status = 204, description = "It is gone.")),
)]
async fn delete_collection(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
) -> Result<StatusCode, HttpProblem> {
    http.services.collections.delete_collection(&call.principal, &path.collection).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! What becomes of documents, as server-sent events.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use futures::StreamExt;
use hyper::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionPath;
use crate::operations::messages::event::DocumentOutcomeEvent;
use crate::server::admission::AdmittedCall;
use crate::server::http::event_stream::{answer_with_events, json_event};
use crate::server::http::extract::{PathParameters, QueryString};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::HttpServices;
use contexture_core::fault::Refusal;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default().routes(routes!(watch_events))
}

/// Where to begin.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct WatchEventsQuery {
    /// The id of the last event that you have; absent: from now on.
    #[serde(default)]
    after: Option<String>,
}

/// Tells what becomes of documents, as it happens.
///
/// Server-sent events `visible`, `deleted` and `dead`, each with an id to go on behind. A comment every 15
/// seconds keeps the connection open. The stream ends when the server stops, after an event `error`. Needs the
/// scope `read`.
#[utoipa::path(
    get, path = "/v1/collections/{collection}/events", operation_id = "watch_events", tag = "documents",
    params(
        CollectionPath, WatchEventsQuery,
        ("Last-Event-ID" = Option<String>, Header,
            description = "As `after`, which it outdoes: browsers send it when they connect again."),
    ),
    responses((status = 200, description = "Events; the data of each is a JSON object.",
        body = DocumentOutcomeEvent, content_type = "text/event-stream")),
)]
async fn watch_events(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    QueryString(query): QueryString<WatchEventsQuery>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").to_owned());
    let after = last.filter(|last| !last.is_empty()).or(query.after);
    let place = http.event_streams.take()?;
    let events = &http.services.events;
    let events = events.document_events(&call.principal, &path.collection, after.as_deref()).await?;
    let sent = events.map(|told: Result<DocumentOutcomeEvent, Refusal>| {
        let told = told?;
        Ok(json_event(told.kind.name(), &told)?.id(told.cursor))
    });
    Ok(answer_with_events(call, Some(place), sent.boxed()))
}

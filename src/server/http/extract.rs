//! Extractors whose refusals are problems of ours: JSON bodies, query strings and paths.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

use super::json_text::{blamed_field, parse_json};
use super::problem::HttpProblem;
use super::request_body::read_body;
use contexture_core::fault::Refusal;

/// Largest body that is no document, in bytes, as over gRPC. Single fields have lower limits.
pub(super) const QUESTION_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The media types of a stream of lines.
pub(super) const LINE_TYPES: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];

/// A body of JSON.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, HttpProblem> {
        require_json(request.headers())?;
        let body = read_body(request.into_body(), QUESTION_BODY_BYTES_MAX).await?;
        Ok(Self(parse_json(&body)?))
    }
}

/// A body of JSON, or none.
pub(super) struct OptionalJsonBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, HttpProblem> {
        let declared = require_json(request.headers());
        let body = read_body(request.into_body(), QUESTION_BODY_BYTES_MAX).await?;
        // Clients differ in whether they name a type for no body.
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        declared?;
        Ok(Self(parse_json(&body)?))
    }
}

/// The parameters of a query string.
pub(super) struct QueryString<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for QueryString<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpProblem> {
        Ok(Self(parse_query(parts.uri.query().unwrap_or_default())?))
    }
}

/// The parameters of a path, percent-decoded.
pub(super) struct PathParameters<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParameters<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpProblem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        let Path(parameters) = read.map_err(|rejection| {
            Refusal::invalid(
                "invalid_path",
                "",
                format!("the path cannot be read: {}", rejection.body_text()),
            )
        })?;
        Ok(Self(parameters))
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let what = error.inner().to_string();
        let (code, field) = blamed_field(&what, &error.path().to_string());
        let code = if code == "invalid_field" { "invalid_query" } else { code };
        let named = if field.is_empty() { "the query string".to_owned() } else { field.clone() };
        Refusal::invalid(code, &field, format!("{named}: {what}"))
    })
}

/// The media type of a body without its parameters, in lower case; empty where none is named.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let named = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let named = named.unwrap_or_default();
    named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a body is a stream of lines.
pub(super) fn is_line_stream(headers: &HeaderMap) -> bool {
    LINE_TYPES.contains(&media_type(headers).as_str())
}

fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let named = media_type(headers);
    let is_json =
        named == "application/json" || (named.starts_with("application/") && named.ends_with("+json"));
    if is_json { Ok(()) } else { Err(unsupported_media_type(&named, "application/json")) }
}

/// The refusal of a body of another type than those taken.
pub(super) fn unsupported_media_type(named: &str, taken: &str) -> Refusal {
    let named = if named.is_empty() { "nothing".to_owned() } else { format!("'{named}'") };
    let message = format!("content-type says {named}; this takes {taken}");
    Refusal::invalid("unsupported_media_type", "content-type", message)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct PageFields {
        #[serde(default)]
        limit: Option<i64>,
        #[serde(default)]
        prefix: Option<String>,
    }

    #[test]
    fn a_query_string_is_read_strictly() {
        let read = parse_query::<PageFields>("limit=7&prefix=a%2Fb+c");
        assert_eq!(read, Ok(PageFields { limit: Some(7), prefix: Some("a/b c".to_owned()) }));
        let refused = |query: &str| {
            let refusal = parse_query::<PageFields>(query).unwrap_err();
            (refusal.code, refusal.field)
        };
        assert_eq!(refused("limit=many"), ("invalid_query", "limit".to_owned()));
        assert_eq!(refused("limt=7"), ("unknown_field", "limt".to_owned()));
        assert_eq!(refused("limit=1&limit=2").0, "invalid_query");
    }
}

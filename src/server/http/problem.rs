//! The only map from a [`Refusal`] to an answer of HTTP: `application/problem+json`, RFC 9457.
//!
//! The type of a problem is `urn:contexture:error:` and the code of the refusal. As over gRPC, causes of internal
//! and unavailable are logged and not sent.

use std::error::Error;

use axum::body::Body;
use axum::response::IntoResponse;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::server::status::public_message;
use contexture_core::fault::{Refusal, RefusalKind};

/// The media type of problems.
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// A refusal as an answer of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProblem(pub Refusal);

impl From<Refusal> for HttpProblem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// The members of a problem, as they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ProblemDetails {
    /// `urn:contexture:error:` and the code.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The name of the status.
    pub title: &'static str,
    /// The status.
    pub status: u16,
    /// What was wrong, in one line.
    pub detail: String,
    /// Stable and unique per cause.
    pub code: &'static str,
    /// Path of the offending field.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub field: String,
    /// When to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub retry_after_ms: Option<u64>,
}

impl HttpProblem {
    /// Returns the members of the problem. Logs what the caller must not see.
    pub fn details(&self) -> ProblemDetails {
        let Refusal { code, field, retry_after, .. } = &self.0;
        let status = self.status();
        let is_temporary = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = retry_after.filter(|_| is_temporary);
        ProblemDetails {
            problem_type: format!("urn:contexture:error:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: public_message(&self.0),
            code,
            field: field.clone(),
            retry_after_ms: retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        match (self.0.kind, self.0.code) {
            (_, "message_too_large" | "body_too_large") => StatusCode::PAYLOAD_TOO_LARGE,
            (_, "unsupported_media_type") => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            (_, "document_died") => StatusCode::UNPROCESSABLE_ENTITY,
            (_, "method_not_allowed") => StatusCode::METHOD_NOT_ALLOWED,
            (_, "metadata_too_large") => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            (RefusalKind::Invalid, _) => StatusCode::BAD_REQUEST,
            (RefusalKind::NotFound, _) => StatusCode::NOT_FOUND,
            (RefusalKind::Conflict, _) => StatusCode::CONFLICT,
            (RefusalKind::Precondition, _) => StatusCode::PRECONDITION_FAILED,
            (RefusalKind::Exhausted, _) => StatusCode::TOO_MANY_REQUESTS,
            // The time is the caller's, or ran out on it; a 504 would blame what stands behind the server.
            (RefusalKind::Deadline, _) => StatusCode::REQUEST_TIMEOUT,
            (RefusalKind::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
            (RefusalKind::PermissionDenied, _) => StatusCode::FORBIDDEN,
            (RefusalKind::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
            (RefusalKind::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for HttpProblem {
    fn into_response(self) -> Response<Body> {
        let details = self.details();
        // A problem holds texts and numbers, which always have a JSON form.
        let json = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_CONTENT_TYPE));
        if let Some(wait_ms) = details.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        if self.0.kind == RefusalKind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Returns what a failed body says: the refusal of admission if it is one, otherwise that it broke off.
pub fn refusal_from_body_error(error: &(dyn Error + 'static)) -> Refusal {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return refusal.clone();
        }
        next = cause.source();
    }
    Refusal::invalid("incomplete_body", "", "the body of the request broke off before its end")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_problem_says_when_to_come_back_in_whole_seconds() {
        let refusal = Refusal::exhausted("requests_in_flight", Duration::from_millis(1250), "full");
        let details = HttpProblem(refusal.clone()).details();
        assert_eq!((details.status, details.title), (429, "Too Many Requests"));
        assert_eq!(details.problem_type, "urn:contexture:error:requests_in_flight");
        assert_eq!(details.retry_after_ms, Some(1250));
        assert_eq!(HttpProblem(refusal).into_response().headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn a_defect_keeps_its_words_to_itself() {
        let refusal = Refusal::new(RefusalKind::Internal, "backend_failed", "", "row 7 of secrets");
        let details = HttpProblem(refusal).details();
        assert!(details.status == 500 && !details.detail.contains("secrets"), "{details:?}");
    }

    #[test]
    fn the_refusal_of_a_body_is_found_beneath_other_errors() {
        let refusal = Refusal::invalid("bytes_in_flight", "", "full");
        let wrapped = axum::Error::new(axum::Error::new(refusal.clone()));
        assert_eq!(refusal_from_body_error(&wrapped), refusal);
        let other = axum::Error::new(std::io::Error::other("gone"));
        assert_eq!(refusal_from_body_error(&other).code, "incomplete_body");
    }
}

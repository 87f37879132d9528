//! Maps errors of the client to [`Fault`].
//!
//! Permanent: invalid arguments, wrong dimensions, a missing collection. Transient: unavailable,
//! timed out, lost connections, internal errors of the server. No message contains the API key,
//! even if the server or the client repeats it.

use std::time::Duration;

use qdrant_client::QdrantError;

use contexture_core::fault::{FailureReason, Fault};

/// Wait when the server throttles without a duration.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
/// Upper bound on the wait that a server can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);
/// Longest message of the server that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// Replacement of the API key in messages.
const API_KEY_MASK: &str = "***";

/// Fault code: the collection does not exist, or no longer.
pub const COLLECTION_MISSING: &str = "collection_missing";
/// Fault code: the server refused the call and would refuse it again.
pub const QDRANT_REFUSED: &str = "qdrant_refused";

/// gRPC status codes by number, because the client's type comes from a crate we do not depend on.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const ALREADY_EXISTS: i32 = 6;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// Maps an error of the client. `api_key` is masked in its message.
pub(super) fn client_fault(error: &QdrantError, api_key: Option<&str>) -> Fault {
    match error {
        QdrantError::ResponseError { status } => {
            let message = sanitize_message(status.message(), api_key);
            status_code_fault(i32::from(status.code()), format!("{:?}: {message}", status.code()))
        }
        QdrantError::ResourceExhaustedError { status, retry_after_seconds } => Fault::Throttled {
            retry_after: Duration::from_secs(*retry_after_seconds).min(RETRY_AFTER_MAX),
            what: format!("vectors: {}", sanitize_message(status.message(), api_key)),
        },
        QdrantError::Io(error) => transient_fault(&sanitize_message(&error.to_string(), api_key)),
        QdrantError::ConversionError(what) => {
            Fault::permanent(QDRANT_REFUSED, sanitize_message(what, api_key))
        }
        QdrantError::InvalidUri(_) | QdrantError::NoSnapshotFound(_) => {
            Fault::permanent(QDRANT_REFUSED, "the URL of the server is not valid")
        }
    }
}

fn status_code_fault(number: i32, what: String) -> Fault {
    match number {
        code::UNAUTHENTICATED | code::PERMISSION_DENIED => Fault::unauthorized(format!("vectors: {what}")),
        code::RESOURCE_EXHAUSTED => {
            Fault::Throttled { retry_after: RETRY_AFTER_DEFAULT, what: format!("vectors: {what}") }
        }
        code::NOT_FOUND => Fault::permanent(COLLECTION_MISSING, what),
        code::INVALID_ARGUMENT
        | code::ALREADY_EXISTS
        | code::FAILED_PRECONDITION
        | code::OUT_OF_RANGE
        | code::UNIMPLEMENTED => Fault::permanent(QDRANT_REFUSED, what),
        // Unavailable, deadline exceeded, aborted, internal, unknown: worth another attempt.
        _ => transient_fault(&what),
    }
}

pub(super) fn transient_fault(what: &str) -> Fault {
    Fault::transient(format!("vectors: {what}"))
}

/// Whether the fault says that the collection does not exist.
pub(super) fn is_collection_missing(fault: &Fault) -> bool {
    matches!(fault, Fault::Permanent(FailureReason { code, .. }) if code == COLLECTION_MISSING)
}

/// The fault of a write. A missing collection becomes transient, because the points are not at
/// fault. Either the generation was dropped, which its workers are about to learn, or a repair
/// recreates the collection.
pub(super) fn write_fault(fault: Fault) -> Fault {
    match fault {
        Fault::Permanent(FailureReason { code, detail, .. }) if code == COLLECTION_MISSING => {
            transient_fault(&detail)
        }
        other => other,
    }
}

fn sanitize_message(raw: &str, api_key: Option<&str>) -> String {
    // Masked before it is cut, or a cut could leave part of the key. An empty key would match
    // between all characters.
    let shown = match api_key {
        Some(key) if !key.is_empty() => raw.replace(key, API_KEY_MASK),
        _ => raw.to_owned(),
    };
    shown
        .chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

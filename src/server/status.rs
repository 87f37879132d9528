//! The only map from a [`Refusal`] to a gRPC status.
//!
//! | refusal | status | details |
//! |---|---|---|
//! | invalid | `INVALID_ARGUMENT` | `ErrorInfo`, `BadRequest` with the field |
//! | not found | `NOT_FOUND` | `ErrorInfo` |
//! | conflict | `ALREADY_EXISTS` | `ErrorInfo` |
//! | precondition | `FAILED_PRECONDITION` | `ErrorInfo` |
//! | exhausted | `RESOURCE_EXHAUSTED` | `ErrorInfo`, `RetryInfo` |
//! | deadline | `DEADLINE_EXCEEDED` | `ErrorInfo` |
//! | unauthenticated | `UNAUTHENTICATED` | `ErrorInfo` |
//! | permission denied | `PERMISSION_DENIED` | `ErrorInfo` |
//! | unavailable, internal | `UNAVAILABLE`, `INTERNAL` | `ErrorInfo`; the cause is logged, not sent |
//!
//! `ErrorInfo.reason` is the code of the refusal. A message has at most [`MESSAGE_BYTES_MAX`] bytes, because
//! statuses travel in headers and a message may quote what the caller sent.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use contexture_core::fault::{Refusal, RefusalKind};

/// `ErrorInfo.domain` of every error.
pub const ERROR_DOMAIN: &str = "contexture";
/// Longest message and field path, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// Returns the status of a refusal. Logs what the caller must not see.
pub fn status_from_refusal(refusal: &Refusal) -> Status {
    let message = public_message(refusal);
    let mut details = ErrorDetails::new();
    details.set_error_info(refusal.code, ERROR_DOMAIN, HashMap::new());
    if refusal.kind == RefusalKind::Invalid && !refusal.field.is_empty() {
        details.add_bad_request_violation(truncate_message(&refusal.field), message.clone());
    }
    if let Some(retry_after) = refusal.retry_after {
        details.set_retry_info(Some(retry_after));
    }
    Status::with_error_details(grpc_code(refusal.kind), message, details)
}

/// Returns the gRPC code of a kind of refusal.
pub fn grpc_code(kind: RefusalKind) -> Code {
    match kind {
        RefusalKind::Invalid => Code::InvalidArgument,
        RefusalKind::NotFound => Code::NotFound,
        RefusalKind::Conflict => Code::AlreadyExists,
        RefusalKind::Precondition => Code::FailedPrecondition,
        RefusalKind::Exhausted => Code::ResourceExhausted,
        RefusalKind::Deadline => Code::DeadlineExceeded,
        RefusalKind::Unauthenticated => Code::Unauthenticated,
        RefusalKind::PermissionDenied => Code::PermissionDenied,
        RefusalKind::Unavailable => Code::Unavailable,
        RefusalKind::Internal => Code::Internal,
    }
}

/// Returns the name of a code in the protocol.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Returns the refusal that replaces an error which the transport made while it read a message. `None` if the
/// error comes from the peer or is already one of ours.
pub(super) fn refusal_from_transport(code: Code, has_details: bool) -> Option<Refusal> {
    match code {
        // Only our own statuses carry details.
        _ if has_details => None,
        // tonic's code for a message above the size limit.
        Code::OutOfRange => Some(Refusal::invalid(
            "message_too_large",
            "",
            "the request is larger than limits.body_bytes_max allows, with 8 MiB beside the body",
        )),
        // tonic's code for bytes that prost cannot decode; our own INTERNAL has details.
        Code::Internal => Some(Refusal::invalid(
            "undecodable_message",
            "",
            "the request is not one protobuf message of this method",
        )),
        _ => None,
    }
}

/// Returns the message that the caller sees.
pub(super) fn public_message(refusal: &Refusal) -> String {
    match refusal.kind {
        RefusalKind::Internal => {
            // The detail is for the operator, so only the log gets it.
            tracing::error!(code = refusal.code, detail = refusal.message, "request failed");
            "a defect of the server; its log says more".to_owned()
        }
        RefusalKind::Unavailable => {
            tracing::warn!(code = refusal.code, detail = refusal.message, "backend away");
            "temporarily unavailable; whether it was done is unknown, send it again".to_owned()
        }
        _ => truncate_message(&refusal.message),
    }
}

fn truncate_message(text: &str) -> String {
    // A message is one line, also where it quotes a parser that draws its complaint.
    let text = &text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
    if end == text.len() { text.to_owned() } else { format!("{}…", &text[..end]) }
}

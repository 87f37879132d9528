//! A server's problem documents (RFC 9457) as refusals.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use contexture_core::fault::{Refusal, RefusalKind};

/// Most distinct codes that are kept. The service has far fewer; a server that invents them must not cost memory.
const CODES_MAX: usize = 512;
/// Longest code, in bytes.
const CODE_BYTES_MAX: usize = 64;
/// The code of a problem whose own is none.
const CODE_UNKNOWN: &str = "server_error";

/// A problem document.
#[derive(Debug, Deserialize)]
pub(super) struct ServerProblem {
    status: u16,
    code: String,
    detail: String,
    #[serde(default)]
    field: String,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

impl ServerProblem {
    /// The refusal that the server sent.
    pub(super) fn into_refusal(self) -> Refusal {
        let refusal =
            Refusal::new(kind_of_status(self.status), interned_code(&self.code), &self.field, self.detail);
        Refusal { retry_after: self.retry_after_ms.map(Duration::from_millis), ..refusal }
    }
}

/// The refusal of an answer without a problem document, as proxies send.
pub(super) fn refusal_of_status(status: u16, url: &str) -> Refusal {
    let message = format!("the server at {url} answered {status}; is it a Contexture of this version?");
    Refusal::new(kind_of_status(status), CODE_UNKNOWN, "server", message)
}

/// The class of a refusal with this HTTP status.
fn kind_of_status(status: u16) -> RefusalKind {
    match status {
        400 | 413 | 415 | 422 => RefusalKind::Invalid,
        401 => RefusalKind::Unauthenticated,
        403 => RefusalKind::PermissionDenied,
        404 => RefusalKind::NotFound,
        409 => RefusalKind::Conflict,
        412 => RefusalKind::Precondition,
        429 => RefusalKind::Exhausted,
        502 | 503 => RefusalKind::Unavailable,
        408 | 504 => RefusalKind::Deadline,
        _ => RefusalKind::Internal,
    }
}

/// A code as the refusals of this program have it: without an end. Each distinct one is kept once.
fn interned_code(code: &str) -> &'static str {
    static CODES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let is_code = (1..=CODE_BYTES_MAX).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_code {
        return CODE_UNKNOWN;
    }
    let mut codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = codes.get(code) {
        return known;
    }
    if codes.len() >= CODES_MAX {
        return CODE_UNKNOWN;
    }
    let kept: &'static str = Box::leak(code.to_owned().into_boxed_str());
    codes.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ServerProblem, interned_code};
    use contexture_core::fault::RefusalKind;

    #[test]
    fn a_problem_is_the_refusal_that_was_sent() {
        let problem: ServerProblem = serde_json::from_str(
            "{\"type\":\"urn:contexture:error:overloaded\",\"title\":\"Too Many Requests\",\"status\":429,\
             \"detail\":\"no room\",\"code\":\"overloaded\",\"retry_after_ms\":250}",
        )
        .expect("a problem");
        let refusal = problem.into_refusal();
        assert_eq!((refusal.kind, refusal.code, &*refusal.field), (RefusalKind::Exhausted, "overloaded", ""));
        assert_eq!((&*refusal.message, refusal.retry_after), ("no room", Some(Duration::from_millis(250))));
    }

    #[test]
    fn codes_are_kept_once_and_must_look_like_codes() {
        let first = interned_code("one_of_the_tests");
        assert!(std::ptr::eq(first, interned_code(&String::from("one_of_the_tests"))));
        for wrong in ["", "No Code", "é", &"x".repeat(65)] {
            assert_eq!(interned_code(wrong), "server_error", "{wrong}");
        }
    }
}

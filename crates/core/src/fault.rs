//! The single vocabulary of failure.
//!
//! [`Fault`] is what a stage or an adapter reports about one message or one call; only
//! `ingest::settle` decides from it what happens to the message. [`Refusal`] is what a
//! request gets back when it cannot be accepted; only `server::status` and the command line
//! map it to codes. Texts of documents never appear in either.

use std::fmt;
use std::time::Duration;

/// Why something did not work, and therefore what may be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Worth another attempt: a lock, a timeout, a lost connection.
    #[error("transient: {0}")]
    Transient(String),
    /// The other side asks for patience; costs no attempt.
    #[error("throttled for {retry_after:?}: {what}")]
    Throttled {
        /// How long to wait before the next call.
        retry_after: Duration,
        /// Who asked for it.
        what: String,
    },
    /// A credential is missing or expired; costs no attempt.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    /// Will never work for this message.
    #[error("permanent: {0}")]
    Permanent(FailureReason),
    /// A newer version of the document has won.
    #[error("superseded")]
    Superseded,
}

impl Fault {
    /// A transient fault from any error.
    pub fn transient(error: impl fmt::Display) -> Self {
        Self::Transient(error.to_string())
    }

    /// A permanent fault with a stable code.
    pub fn permanent(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Permanent(FailureReason::new(code, detail))
    }
}

/// Why a document version is dead: a stable code and a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReason {
    /// One of the constants in [`reason`]; scripts may match on it.
    pub code: String,
    /// One line, without document text.
    pub detail: String,
}

impl FailureReason {
    /// A reason from its code and its sentence.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.detail)
    }
}

/// The codes of [`FailureReason`].
pub mod reason {
    /// The bytes are of a format that no chunker reads.
    pub const UNSUPPORTED_TYPE: &str = "unsupported_type";
    /// The bytes are not valid in the encoding they claim.
    pub const INVALID_ENCODING: &str = "invalid_encoding";
    /// Nothing but white space.
    pub const EMPTY_DOCUMENT: &str = "empty_document";
    /// More chunks than `limits.chunks_per_document_max`.
    pub const TOO_MANY_CHUNKS: &str = "too_many_chunks";
    /// The stored body does not match its hash.
    pub const BODY_CORRUPT: &str = "body_corrupt";
    /// The same version was committed with other content.
    pub const CONFLICT: &str = "conflict";
    /// The embedder refused the text or answered nonsense for it.
    pub const EMBEDDER_REJECTED: &str = "embedder_rejected";
    /// Failed [`crate::ingest::acknowledge::ATTEMPTS_MAX`] times.
    pub const ATTEMPTS_EXHAUSTED: &str = "attempts_exhausted";
    /// A worker panicked on it.
    pub const STAGE_PANICKED: &str = "stage_panicked";
    /// Its workers died before they could say why, again and again.
    pub const CRASH_LOOP: &str = "crash_loop";
    /// The collection's configuration no longer matches the message.
    pub const EPOCH_MISMATCH: &str = "epoch_mismatch";
}

/// The class of a refusal; each maps to one gRPC status and one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request is malformed; sending it again changes nothing.
    Invalid,
    /// Unknown, or not the caller's to know.
    NotFound,
    /// Contradicts what is stored.
    Conflict,
    /// A condition the caller asked for does not hold (yet).
    Precondition,
    /// No room now; nothing was accepted.
    Exhausted,
    /// The deadline passed first.
    Deadline,
    /// No credential, or not a valid one.
    Unauthenticated,
    /// A backend is away.
    Unavailable,
    /// A defect of ours.
    Internal,
}

/// A typed no: what was wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The class.
    pub kind: RefusalKind,
    /// Stable and unique per cause, `snake_case`.
    pub code: &'static str,
    /// Path of the offending field, empty when none is to blame.
    pub field: String,
    /// One line: what, where and what to do.
    pub message: String,
    /// When to come back, for [`RefusalKind::Exhausted`].
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal of any kind.
    pub fn new(kind: RefusalKind, code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self { kind, code, field: field.to_owned(), message: message.into(), retry_after: None }
    }

    /// A malformed request.
    pub fn invalid(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Invalid, code, field, message)
    }

    /// Unknown, or forbidden: the two are answered alike.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(RefusalKind::NotFound, code, "", message)
    }

    /// No room now.
    pub fn exhausted(code: &'static str, retry_after: Duration, message: impl Into<String>) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(RefusalKind::Exhausted, code, "", message) }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Throttled { retry_after, what } => Self::exhausted("throttled", retry_after, what),
            Fault::Transient(what) | Fault::Unauthorized(what) => {
                Self::new(RefusalKind::Unavailable, "backend_unavailable", "", what)
            }
            Fault::Permanent(reason) => {
                Self::new(RefusalKind::Internal, "backend_failed", "", reason.to_string())
            }
            Fault::Superseded => Self::new(RefusalKind::Conflict, "superseded", "", "superseded"),
        }
    }
}

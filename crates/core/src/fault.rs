//! The single vocabulary of failure.
//!
//! [`Fault`] is what a stage or an adapter reports about one message or one call: its class decides what may be
//! done about it, and its cause says which operation failed with which error. Only `ingest::acknowledge` decides
//! from the class what happens to the message. [`Refusal`] is what a request gets back when it cannot be
//! accepted; only `server::status` and the command line map it to codes. Neither ever holds the text of a
//! document, and nobody decides from the words of either.

pub mod reason;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why something did not work, and therefore what may be done about it.
///
/// `Display` is one line: the class, the operation that failed, and the whole chain of errors beneath it.
/// [`Error::source`] gives the first error of that chain, for those who match on its type; its `Debug` may hold
/// values that do not belong into a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Worth another attempt: a lock, a timeout, a lost connection.
    Transient(FaultCause),
    /// The other side asks for patience; costs no attempt.
    Throttled {
        /// How long to wait before the next call.
        retry_after: Duration,
        /// Who asked for it.
        what: String,
    },
    /// A credential is missing or expired; costs no attempt.
    Unauthorized(FaultCause),
    /// Will never work for this message.
    Permanent(FailureReason),
    /// A newer version of the document has won.
    Superseded,
}

impl Fault {
    /// A transient fault without an error beneath it.
    pub fn transient(what: impl Into<String>) -> Self {
        Self::Transient(FaultCause::new(what))
    }

    /// A transient fault: the operation that failed, and the error it failed with.
    pub fn transient_error(operation: impl fmt::Display, error: impl Into<BoxedError>) -> Self {
        Self::Transient(FaultCause::from_error(operation, error))
    }

    /// A refused credential without an error beneath it.
    pub fn unauthorized(what: impl Into<String>) -> Self {
        Self::Unauthorized(FaultCause::new(what))
    }

    /// A refused credential: the operation that failed, and the error it failed with.
    pub fn unauthorized_error(operation: impl fmt::Display, error: impl Into<BoxedError>) -> Self {
        Self::Unauthorized(FaultCause::from_error(operation, error))
    }

    /// The same with the operation in front, for those who know what was attempted. A permanent fault keeps
    /// its words: they are stored, and read by users.
    #[must_use]
    pub fn during(self, operation: &str) -> Self {
        match self {
            Self::Transient(cause) => Self::Transient(cause.prefixed(operation)),
            Self::Unauthorized(cause) => Self::Unauthorized(cause.prefixed(operation)),
            other => other,
        }
    }

    /// A permanent fault with a stable code.
    pub fn permanent(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Permanent(FailureReason::new(code, detail))
    }

    /// A permanent fault with a stable code, and the error that it is. Its words are stored and read by users.
    pub fn permanent_error(code: &'static str, error: impl Into<BoxedError>) -> Self {
        Self::Permanent(FailureReason::from_error(code, error))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient(cause) => write!(formatter, "transient: {cause}"),
            Self::Throttled { retry_after, what } => {
                write!(formatter, "throttled for {retry_after:?}: {what}")
            }
            Self::Unauthorized(cause) => write!(formatter, "unauthorized: {cause}"),
            Self::Permanent(reason) => write!(formatter, "permanent: {reason}"),
            Self::Superseded => formatter.write_str("superseded"),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let shared = match self {
            Self::Transient(cause) | Self::Unauthorized(cause) => cause.source.as_ref(),
            Self::Permanent(reason) => reason.source.as_ref(),
            Self::Throttled { .. } | Self::Superseded => None,
        };
        shared.map(|shared| &**shared as _)
    }
}

/// Any error that threads may share.
pub type BoxedError = Box<dyn Error + Send + Sync>;

/// What failed, in one line, and the error beneath it, if there is one.
///
/// Two are equal when their lines are: errors of other crates cannot be compared.
#[derive(Clone)]
pub struct FaultCause {
    line: String,
    // Shared, because one failed call of a batch is the fault of each of its messages.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl FaultCause {
    /// A cause that is no error of anybody's: an answer that does not fit, a wait that was too long.
    pub fn new(what: impl Into<String>) -> Self {
        Self { line: what.into(), source: None }
    }

    /// The operation, as `connecting to the broker`, and the error it failed with.
    pub fn from_error(operation: impl fmt::Display, error: impl Into<BoxedError>) -> Self {
        let source: Arc<dyn Error + Send + Sync> = Arc::from(error.into());
        let line = with_causes(format!("{operation}: {source}"), &*source);
        Self { line, source: Some(source) }
    }

    /// The same with words in front; the error beneath it stays.
    #[must_use]
    pub fn prefixed(self, prefix: impl fmt::Display) -> Self {
        Self { line: format!("{prefix}: {self}"), source: self.source }
    }

    /// The whole line.
    pub fn as_str(&self) -> &str {
        &self.line
    }
}

// Without the source: the `Debug` of a database's error may hold values of rows.
impl fmt::Debug for FaultCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FaultCause").field(&self.line).finish()
    }
}

impl PartialEq for FaultCause {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for FaultCause {}

impl fmt::Display for FaultCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.line)
    }
}

/// `line: cause: its cause: …`. Many errors end with the text of their cause; it is not said twice.
fn with_causes(mut line: String, error: &(dyn Error + 'static)) -> String {
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        next = cause.source();
    }
    line
}

/// Why a document version is dead: a stable code and a sentence for a person.
///
/// Code and detail are stored; the error beneath is only there where the fault arose.
#[derive(Clone)]
pub struct FailureReason {
    /// One of the constants in [`reason`]; scripts may match on it.
    pub code: String,
    /// One line, without document text.
    pub detail: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl FailureReason {
    /// A reason from its code and its sentence.
    pub fn new(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into(), source: None }
    }

    /// A reason from its code and the error that it is.
    pub fn from_error(code: impl Into<String>, error: impl Into<BoxedError>) -> Self {
        let source: Arc<dyn Error + Send + Sync> = Arc::from(error.into());
        let detail = with_causes(source.to_string(), &*source);
        Self { code: code.into(), detail, source: Some(source) }
    }
}

// Without the source, as for `FaultCause`.
impl fmt::Debug for FailureReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("FailureReason");
        shown.field("code", &self.code).field("detail", &self.detail).finish_non_exhaustive()
    }
}

impl PartialEq for FailureReason {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code && self.detail == other.detail
    }
}

impl Eq for FailureReason {}

impl fmt::Display for FailureReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.detail)
    }
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
    /// The credential lacks a scope.
    PermissionDenied,
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
            Fault::Transient(cause) | Fault::Unauthorized(cause) => {
                Self::new(RefusalKind::Unavailable, "backend_unavailable", "", cause.as_str())
            }
            // Dropped between the check of the request and the work: that is the caller's to know, and no defect.
            Fault::Permanent(reason) if reason.code == "unknown_collection" => {
                Self::new(RefusalKind::NotFound, "unknown_collection", "collection", reason.detail)
            }
            Fault::Permanent(reason) => {
                Self::new(RefusalKind::Internal, "backend_failed", "", reason.to_string())
            }
            Fault::Superseded => Self::new(RefusalKind::Conflict, "superseded", "", "superseded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::{Fault, Refusal, RefusalKind};

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the page")]
    struct PageError(#[source] std::io::Error);

    fn full_disk() -> PageError {
        PageError(std::io::Error::other("no space left"))
    }

    #[test]
    fn a_fault_shows_the_operation_and_the_whole_chain_once() {
        let fault = Fault::transient_error("ledger", full_disk()).during("accept");
        assert_eq!(fault.to_string(), "transient: accept: ledger: cannot write the page: no space left");
        let said = Fault::transient_error("reading", std::io::Error::other(full_disk()));
        assert_eq!(said.to_string(), "transient: reading: cannot write the page: no space left");
    }

    #[test]
    fn the_source_keeps_its_type_through_prefixes_and_clones() {
        let fault = Fault::unauthorized_error("connecting", full_disk()).during("open").clone();
        let source = fault.source().and_then(|source| source.downcast_ref::<PageError>());
        assert!(source.is_some_and(|error| error.source().is_some()));
        assert!(Fault::transient("no error beneath").source().is_none());
    }

    #[test]
    fn a_permanent_fault_keeps_its_words_and_its_source() {
        let fault = Fault::permanent_error("conflict", full_disk()).during("accept");
        assert_eq!(fault.to_string(), "permanent: conflict: cannot write the page: no space left");
        assert!(fault.source().is_some());
        assert_eq!(fault, Fault::permanent("conflict", "cannot write the page: no space left"));
    }

    #[test]
    fn a_collection_that_went_meanwhile_is_not_found() {
        let refusal = Refusal::from(Fault::permanent("unknown_collection", "collection 'a' does not exist"));
        assert_eq!((refusal.kind, refusal.code), (RefusalKind::NotFound, "unknown_collection"));
        let defect = Refusal::from(Fault::permanent("conflict", "row 7"));
        assert_eq!((defect.kind, defect.code), (RefusalKind::Internal, "backend_failed"));
    }

    #[test]
    fn debug_shows_no_more_than_display() {
        let shown = format!("{:?}", Fault::transient_error("ledger", full_disk()));
        assert!(!shown.contains("PageError"), "{shown}");
    }
}

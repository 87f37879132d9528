//! What a failure at the broker means to us. Texts name what was tried and what the broker said;
//! neither holds a credential.

use std::future::Future;

use lapin::{Error, ErrorKind};
use tokio::time::{Instant, timeout_at};

use contexture_core::fault::Fault;

/// AMQP reply codes that decide.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// The reply code, if the broker gave one.
fn reply_code(error: &Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// Whether a queue or an exchange was not there.
pub(super) fn is_not_found(error: &Error) -> bool {
    reply_code(error) == Some(NOT_FOUND)
}

/// A failure while doing `what`.
pub(super) fn broker_fault(what: &str, error: &Error) -> Fault {
    match (reply_code(error), error.kind()) {
        (Some(ACCESS_REFUSED), _) | (_, ErrorKind::AuthProviderError(_)) => {
            Fault::Unauthorized(format!("{what}: {error}"))
        }
        (Some(NOT_ALLOWED), _) | (_, ErrorKind::InvalidProtocolVersion(_)) => {
            Fault::permanent("broker_refused", format!("{what}: {error}"))
        }
        _ => Fault::Transient(format!("{what}: {error}")),
    }
}

/// A failure to declare: what exists under a name but differs needs a person.
pub(super) fn declaration_fault(name: &str, error: &Error) -> Fault {
    if reply_code(error) == Some(PRECONDITION_FAILED) {
        return Fault::permanent(
            "topology_differs",
            format!(
                "'{name}' exists at the broker with other settings ({error}); delete it once it is empty, \
                 or choose another prefix"
            ),
        );
    }
    broker_fault(&format!("declaring '{name}'"), error)
}

/// Waits until `deadline` for something of our own, such as a turn.
pub(super) async fn wait_with_deadline<T>(
    what: &str,
    deadline: Instant,
    wait: impl Future<Output = T>,
) -> Result<T, Fault> {
    timeout_at(deadline, wait).await.map_err(|_| Fault::Transient(format!("{what}: waited too long")))
}

//! Maps failures of lapin and the broker to [`Fault`]. Texts hold the attempted operation and the
//! broker's reply, never a credential.

use std::future::Future;

use lapin::{Error, ErrorKind};
use tokio::time::{Instant, timeout_at};

use contexture_core::fault::Fault;

/// AMQP reply codes with a meaning of their own here.
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

/// Whether a queue or an exchange does not exist.
pub(super) fn is_not_found(error: &Error) -> bool {
    reply_code(error) == Some(NOT_FOUND)
}

/// A failure while doing `what`.
pub(super) fn broker_fault(what: &str, error: &Error) -> Fault {
    match (reply_code(error), error.kind()) {
        (Some(ACCESS_REFUSED), _) | (_, ErrorKind::AuthProviderError(_)) => {
            Fault::unauthorized_error(what, error.clone())
        }
        (Some(NOT_ALLOWED), _) | (_, ErrorKind::InvalidProtocolVersion(_)) => {
            Fault::permanent("broker_refused", format!("{what}: {error}"))
        }
        // Everything else, lost connections included, may succeed after reconnecting.
        _ => Fault::transient_error(what, error.clone()),
    }
}

/// A failure to declare `name`. An object that exists with other settings needs an operator.
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

/// Waits until `deadline` for something in this process, such as a lock or a permit.
pub(super) async fn wait_with_deadline<T>(
    what: &str,
    deadline: Instant,
    wait: impl Future<Output = T>,
) -> Result<T, Fault> {
    timeout_at(deadline, wait).await.map_err(|_| Fault::transient(format!("{what}: waited too long")))
}

//! The frame that all handlers share: it opens an admitted call, and makes a status of a refusal; and what ends
//! a call early: its deadline, the phase of the server, or a panic.

use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::server::status::status_from_refusal;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};

/// What a handler returns.
pub(super) type CallResult<A> = Result<Response<A>, Status>;

/// A call that passed admission, as its handler gets it.
pub(super) struct OpenedCall<M> {
    pub(super) principal: Principal,
    pub(super) deadline: Option<CallDeadline>,
    pub(super) message: M,
}

/// Answers a call with what `work` makes of it.
pub(super) async fn answer<M, A>(
    request: Request<M>,
    work: impl AsyncFnOnce(OpenedCall<M>) -> Result<A, Refusal>,
) -> CallResult<A> {
    let call = open_call(request).map_err(owned_refusal_status)?;
    work(call).await.map(Response::new).map_err(owned_refusal_status)
}

/// Takes out of a request what admission put into it.
fn open_call<M>(request: Request<M>) -> Result<OpenedCall<M>, Refusal> {
    let principal = request
        .extensions()
        .get::<Principal>()
        .cloned()
        .ok_or_else(|| panicked_refusal("a call that passed no gate"))?;
    let deadline = request.extensions().get::<CallDeadline>().copied();
    Ok(OpenedCall { principal, deadline, message: request.into_inner() })
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
pub(super) fn owned_refusal_status(refusal: Refusal) -> Status {
    status_from_refusal(&refusal)
}

/// Phase of the server's life. Phases only increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServerPhase {
    /// Calls are accepted.
    Serving,
    /// No new connections; running calls may finish.
    Draining,
    /// Running calls are cut off.
    Cut,
}

/// Time by which a call must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallDeadline(pub(super) Instant);

/// Returns when the deadline has passed; never, if there is none.
pub(super) async fn wait_for_deadline(deadline: Option<CallDeadline>) {
    match deadline {
        Some(CallDeadline(instant)) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Returns when the server has reached `phase`.
pub(super) async fn wait_for_phase(mut phases: watch::Receiver<ServerPhase>, phase: ServerPhase) {
    // A closed channel means that no phase will follow, as in tests without a transport.
    if phases.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(super) fn deadline_passed_refusal() -> Refusal {
    Refusal::new(RefusalKind::Deadline, "deadline_passed", "", "the deadline passed; the outcome is unknown")
}

pub(super) fn shutting_down_refusal() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "shutting_down", "", "the server is shutting down")
}

pub(super) fn panicked_refusal(method: &str) -> Refusal {
    Refusal::new(RefusalKind::Internal, "handler_panicked", "", format!("{method} panicked"))
}

//! The frame that all handlers share: it opens an admitted call, and makes a status of a refusal.

use tonic::{Request, Response, Status};

pub(super) use crate::server::admission::{
    CallDeadline, ServerPhase, deadline_passed_refusal, panicked_refusal, shutting_down_refusal,
    stalled_refusal, wait_for_deadline, wait_for_phase,
};
use crate::server::status::status_from_refusal;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

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

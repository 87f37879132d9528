//! A stream of messages to a caller, made by a task of its own.

use std::future::Future;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::call_frame::{
    CallDeadline, ServerPhase, deadline_passed_refusal, owned_refusal_status, shutting_down_refusal,
    wait_for_deadline, wait_for_phase,
};
use contexture_core::fault::Refusal;

/// Most messages that are buffered between a task and the transport.
const MESSAGES_MAX: usize = 4;

/// Takes the messages of a task.
pub(super) type MessageSender<M> = mpsc::Sender<Result<M, Status>>;
/// What a caller reads.
pub(super) type MessageStream<M> = ReceiverStream<Result<M, Status>>;

/// Streams the messages of `work`. The work is dropped when the caller stops reading, at the deadline, and when
/// the server begins to drain.
pub(super) fn stream_messages<M, F>(
    phases: watch::Receiver<ServerPhase>,
    deadline: Option<CallDeadline>,
    work: impl FnOnce(MessageSender<M>) -> F,
) -> MessageStream<M>
where
    M: Send + 'static,
    F: Future<Output = Result<(), Refusal>> + Send + 'static,
{
    let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
    let work = work(messages.clone());
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = work => ended,
            () = wait_for_deadline(deadline) => Err(deadline_passed_refusal()),
            () = wait_for_phase(phases, ServerPhase::Draining) => Err(shutting_down_refusal()),
            // Nobody reads: the work is cancelled by dropping it.
            () = messages.closed() => return,
        };
        if let Err(refusal) = ended {
            let _ = messages.send(Err(owned_refusal_status(refusal))).await;
        }
    });
    ReceiverStream::new(receiver)
}

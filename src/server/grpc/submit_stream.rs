//! One `SubmitStream`: reads a window of submissions, stores it, sends its results, and repeats.
//!
//! A window contains what has arrived: at most `stream_window_submissions_max` submissions, and none more once it
//! has `stream_window_bytes_max` bytes. The next window is read only after the transport has taken the results, so
//! HTTP/2 flow control holds the producer back. A stream ends when it sends nothing or reads no results for
//! `stream_idle_max`. On shutdown the current window is answered, and then the stream ends UNAVAILABLE.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::call_frame::{
    CallDeadline, ServerPhase, deadline_passed_refusal, panicked_refusal, shutting_down_refusal,
    stalled_refusal, wait_for_deadline, wait_for_phase,
};
use super::convert;
use super::proto::submit_result::Outcome;
use super::proto::{SubmitRequest, SubmitResult};
use crate::config::ServerLimits;
use crate::operations::IngestApi;
use crate::server::limits::RequestTicket;
use crate::server::status::{refusal_from_transport, status_from_refusal};
use crate::server::submission_windows::{store_window, window_is_full};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// Most results that are buffered between this stream and the transport.
const RESULTS_MAX: usize = 16;

/// One stream with its dependencies.
pub(super) struct SubmitStreamSession {
    pub(super) api: Arc<dyn IngestApi>,
    pub(super) principal: Principal,
    pub(super) limits: Arc<ServerLimits>,
    pub(super) ticket: Arc<RequestTicket>,
    pub(super) deadline: Option<CallDeadline>,
    pub(super) phases: watch::Receiver<ServerPhase>,
    pub(super) incoming: Streaming<SubmitRequest>,
}

type SubmitResultSender = mpsc::Sender<Result<SubmitResult, Status>>;

/// What follows after a window.
enum WindowReadEnd {
    GoOn,
    Finish,
    Fail(Status),
}

impl SubmitStreamSession {
    /// Runs the stream in a task of its own.
    pub(super) fn start(mut self) -> ReceiverStream<Result<SubmitResult, Status>> {
        let (results, receiver) = mpsc::channel(RESULTS_MAX);
        tokio::spawn(async move {
            let (deadline, phases) = (self.deadline, self.phases.clone());
            let ended = tokio::select! {
                // The stream's own end wins over a deadline or shutdown at the same time.
                biased;
                ended = AssertUnwindSafe(self.run(&results)).catch_unwind() => {
                    ended.unwrap_or_else(|_| Err(status_from_refusal(&panicked_refusal("SubmitStream"))))
                }
                () = results.closed() => Ok(()),
                () = wait_for_deadline(deadline) => Err(status_from_refusal(&deadline_passed_refusal())),
                () = wait_for_phase(phases, ServerPhase::Cut) => Err(status_from_refusal(&shutting_down_refusal())),
            };
            if let Err(status) = ended {
                // A peer that reads no results within the limit does not get the status either.
                let _ = tokio::time::timeout(self.limits.stream_idle_max, results.send(Err(status))).await;
            }
        });
        ReceiverStream::new(receiver)
    }

    async fn run(&mut self, results: &SubmitResultSender) -> Result<(), Status> {
        loop {
            let (window, then) = self.read_window().await;
            for result in self.store(window).await {
                let sent = tokio::time::timeout(self.limits.stream_idle_max, results.send(Ok(result))).await;
                match sent {
                    Ok(Ok(())) => {}
                    // The caller has left, so nobody reads a status.
                    Ok(Err(_gone)) => return Ok(()),
                    Err(_elapsed) => return Err(status_from_refusal(&stalled_refusal("takes no results"))),
                }
            }
            // The window is stored and answered; its bytes no longer count as in memory.
            self.ticket.release();
            match then {
                WindowReadEnd::GoOn => {}
                WindowReadEnd::Finish => return Ok(()),
                WindowReadEnd::Fail(status) => return Err(status),
            }
        }
    }

    async fn read_window(&mut self) -> (Vec<SubmitRequest>, WindowReadEnd) {
        let mut window = Vec::new();
        let mut bytes = 0;
        let first = tokio::select! {
            // Shutdown is checked only here, between two windows: a window that has begun is answered.
            biased;
            () = wait_for_phase(self.phases.clone(), ServerPhase::Draining) => {
                return (window, WindowReadEnd::Fail(status_from_refusal(&shutting_down_refusal())));
            }
            read = tokio::time::timeout(self.limits.stream_idle_max, self.incoming.message()) => read,
        };
        let Ok(mut read) = first else {
            return (window, WindowReadEnd::Fail(status_from_refusal(&stalled_refusal("sends nothing"))));
        };
        loop {
            match read {
                Ok(Some(request)) => {
                    bytes += request.encoded_len();
                    window.push(request);
                }
                Ok(None) => return (window, WindowReadEnd::Finish),
                Err(status) => return (window, WindowReadEnd::Fail(translate_stream_error(status))),
            }
            if window_is_full(&self.limits, window.len(), bytes) {
                return (window, WindowReadEnd::GoOn);
            }
            // Takes only what has arrived: waiting for more would delay the receipts of this window.
            match self.incoming.message().now_or_never() {
                Some(next) => read = next,
                None => return (window, WindowReadEnd::GoOn),
            }
        }
    }

    async fn store(&self, window: Vec<SubmitRequest>) -> Vec<SubmitResult> {
        let body_bytes_max = self.api.body_bytes_max();
        let checked = window.into_iter().map(|request| {
            refuse_waiting(&request)?;
            convert::submission_from_request(&self.principal, request, body_bytes_max)
        });
        let stored = store_window(&*self.api, checked.collect()).await;
        let outcomes = stored.into_iter().map(|outcome| {
            let receipt = outcome.and_then(|(id, receipt)| convert::receipt_message(&id, &receipt));
            SubmitResult {
                outcome: Some(match receipt {
                    Ok(receipt) => Outcome::Receipt(receipt),
                    Err(refusal) => Outcome::Error(convert::error_message(&refusal)),
                }),
            }
        });
        outcomes.collect()
    }
}

/// Refuses a submission that wants to wait: its wait would hold back all behind it.
fn refuse_waiting(request: &SubmitRequest) -> Result<(), Refusal> {
    if request.wait_visible_ms.unwrap_or_default() == 0 {
        return Ok(());
    }
    let message = "a submission of a stream cannot wait; watch the documents, or ask with min_versions";
    Err(Refusal::invalid("wait_in_stream", "wait_visible_ms", message))
}

/// Replaces an error that the transport made while it read a message by one of ours.
fn translate_stream_error(status: Status) -> Status {
    refusal_from_transport(status.code(), !status.details().is_empty())
        .map_or(status, |refusal| status_from_refusal(&refusal))
}

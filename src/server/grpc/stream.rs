//! One `SubmitStream`: reads a window of submissions, stores it, sends its results, repeats.
//!
//! The window holds what has arrived, at most `stream_window_submissions_max` submissions, and
//! none more once it has `stream_window_bytes_max` bytes; nothing further is read until its
//! results are with the transport, so HTTP/2 holds back the producer. A stream that stalls, by
//! sending nothing or by reading no results for `stream_idle_max`, ends. On shutdown the
//! window in work is answered and then the stream ends UNAVAILABLE.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::gate::{Deadline, deadline_passed, panicked, passed, reached, shutting_down};
use super::ingest::receipt_missing;
use super::proto::submit_result::Outcome;
use super::proto::{SubmitRequest, SubmitResult};
use super::{Phase, convert};
use crate::config::ServerLimits;
use crate::domain::document::Submission;
use crate::domain::principal::Principal;
use crate::fault::{Refusal, RefusalKind};
use crate::ports::ledger::Receipt;
use crate::server::IngestApi;
use crate::server::limits::Ticket;
use crate::server::status::{from_refusal, from_transport};

/// Results between this stream and the transport.
const RESULTS_MAX: usize = 16;

/// A stream and what it needs.
pub(super) struct Session {
    pub(super) api: Arc<dyn IngestApi>,
    pub(super) principal: Principal,
    pub(super) limits: Arc<ServerLimits>,
    pub(super) ticket: Arc<Ticket>,
    pub(super) deadline: Option<Deadline>,
    pub(super) phases: watch::Receiver<Phase>,
    pub(super) incoming: Streaming<SubmitRequest>,
}

type Results = mpsc::Sender<Result<SubmitResult, Status>>;

/// How reading a window ended.
enum Then {
    GoOn,
    Finish,
    Fail(Status),
}

impl Session {
    /// Runs the stream in a task of its own, which ends with it.
    pub(super) fn start(mut self) -> ReceiverStream<Result<SubmitResult, Status>> {
        let (results, receiver) = mpsc::channel(RESULTS_MAX);
        tokio::spawn(async move {
            let (deadline, phases) = (self.deadline, self.phases.clone());
            let ended = tokio::select! {
                biased;
                ended = AssertUnwindSafe(self.run(&results)).catch_unwind() => {
                    ended.unwrap_or_else(|_| Err(from_refusal(&panicked("SubmitStream"))))
                }
                () = results.closed() => Ok(()),
                () = passed(deadline) => Err(from_refusal(&deadline_passed())),
                () = reached(phases, Phase::Cut) => Err(from_refusal(&shutting_down())),
            };
            if let Err(status) = ended {
                // A peer that takes no results within the limit gets no farewell either.
                let _ = tokio::time::timeout(self.limits.stream_idle_max, results.send(Err(status))).await;
            }
        });
        ReceiverStream::new(receiver)
    }

    async fn run(&mut self, results: &Results) -> Result<(), Status> {
        loop {
            let (window, then) = self.read_window().await;
            for result in self.store(window).await {
                let sent = tokio::time::timeout(self.limits.stream_idle_max, results.send(Ok(result))).await;
                match sent {
                    Ok(Ok(())) => {}
                    Ok(Err(_gone)) => return Ok(()),
                    Err(_elapsed) => return Err(from_refusal(&stalled("takes no results"))),
                }
            }
            self.ticket.release();
            match then {
                Then::GoOn => {}
                Then::Finish => return Ok(()),
                Then::Fail(status) => return Err(status),
            }
        }
    }

    async fn read_window(&mut self) -> (Vec<SubmitRequest>, Then) {
        let mut window = Vec::new();
        let mut bytes = 0;
        let first = tokio::select! {
            biased;
            () = reached(self.phases.clone(), Phase::Draining) => {
                return (window, Then::Fail(from_refusal(&shutting_down())));
            }
            read = tokio::time::timeout(self.limits.stream_idle_max, self.incoming.message()) => read,
        };
        let Ok(mut read) = first else {
            return (window, Then::Fail(from_refusal(&stalled("sends nothing"))));
        };
        loop {
            match read {
                Ok(Some(request)) => {
                    bytes += request.encoded_len();
                    window.push(request);
                }
                Ok(None) => return (window, Then::Finish),
                Err(status) => return (window, Then::Fail(translate(status))),
            }
            let full = window.len() >= self.limits.stream_window_submissions_max
                || bytes >= self.limits.stream_window_bytes_max;
            if full {
                return (window, Then::GoOn);
            }
            match self.incoming.message().now_or_never() {
                Some(next) => read = next,
                None => return (window, Then::GoOn),
            }
        }
    }

    async fn store(&self, window: Vec<SubmitRequest>) -> Vec<SubmitResult> {
        let body_bytes_max = self.api.body_bytes_max();
        let checked: Vec<Result<Submission, Refusal>> = window
            .into_iter()
            .map(|request| convert::submission(&self.principal, request, body_bytes_max))
            .collect();
        let good: Vec<Submission> = checked.iter().flatten().cloned().collect();
        let mut decided = self.decide(good).await.into_iter();
        checked
            .into_iter()
            .map(|one| {
                let outcome = one.and_then(|submission| {
                    let receipt = decided.next().unwrap_or_else(|| Err(receipt_missing()))?;
                    convert::receipt(submission.document_id(), &receipt)
                });
                SubmitResult {
                    outcome: Some(match outcome {
                        Ok(receipt) => Outcome::Receipt(receipt),
                        Err(refusal) => Outcome::Error(convert::error(&refusal)),
                    }),
                }
            })
            .collect()
    }

    /// Decides submissions together. When one is to blame for a refusal, each is tried alone,
    /// so that only that one is refused; when the service is, all are.
    async fn decide(&self, submissions: Vec<Submission>) -> Vec<Result<Receipt, Refusal>> {
        if submissions.is_empty() {
            return Vec::new();
        }
        let count = submissions.len();
        let refusal = match self.api.submit(submissions.clone()).await {
            Ok(receipts) => return receipts.into_iter().map(Ok).collect(),
            Err(refusal) => refusal,
        };
        let blames_one = matches!(
            refusal.kind,
            RefusalKind::Invalid | RefusalKind::NotFound | RefusalKind::Conflict | RefusalKind::Precondition
        );
        if count == 1 || !blames_one {
            return vec![Err(refusal); count];
        }
        let mut decided = Vec::with_capacity(count);
        for submission in submissions {
            let alone = self.api.submit(vec![submission]).await;
            decided.push(alone.and_then(|receipts| receipts.into_iter().next().ok_or_else(receipt_missing)));
        }
        decided
    }
}

fn stalled(how: &str) -> Refusal {
    Refusal::new(RefusalKind::Deadline, "stream_idle", "", format!("the stream {how} for too long"))
}

/// Replaces an error that the transport made while it read a message.
fn translate(status: Status) -> Status {
    from_transport(status.code(), !status.details().is_empty())
        .map_or(status, |refusal| from_refusal(&refusal))
}

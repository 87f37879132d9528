//! Answers as server-sent events: what happens, and how far a job is.
//!
//! A stream ends when its source does, when the caller's deadline passes, and when the server drains. Every end
//! but the first is told by an `error` event with the problem. Comments keep an idle stream open.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use hyper::HeaderMap;
use hyper::header::ACCEPT;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::problem::HttpProblem;
use crate::server::admission::{
    AdmittedCall, deadline_passed_refusal, shutting_down_refusal, wait_for_deadline,
};
use contexture_core::fault::{Refusal, RefusalKind};

/// Time between two comments of an idle stream.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// How long the answer to a job waits for its first event.
const EARLY_END_MAX: Duration = Duration::from_secs(1);
/// Shortest time between two progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Most progress events that are buffered between a job and its reader.
const PROGRESS_EVENTS_MAX: usize = 4;

/// An event of this name with these members.
pub(super) fn json_event(name: &str, data: &impl Serialize) -> Result<Event, Refusal> {
    let json = serde_json::to_string(data)
        .map_err(|error| Refusal::new(RefusalKind::Internal, "answer_unwritable", "", error.to_string()))?;
    // JSON has no line ends of its own, which `data` could not take.
    Ok(Event::default().event(name).data(json))
}

/// The answer that sends these events. `call` and its place among long streams are kept until the stream ends.
pub(super) fn answer_with_events(
    call: AdmittedCall,
    place: Option<OwnedSemaphorePermit>,
    events: BoxStream<'static, Result<Event, Refusal>>,
) -> Response {
    let ended = end_of_call(call.clone()).boxed();
    let sending = stream::unfold(Some((events, ended, (call, place))), |state| async {
        let (mut events, mut ended, room) = state?;
        let next = tokio::select! {
            biased;
            next = events.next() => next?,
            refusal = &mut ended => Err(refusal),
        };
        Some(match next {
            Ok(event) => (Ok::<_, Infallible>(event), Some((events, ended, room))),
            Err(refusal) => (Ok(error_event(refusal)), None),
        })
    });
    Sse::new(sending).keep_alive(KeepAlive::new().interval(HEARTBEAT_INTERVAL)).into_response()
}

fn error_event(refusal: Refusal) -> Event {
    json_event("error", &HttpProblem(refusal).details()).unwrap_or_default()
}

/// Returns why the call ends before its work does.
async fn end_of_call(call: AdmittedCall) -> Refusal {
    tokio::select! {
        () = call.draining() => shutting_down_refusal(),
        () = wait_for_deadline(call.deadline) => deadline_passed_refusal(),
    }
}

/// Sends how far a job is, at most once per [`PROGRESS_INTERVAL`]. A slow reader misses some.
pub(super) struct ProgressSender<P> {
    sender: mpsc::Sender<P>,
    last: Option<Instant>,
}

impl<P> ProgressSender<P> {
    pub(super) fn send(&mut self, progress: P) {
        if self.last.is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL) {
            self.last = Some(Instant::now());
            // Lost when the buffer is full or nobody listens: a job never waits for its reader.
            let _ = self.sender.try_send(progress);
        }
    }
}

/// Runs a job and answers with its report: as JSON at the end, or, if the caller accepts events, with its
/// progress as events and the report as the last. The job is dropped when the caller goes away.
pub(super) async fn answer_job<P, R, F>(
    headers: &HeaderMap,
    call: AdmittedCall,
    job: impl FnOnce(ProgressSender<P>) -> F,
) -> Result<Response, Refusal>
where
    P: Serialize + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R, Refusal>> + Send + 'static,
{
    let (sender, progress) = mpsc::channel(PROGRESS_EVENTS_MAX);
    let job = job(ProgressSender { sender, last: None });
    if !accepts_events(headers) {
        return tokio::select! {
            biased;
            done = job => Ok(Json(done?).into_response()),
            refusal = end_of_call(call) => Err(refusal),
        };
    }
    let mut events = job_events(job.boxed(), progress);
    // A job that cannot begin is refused as any other call, with a status.
    match tokio::time::timeout(EARLY_END_MAX, events.next()).await {
        Ok(Some(Err(refusal))) => Err(refusal),
        Ok(Some(first)) => Ok(answer_with_events(call, None, stream::iter([first]).chain(events).boxed())),
        Ok(None) | Err(_) => Ok(answer_with_events(call, None, events)),
    }
}

/// The progress of a job as events, and its report as the last.
fn job_events<P, R>(
    job: BoxFuture<'static, Result<R, Refusal>>,
    progress: mpsc::Receiver<P>,
) -> BoxStream<'static, Result<Event, Refusal>>
where
    P: Serialize + Send + 'static,
    R: Serialize + 'static,
{
    let events = stream::unfold(Some((job, progress)), |state| async {
        let (mut job, mut progress) = state?;
        tokio::select! {
            // Progress before the report, in the order of what happened.
            biased;
            Some(progressed) = progress.recv() => {
                Some((json_event("progress", &progressed), Some((job, progress))))
            }
            done = &mut job => {
                Some((done.and_then(|report| json_event("report", &report)), None))
            }
        }
    });
    events.boxed()
}

/// Whether the caller asks for events by name.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = accepted.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let name = range.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("text/event-stream")
    })
}

//! A stream of lines, each a document, answered line by line.
//!
//! Windows are those of the stream over gRPC: what has arrived, within a number and a size. While a window is
//! stored, the next one arrives, so a fast producer's lines are stored many at once; beyond that nothing is read
//! until the results are taken, so flow control holds the producer back. A line that is no
//! document has an error as its result, and the stream goes on. It ends when it sends nothing or takes no results
//! for too long; on shutdown the window that has begun is answered. Such an end is an error without a line.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use hyper::header::CONTENT_TYPE;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::many_documents::DocumentResult;
use crate::config::ServerLimits;
use crate::operations::messages::document::{DocumentRequest, ReceiptView};
use crate::server::admission::{
    AdmittedCall, ServerPhase, deadline_passed_refusal, panicked_refusal, shutting_down_refusal,
    stalled_refusal, wait_for_deadline, wait_for_phase,
};
use crate::server::http::json_text::parse_json_line;
use crate::server::http::line_reader::{ArrivedLine, LineReader};
use crate::server::http::served_state::HttpServices;
use crate::server::submission_windows::{store_window, window_is_full};
use contexture_core::domain::ids::CollectionId;
use contexture_core::fault::Refusal;

/// Most windows of results that are buffered between this stream and the transport.
const RESULTS_MAX: usize = 2;

/// Channel for the results of windows, as they are sent.
type ResultSender = mpsc::Sender<Bytes>;

/// One stream with its dependencies.
pub(super) struct LineSubmissionSession {
    storing: LineStorage,
    lines: LineReader,
}

/// Stores the windows of a stream.
// Apart from the reader, because a body is not `Sync` and so cannot be lent across an await.
struct LineStorage {
    http: Arc<HttpServices>,
    call: AdmittedCall,
    collection: CollectionId,
}

/// What follows after a window.
enum LineWindowEnd {
    GoOn,
    Finish,
    Fail(Refusal),
}

/// Lines that are stored together.
#[derive(Default)]
struct LineWindow {
    lines: Vec<ArrivedLine>,
    bytes: usize,
    /// What follows; none while more lines may come.
    end: Option<LineWindowEnd>,
}

impl LineWindow {
    /// Takes what was read.
    fn take(&mut self, read: Result<Option<ArrivedLine>, Refusal>, limits: &ServerLimits) {
        match read {
            Ok(Some(line)) => {
                self.bytes += line.text.len();
                // What is left of a long line is skipped, and takes no room then.
                let is_too_long = line.is_too_long;
                self.lines.push(line);
                if is_too_long || window_is_full(limits, self.lines.len(), self.bytes) {
                    self.end = Some(LineWindowEnd::GoOn);
                }
            }
            Ok(None) => self.end = Some(LineWindowEnd::Finish),
            Err(refusal) => self.end = Some(LineWindowEnd::Fail(refusal)),
        }
    }
}

impl LineSubmissionSession {
    pub(super) fn new(
        http: Arc<HttpServices>,
        call: AdmittedCall,
        collection: CollectionId,
        body: Body,
    ) -> Self {
        let lines = LineReader::new(body, http.limits.message_bytes_max, Some(call.ticket.clone()));
        Self { storing: LineStorage { http, call, collection }, lines }
    }

    /// Runs the stream in a task of its own and answers with its results.
    pub(super) fn answer(mut self) -> Response {
        let (results, receiver) = mpsc::channel(RESULTS_MAX);
        tokio::spawn(async move {
            let (deadline, phases) = (self.storing.call.deadline, self.storing.call.phases.clone());
            let ended = tokio::select! {
                // The stream's own end wins over a deadline or shutdown at the same time.
                biased;
                ended = AssertUnwindSafe(self.run(&results)).catch_unwind() => {
                    ended.unwrap_or_else(|_| Err(panicked_refusal("submit_documents")))
                }
                () = results.closed() => Ok(()),
                () = wait_for_deadline(deadline) => Err(deadline_passed_refusal()),
                () = wait_for_phase(phases, ServerPhase::Cut) => Err(shutting_down_refusal()),
            };
            if let Err(refusal) = ended {
                let last = result_lines(&[DocumentResult::refused(None, None, refusal)]);
                // A peer that reads no results within the limit does not get the last one either.
                let _ = tokio::time::timeout(self.idle_max(), results.send(last)).await;
            }
        });
        let sending = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
        ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(sending)).into_response()
    }

    fn idle_max(&self) -> Duration {
        self.storing.http.limits.stream_idle_max
    }

    async fn run(&mut self, results: &ResultSender) -> Result<(), Refusal> {
        let mut window = LineWindow::default();
        loop {
            self.read_window(&mut window).await;
            let LineWindow { lines, end, .. } = std::mem::take(&mut window);
            if !lines.is_empty() {
                let reads_on = matches!(end, None | Some(LineWindowEnd::GoOn)) && !ends_too_long(&lines);
                let stored =
                    result_lines(&self.store_reading_ahead(lines, reads_on.then_some(&mut window)).await);
                match tokio::time::timeout(self.idle_max(), results.send(stored)).await {
                    Ok(Ok(())) => {}
                    // The caller has left, so nobody reads an error.
                    Ok(Err(_gone)) => return Ok(()),
                    Err(_elapsed) => return Err(stalled_refusal("takes no results")),
                }
            }
            // The window is stored and answered; its bytes no longer count as in memory.
            self.lines.release_all_but(&window.lines);
            match end {
                None | Some(LineWindowEnd::GoOn) => {}
                Some(LineWindowEnd::Finish) => return Ok(()),
                Some(LineWindowEnd::Fail(refusal)) => return Err(refusal),
            }
        }
    }

    /// Stores a window; meanwhile lines arrive in `ahead`, if there is one.
    async fn store_reading_ahead(
        &mut self,
        window: Vec<ArrivedLine>,
        ahead: Option<&mut LineWindow>,
    ) -> Vec<DocumentResult> {
        let Self { storing, lines } = self;
        let limits = &storing.http.limits;
        let stored = storing.store(window);
        let Some(ahead) = ahead else { return stored.await };
        tokio::pin!(stored);
        loop {
            tokio::select! {
                // Results do not wait for lines that arrive at the same time.
                biased;
                stored = &mut stored => return stored,
                // Nothing is lost if this is dropped.
                read = lines.next(), if ahead.end.is_none() => ahead.take(read, limits),
            }
        }
    }

    /// Waits for the first line of a window, unless it has some, and takes what else has arrived.
    async fn read_window(&mut self, window: &mut LineWindow) {
        let limits = &self.storing.http.limits;
        let phases = self.storing.call.phases.clone();
        if *phases.borrow() >= ServerPhase::Draining {
            // Between two windows: one that is being stored is answered. What has come ahead was not begun.
            *window = LineWindow {
                end: Some(LineWindowEnd::Fail(shutting_down_refusal())),
                ..LineWindow::default()
            };
            return;
        }
        if window.lines.is_empty() && window.end.is_none() {
            let read = tokio::select! {
                biased;
                () = wait_for_phase(phases, ServerPhase::Draining) => Err(shutting_down_refusal()),
                // The body itself ends a peer that sends nothing; a long line may take its time.
                read = self.lines.next() => read,
            };
            window.take(read, limits);
        }
        while window.end.is_none() {
            // Takes only what has arrived: waiting for more would delay the results of this window.
            match self.lines.next().now_or_never() {
                Some(read) => window.take(read, limits),
                None => return,
            }
        }
    }
}

/// Whether the reader skips the rest of a long line next: then it does not count what else is in memory.
fn ends_too_long(lines: &[ArrivedLine]) -> bool {
    lines.last().is_some_and(|line| line.is_too_long)
}

impl LineStorage {
    async fn store(&self, window: Vec<ArrivedLine>) -> Vec<DocumentResult> {
        let ingest = &*self.http.services.ingest;
        let body_bytes_max = ingest.body_bytes_max();
        let (mut places, mut checked) = (Vec::new(), Vec::new());
        for line in window {
            let number = line.number;
            let read = self.read_line(&line);
            places.push((number, read.as_ref().ok().and_then(|document| document.id.clone())));
            checked.push(read.and_then(|document| {
                document.into_submission(&self.call.principal, &self.collection, body_bytes_max)
            }));
        }
        let decided = store_window(ingest, checked).await;
        let results = places.into_iter().zip(decided).map(|((line, document_id), outcome)| {
            match outcome.and_then(|(id, receipt)| ReceiptView::new(&id, &receipt)) {
                Ok(receipt) => DocumentResult::Stored(receipt),
                Err(refusal) => DocumentResult::refused(document_id, Some(line), refusal),
            }
        });
        results.collect()
    }

    fn read_line(&self, line: &ArrivedLine) -> Result<DocumentRequest, Refusal> {
        if line.is_too_long {
            let bytes_max = self.http.limits.message_bytes_max;
            let message = format!("line {} has more than {bytes_max} bytes", line.number);
            return Err(Refusal::invalid("message_too_large", "", message));
        }
        parse_json_line(&line.text, line.number)
    }
}

/// Results as lines.
fn result_lines(results: &[DocumentResult]) -> Bytes {
    let mut lines = Vec::new();
    for result in results {
        // A result holds texts and numbers, which always have a JSON form.
        let _ = serde_json::to_writer(&mut lines, result);
        lines.push(b'\n');
    }
    Bytes::from(lines)
}

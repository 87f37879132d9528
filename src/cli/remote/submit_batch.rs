//! Submits documents to a server, one per line of a request, and repeats what it has no room for.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::RemoteServer;
use super::problem::ServerProblem;
use crate::operations::messages::document::{DocumentRequest, ReceiptView};
use contexture_core::domain::document::Submission;
use contexture_core::fault::{Refusal, RefusalKind};

/// Longest time of one request. The server reads a batch as fast as it stores.
const SUBMIT_MAX: Duration = Duration::from_mins(10);
/// How long a server may have no room, or be away, before the command gives up.
const STALL_MAX: Duration = Duration::from_mins(10);
/// Time before a retry where the server names none.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// What became of one submission.
pub(crate) type SubmitResult = (Submission, Result<ReceiptView, Refusal>);

/// Results of the documents that were answered, and why the request ended before the others.
type AnsweredBatch = (Vec<Result<ReceiptView, Refusal>>, Option<Refusal>);

/// One line of the answer. An error without a line is the end of the whole request.
#[derive(Deserialize)]
#[serde(untagged)]
enum ResultLine {
    Stored(ReceiptView),
    Refused {
        #[serde(default)]
        line: Option<u64>,
        error: ServerProblem,
    },
}

impl RemoteServer {
    /// Submits documents, and returns what became of each. Waits while the server has no room.
    pub(crate) async fn submit_documents(
        &self,
        collection: &str,
        batch: Vec<Submission>,
    ) -> Result<Vec<SubmitResult>, Refusal> {
        let mut results = Vec::with_capacity(batch.len());
        let mut left = batch;
        let mut moved = Instant::now();
        while !left.is_empty() {
            // Sending a document again is safe: what was stored after all is decided as a duplicate.
            let (lines, ended) = self.submit_once(collection, &left).await?;
            if let Some(refusal) = ended.as_ref().filter(|refusal| !is_passing(refusal)) {
                return Err(refusal.clone());
            }
            let (before, mut retry) = (left.len(), ended);
            let mut lines = lines.into_iter();
            let mut again = Vec::new();
            for submission in left {
                match lines.next() {
                    Some(Ok(receipt)) => results.push((submission, Ok(receipt))),
                    Some(Err(refusal)) if is_passing(&refusal) => {
                        retry = Some(refusal);
                        again.push(submission);
                    }
                    Some(Err(refusal)) => results.push((submission, Err(refusal))),
                    // The answer ended early.
                    None => again.push(submission),
                }
            }
            left = again;
            if left.len() < before {
                moved = Instant::now();
            } else if moved.elapsed() >= STALL_MAX {
                return Err(stalled_refusal(retry));
            }
            if !left.is_empty() {
                sleep(retry.and_then(|refusal| refusal.retry_after).unwrap_or(RETRY_DEFAULT)).await;
            }
        }
        Ok(results)
    }

    /// The results of the first documents in order, and why the request ended before the last.
    async fn submit_once(&self, collection: &str, batch: &[Submission]) -> Result<AnsweredBatch, Refusal> {
        let mut body = Vec::new();
        for submission in batch {
            // Messages have string keys only, so this cannot fail.
            let _ = serde_json::to_writer(&mut body, &document_request(submission));
            body.push(b'\n');
        }
        let call = self.collection_call(Method::POST, collection, &["documents"]);
        let answer = match call.lines(body).within(SUBMIT_MAX).bytes().await {
            Ok(answer) => answer,
            Err(refusal) => return Ok((Vec::new(), Some(refusal))),
        };
        let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let mut results = Vec::with_capacity(batch.len());
        for line in lines {
            match self.read_line(line)? {
                ResultLine::Stored(receipt) => results.push(Ok(receipt)),
                ResultLine::Refused { line: Some(_), error } => results.push(Err(error.into_refusal())),
                ResultLine::Refused { line: None, error } => {
                    return Ok((results, Some(error.into_refusal())));
                }
            }
        }
        Ok((results, None))
    }

    fn read_line(&self, line: &[u8]) -> Result<ResultLine, Refusal> {
        serde_json::from_slice(line).map_err(|error| {
            let message = format!("a result of the server at {} cannot be read: {error}", self.url());
            Refusal::new(RefusalKind::Internal, "unreadable_answer", "server", message)
        })
    }
}

/// Whether a refusal says that the same may succeed later.
fn is_passing(refusal: &Refusal) -> bool {
    match refusal.kind {
        // A full disk does not empty itself.
        RefusalKind::Exhausted => refusal.code != "disk_full",
        // A server that is away altogether is an error at once; one that says when to come back is not.
        RefusalKind::Unavailable => refusal.retry_after.is_some(),
        _ => false,
    }
}

fn stalled_refusal(last: Option<Refusal>) -> Refusal {
    let why = last.map_or_else(|| "its answers end early".to_owned(), |refusal| refusal.message);
    let minutes = STALL_MAX.as_secs() / 60;
    let message =
        format!("the server has taken nothing for {minutes} minutes ({why}); see 'contexture status'");
    Refusal::new(RefusalKind::Deadline, "stalled", "", message)
}

fn document_request(submission: &Submission) -> DocumentRequest {
    let body = submission.body();
    let (text, body_base64) = match std::str::from_utf8(body) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(body))),
    };
    let id = Some(submission.document_id().as_str().to_owned());
    DocumentRequest { id, text, body_base64, ..DocumentRequest::default() }
}

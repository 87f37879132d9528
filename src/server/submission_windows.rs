//! Windows of submissions, as streams of all doors store them: as many as have arrived, within two limits.

use crate::config::ServerLimits;
use crate::operations::IngestApi;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::SubmissionReceipt;

/// Whether a window with so many submissions and bytes takes no more. The limit of bytes counts after the last
/// submission, which may exceed it.
pub(super) fn window_is_full(limits: &ServerLimits, submissions: usize, bytes: usize) -> bool {
    submissions >= limits.stream_window_submissions_max || bytes >= limits.stream_window_bytes_max
}

/// Stores the submissions of a window that passed their checks. Returns a result for every one, in order.
pub(super) async fn store_window(
    api: &dyn IngestApi,
    checked: Vec<Result<Submission, Refusal>>,
) -> Vec<Result<(DocumentId, SubmissionReceipt), Refusal>> {
    // Invalid submissions are answered without the service; results keep the order of the window.
    let good: Vec<Submission> = checked.iter().flatten().cloned().collect();
    let mut decided = decide_submissions(api, good).await.into_iter();
    checked
        .into_iter()
        .map(|one| {
            let document_id = one?.document_id().clone();
            let receipt = decided.next().unwrap_or_else(|| Err(receipt_missing_refusal()))?;
            Ok((document_id, receipt))
        })
        .collect()
}

/// Submits a window together. When a single submission caused the refusal, each is submitted alone, so that
/// only that one is refused. When the service caused it, all are refused.
async fn decide_submissions(
    api: &dyn IngestApi,
    submissions: Vec<Submission>,
) -> Vec<Result<SubmissionReceipt, Refusal>> {
    if submissions.is_empty() {
        return Vec::new();
    }
    let count = submissions.len();
    let refusal = match api.submit(submissions.clone()).await {
        Ok(receipts) => return receipts.into_iter().map(Ok).collect(),
        Err(refusal) => refusal,
    };
    // These kinds are about one submission; all others are about the service.
    let blames_one = matches!(
        refusal.kind,
        RefusalKind::Invalid | RefusalKind::NotFound | RefusalKind::Conflict | RefusalKind::Precondition
    );
    if count == 1 || !blames_one {
        return vec![Err(refusal); count];
    }
    // Safe to submit again: a refusal means that nothing of the window was stored.
    let mut decided = Vec::with_capacity(count);
    for submission in submissions {
        let alone = api.submit(vec![submission]).await;
        decided
            .push(alone.and_then(|receipts| receipts.into_iter().next().ok_or_else(receipt_missing_refusal)));
    }
    decided
}

/// The refusal for a submission without a receipt, which breaks the contract of [`IngestApi`].
pub(super) fn receipt_missing_refusal() -> Refusal {
    Refusal::new(RefusalKind::Internal, "receipt_missing", "", "intake returned too few receipts")
}

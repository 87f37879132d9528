//! Whether stores that were just opened hold what the ledger has.
//!
//! Counted, not compared: an index that is gone or was put back from an old copy is noticed at once,
//! and nothing waits for it. An audit sees the rest. Vectors are staged before the commit and
//! removed after it, and the ledger hears of a commit last; so whole stores have at least a head for
//! every document that the log had a moment ago, and, while nothing is committed, a point for every
//! chunk.

use contexture_core::fault::Fault;
use contexture_core::ports::catalog::OpenCollection;
use contexture_core::ports::ledger::Ledger;

/// Times that points are counted anew because a commit came between; then an audit will tell.
const COUNTS_MAX: usize = 3;

/// Notes whether something is lacking, and says so.
pub(super) async fn check_completeness(ledger: &dyn Ledger, open: &OpenCollection) -> Result<(), Fault> {
    let documents = ledger.log_extent(&open.record.key).await?.documents;
    let held = open.lexical()?.snapshot().counts()?;
    let (heads, missing) = (held.documents + held.tombstones, points_missing(open).await?);
    if heads < documents || missing > 0 {
        tracing::error!(
            tenant = %open.record.key.tenant, collection = %open.record.key.collection,
            documents, heads, chunks = held.chunks, points_missing = missing,
            "the index or the vectors lack what the ledger has; run 'contexture repair'"
        );
        open.set_lacking(true);
    }
    Ok(())
}

/// Chunks of a snapshot beyond the points there are, in a moment without a commit.
async fn points_missing(open: &OpenCollection) -> Result<u64, Fault> {
    for _ in 0..COUNTS_MAX {
        let before = open.lexical()?.snapshot();
        let points = open.vectors.count().await?;
        if open.lexical()?.snapshot().id() == before.id() {
            return Ok(before.counts()?.chunks.saturating_sub(points));
        }
    }
    Ok(0)
}

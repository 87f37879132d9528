//! Whether stores that were just opened hold what the ledger has.
//!
//! Counted, not compared: an index that is gone or was put back from an old copy is noticed at once,
//! and nothing waits for it. An audit sees the rest. Vectors are staged before the commit and
//! removed after it, so whole stores have at least a point for every chunk, and a head for every
//! document of the log.

use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::Ledger;

/// Notes whether something is lacking, and says so. For stores that nobody else writes to.
pub(super) async fn note(ledger: &dyn Ledger, open: &OpenCollection) -> Result<(), Fault> {
    let held = open.lexical()?.snapshot().counts()?;
    let documents = ledger.log_extent(&open.record.key).await?.documents;
    let points = open.vectors.count().await?;
    let heads = held.documents + held.tombstones;
    if heads < documents || points < held.chunks {
        tracing::error!(
            tenant = %open.record.key.tenant, collection = %open.record.key.collection,
            documents, heads, chunks = held.chunks, points,
            "the index or the vectors lack what the ledger has; run 'contexture repair'"
        );
        open.set_lacking(true);
    }
    Ok(())
}

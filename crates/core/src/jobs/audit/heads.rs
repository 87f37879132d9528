//! The second walk: what the index holds is of documents that the ledger has visible.

use super::documents::{is_head_in_flight, visible_version};
use super::report::AuditFinding;
use super::suspects::SuspectVerdict;
use crate::domain::ids::DocumentId;
use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::VersionRecord;

/// A page of the documents that the index holds anything of.
pub(super) async fn read_head_page(
    open: &OpenCollection,
    after: Option<&DocumentId>,
    limit: usize,
) -> Result<Vec<DocumentId>, Fault> {
    let snapshot = open.lexical()?.snapshot();
    let after = after.cloned();
    let read = move || snapshot.held(after.as_ref(), limit);
    tokio::task::spawn_blocking(read).await.map_err(Fault::transient)?
}

/// Looks at the index beside what the ledger says of these documents; one look each, in order.
pub(super) async fn inspect_heads(
    open: &OpenCollection,
    documents: &[DocumentId],
    standings: &[Vec<VersionRecord>],
) -> Result<Vec<SuspectVerdict>, Fault> {
    let snapshot = open.lexical()?.snapshot();
    let jobs: Vec<_> = documents.iter().cloned().zip(standings.iter().cloned()).collect();
    let read = move || {
        let look = |(document_id, standing): &(DocumentId, Vec<VersionRecord>)| {
            // A visible document is the first walk's, whatever is wrong with it.
            if visible_version(standing).is_some() {
                return Ok(SuspectVerdict::Fine);
            }
            let holding = snapshot.holding(document_id)?;
            Ok(if holding.head.is_none() && holding.chunks.is_empty() {
                SuspectVerdict::Fine
            } else if is_head_in_flight(standing, &holding) {
                SuspectVerdict::Moving
            } else {
                SuspectVerdict::Wrong(AuditFinding::Head(document_id.clone()))
            })
        };
        jobs.iter().map(look).collect()
    };
    tokio::task::spawn_blocking(read).await.map_err(Fault::transient)?
}

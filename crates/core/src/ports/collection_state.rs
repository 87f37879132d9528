//! What the ledger knows of documents whose stores are being looked at.
//!
//! Contract: as of the ledger, each call is one transaction. What a document may have in a store is
//! of its visible version, of one in flight, or of one that lost and was not swept yet: all others
//! have left nothing that is wanted.

use async_trait::async_trait;

use super::ledger::VersionRecord;
use crate::domain::ids::{CollectionKey, DocumentId, GenerationNumber};
use crate::fault::Fault;

/// How far the log of visible versions reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeLogExtent {
    /// Documents in it, deleted ones included.
    pub documents: u64,
    /// The position of its last entry that was ever made; 0 if none was.
    pub end: u64,
}

/// Looks at the record beside its stores.
#[async_trait]
pub trait CollectionStateLedger: Send + Sync {
    /// The versions of each of these documents that may have something in a store, oldest first:
    /// the visible one, those in flight, and losers that were not swept. Chunks are counted in
    /// this generation.
    async fn standings(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault>;

    /// The extent of a collection's log.
    async fn log_extent(&self, collection: &CollectionKey) -> Result<ChangeLogExtent, Fault>;
}

//! Collections that are dropped, with everything of them.
//!
//! A drop goes in steps, each of which is a transaction. The first hides the collection: from then on the
//! ledger does not know it, nor anything of it. The following ones remove its rows. Generations that it had
//! are listed until they are forgotten, so that every process can close them and delete their stores. A
//! crash at any point leaves rows to purge or generations to remove, and housekeeping goes on from there.
//!
//! A collection that is made again under the name continues the numbers of the dropped one: stores of the
//! old generations may still be there, and other processes may have them open.
//!
//! Messages of a dropped collection may still be delivered. They name versions that the ledger does not
//! know, or that are of one of its generations; neither changes anything.

use async_trait::async_trait;

use super::ledger_records::CollectionRecord;
use crate::domain::ids::CollectionKey;
use crate::fault::Fault;

/// Documents of dropped collections that one transaction removes. Few, because their bodies may be large.
pub const PURGED_DOCUMENTS_MAX: usize = 128;

/// A generation of a collection that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedGeneration {
    /// The generation.
    pub home: CollectionRecord,
    /// When its collection was dropped, ms since the Unix epoch.
    pub dropped_ms: u64,
}

/// The drops of collections.
#[async_trait]
pub trait CollectionDropLedger: Send + Sync {
    /// Drops a collection: hides it, and removes its rows. Returns its generations, whose stores are left to
    /// the caller. After a failure calling it again finishes the work. None if nothing is known under this
    /// name, and no generation is left to forget either.
    async fn drop_collection(&self, key: &CollectionKey) -> Result<Option<Vec<CollectionRecord>>, Fault> {
        let hidden = self.hide_collection(key).await?;
        while self.purge_hidden(PURGED_DOCUMENTS_MAX).await? {}
        Ok(hidden)
    }

    /// The first step of a drop. Returns what [`Self::drop_collection`] does.
    async fn hide_collection(&self, key: &CollectionKey) -> Result<Option<Vec<CollectionRecord>>, Fault>;

    /// Removes rows of hidden collections, of at most `limit` documents; false when nothing is left to do
    /// for now.
    async fn purge_hidden(&self, limit: usize) -> Result<bool, Fault>;

    /// Generations of dropped collections that are not forgotten yet, those of a collection together.
    async fn dropped_generations(&self) -> Result<Vec<DroppedGeneration>, Fault>;

    /// Forgets generations whose stores are gone everywhere.
    async fn forget_dropped(&self, homes: &[CollectionRecord]) -> Result<(), Fault>;
}

//! What the memory ledger knows of documents whose stores are being looked at.

use async_trait::async_trait;

use super::collection::{MemoryCollection, VersionEntry};
use super::ledger::MemoryLedger;
use contexture_core::domain::ids::{CollectionKey, DocumentId, GenerationNumber};
use contexture_core::fault::Fault;
use contexture_core::ports::collection_state::{ChangeLogExtent, CollectionStateLedger};
use contexture_core::ports::ledger::{VersionRecord, VersionState};

#[async_trait]
impl CollectionStateLedger for MemoryLedger {
    async fn standings(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        let standings = self.in_room(collection, |room, _| {
            documents.iter().map(|document_id| document_versions(room, generation, document_id)).collect()
        });
        Ok(standings.unwrap_or_else(|| vec![Vec::new(); documents.len()]))
    }

    async fn log_extent(&self, collection: &CollectionKey) -> Result<ChangeLogExtent, Fault> {
        let extent = self.in_room(collection, |room, _| ChangeLogExtent {
            documents: room.log.len() as u64,
            end: room.log_position,
        });
        Ok(extent.unwrap_or_default())
    }
}

fn document_versions(
    room: &MemoryCollection,
    generation: GenerationNumber,
    document_id: &DocumentId,
) -> Vec<VersionRecord> {
    let stands = |entry: &VersionEntry| !entry.state.is_terminal() || entry.state == VersionState::Visible;
    let versions = room.documents.get(document_id).into_iter().flatten();
    versions
        .filter(|(_, entry)| stands(entry) || entry.is_unswept_loser())
        .map(|(version, entry)| entry.version_record(room.key(document_id, *version), generation))
        .collect()
}

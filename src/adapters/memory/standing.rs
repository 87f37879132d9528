//! What the memory ledger knows of documents whose stores are being looked at.

use async_trait::async_trait;

use super::books::{Entry, Room};
use super::ledger::MemoryLedger;
use crate::domain::ids::{CollectionKey, DocumentId, Generation};
use crate::fault::Fault;
use crate::ports::ledger::{State, VersionRecord};
use crate::ports::standing::{LogExtent, Standings};

#[async_trait]
impl Standings for MemoryLedger {
    async fn standings(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        let standings = self.in_room(collection, |room, _| {
            documents.iter().map(|document_id| standing(room, generation, document_id)).collect()
        });
        Ok(standings.unwrap_or_else(|| vec![Vec::new(); documents.len()]))
    }

    async fn log_extent(&self, collection: &CollectionKey) -> Result<LogExtent, Fault> {
        let extent = self.in_room(collection, |room, _| LogExtent {
            documents: room.log.len() as u64,
            end: room.log_position,
        });
        Ok(extent.unwrap_or_default())
    }
}

fn standing(room: &Room, generation: Generation, document_id: &DocumentId) -> Vec<VersionRecord> {
    let stands = |entry: &Entry| !entry.state.is_terminal() || entry.state == State::Visible;
    let versions = room.documents.get(document_id).into_iter().flatten();
    versions
        .filter(|(_, entry)| stands(entry) || entry.is_unswept_loser())
        .map(|(version, entry)| entry.version_record(room.key(document_id, *version), generation))
        .collect()
}

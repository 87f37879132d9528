//! Documents as a caller sees them.

use std::sync::Arc;

use super::StoreOperations;
use crate::operations::messages::collection::CollectionSettings;
use crate::operations::messages::document::{ChunkView, DocumentView, ReasonView};
use contexture_core::domain::document::DocumentAcl;
use contexture_core::domain::ids::{CollectionKey, DocumentId, VersionKey};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Fault, Refusal, RefusalKind};
use contexture_core::ports::document_ledger::DocumentRecord;
use contexture_core::ports::ledger::{Ledger, VersionRecord};

/// A caller who looks at the documents of a collection.
pub(super) struct DocumentReader {
    caller: Principal,
    collection: CollectionKey,
    settings: Arc<CollectionSettings>,
}

impl DocumentReader {
    /// Whether the caller may read the text.
    pub(super) fn reads(&self, found: &DocumentRecord) -> bool {
        // Without a description nothing is left to read, and nothing says who may.
        found.description.as_ref().is_some_and(|description| description.acl.admits(self.caller.groups()))
    }

    /// Whether the caller may know that there is such a document. Of one whose deletion is visible,
    /// [`sees_deletion`] decides.
    pub(super) fn sees(&self, found: &DocumentRecord) -> bool {
        self.administers() || self.reads(found)
    }

    fn administers(&self) -> bool {
        self.caller.require(AccessScope::Admin).is_ok()
    }

    /// The document without its history.
    pub(super) fn view(&self, found: &DocumentRecord, groups: bool) -> DocumentView {
        let description = found.description.clone().unwrap_or_default();
        let newest = &found.newest;
        let url = self.settings.document_url(
            &self.collection.collection,
            &newest.key.document_id,
            description.title.as_deref(),
            &description.metadata,
        );
        let readers = || match &description.acl {
            DocumentAcl::Tenant => None,
            DocumentAcl::Groups(readers) => Some(readers.iter().cloned().collect()),
        };
        DocumentView {
            document_id: newest.key.document_id.to_string(),
            version: newest.key.version.get(),
            state: Some(newest.state.into()),
            deleted: newest.deletes,
            visible_version: found.visible.as_ref().map(|visible| visible.key.version.get()),
            url,
            groups: groups.then(readers),
            title: description.title,
            media_type: description.media_type,
            source: None,
            metadata: description.metadata,
            body_bytes: newest.body_bytes,
            chunk_count: newest.chunk_count,
            accepted_ms: newest.accepted_ms,
            updated_ms: newest.updated_ms,
            reason: newest.reason.clone().map(ReasonView::from),
            versions: Vec::new(),
            chunks: None,
            text: None,
        }
    }
}

impl StoreOperations {
    pub(super) async fn reader(
        &self,
        caller: &Principal,
        collection: &CollectionKey,
    ) -> Result<DocumentReader, Refusal> {
        let settings = self.settings.settings(collection).await?;
        Ok(DocumentReader { caller: caller.clone(), collection: collection.clone(), settings })
    }

    /// The versions of a document that its reader may know of, newest first: all for who administers the
    /// collection. Others know of the newest and the visible one, and of those that say that they may.
    pub(super) async fn seen_versions(
        &self,
        reader: &DocumentReader,
        found: &DocumentRecord,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        let newest = &found.newest.key;
        let history = self.stages.ledger.history(&reader.collection, &newest.document_id).await?;
        if reader.administers() {
            return Ok(history);
        }
        let keys: Vec<_> = history.iter().map(|record| record.key.clone()).collect();
        let descriptions = self.stages.ledger.descriptions(&keys).await?;
        let visible = found.visible.as_ref().map(|visible| &visible.key);
        let seen = history.into_iter().zip(descriptions).filter(|(record, description)| match description {
            Some(described) => described.acl.admits(reader.caller.groups()),
            None => record.key == *newest || Some(&record.key) == visible,
        });
        Ok(seen.map(|(record, _)| record).collect())
    }

    /// The chunks of a document that the index holds, and the text that they tile; nothing where it holds
    /// none, or where the caller may not read what it holds.
    pub(super) async fn stored_chunks(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
        caller: &Principal,
    ) -> Result<(Vec<ChunkView>, String), Refusal> {
        let open = self.stages.catalog.open(collection).await?;
        let open =
            open.ok_or_else(|| Fault::transient("a collection is gone that was there a moment ago"))?;
        let (snapshot, id) = (open.lexical()?.snapshot(), document_id.clone());
        // Memory-mapped files are read here, which can block.
        let read = tokio::task::spawn_blocking(move || snapshot.chunk_range(&id, 0, u32::MAX));
        let stored = read.await.map_err(|error| {
            Refusal::new(RefusalKind::Internal, "internal", "", format!("reading chunks: {error}"))
        })??;
        // The index may hold another version than the ledger said a moment ago, with other readers.
        let readable = stored.iter().filter(|chunk| chunk.description.acl.admits(caller.groups()));
        let (mut chunks, mut text) = (Vec::new(), String::new());
        for chunk in readable {
            text.push_str(&chunk.text);
            chunks.push(ChunkView {
                chunk_id: chunk.id.to_string(),
                ordinal: chunk.ordinal,
                start_byte: chunk.span.start as u64,
                end_byte: chunk.span.end as u64,
                heading: chunk.heading.clone(),
                text: chunk.text.clone(),
            });
        }
        Ok((chunks, text))
    }
}

/// Whether a caller may know of a deletion: it administers the collection, or its groups may read the newest
/// earlier version of which a description is left. A description goes when its version is swept; where none
/// is left, only administrators know.
pub(super) async fn sees_deletion(
    ledger: &dyn Ledger,
    caller: &Principal,
    deletion: &VersionKey,
) -> Result<bool, Fault> {
    if caller.require(AccessScope::Admin).is_ok() {
        return Ok(true);
    }
    let history = ledger.history(&deletion.collection_key(), &deletion.document_id).await?;
    let earlier = history.into_iter().map(|record| record.key).filter(|key| key.version < deletion.version);
    let earlier: Vec<_> = earlier.collect();
    let left = ledger.descriptions(&earlier).await?.into_iter().flatten().next();
    Ok(left.is_some_and(|description| description.acl.admits(caller.groups())))
}

//! Stored documents: reading, listing, waiting for and deleting them.
//!
//! A reader sees a document if one of its groups may read it, and a deleted one if it may read what is left of
//! it. A caller with the scope `admin` sees that any document exists and how it is described, and its text only
//! as a reader.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::StoreOperations;
use super::described_texts::DescribedTexts;
use super::document_views::{DocumentReader, sees_deletion};
use crate::operations::api::{DocumentsApi, caller_collection};
use crate::operations::messages::document::{
    DeleteMatchingOutcome, DeleteMatchingRequest, DocumentDetails, DocumentList, DocumentView,
    ListDocumentsRequest, VersionState, VersionStateName,
};
use crate::operations::messages::page::{cursor_after, entry_of_cursor, page_limit};
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::ids::{CollectionKey, DocumentId, Version, VersionKey};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{FailureReason, Refusal};
use contexture_core::ingest::submit::unknown_document_refusal;
use contexture_core::ports::document_ledger::{DocumentPage, DocumentRecord};
use contexture_core::ports::ledger::IntakeDecision;

/// Documents read at once where a condition decides which of them count.
const SCAN_DOCUMENTS: usize = 512;
/// Deletes submitted at once.
const DELETES_PER_SUBMISSION: usize = 256;
/// Most ids of one request.
const IDS_MAX: usize = 10_000;
/// Longest time between two looks at a version that is waited for. One that ends in this process is seen at
/// once.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

#[async_trait]
impl DocumentsApi for StoreOperations {
    async fn document_view(
        &self,
        caller: &Principal,
        collection: &str,
        document_id: &str,
        details: DocumentDetails,
    ) -> Result<DocumentView, Refusal> {
        caller.require(AccessScope::Read)?;
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        let document_id = DocumentId::new(document_id)?;
        let found = self.document_record(&record.key, &document_id).await?;
        let reader = self.reader(caller, &record.key).await?;
        let found = found.ok_or_else(|| unknown_document_refusal(&document_id))?;
        let is_seen = reader.sees(&found)
            || (found.description.is_none()
                && found.newest.deletes
                && sees_deletion(&*self.stages.ledger, caller, &found.newest.key).await?);
        if !is_seen {
            return Err(unknown_document_refusal(&document_id));
        }
        let texts = self.described_texts(&record.key, false).await?;
        let found = texts.describe(&reader, vec![found]).await?.pop();
        let found = found.ok_or_else(|| unknown_document_refusal(&document_id))?;
        let mut view = reader.view(&found, details.groups);
        self.name_sources(caller, &record.key, std::slice::from_mut(&mut view)).await?;
        view.versions = self.seen_versions(&reader, &found).await?.into_iter().map(Into::into).collect();
        if (details.chunks || details.text) && reader.reads(&found) {
            let (chunks, text) = self.stored_chunks(&record.key, &document_id, caller).await?;
            view.chunks = details.chunks.then_some(chunks);
            view.text = details.text.then_some(text);
        }
        Ok(view)
    }

    async fn list_documents(
        &self,
        caller: &Principal,
        collection: &str,
        request: ListDocumentsRequest,
    ) -> Result<DocumentList, Refusal> {
        caller.require(AccessScope::Read)?;
        let limit = page_limit(request.limit)?;
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        let after = request.cursor.as_deref().map(entry_of_cursor).transpose()?;
        let after =
            after.as_deref().map(DocumentId::new).transpose().map_err(|_| {
                Refusal::invalid("invalid_cursor", "cursor", "cursor is not one of this list")
            })?;
        let mut scan = DocumentScanState {
            page: DocumentPage { prefix: request.prefix, after, limit: SCAN_DOCUMENTS },
            condition: DocumentCondition {
                filter: parsed_filter(request.filter.as_deref())?,
                state: request.state,
            },
            reader: self.reader(caller, &record.key).await?,
            texts: None,
            ended: false,
        };
        scan.texts = Some(self.described_texts(&record.key, scan.condition.filter.is_some()).await?);
        if scan.condition.is_open() {
            // Everything counts but what is deleted or hidden, so little more is read than is returned.
            scan.page.limit = limit + 1;
        }
        let mut documents = Vec::new();
        while documents.len() <= limit && !scan.ended {
            for found in self.scan_page(&record.key, &mut scan).await? {
                documents.push(scan.reader.view(&found, false));
            }
        }
        let more = documents.len() > limit;
        documents.truncate(limit);
        self.name_sources(caller, &record.key, &mut documents).await?;
        let next_cursor = documents.last().filter(|_| more).map(|last| cursor_after(&last.document_id));
        Ok(DocumentList { documents, next_cursor })
    }

    async fn delete_matching(
        &self,
        caller: &Principal,
        collection: &str,
        request: DeleteMatchingRequest,
    ) -> Result<DeleteMatchingOutcome, Refusal> {
        caller.require(AccessScope::Write)?;
        let DeleteMatchingRequest { ids, prefix, filter, dry_run } = request;
        let filter = parsed_filter(filter.as_deref())?;
        if ids.is_none() && prefix.as_deref().is_none_or(str::is_empty) && filter.is_none() {
            // Deleting everything by an empty request would be a misspelt field away.
            return Err(Refusal::invalid(
                "no_condition",
                "filter",
                "which documents? give ids, prefix or filter; to delete all, delete the collection",
            ));
        }
        if filter.is_some() {
            caller.require(AccessScope::Read)?;
        }
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        let reader = self.reader(caller, &record.key).await?;
        let mut deleting = MatchingDeletes {
            operations: self,
            caller,
            collection: &record.key,
            dry_run,
            waiting: Vec::new(),
            outcome: DeleteMatchingOutcome { matched: 0, deleted: 0, dry_run },
        };
        let condition = DocumentCondition { filter, state: None };
        let texts = match &condition.filter {
            Some(_) => Some(self.described_texts(&record.key, true).await?),
            None => None,
        };
        if let Some(ids) = ids {
            for id in checked_ids(&ids)? {
                let found = self.document_record(&record.key, &id).await?;
                let wanted = |found: &DocumentRecord| {
                    reader.sees(found)
                        && !found.newest.deletes
                        && prefix.as_deref().is_none_or(|prefix| id.as_str().starts_with(prefix))
                };
                let mut found: Vec<DocumentRecord> = found.filter(wanted).into_iter().collect();
                if let Some(texts) = &texts {
                    found = texts.describe(&reader, found).await?;
                }
                for found in found.into_iter().filter(|found| condition.admits(found)) {
                    deleting.add(found.newest.key).await?;
                }
            }
        } else {
            let page = DocumentPage { prefix, after: None, limit: SCAN_DOCUMENTS };
            let mut scan = DocumentScanState { page, condition, reader, texts, ended: false };
            while !scan.ended {
                for found in self.scan_page(&record.key, &mut scan).await? {
                    deleting.add(found.newest.key).await?;
                }
            }
        }
        deleting.flush().await?;
        Ok(deleting.outcome)
    }

    async fn wait_for_version(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
        version: Version,
        deadline: Instant,
    ) -> Result<(VersionState, Option<FailureReason>), Refusal> {
        let mut progress = self.stages.counters.watch();
        loop {
            progress.borrow_and_update();
            let history = self.stages.ledger.history(collection, document_id).await?;
            let record = history.into_iter().find(|record| record.key.version == version);
            let record = record.ok_or_else(|| unknown_document_refusal(document_id))?;
            if record.state.is_terminal() || Instant::now() >= deadline {
                return Ok((record.state, record.reason));
            }
            let look = deadline.min(Instant::now() + LOOK_INTERVAL);
            // Wakes when something ends here. Other processes may end it, too, so the ledger is asked anyway.
            if let Ok(Err(_closed)) = timeout_at(look, progress.changed()).await {
                tokio::time::sleep_until(look).await;
            }
        }
    }
}

/// What a listed document has to be.
pub(super) struct DocumentCondition {
    filter: Option<MetadataFilter>,
    state: Option<VersionStateName>,
}

impl DocumentCondition {
    fn is_open(&self) -> bool {
        self.filter.is_none() && self.state.is_none()
    }

    fn admits(&self, found: &DocumentRecord) -> bool {
        let nothing = DocumentDescription::default();
        let description = found.description.as_ref().unwrap_or(&nothing);
        let subject = FilterSubject::of_document(&found.newest.key.document_id, description);
        self.state.is_none_or(|state| state == found.newest.state.into())
            && self.filter.as_ref().is_none_or(|filter| filter.matches(&subject))
    }
}

/// A walk through a collection's documents.
struct DocumentScanState {
    page: DocumentPage,
    condition: DocumentCondition,
    reader: DocumentReader,
    /// What documents say about themselves, where that is asked for.
    texts: Option<DescribedTexts>,
    ended: bool,
}

/// Deletes in submissions of bounded size.
struct MatchingDeletes<'a> {
    operations: &'a StoreOperations,
    caller: &'a Principal,
    collection: &'a CollectionKey,
    dry_run: bool,
    waiting: Vec<Submission>,
    outcome: DeleteMatchingOutcome,
}

impl MatchingDeletes<'_> {
    async fn add(&mut self, newest: VersionKey) -> Result<(), Refusal> {
        self.outcome.matched += 1;
        if self.dry_run {
            return Ok(());
        }
        // Fenced: what was written since the look is not what matched, and stays. Nothing follows the highest
        // version, so that one stays, too.
        let Ok(version) = Version::new(newest.version.get() + 1) else { return Ok(()) };
        let collection = self.collection.collection.clone();
        self.waiting.push(Submission::deletion(self.caller, collection, newest.document_id, Some(version))?);
        if self.waiting.len() >= DELETES_PER_SUBMISSION { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Refusal> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let receipts = self.operations.ingest.submit(std::mem::take(&mut self.waiting)).await?;
        // Conflicts and what is superseded were written by somebody else meanwhile.
        let accepted = receipts.iter().filter(|receipt| receipt.intake == IntakeDecision::Accepted).count();
        self.outcome.deleted += accepted as u64;
        Ok(())
    }
}

impl StoreOperations {
    /// Says which sources documents are of. Their names may be folders of a producer's machine.
    async fn name_sources(
        &self,
        caller: &Principal,
        collection: &CollectionKey,
        views: &mut [DocumentView],
    ) -> Result<(), Refusal> {
        if caller.require(AccessScope::Write).is_err() {
            return Ok(());
        }
        let ids =
            views.iter().map(|view| DocumentId::new(&view.document_id)).collect::<Result<Vec<_>, _>>()?;
        let sources = self.stages.ledger.sources_of(collection, &ids).await?;
        for (view, source) in views.iter_mut().zip(sources) {
            view.source = source.map(Into::into);
        }
        Ok(())
    }

    /// The next documents of a walk that count.
    async fn scan_page(
        &self,
        collection: &CollectionKey,
        scan: &mut DocumentScanState,
    ) -> Result<Vec<DocumentRecord>, Refusal> {
        let mut found = self.stages.ledger.documents(collection, &scan.page).await?;
        scan.ended = found.len() < scan.page.limit;
        if let Some(last) = found.last() {
            scan.page.after = Some(last.newest.key.document_id.clone());
        }
        found.retain(|found| !found.newest.deletes && scan.reader.sees(found));
        if let Some(texts) = &scan.texts {
            found = texts.describe(&scan.reader, found).await?;
        }
        found.retain(|found| scan.condition.admits(found));
        Ok(found)
    }

    async fn document_record(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Option<DocumentRecord>, Refusal> {
        // Of all ids that start with this one, it is the first.
        let page = DocumentPage { prefix: Some(document_id.as_str().to_owned()), after: None, limit: 1 };
        let found = self.stages.ledger.documents(collection, &page).await?.pop();
        Ok(found.filter(|found| found.newest.key.document_id == *document_id))
    }
}

fn parsed_filter(text: Option<&str>) -> Result<Option<MetadataFilter>, Refusal> {
    text.filter(|text| !text.trim().is_empty()).map(MetadataFilter::parse).transpose()
}

fn checked_ids(ids: &[String]) -> Result<Vec<DocumentId>, Refusal> {
    if ids.is_empty() || ids.len() > IDS_MAX {
        return Err(Refusal::invalid(
            "invalid_ids",
            "ids",
            format!("ids must be 1 to {IDS_MAX} document ids"),
        ));
    }
    let mut checked = ids.iter().map(|id| DocumentId::new(id)).collect::<Result<Vec<_>, _>>()?;
    checked.sort_unstable();
    checked.dedup();
    Ok(checked)
}

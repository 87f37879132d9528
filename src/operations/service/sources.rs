//! Sources: runs, what they saw, and what is gone.

use async_trait::async_trait;

use super::{StoreOperations, require_any_scope};
use crate::operations::api::{SourcesApi, caller_collection};
use crate::operations::messages::page::{cursor_after, entry_of_cursor, page_limit};
use crate::operations::messages::source::{
    FinishSourceRunRequest, FinishedSourceRun, ListSourceDocumentsRequest, ReportSourceDocumentsRequest,
    SourceDocumentList, SourceList, SourceRunView, SourceSightingRequest, SourceView,
};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionKey, DocumentId, Version};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::domain::source::{SourceFingerprint, SourceName};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::source_ledger::{SettledSource, SourceDocument, SourceRecord, SourceSighting};

/// Most documents of one report, of either kind.
const REPORTED_MAX: usize = 10_000;
/// Documents of a source read at once.
const SCAN_DOCUMENTS: usize = 1000;
/// Deletes submitted at once.
const DELETES_PER_SUBMISSION: usize = 256;
/// Documents that are gone and named.
const EXAMPLES_MAX: usize = 5;
/// Most prefixes of one kind.
const PREFIXES_MAX: usize = 10_000;

#[async_trait]
impl SourcesApi for StoreOperations {
    async fn list_sources(&self, caller: &Principal, collection: &str) -> Result<SourceList, Refusal> {
        require_any_scope(caller)?;
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        let sources = self.stages.ledger.sources(&record.key).await?;
        Ok(SourceList { sources: sources.into_iter().map(SourceView::from).collect() })
    }

    async fn begin_source_run(
        &self,
        caller: &Principal,
        collection: &str,
        source: &str,
    ) -> Result<SourceRunView, Refusal> {
        caller.require(AccessScope::Write)?;
        let source = SourceName::new(source)?;
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        let ledger = &self.stages.ledger;
        let run = ledger.begin_source_run(&record.key, &source).await?;
        let known = ledger.sources(&record.key).await?.into_iter().find(|known| known.name == source);
        let settled = match known.and_then(|known| known.settled) {
            Some(settled) if self.is_as_settled(&record.key, &settled).await? => {
                Some(settled.fingerprint.into())
            }
            _ => None,
        };
        Ok(SourceRunView { run, settled })
    }

    async fn source_documents(
        &self,
        caller: &Principal,
        collection: &str,
        request: ListSourceDocumentsRequest,
    ) -> Result<SourceDocumentList, Refusal> {
        caller.require(AccessScope::Write)?;
        let source = SourceName::new(&request.source)?;
        let limit = page_limit(request.limit)?;
        let after = request.cursor.as_deref().map(entry_of_cursor).transpose()?;
        let after =
            after.as_deref().map(DocumentId::new).transpose().map_err(|_| {
                Refusal::invalid("invalid_cursor", "cursor", "cursor is not one of this list")
            })?;
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        // One more than asked for tells whether there are more.
        let found = self.stages.ledger.source_documents(&record.key, &source, after.as_ref(), limit + 1);
        let mut found = found.await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next_cursor = last.map(|last| cursor_after(last.sighting.document_id.as_str()));
        Ok(SourceDocumentList { documents: found.into_iter().map(Into::into).collect(), next_cursor })
    }

    async fn report_source_documents(
        &self,
        caller: &Principal,
        collection: &str,
        run: u64,
        request: ReportSourceDocumentsRequest,
    ) -> Result<(), Refusal> {
        caller.require(AccessScope::Write)?;
        let source = SourceName::new(&request.source)?;
        for (field, count) in [("seen", request.seen.len()), ("unchanged", request.unchanged.len())] {
            if count > REPORTED_MAX {
                let message = format!("{field} has {count} documents; report at most {REPORTED_MAX} at once");
                return Err(Refusal::invalid("too_many_reported", field, message));
            }
        }
        let sightings = request.seen.iter().map(checked_sighting).collect::<Result<Vec<_>, _>>()?;
        let unchanged =
            request.unchanged.iter().map(|id| DocumentId::new(id)).collect::<Result<Vec<_>, _>>()?;
        let (key, _) = self.begun_run(caller, collection, &source, run).await?;
        let ledger = &self.stages.ledger;
        if !sightings.is_empty() {
            ledger.report_sightings(&key, &source, run, sightings).await?;
        }
        if !unchanged.is_empty() {
            ledger.report_unchanged(&key, &source, run, unchanged).await?;
        }
        Ok(())
    }

    async fn finish_source_run(
        &self,
        caller: &Principal,
        collection: &str,
        run: u64,
        request: FinishSourceRunRequest,
    ) -> Result<FinishedSourceRun, Refusal> {
        caller.require(AccessScope::Write)?;
        let FinishSourceRunRequest { source, prune, within, unreadable, fingerprint } = request;
        let source = SourceName::new(&source)?;
        let fingerprint = fingerprint.as_deref().map(SourceFingerprint::new).transpose()?;
        for (field, prefixes) in [("within", &within), ("unreadable", &unreadable)] {
            if prefixes.len() > PREFIXES_MAX {
                let message = format!("{field} has {} prefixes; at most {PREFIXES_MAX}", prefixes.len());
                return Err(Refusal::invalid("too_many_prefixes", field, message));
            }
        }
        let (key, known) = self.begun_run(caller, collection, &source, run).await?;
        let ledger = &self.stages.ledger;
        let mut outcome = FinishedSourceRun { gone: 0, deleted: 0, examples: Vec::new() };
        // Of a part of a source nothing can be said about the whole.
        let fingerprint = fingerprint.filter(|_| within.is_empty() && unreadable.is_empty());
        if let Some(settled) = known.settled
            && fingerprint.as_ref() == Some(&settled.fingerprint)
            && self.is_as_settled(&key, &settled).await?
        {
            ledger.finish_source_run(&key, &source, run, Some(settled)).await?;
            return Ok(outcome);
        }
        let mut after: Option<DocumentId> = None;
        let mut unseen = 0;
        loop {
            let page =
                ledger.unseen_source_documents(&key, &source, run, after.as_ref(), SCAN_DOCUMENTS).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.sighting.document_id.clone());
            unseen += page.len();
            let is_gone = |found: &SourceDocument| {
                let id = found.sighting.document_id.as_str();
                let begins =
                    |prefixes: &[String]| prefixes.iter().any(|prefix| id.starts_with(prefix.as_str()));
                (within.is_empty() || begins(&within)) && !begins(&unreadable)
            };
            let (there, left): (Vec<SourceDocument>, Vec<SourceDocument>) = page
                .into_iter()
                .filter(is_gone)
                .partition(|found| found.newest.as_ref().is_some_and(|newest| !newest.deletes));
            outcome.gone += there.len() as u64;
            for found in there.iter().take(EXAMPLES_MAX - outcome.examples.len()) {
                outcome.examples.push(found.sighting.document_id.to_string());
            }
            if prune {
                outcome.deleted += there.len() as u64;
                self.prune(caller, &key, &source, run, there).await?;
                // Nothing is there to delete: these are only forgotten.
                let left = left.into_iter().map(|found| found.sighting.document_id).collect();
                ledger.forget_source_documents(&key, &source, run, left).await?;
            }
        }
        let settled = match fingerprint {
            // What was forgotten counts as well: it is in flight, or was never there. The next run tells.
            Some(fingerprint) if unseen == 0 => self.settled(&key, &source, fingerprint).await?,
            _ => None,
        };
        ledger.finish_source_run(&key, &source, run, settled).await?;
        Ok(outcome)
    }

    async fn forget_source(&self, caller: &Principal, collection: &str, source: &str) -> Result<(), Refusal> {
        caller.require(AccessScope::Write)?;
        let name = SourceName::new(source)?;
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        if self.stages.ledger.forget_source(&record.key, &name).await? {
            return Ok(());
        }
        Err(unknown_source(&name))
    }
}

impl StoreOperations {
    /// How this source is to be remembered, if all of it is in step.
    async fn settled(
        &self,
        key: &CollectionKey,
        source: &SourceName,
        fingerprint: SourceFingerprint,
    ) -> Result<Option<SettledSource>, Refusal> {
        let ledger = &self.stages.ledger;
        // Counted before the documents are looked at: what is accepted in between shows in the next run's count.
        let counts = ledger.counts(key).await?;
        if counts.in_flight > 0 || ledger.count_unsettled(key, source).await? > 0 {
            return Ok(None);
        }
        Ok(Some(SettledSource { fingerprint, accepted: counts.accepted }))
    }

    async fn is_as_settled(&self, key: &CollectionKey, settled: &SettledSource) -> Result<bool, Refusal> {
        Ok(self.stages.ledger.counts(key).await?.accepted == settled.accepted)
    }

    /// The caller's collection and this source, if this run of it has begun.
    async fn begun_run(
        &self,
        caller: &Principal,
        collection: &str,
        source: &SourceName,
        run: u64,
    ) -> Result<(CollectionKey, SourceRecord), Refusal> {
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        let sources = self.stages.ledger.sources(&record.key).await?;
        let known =
            sources.into_iter().find(|known| known.name == *source).ok_or_else(|| unknown_source(source))?;
        if run == 0 || run > known.run {
            let message = format!("'{source}' has had {} runs; begin one and name its number", known.run);
            return Err(Refusal::new(RefusalKind::NotFound, "unknown_run", "run", message));
        }
        Ok((record.key, known))
    }

    /// Deletes documents, then forgets them: a crash in between leaves them to be deleted again, which changes
    /// nothing.
    async fn prune(
        &self,
        caller: &Principal,
        key: &CollectionKey,
        source: &SourceName,
        run: u64,
        gone: Vec<SourceDocument>,
    ) -> Result<(), Refusal> {
        let ids: Vec<DocumentId> = gone.into_iter().map(|found| found.sighting.document_id).collect();
        for ids in ids.chunks(DELETES_PER_SUBMISSION) {
            let delete =
                |id: &DocumentId| Submission::deletion(caller, key.collection.clone(), id.clone(), None);
            let deletes = ids.iter().map(delete).collect::<Result<Vec<_>, _>>()?;
            self.ingest.submit(deletes).await?;
            self.stages.ledger.forget_source_documents(key, source, run, ids.to_vec()).await?;
        }
        Ok(())
    }
}

fn checked_sighting(request: &SourceSightingRequest) -> Result<SourceSighting, Refusal> {
    Ok(SourceSighting {
        document_id: DocumentId::new(&request.document_id)?,
        fingerprint: request.fingerprint.as_deref().map(SourceFingerprint::new).transpose()?,
        version: request.version.map(Version::new).transpose()?,
    })
}

fn unknown_source(source: &SourceName) -> Refusal {
    let message = format!("the collection has no source '{source}'; begin a run of it first");
    Refusal::new(RefusalKind::NotFound, "unknown_source", "source", message)
}

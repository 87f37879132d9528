//! The ledger, as producers keep a collection in step with a source.
//!
//! A source is a folder, a site or a feed. Its producer goes through it in numbered runs, and reports each
//! item that it sees. What earlier runs saw and this one did not is gone from the source.
//!
//! Contract: an item is reported before its document is submitted, so that no document of a source is
//! unknown to it, wherever a process dies. A report never lowers the run of an item: of two runs at once,
//! the later one decides what is gone. A source says nothing of what readers see; deleting what is gone is
//! a submission like any other. Sources of a dropped collection go with it.

use async_trait::async_trait;

use crate::domain::ids::{CollectionKey, DocumentId, Version};
use crate::domain::source::{SourceFingerprint, SourceName};
use crate::fault::{FailureReason, Fault};

use super::ledger_records::VersionState;

/// A source of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its name.
    pub name: SourceName,
    /// The number of its last run, from 1.
    pub run: u64,
    /// The number of the last run that ended; 0 if none did.
    pub finished_run: u64,
    /// Items that it has, gone ones included until they are forgotten.
    pub documents: u64,
    /// When its last run began, ms since the Unix epoch.
    pub begun_ms: u64,
    /// When a run ended last.
    pub finished_ms: Option<u64>,
    /// What the last run that found everything in step found; none if none did.
    pub settled: Option<SettledSource>,
}

/// A whole source in step with its documents: each of its items had been submitted as it was, and the version that
/// it got was the newest of its document, visible and no deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledSource {
    /// What tells that no item has changed, come or gone.
    pub fingerprint: SourceFingerprint,
    /// Versions that the collection had accepted. While it has not accepted another, all is as it was.
    pub accepted: u64,
}

/// An item of a source, as a run saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSighting {
    /// Its document.
    pub document_id: DocumentId,
    /// What tells that it has not changed; none while that is not known.
    pub fingerprint: Option<SourceFingerprint>,
    /// The version that its document has with this fingerprint.
    pub version: Option<Version>,
}

/// An item of a source, with what became of its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDocument {
    /// What was reported last.
    pub sighting: SourceSighting,
    /// The last run that saw it.
    pub run: u64,
    /// The newest version of its document, if there is one.
    pub newest: Option<SourceDocumentVersion>,
}

/// The newest version of a document of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDocumentVersion {
    /// Its number.
    pub version: Version,
    /// Its state.
    pub state: VersionState,
    /// Whether it deletes the document.
    pub deletes: bool,
    /// Why it is dead.
    pub reason: Option<FailureReason>,
}

impl SourceDocument {
    /// Whether it was submitted as it is, and what it was submitted as is visible.
    pub fn is_settled(&self) -> bool {
        let visible = |newest: &SourceDocumentVersion| newest.state == VersionState::Visible;
        self.sighting.fingerprint.as_ref().is_some_and(|known| self.is_in_step(known))
            && self.newest.as_ref().is_some_and(visible)
    }

    /// Whether its document still has the version that this item was submitted as.
    pub fn is_in_step(&self, fingerprint: &SourceFingerprint) -> bool {
        self.sighting.fingerprint.as_ref() == Some(fingerprint)
            && self
                .newest
                .as_ref()
                .is_some_and(|newest| !newest.deletes && self.sighting.version == Some(newest.version))
    }
}

/// The sources of collections.
#[async_trait]
pub trait SourceLedger: Send + Sync {
    /// Begins a run of a source, which is made if it is new. Returns the run's number.
    async fn begin_source_run(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault>;

    /// Reports items that a run saw. A fingerprint replaces the one before; none leaves it unknown.
    async fn report_sightings(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        sightings: Vec<SourceSighting>,
    ) -> Result<(), Fault>;

    /// Reports items that a run saw unchanged: their fingerprints and versions stay.
    async fn report_unchanged(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault>;

    /// Items of a source after an id, in the order of bytes, at most `limit`.
    async fn source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault>;

    /// Items of a source that neither this run nor a later one saw, after an id, in the order of bytes, at most
    /// `limit`.
    async fn unseen_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault>;

    /// Items of a source that keep it from being settled (see [`SettledSource`]).
    async fn count_unsettled(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault>;

    /// Forgets items that this run did not see, and no later one.
    async fn forget_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault>;

    /// Records that a run went through the whole source, and how it left it if all was in step.
    async fn finish_source_run(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        settled: Option<SettledSource>,
    ) -> Result<(), Fault>;

    /// The sources of a collection, by name.
    async fn sources(&self, collection: &CollectionKey) -> Result<Vec<SourceRecord>, Fault>;

    /// The sources of these documents, in order; none where no source has it. Of several the first by name.
    async fn sources_of(
        &self,
        collection: &CollectionKey,
        documents: &[DocumentId],
    ) -> Result<Vec<Option<SourceName>>, Fault>;

    /// Forgets a source; its documents stay. False if there is none of that name.
    async fn forget_source(&self, collection: &CollectionKey, source: &SourceName) -> Result<bool, Fault>;
}

//! The operations, one trait per group.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::messages::collection::{
    CollectionList, CollectionSettingsChange, CollectionView, CreateCollectionRequest, ListCollectionsRequest,
};
use super::messages::dead_letter::{
    DeadLetterPageView, DeadLetterReasons, DeadLetterSelection, DeadLetterView, DropOutcome,
    ListDeadLettersRequest, ReplayOutcome,
};
use super::messages::document::{
    DeleteMatchingOutcome, DeleteMatchingRequest, DocumentDetails, DocumentList, DocumentView,
    ListDocumentsRequest, VersionState,
};
use super::messages::event::DocumentOutcomeEvent;
use super::messages::source::{
    FinishSourceRunRequest, FinishedSourceRun, ListSourceDocumentsRequest, ReportSourceDocumentsRequest,
    SourceDocumentList, SourceList, SourceRunView,
};
use super::messages::status::{PipelineList, ServiceStatus, UsageReport};
use contexture_core::context::answer::{ContextAnswer, SearchAnswer};
use contexture_core::context::request::{AssemblyRequest, ContextQuery};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{FailureReason, Refusal};
use contexture_core::jobs::audit::AuditProgress;
use contexture_core::jobs::reindex::ReindexControl;
use contexture_core::jobs::repair::RepairOutcome;
use contexture_core::ports::generations::GenerationBuildPace;
use contexture_core::ports::ledger::{SubmissionReceipt, VersionRecord};
use contexture_lab::compare::{ComparisonRequest, GenerationComparison};
use tokio::time::Instant;

/// Ingest.
#[async_trait]
pub trait IngestApi: Send + Sync {
    /// Stores submissions durably; one receipt each, in order, or none stored. Makes their collections where
    /// the configuration wants that.
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal>;

    /// Returns the versions of a document, newest first; not found when there is none.
    async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal>;

    /// Returns the largest accepted body, in bytes.
    fn body_bytes_max(&self) -> usize;
}

/// Queries.
#[async_trait]
pub trait ContextApi: Send + Sync {
    /// Assembles the context for a question.
    async fn assemble(
        &self,
        query: ContextQuery,
        assembly: AssemblyRequest,
    ) -> Result<ContextAnswer, Refusal>;

    /// Ranks the chunks for a question.
    async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal>;
}

/// Whole collections: creating, listing, changing and deleting them.
#[async_trait]
pub trait CollectionsApi: Send + Sync {
    /// Makes a collection; the flag says whether it is new. Refuses with `pipeline_differs` where one of that
    /// name has another pipeline. Needs the scope `write`, and `admin` for the text of a pipeline.
    async fn create_collection(
        &self,
        caller: &Principal,
        request: CreateCollectionRequest,
    ) -> Result<(CollectionView, bool), Refusal>;

    /// Returns a collection. Needs `read`, `write` or `admin`, as the list does.
    async fn collection(&self, caller: &Principal, name: &str) -> Result<CollectionView, Refusal>;

    /// Lists the caller's collections by name.
    async fn list_collections(
        &self,
        caller: &Principal,
        request: ListCollectionsRequest,
    ) -> Result<CollectionList, Refusal>;

    /// Changes settings. Needs `admin`.
    async fn change_settings(
        &self,
        caller: &Principal,
        name: &str,
        change: CollectionSettingsChange,
    ) -> Result<CollectionView, Refusal>;

    /// Deletes a collection with everything in it. Needs `admin`.
    async fn delete_collection(&self, caller: &Principal, name: &str) -> Result<(), Refusal>;
}

/// Stored documents: reading, listing, waiting for and deleting them.
#[async_trait]
pub trait DocumentsApi: Send + Sync {
    /// Returns a document with its history; `details` says what else. Needs `read`.
    async fn document_view(
        &self,
        caller: &Principal,
        collection: &str,
        document_id: &str,
        details: DocumentDetails,
    ) -> Result<DocumentView, Refusal>;

    /// Lists documents by id. Needs `read`.
    async fn list_documents(
        &self,
        caller: &Principal,
        collection: &str,
        request: ListDocumentsRequest,
    ) -> Result<DocumentList, Refusal>;

    /// Deletes the documents that a request selects. Needs `write`, and `read` for a filter.
    async fn delete_matching(
        &self,
        caller: &Principal,
        collection: &str,
        request: DeleteMatchingRequest,
    ) -> Result<DeleteMatchingOutcome, Refusal>;

    /// Waits until a version has ended or the deadline passes. Returns its state then, with the reason of a
    /// dead one.
    async fn wait_for_version(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
        version: Version,
        deadline: Instant,
    ) -> Result<(VersionState, Option<FailureReason>), Refusal>;
}

/// What becomes of documents, as it happens.
#[async_trait]
pub trait EventsApi: Send + Sync {
    /// Follows a collection from a cursor on, or from now on. Ends only when its reader goes away. Needs
    /// `read`.
    async fn document_events(
        &self,
        caller: &Principal,
        collection: &str,
        after: Option<&str>,
    ) -> Result<BoxStream<'static, Result<DocumentOutcomeEvent, Refusal>>, Refusal>;
}

/// Folders, sites and feeds that producers keep a collection in step with. Everything here needs `write`, but
/// the list any scope.
#[async_trait]
pub trait SourcesApi: Send + Sync {
    /// Lists the sources of a collection by name.
    async fn list_sources(&self, caller: &Principal, collection: &str) -> Result<SourceList, Refusal>;

    /// Begins a run of a source, which is made if it is new.
    async fn begin_source_run(
        &self,
        caller: &Principal,
        collection: &str,
        source: &str,
    ) -> Result<SourceRunView, Refusal>;

    /// Lists what the runs of a source saw, by id.
    async fn source_documents(
        &self,
        caller: &Principal,
        collection: &str,
        request: ListSourceDocumentsRequest,
    ) -> Result<SourceDocumentList, Refusal>;

    /// Reports documents that a run saw. Refuses with `unknown_run` a run that has not begun.
    async fn report_source_documents(
        &self,
        caller: &Principal,
        collection: &str,
        run: u64,
        request: ReportSourceDocumentsRequest,
    ) -> Result<(), Refusal>;

    /// Ends a run: counts what is gone, and deletes it where the request says so.
    async fn finish_source_run(
        &self,
        caller: &Principal,
        collection: &str,
        run: u64,
        request: FinishSourceRunRequest,
    ) -> Result<FinishedSourceRun, Refusal>;

    /// Forgets a source; its documents stay.
    async fn forget_source(&self, caller: &Principal, collection: &str, source: &str) -> Result<(), Refusal>;
}

/// Documents that were given up. Everything here needs `admin`.
#[async_trait]
pub trait DeadLettersApi: Send + Sync {
    /// Lists dead letters, oldest first.
    async fn list_dead_letters(
        &self,
        caller: &Principal,
        request: ListDeadLettersRequest,
    ) -> Result<DeadLetterPageView, Refusal>;

    /// Counts dead letters by reason and stage, most first.
    async fn dead_letter_reasons(
        &self,
        caller: &Principal,
        selection: DeadLetterSelection,
    ) -> Result<DeadLetterReasons, Refusal>;

    /// Returns one.
    async fn dead_letter(&self, caller: &Principal, id: u64) -> Result<DeadLetterView, Refusal>;

    /// Processes the selected ones again, from the beginning.
    async fn replay_dead_letters(
        &self,
        caller: &Principal,
        selection: DeadLetterSelection,
        dry_run: bool,
    ) -> Result<ReplayOutcome, Refusal>;

    /// Removes the selected ones from the list; the documents stay as they are.
    async fn drop_dead_letters(
        &self,
        caller: &Principal,
        selection: DeadLetterSelection,
        dry_run: bool,
    ) -> Result<DropOutcome, Refusal>;
}

/// How the service stands.
#[async_trait]
pub trait StatusApi: Send + Sync {
    /// Counts of the caller's collections, the providers, and what embedding cost in 30 days. Needs `read`,
    /// `write` or `admin`. Only a caller with `admin` is told of providers; others get an empty list.
    async fn status(&self, caller: &Principal) -> Result<ServiceStatus, Refusal>;

    /// What embedding cost the caller's tenant in the last `days`.
    async fn usage(&self, caller: &Principal, days: u64) -> Result<UsageReport, Refusal>;

    /// The pipelines that a collection can be made with by name.
    async fn pipelines(&self, caller: &Principal) -> Result<PipelineList, Refusal>;
}

/// Jobs on whole collections. Callers check the scope with [`administered_collection`].
#[async_trait]
pub trait AdminApi: Send + Sync {
    /// Starts to build a generation under another pipeline: the name of a configured one, or TOML.
    async fn start_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        pace: GenerationBuildPace,
    ) -> Result<(), Refusal>;

    /// Compares the stores of a collection with the ledger; with `repair` also repairs them. `show` receives
    /// the progress and the number of repairs.
    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        show: Box<dyn FnMut(AuditProgress, u64) + Send>,
    ) -> Result<RepairOutcome, Refusal>;

    /// Asks two generations the same questions. `show` receives the number of answered questions and the total.
    async fn compare(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: ComparisonRequest,
        show: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<GenerationComparison, Refusal>;

    /// Controls the generations of collections.
    fn reindexing(&self) -> &ReindexControl;

    /// Returns the time in ms since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// All operations.
#[derive(Clone)]
pub struct ApiServices {
    /// Ingest.
    pub ingest: Arc<dyn IngestApi>,
    /// Queries.
    pub context: Arc<dyn ContextApi>,
    /// Jobs on whole collections.
    pub admin: Arc<dyn AdminApi>,
    /// Collections.
    pub collections: Arc<dyn CollectionsApi>,
    /// Stored documents.
    pub documents: Arc<dyn DocumentsApi>,
    /// What becomes of documents.
    pub events: Arc<dyn EventsApi>,
    /// Documents that were given up.
    pub dead_letters: Arc<dyn DeadLettersApi>,
    /// What producers keep collections in step with.
    pub sources: Arc<dyn SourcesApi>,
    /// How the service stands.
    pub status: Arc<dyn StatusApi>,
}

/// The caller's collection of that name, whether it exists or not.
pub fn caller_collection(caller: &Principal, name: &str) -> Result<CollectionKey, Refusal> {
    Ok(CollectionKey { tenant: caller.tenant().clone(), collection: CollectionId::new(name)? })
}

/// The same for a caller that administers it.
pub fn administered_collection(caller: &Principal, name: &str) -> Result<CollectionKey, Refusal> {
    caller.require(AccessScope::Admin)?;
    caller_collection(caller, name)
}

//! Accepts submissions: one ledger transaction decides the version fence and stores the body, then the
//! first message is published.
//!
//! Accepted means stored. If the broker is down, [`crate::ingest::housekeeping`] publishes the message
//! later from the ledger. Bodies that wait for the ledger are bounded in bytes. Beyond the bound a
//! submission is refused with a retry-after, and none of it is accepted. Dead versions are replayed
//! here, too: they get a first message again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId};
use crate::domain::principal::{AccessScope, Principal};
use crate::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::broker::{Broker, OutgoingMessage};
use crate::ports::disk_space::{DiskSpace, UnwatchedDiskSpace};
use crate::ports::ledger::{DeadLetterFilter, Ledger, SubmissionReceipt, VersionRecord};

use super::StageResources;

/// Bytes of one semaphore permit.
const PERMIT_BYTES: usize = 1024;
/// Retry-after of a refusal for lack of room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Retry-after of a refusal for lack of room on the disk: somebody has to make some.
const DISK_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Versions per round of a replay.
const REPLAY_VERSIONS_MAX: usize = 1_000;

/// Accepts submissions.
pub struct DocumentSubmitter {
    ledger: Arc<dyn Ledger>,
    broker: Arc<dyn Broker>,
    room: Semaphore,
    body_bytes_max: usize,
    disk: Arc<dyn DiskSpace>,
}

impl DocumentSubmitter {
    /// Creates a submitter that holds at most `pending_bytes_max` bytes of bodies that wait for the ledger.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        broker: Arc<dyn Broker>,
        body_bytes_max: usize,
        pending_bytes_max: usize,
    ) -> Self {
        // At least one body of the largest size must fit, or it could never be accepted.
        let permits = (pending_bytes_max.max(body_bytes_max) / PERMIT_BYTES + 1).min(Semaphore::MAX_PERMITS);
        Self {
            ledger,
            broker,
            room: Semaphore::new(permits),
            body_bytes_max,
            disk: Arc::new(UnwatchedDiskSpace),
        }
    }

    /// Refuses new content while this disk is short of room.
    #[must_use]
    pub fn with_disk(self, disk: Arc<dyn DiskSpace>) -> Self {
        Self { disk, ..self }
    }

    /// Returns the largest accepted body, in bytes.
    pub fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// Stores submissions and publishes their first messages; one receipt each, in order.
    pub async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        let _room = self.room_for(&submissions)?;
        let receipts = self.store(submissions).await?;
        self.send(receipts.iter().filter_map(|receipt| receipt.task.clone()).collect()).await;
        Ok(receipts)
    }

    /// Stores submissions. The caller passes the tasks of the receipts to [`Self::send`].
    pub async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        let _room = self.room_for(&submissions)?;
        self.store(submissions).await
    }

    /// Publishes the first messages of accepted versions. What fails is published later from the ledger.
    pub async fn send(&self, tasks: Vec<IngestTask>) {
        publish_first_messages(&*self.ledger, &*self.broker, tasks).await;
    }

    fn room_for(&self, submissions: &[Submission]) -> Result<SemaphorePermit<'_>, Refusal> {
        let bytes: usize = submissions.iter().map(|submission| submission.body().len()).sum();
        let permits = u32::try_from(bytes / PERMIT_BYTES + 1).unwrap_or(u32::MAX);
        self.room.try_acquire_many(permits).map_err(|_| {
            Refusal::exhausted(
                "intake_full",
                RETRY_AFTER,
                "too many bytes are being submitted at once; try again",
            )
        })
    }

    async fn store(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        if submissions.is_empty() {
            return Ok(Vec::new());
        }
        if submissions.iter().any(|submission| !submission.deletes())
            && let Some(short) = self.disk.shortage()
        {
            return Err(Refusal::exhausted("disk_full", DISK_RETRY_AFTER, short));
        }
        self.require_collections(&submissions).await?;
        let origins: Vec<_> = submissions.iter().map(|submission| submission.origin().cloned()).collect();
        let mut receipts = self.ledger.accept(submissions).await.map_err(|fault| match fault {
            Fault::Transient(cause) => Refusal::exhausted("ledger_unavailable", RETRY_AFTER, cause.as_str()),
            other => other.into(),
        })?;
        // The ledger returns tasks without their origin; events about them need it.
        for (receipt, origin) in receipts.iter_mut().zip(origins) {
            if let Some(task) = &mut receipt.task {
                task.origin = origin;
            }
        }
        Ok(receipts)
    }

    /// Returns the versions of a document, newest first, whoever may read it. Needs the scope `write`.
    pub async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        document_id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        // Producers look up what became of their documents; a version says nothing of what is in it.
        // Readers are shown documents elsewhere, where their groups decide.
        principal.require(AccessScope::Write)?;
        let key = CollectionKey { tenant: principal.tenant().clone(), collection };
        let history = self.ledger.history(&key, &document_id).await?;
        if history.is_empty() {
            return Err(unknown_document_refusal(&document_id));
        }
        Ok(history)
    }

    async fn require_collections(&self, submissions: &[Submission]) -> Result<(), Refusal> {
        let mut seen: Vec<&CollectionKey> = Vec::new();
        for submission in submissions {
            let key = submission.collection();
            if seen.contains(&key) {
                continue;
            }
            if self.ledger.collection(key).await?.is_none() {
                return Err(unknown_collection_refusal(&key.collection));
            }
            seen.push(key);
        }
        Ok(())
    }
}

/// The refusal for a collection that does not exist or belongs to another tenant.
pub fn unknown_collection_refusal(collection: &CollectionId) -> Refusal {
    Refusal::new(
        RefusalKind::NotFound,
        "unknown_collection",
        "collection",
        format!(
            "there is no collection '{collection}'; `contexture ingest --collection {collection} PATH` makes one"
        ),
    )
}

/// The refusal for a document that a collection does not have, or that the caller may not see.
pub fn unknown_document_refusal(document_id: &DocumentId) -> Refusal {
    Refusal::new(
        RefusalKind::NotFound,
        "unknown_document",
        "document_id",
        format!("there is no document '{document_id}' in this collection"),
    )
}

/// Publishes the first messages of accepted versions and marks them published. On failure the outbox
/// relay sends them again.
pub(super) async fn publish_first_messages(ledger: &dyn Ledger, broker: &dyn Broker, tasks: Vec<IngestTask>) {
    if tasks.is_empty() {
        return;
    }
    let keys: Vec<_> = tasks.iter().map(|task| task.key.clone()).collect();
    let messages = tasks
        .into_iter()
        .map(|task| OutgoingMessage::immediate(TaskEnvelope::new(first_stage(&task), task)))
        .collect();
    let published = broker.publish(messages).await;
    let noted = match published {
        Ok(()) => ledger.mark_published(&keys).await,
        Err(fault) => Err(fault),
    };
    if let Err(fault) = noted {
        tracing::warn!(%fault, versions = keys.len(), "first messages were not confirmed; the relay sends them again");
    }
}

/// Returns the first stage of a task. A delete has nothing to chunk or embed.
fn first_stage(task: &IngestTask) -> IngestStage {
    if task.deletes { IngestStage::Index } else { IngestStage::Chunk }
}

/// Replays every dead version that the filter selects; returns how many were published. A version that
/// a newer one has overtaken becomes superseded instead.
pub async fn replay_dead_versions(stages: &StageResources, filter: &DeadLetterFilter) -> Result<u64, Fault> {
    // A version that dies again during the replay is newer than the start. Without this limit the loop
    // would replay it for ever.
    let started_ms = stages.clock.now_ms();
    let mut replayed = 0;
    loop {
        let mut dead = stages.ledger.dead(filter, REPLAY_VERSIONS_MAX).await?;
        dead.retain(|letter| letter.died_ms < started_ms);
        if dead.is_empty() {
            return Ok(replayed);
        }
        let ids: Vec<u64> = dead.iter().map(|letter| letter.id).collect();
        let tasks = stages.ledger.replay(&ids).await?;
        replayed += tasks.len() as u64;
        publish_first_messages(&*stages.ledger, &*stages.broker, tasks).await;
    }
}

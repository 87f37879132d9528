//! Intake: the fence is decided and the body stored in one transaction, then the message goes out.
//!
//! Accepted means stored. If the broker is away the message follows later, from the ledger
//! ([`crate::ingest::housekeeping`] relays what was never confirmed). Bodies that wait for the ledger are
//! bounded in bytes; beyond that a submission is refused with a retry-after, and nothing of it
//! was accepted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId};
use crate::domain::principal::{AccessScope, Principal};
use crate::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::broker::{Broker, OutgoingMessage};
use crate::ports::ledger::{Ledger, SubmissionReceipt, VersionRecord};

/// Bytes of one unit of the intake's byte bound.
const PERMIT_BYTES: usize = 1024;
/// When to come back after a refusal for want of room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Takes submissions in.
pub struct DocumentSubmitter {
    ledger: Arc<dyn Ledger>,
    broker: Arc<dyn Broker>,
    room: Semaphore,
    body_bytes_max: usize,
}

impl DocumentSubmitter {
    /// An intake that holds at most `pending_bytes_max` of bodies on their way to the ledger.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        broker: Arc<dyn Broker>,
        body_bytes_max: usize,
        pending_bytes_max: usize,
    ) -> Self {
        let permits = (pending_bytes_max.max(body_bytes_max) / PERMIT_BYTES + 1).min(Semaphore::MAX_PERMITS);
        Self { ledger, broker, room: Semaphore::new(permits), body_bytes_max }
    }

    /// The largest body, in bytes.
    pub fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// Stores submissions and sends them on their way; one receipt each, in order.
    pub async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        let _room = self.room_for(&submissions)?;
        let receipts = self.store(submissions).await?;
        self.send(receipts.iter().filter_map(|receipt| receipt.task.clone()).collect()).await;
        Ok(receipts)
    }

    /// Stores submissions; the tasks of the receipts are the caller's to [`Self::send`].
    pub async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        let _room = self.room_for(&submissions)?;
        self.store(submissions).await
    }

    /// Sends accepted versions on their way. What fails follows later, from the ledger.
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
        self.require_collections(&submissions).await?;
        let origins: Vec<_> = submissions.iter().map(|submission| submission.origin().cloned()).collect();
        let mut receipts = self.ledger.accept(submissions).await.map_err(|fault| match fault {
            Fault::Transient(what) => Refusal::exhausted("ledger_unavailable", RETRY_AFTER, what),
            other => other.into(),
        })?;
        for (receipt, origin) in receipts.iter_mut().zip(origins) {
            if let Some(task) = &mut receipt.task {
                task.origin = origin;
            }
        }
        Ok(receipts)
    }

    /// A document's versions, newest first.
    pub async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        document_id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        principal.require(AccessScope::Read)?;
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

/// The answer about a collection that is not there, or not the caller's.
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

fn unknown_document_refusal(document_id: &DocumentId) -> Refusal {
    Refusal::new(
        RefusalKind::NotFound,
        "unknown_document",
        "document_id",
        format!("there is no document '{document_id}' in this collection"),
    )
}

/// Publishes the first message of accepted versions and notes it. A failure is left to the relay.
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

/// A delete has nothing to chunk or embed.
fn first_stage(task: &IngestTask) -> IngestStage {
    if task.deletes { IngestStage::Index } else { IngestStage::Chunk }
}

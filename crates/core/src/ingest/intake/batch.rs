//! A batch of messages on the way to the ledger, with its dead letters and events.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::admit::{AdmittedMessage, RefusedMessage, admit_message, answered_message};
use super::broker_intake::BrokerIntake;
use crate::domain::event::{DocumentEvent, EventKind};
use crate::domain::ids::{CollectionKey, DocumentId, Version};
use crate::domain::submit_message::MessageRejection;
use crate::domain::task::IngestTask;
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::ledger::{self, SubmissionReceipt, VersionRecord};
use crate::ports::producers::{ProducerMessage, RejectedMessage};
use crate::resilience::retry;

/// Most bytes of messages, and of bodies, in a batch.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A batch in progress.
pub(super) struct IntakeBatch<'a> {
    intake: &'a BrokerIntake,
    stop: &'a mut watch::Receiver<bool>,
    /// Admitted messages that are not submitted yet, by collection. A missing collection fails alone, and
    /// messages of a document stay in order.
    open: BTreeMap<CollectionKey, Vec<AdmittedMessage>>,
    open_bytes: usize,
    rejected: Vec<RejectedMessage>,
    events: Vec<DocumentEvent>,
    /// Tasks of accepted versions, to be published.
    tasks: Vec<IngestTask>,
}

impl<'a> IntakeBatch<'a> {
    pub(super) fn new(intake: &'a BrokerIntake, stop: &'a mut watch::Receiver<bool>) -> Self {
        Self {
            intake,
            stop,
            open: BTreeMap::new(),
            open_bytes: 0,
            rejected: Vec::new(),
            events: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// Adds a message. Submits the open messages first when their bodies would exceed the limit.
    pub(super) async fn add(&mut self, message: ProducerMessage) -> Result<(), Fault> {
        let admitted = match admit_message(self.intake, message).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                self.refuse(refused);
                return Ok(());
            }
        };
        let bytes = admitted.submission.body().len();
        if self.open_bytes + bytes > BATCH_BYTES_MAX {
            self.submit().await?;
        }
        self.open_bytes += bytes;
        self.open.entry(admitted.submission.collection().clone()).or_default().push(admitted);
        Ok(())
    }

    /// Returns when every message is in the ledger or dead-lettered, its producer has an event, and the
    /// accepted tasks are published.
    pub(super) async fn finish(mut self) -> Result<(), Fault> {
        self.submit().await?;
        let Self { intake, stop, rejected, events, tasks, .. } = self;
        let mut backoff = IntakeBackoff::default();
        while !rejected.is_empty()
            && let Err(fault) = intake.producers.store_rejected(rejected.clone()).await
        {
            backoff.after(fault, "storing rejected messages", stop).await?;
        }
        while !events.is_empty()
            && let Err(fault) = intake.events.publish(events.clone()).await
        {
            backoff.after(fault, "publishing events", stop).await?;
        }
        // After the events: a producer must not hear of the end of a version before its acceptance.
        intake.submitter.send(tasks).await;
        Ok(())
    }

    async fn submit(&mut self) -> Result<(), Fault> {
        self.open_bytes = 0;
        for (key, admitted) in std::mem::take(&mut self.open) {
            // A stack whose top is the part that comes next in order.
            let mut parts = vec![admitted];
            let mut may_create = self.intake.create_collection.is_some();
            while let Some(mut part) = parts.pop() {
                match self.submit_part(&part).await? {
                    Ok(receipts) => self.answer(&key, part, receipts).await?,
                    Err(refusal) if refusal.code == "unknown_collection" && may_create => {
                        // One try only: a collection that is deleted meanwhile must not loop.
                        may_create = false;
                        match self.create_collection(&key).await? {
                            Ok(()) => parts.push(part),
                            Err(refusal) => self.refuse_all(&key, part, &refusal),
                        }
                    }
                    Err(refusal) if part.len() == 1 || refusal.kind == RefusalKind::NotFound => {
                        self.refuse_all(&key, part, &refusal);
                    }
                    // The refusal is about one of several messages; halving finds it.
                    Err(_) => {
                        let behind = part.split_off(part.len() / 2);
                        parts.push(behind);
                        parts.push(part);
                    }
                }
            }
        }
        Ok(())
    }

    /// Submits a part. It waits while the intake is full or the ledger is down; a refusal is final.
    async fn submit_part(
        &mut self,
        part: &[AdmittedMessage],
    ) -> Result<Result<Vec<SubmissionReceipt>, Refusal>, Fault> {
        let mut backoff = IntakeBackoff::default();
        loop {
            let submissions = part.iter().map(|admitted| admitted.submission.clone()).collect();
            match retryable_refusal_as_fault(self.intake.submitter.accept(submissions).await) {
                Ok(answer) => return Ok(answer),
                Err(fault) => backoff.after(fault, "submitting", self.stop).await?,
            }
        }
    }

    async fn create_collection(&mut self, key: &CollectionKey) -> Result<Result<(), Refusal>, Fault> {
        let Some(create) = &self.intake.create_collection else { return Ok(Ok(())) };
        let mut backoff = IntakeBackoff::default();
        loop {
            match retryable_refusal_as_fault(create(key.clone()).await) {
                Ok(answer) => return Ok(answer),
                Err(fault) => backoff.after(fault, "creating a collection", self.stop).await?,
            }
        }
    }

    /// Reads the version of a receipt from the ledger.
    async fn stored(
        &mut self,
        key: &CollectionKey,
        document_id: &DocumentId,
        version: Version,
    ) -> Result<Option<VersionRecord>, Fault> {
        let mut backoff = IntakeBackoff::default();
        loop {
            match self.intake.ledger.history(key, document_id).await {
                Ok(history) => return Ok(history.into_iter().find(|record| record.key.version == version)),
                Err(fault) => backoff.after(fault, "looking a version up", self.stop).await?,
            }
        }
    }

    async fn answer(
        &mut self,
        key: &CollectionKey,
        part: Vec<AdmittedMessage>,
        receipts: Vec<SubmissionReceipt>,
    ) -> Result<(), Fault> {
        for (AdmittedMessage { message, submission }, receipt) in part.into_iter().zip(receipts) {
            if let Some(task) = receipt.task {
                self.events.push(DocumentEvent::accepted(&task));
                self.tasks.push(task);
                continue;
            }
            let kind = match receipt.intake {
                ledger::IntakeDecision::Accepted | ledger::IntakeDecision::Duplicate => EventKind::Duplicate,
                ledger::IntakeDecision::Conflict => EventKind::Conflict,
                ledger::IntakeDecision::Superseded => EventKind::Superseded,
            };
            let document_id = submission.document_id();
            let stored = self.stored(key, document_id, receipt.version).await?;
            let version = match kind {
                EventKind::Duplicate => stored.as_ref().map(|record| record.key.version),
                _ => submission.version().or(Some(receipt.version)),
            };
            let latest = stored.map(|record| (record.key.version, record.state.name())).unzip();
            let answer = answered_message(&message).to_identity();
            self.events.push(DocumentEvent::without_effect(kind, answer, key, document_id, version, latest));
        }
        Ok(())
    }

    fn refuse_all(&mut self, key: &CollectionKey, part: Vec<AdmittedMessage>, refusal: &Refusal) {
        for AdmittedMessage { message, .. } in part {
            // The API's refusal names a field and a command; a producer knows the collection by routing key.
            let rejection = match refusal.code {
                "unknown_collection" => MessageRejection::for_field(
                    "unknown_collection",
                    "routing_key",
                    format!("there is no collection '{}'; create it first", key.collection),
                ),
                _ => MessageRejection::from(refusal.clone()),
            };
            self.refuse(RefusedMessage { message, collection: Some(key.clone()), rejection });
        }
    }

    fn refuse(&mut self, refused: RefusedMessage) {
        let RefusedMessage { message, collection, rejection } = refused;
        tracing::warn!(
            tenant = collection.as_ref().map(|key| key.tenant.as_str()),
            collection = collection.as_ref().map(|key| key.collection.as_str()),
            reason = rejection.code,
            field = rejection.field,
            "a producer's message is refused"
        );
        self.events.push(DocumentEvent::rejected(
            answered_message(&message),
            collection.as_ref(),
            &rejection,
        ));
        self.rejected.push(RejectedMessage { message, rejection });
    }
}

/// Turns a refusal that may pass into a fault to wait for; other results stay.
fn retryable_refusal_as_fault<T>(answer: Result<T, Refusal>) -> Result<Result<T, Refusal>, Fault> {
    match answer {
        Err(refusal)
            if matches!(
                refusal.kind,
                RefusalKind::Exhausted | RefusalKind::Unavailable | RefusalKind::Deadline
            ) =>
        {
            Err(Fault::transient(refusal.message))
        }
        answer => Ok(answer),
    }
}

/// Exponential backoff for one operation of the intake.
#[derive(Default)]
struct IntakeBackoff {
    failures: u32,
}

impl IntakeBackoff {
    /// Waits until the next attempt; returns the fault when `stop` becomes true.
    async fn after(
        &mut self,
        fault: Fault,
        what: &str,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Fault> {
        self.failures += 1;
        tracing::warn!(%fault, failures = self.failures, what, "the intake waits; nothing was acknowledged");
        let wait = tokio::time::timeout(retry::reopen_delay(self.failures), stop.wait_for(|stop| *stop));
        if wait.await.is_ok() { Err(fault) } else { Ok(()) }
    }
}

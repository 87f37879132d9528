//! Messages on their way to the ledger, and what is to be told about them.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::admit::{AdmittedMessage, RefusedMessage, admit_message, answered_message};
use super::{BATCH_BYTES_MAX, BrokerIntake, IntakeBackoff};
use crate::domain::event::{DocumentEvent, EventKind};
use crate::domain::ids::{CollectionKey, DocumentId, Version};
use crate::domain::submit_message::MessageRejection;
use crate::domain::task::IngestTask;
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::ledger::{self, SubmissionReceipt, VersionRecord};
use crate::ports::producers::{ProducerMessage, RejectedMessage};

/// A batch that is being taken in.
pub(super) struct IntakeBatch<'a> {
    intake: &'a BrokerIntake,
    stop: &'a mut watch::Receiver<bool>,
    /// Admitted, not yet submitted, by collection: so that one that is missing fails alone, and a
    /// document's messages stay in order.
    open: BTreeMap<CollectionKey, Vec<AdmittedMessage>>,
    open_bytes: usize,
    burials: Vec<RejectedMessage>,
    events: Vec<DocumentEvent>,
    /// Accepted, to be sent on their way.
    tasks: Vec<IngestTask>,
}

impl<'a> IntakeBatch<'a> {
    pub(super) fn new(intake: &'a BrokerIntake, stop: &'a mut watch::Receiver<bool>) -> Self {
        Self {
            intake,
            stop,
            open: BTreeMap::new(),
            open_bytes: 0,
            burials: Vec::new(),
            events: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// Adds a message; submits what is open when it gets too much to hold.
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

    /// Returns when every message is in the ledger or buried, its producer is told, and what was
    /// accepted is on its way: after the answer, so that its end is told after it.
    pub(super) async fn finish(mut self) -> Result<(), Fault> {
        self.submit().await?;
        let Self { intake, stop, burials, events, tasks, .. } = self;
        let mut patience = IntakeBackoff::default();
        while !burials.is_empty()
            && let Err(fault) = intake.producers.bury(burials.clone()).await
        {
            patience.after(fault, "burying messages", stop).await?;
        }
        while !events.is_empty()
            && let Err(fault) = intake.events.publish(events.clone()).await
        {
            patience.after(fault, "telling producers", stop).await?;
        }
        intake.submitter.send(tasks).await;
        Ok(())
    }

    async fn submit(&mut self) -> Result<(), Fault> {
        self.open_bytes = 0;
        for (key, admitted) in std::mem::take(&mut self.open) {
            let mut parts = vec![admitted];
            let mut may_found = self.intake.found.is_some();
            while let Some(mut part) = parts.pop() {
                match self.submit_part(&part).await? {
                    Ok(receipts) => self.answer(&key, part, receipts).await?,
                    Err(refusal) if refusal.code == "unknown_collection" && may_found => {
                        may_found = false;
                        match self.found(&key).await? {
                            Ok(()) => parts.push(part),
                            Err(refusal) => self.refuse_all(&key, part, &refusal),
                        }
                    }
                    Err(refusal) if part.len() == 1 || refusal.kind == RefusalKind::NotFound => {
                        self.refuse_all(&key, part, &refusal);
                    }
                    // Which of them it is about is found by halving.
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

    /// Waits out want of room and a ledger that is away; a refusal is final.
    async fn submit_part(
        &mut self,
        part: &[AdmittedMessage],
    ) -> Result<Result<Vec<SubmissionReceipt>, Refusal>, Fault> {
        let mut patience = IntakeBackoff::default();
        loop {
            let submissions = part.iter().map(|admitted| admitted.submission.clone()).collect();
            match retryable_refusal_as_fault(self.intake.submitter.accept(submissions).await) {
                Ok(settled) => return Ok(settled),
                Err(fault) => patience.after(fault, "submitting", self.stop).await?,
            }
        }
    }

    async fn found(&mut self, key: &CollectionKey) -> Result<Result<(), Refusal>, Fault> {
        let Some(found) = &self.intake.found else { return Ok(Ok(())) };
        let mut patience = IntakeBackoff::default();
        loop {
            match retryable_refusal_as_fault(found(key.clone()).await) {
                Ok(settled) => return Ok(settled),
                Err(fault) => patience.after(fault, "creating a collection", self.stop).await?,
            }
        }
    }

    /// What the ledger holds of the version of a receipt.
    async fn stored(
        &mut self,
        key: &CollectionKey,
        document_id: &DocumentId,
        version: Version,
    ) -> Result<Option<VersionRecord>, Fault> {
        let mut patience = IntakeBackoff::default();
        loop {
            match self.intake.ledger.history(key, document_id).await {
                Ok(history) => return Ok(history.into_iter().find(|record| record.key.version == version)),
                Err(fault) => patience.after(fault, "looking a version up", self.stop).await?,
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
            let answer = answered_message(&message).remember();
            self.events.push(DocumentEvent::without_effect(kind, answer, key, document_id, version, latest));
        }
        Ok(())
    }

    fn refuse_all(&mut self, key: &CollectionKey, part: Vec<AdmittedMessage>, refusal: &Refusal) {
        for AdmittedMessage { message, .. } in part {
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
        self.burials.push(RejectedMessage { message, rejection });
    }
}

/// A refusal that may pass becomes a fault to wait out.
fn retryable_refusal_as_fault<T>(answer: Result<T, Refusal>) -> Result<Result<T, Refusal>, Fault> {
    match answer {
        Err(refusal)
            if matches!(
                refusal.kind,
                RefusalKind::Exhausted | RefusalKind::Unavailable | RefusalKind::Deadline
            ) =>
        {
            Err(Fault::Transient(refusal.message))
        }
        settled => Ok(settled),
    }
}

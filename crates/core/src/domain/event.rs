//! Events to producers: `CloudEvents` 1.0 in JSON, `schemas/event.v1.json`.
//!
//! An event answers one message (accepted, duplicate, conflict, superseded, rejected) or reports the end
//! of a version (visible, superseded, dead). Its id derives from its content, never from time or
//! delivery, so that an event published twice can be recognised. The id of a version's end covers key and
//! kind; the id of an answer also covers the message.

mod cloud_event;

use self::cloud_event::{CloudEvent, CloudEventData, CloudEventReason};
use super::calendar::format_rfc3339;
use super::ids::{CollectionKey, DocumentId, FieldHasher, Version, VersionKey};
use super::origin::MessageOrigin;
use super::submit_message::MessageRejection;
use super::task::{IngestStage, IngestTask};
use crate::fault::FailureReason;

/// Stands for tenant and collection where a message names none that its sender may use. No tenant can
/// have this name: names start with a letter or digit.
pub const UNATTRIBUTED_NAME: &str = "_";

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The version is stored and will be processed.
    Accepted,
    /// The document has this content already.
    Duplicate,
    /// The same version is stored with other content.
    Conflict,
    /// The message cannot be accepted.
    Rejected,
    /// Queries see the version; after a deletion, they no longer see the document.
    Visible,
    /// A newer version won before this one was visible.
    Superseded,
    /// The version failed for good.
    Dead,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Conflict,
        Self::Rejected,
        Self::Visible,
        Self::Superseded,
        Self::Dead,
    ];

    /// The last word of routing keys and types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
            Self::Visible => "visible",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
        }
    }
}

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentEvent {
    kind: EventKind,
    tenant: String,
    collection: String,
    subject: Option<DocumentId>,
    identity: [u8; 32],
    origin: Option<MessageOrigin>,
    data: CloudEventData,
}

/// The message that an event answers.
#[derive(Debug, Clone, Copy)]
pub struct SourceMessage<'a> {
    /// The routing key it was published under.
    pub routing_key: &'a str,
    /// Its bytes.
    pub body: &'a [u8],
    /// Its properties.
    pub origin: Option<&'a MessageOrigin>,
}

impl SourceMessage<'_> {
    fn identity(&self) -> [u8; 32] {
        let message_id = self.origin.and_then(|origin| origin.message_id.as_deref()).unwrap_or_default();
        FieldHasher::new("contexture message v1")
            .field(self.routing_key.as_bytes())
            .field(message_id.as_bytes())
            .field(self.body)
            .finish()
    }

    /// The identity of the message, for an answer that is made after the body is gone.
    pub fn to_identity(&self) -> SourceMessageIdentity {
        SourceMessageIdentity { identity: self.identity(), origin: self.origin.cloned() }
    }
}

/// The identity of a message, without its body.
#[derive(Debug, Clone)]
pub struct SourceMessageIdentity {
    identity: [u8; 32],
    origin: Option<MessageOrigin>,
}

impl DocumentEvent {
    /// A version was stored.
    pub fn accepted(task: &IngestTask) -> Self {
        Self::for_version(EventKind::Accepted, task)
    }

    /// Queries see a version, or no longer see the deleted document.
    pub fn visible(task: &IngestTask) -> Self {
        Self::for_version(EventKind::Visible, task)
    }

    /// A newer version won.
    pub fn superseded(task: &IngestTask) -> Self {
        Self::for_version(EventKind::Superseded, task)
    }

    /// A version failed for good, in this stage if that is known.
    pub fn dead(task: &IngestTask, stage: Option<IngestStage>, reason: &FailureReason) -> Self {
        let mut event = Self::for_version(EventKind::Dead, task);
        event.data.reason = Some(CloudEventReason::from_stage_failure(stage, reason));
        event
    }

    /// A message has no effect. `version` is the one it has or gave. `latest` is the stored version and
    /// `state` its state.
    pub fn without_effect(
        kind: EventKind,
        message: SourceMessageIdentity,
        collection: &CollectionKey,
        document_id: &DocumentId,
        version: Option<Version>,
        (latest, state): (Option<Version>, Option<&'static str>),
    ) -> Self {
        let mut data = CloudEventData::for_document(collection, document_id);
        data.version = version.map(Version::get);
        data.latest_version = latest.map(Version::get);
        data.latest_state = state;
        Self {
            kind,
            tenant: collection.tenant.to_string(),
            collection: collection.collection.to_string(),
            subject: Some(document_id.clone()),
            identity: message.identity,
            origin: message.origin,
            data,
        }
    }

    /// A message is rejected. `collection` is its target, if its sender may know it.
    pub fn rejected(
        message: SourceMessage<'_>,
        collection: Option<&CollectionKey>,
        rejection: &MessageRejection,
    ) -> Self {
        let name = |name: Option<String>| name.unwrap_or_else(|| UNATTRIBUTED_NAME.to_owned());
        Self {
            kind: EventKind::Rejected,
            tenant: name(collection.map(|key| key.tenant.to_string())),
            collection: name(collection.map(|key| key.collection.to_string())),
            // The message may be unreadable, so nothing in it can be trusted to name a document.
            subject: None,
            identity: message.identity(),
            origin: message.origin.cloned(),
            data: CloudEventData {
                message_bytes: Some(message.body.len() as u64),
                reason: Some(CloudEventReason::from_rejection(rejection)),
                ..collection.map(CloudEventData::for_collection).unwrap_or_default()
            },
        }
    }

    fn for_version(kind: EventKind, task: &IngestTask) -> Self {
        let VersionKey { tenant, collection, document_id, version } = &task.key;
        let mut data = CloudEventData::for_document(&task.key.collection_key(), document_id);
        data.version = Some(version.get());
        data.deletes = Some(task.deletes);
        data.content_hash = Some(task.content_hash.to_string());
        // Without the message: a version ends once, whatever message or repair leads to its end.
        let identity = FieldHasher::new("contexture version v1")
            .field(tenant.as_str().as_bytes())
            .field(collection.as_str().as_bytes())
            .field(document_id.as_str().as_bytes())
            .field(&version.get().to_le_bytes())
            .finish();
        Self {
            kind,
            tenant: tenant.to_string(),
            collection: collection.to_string(),
            subject: Some(document_id.clone()),
            identity,
            origin: task.origin.clone(),
            data,
        }
    }

    /// What happened.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The properties of the message that led to this event.
    pub fn origin(&self) -> Option<&MessageOrigin> {
        self.origin.as_ref()
    }

    /// `tenant.collection.kind`.
    pub fn routing_key(&self) -> String {
        format!("{}.{}.{}", self.tenant, self.collection, self.kind.name())
    }

    /// The `type` attribute.
    pub fn type_name(&self) -> String {
        format!("contexture.document.{}", self.kind.name())
    }

    /// The id: equal for equal events; 32 hexadecimal digits.
    pub fn id(&self) -> String {
        let hash = FieldHasher::new("contexture event v1")
            .field(self.kind.name().as_bytes())
            .field(&self.identity)
            .finish();
        blake3::Hash::from_bytes(hash).to_hex()[..32].to_owned()
    }

    /// The event as structured JSON, with the time `now_ms`.
    pub fn to_json(&self, now_ms: u64) -> Vec<u8> {
        let event = CloudEvent {
            specversion: "1.0",
            id: self.id(),
            source: format!("/contexture/{}/{}", self.tenant, self.collection),
            kind: self.type_name(),
            subject: self.subject.as_ref().map(DocumentId::as_str),
            time: format_rfc3339(now_ms),
            datacontenttype: "application/json",
            correlationid: self.origin.as_ref().and_then(MessageOrigin::correlation),
            traceparent: self.origin.as_ref().and_then(|origin| origin.traceparent.as_deref()),
            data: &self.data,
        };
        // Strings and numbers only: serialising them cannot fail.
        serde_json::to_vec(&event).unwrap_or_default()
    }
}

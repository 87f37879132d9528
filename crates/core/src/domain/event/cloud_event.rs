//! The JSON of an event; fields are written in this order.

use serde::Serialize;

use crate::domain::ids::{CollectionKey, DocumentId};
use crate::domain::submit_message::MessageRejection;
use crate::domain::task::IngestStage;
use crate::fault::FailureReason;

#[derive(Serialize)]
pub(super) struct CloudEvent<'a> {
    pub(super) specversion: &'static str,
    pub(super) id: String,
    pub(super) source: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<&'a str>,
    pub(super) time: String,
    pub(super) datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<&'a str>,
    pub(super) data: &'a CloudEventData,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct CloudEventData {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) collection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) document_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deletes: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latest_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latest_state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<CloudEventReason>,
}

impl CloudEventData {
    pub(super) fn for_collection(key: &CollectionKey) -> Self {
        Self {
            tenant: Some(key.tenant.to_string()),
            collection: Some(key.collection.to_string()),
            ..Self::default()
        }
    }

    pub(super) fn for_document(key: &CollectionKey, document_id: &DocumentId) -> Self {
        Self { document_id: Some(document_id.to_string()), ..Self::for_collection(key) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CloudEventReason {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl CloudEventReason {
    pub(super) fn from_stage_failure(stage: Option<IngestStage>, reason: &FailureReason) -> Self {
        Self {
            code: reason.code.clone(),
            message: reason.detail.clone(),
            stage: stage.map(IngestStage::name),
            field: None,
            line: None,
            column: None,
        }
    }

    pub(super) fn from_rejection(rejection: &MessageRejection) -> Self {
        Self {
            code: rejection.code.to_owned(),
            message: rejection.message.clone(),
            stage: None,
            field: Some(rejection.field.clone()).filter(|field| !field.is_empty()),
            line: rejection.position.map(|position| position.line),
            column: rejection.position.map(|position| position.column),
        }
    }
}

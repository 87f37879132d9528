//! Messages of producers: one JSON object per document version, `schemas/submit.v1.json`.
//!
//! A message is read strictly. An unknown field, a null, a wrong type or a second body is rejected with a
//! stable code, and with the line and column of broken JSON or the path of the field. A message with more
//! than [`MESSAGE_VALUES_MAX`] commas and brackets is rejected before it is built in memory. Rejections
//! never quote a value.

mod fields;

use bytes::Bytes;

pub use self::fields::{
    BODY_REF_BYTES_MAX, JsonPosition, MESSAGE_VALUES_MAX, MessageRejection, SubmittedContent,
};

use self::fields::MessageFields;
use super::document::Submission;
use super::ids::{CollectionId, CollectionKey, DocumentId, TenantId, Version};
use super::principal::Principal;

/// A decoded message.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitMessageV1 {
    /// The document.
    pub document_id: DocumentId,
    /// Its version; if absent, the next one is assigned.
    pub version: Option<Version>,
    /// The content.
    pub content: SubmittedContent,
}

impl SubmitMessageV1 {
    /// Decodes a message.
    pub fn decode(message: &[u8]) -> Result<Self, MessageRejection> {
        let mut fields = MessageFields::read(message)?;
        let document_id = DocumentId::new(&fields.required_text("document_id")?)?;
        let version = fields.number("version")?.map(Version::new).transpose()?;
        let content = if fields.flag("delete")? {
            SubmittedContent::Delete
        } else {
            let description = fields.description()?;
            fields.body(description)?
        };
        fields.end(content == SubmittedContent::Delete)?;
        Ok(Self { document_id, version, content })
    }

    /// Checks the message against permissions and limits. A referenced body must be fetched first:
    /// [`Self::inline`].
    pub fn into_submission(
        self,
        principal: &Principal,
        collection: CollectionId,
        body_bytes_max: usize,
    ) -> Result<Submission, MessageRejection> {
        let Self { document_id, version, content } = self;
        let (description, body, field) = match content {
            SubmittedContent::Delete => {
                return Ok(Submission::deletion(principal, collection, document_id, version)?);
            }
            SubmittedContent::Inline { description, body, field } => (description, body, field),
            SubmittedContent::Reference { .. } => {
                return Err(MessageRejection::for_field(
                    "body_not_fetched",
                    "body_ref",
                    "the body was not fetched",
                ));
            }
        };
        Submission::new(principal, collection, document_id, version, description, body, body_bytes_max)
            .map_err(|refusal| {
                // The producer knows the body under the name of the field it used.
                let at_body = refusal.field == "body";
                let rejection = MessageRejection::from(refusal);
                if at_body { MessageRejection { field: field.to_owned(), ..rejection } } else { rejection }
            })
    }

    /// The URL of the body, if it is not in the message.
    pub fn reference(&self) -> Option<&str> {
        match &self.content {
            SubmittedContent::Reference { url, .. } => Some(url),
            SubmittedContent::Delete | SubmittedContent::Inline { .. } => None,
        }
    }

    /// The same message with the fetched body.
    #[must_use]
    pub fn inline(self, fetched: Bytes) -> Self {
        let content = match self.content {
            SubmittedContent::Reference { description, .. } => {
                SubmittedContent::Inline { description, body: fetched, field: "body_ref" }
            }
            other => other,
        };
        Self { content, ..self }
    }
}

/// The collection that a routing key `tenant.collection` names.
pub fn parse_routing_key(routing_key: &str) -> Result<CollectionKey, MessageRejection> {
    let refused = || {
        MessageRejection::for_field(
            "invalid_routing_key",
            "routing_key",
            "the routing key must be tenant.collection, each of a-z, 0-9, '_' and '-'",
        )
    };
    let (tenant, collection) = routing_key.split_once('.').ok_or_else(refused)?;
    Ok(CollectionKey {
        tenant: TenantId::new(tenant).map_err(|_| refused())?,
        collection: CollectionId::new(collection).map_err(|_| refused())?,
    })
}

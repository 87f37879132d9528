//! Documents as JSON.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use contexture_core::domain::document::{DocumentAcl, DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, DocumentId, Version};
use contexture_core::domain::metadata::DocumentMetadata;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{FailureReason, Refusal, RefusalKind};
pub use contexture_core::ports::ledger::VersionState;
use contexture_core::ports::ledger::{IntakeDecision, SubmissionReceipt, VersionRecord};

/// A document version to store.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentRequest {
    /// Its name: 1 to 512 bytes of NFC, no control characters, no '..' segments. Needed where the path has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "handbook/leave.md", min_length = 1, max_length = 512)]
    pub id: Option<String>,
    /// The document as text. Either this or `body_base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "# Leave\n\nEverybody has 30 days of leave.")]
    pub text: Option<String>,
    /// The document's bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Media type, such as `text/markdown`. Absent: sniffed, and guessed from the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub media_type: Option<String>,
    /// Title, one line of at most 1024 bytes; part of what is embedded and cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub title: Option<String>,
    /// Values to filter on: at most 64 keys; a value is a string of at most 1024 bytes, a finite number, a
    /// boolean, or a list of at most 64 of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Value>,
    /// The groups that may read it. Absent: everyone of the tenant. Empty: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Strictly increasing per document, from 1. Absent: the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub version: Option<u64>,
}

impl DocumentRequest {
    /// The checked submission of this document.
    pub fn into_submission(
        self,
        caller: &Principal,
        collection: &CollectionId,
        body_bytes_max: usize,
    ) -> Result<Submission, Refusal> {
        let id = self.id.as_deref().ok_or_else(|| {
            Refusal::invalid("missing_field", "id", "id is missing: what is the document called?")
        })?;
        let document_id = DocumentId::new(id)?;
        let body = match (self.text, self.body_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(encoded)) => STANDARD.decode(encoded).map(Bytes::from).map_err(|error| {
                Refusal::invalid(
                    "invalid_base64",
                    "body_base64",
                    format!("body_base64 is not base64: {error}"),
                )
            })?,
            (Some(_), Some(_)) => {
                return Err(Refusal::invalid(
                    "two_bodies",
                    "body_base64",
                    "text and body_base64 exclude each other; give one",
                ));
            }
            (None, None) => {
                return Err(Refusal::invalid(
                    "missing_field",
                    "text",
                    "text is missing; give text, or body_base64 for bytes",
                ));
            }
        };
        let description = DocumentDescription {
            media_type: self.media_type,
            title: self.title,
            metadata: self
                .metadata
                .as_ref()
                .map(DocumentMetadata::from_json)
                .transpose()?
                .unwrap_or_default(),
            acl: DocumentAcl::new(self.groups.map(BTreeSet::from_iter))?,
        };
        let version = self.version.map(Version::new).transpose()?;
        Submission::new(caller, collection.clone(), document_id, version, description, body, body_bytes_max)
    }
}

/// How a submission or a delete was decided, and how the version stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReceiptView {
    /// The document.
    pub document_id: String,
    /// The version it has, or the one that won over it.
    pub version: u64,
    /// `accepted`: stored. `duplicate`: the document has this content already. `superseded`: a higher version
    /// is stored already.
    pub intake: IntakeName,
    /// The version's state; `accepted` unless the call waited.
    pub state: VersionStateName,
}

/// A decision about a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntakeName {
    /// Stored; it will be processed.
    Accepted,
    /// The document has this content already.
    Duplicate,
    /// A higher version is stored already.
    Superseded,
}

impl ReceiptView {
    /// The answer to a submission. A conflict is a refusal, because nothing was stored.
    pub fn new(document_id: &DocumentId, receipt: &SubmissionReceipt) -> Result<Self, Refusal> {
        let intake = match receipt.intake {
            IntakeDecision::Accepted => IntakeName::Accepted,
            IntakeDecision::Duplicate => IntakeName::Duplicate,
            IntakeDecision::Superseded => IntakeName::Superseded,
            IntakeDecision::Conflict => {
                return Err(Refusal::new(
                    RefusalKind::Conflict,
                    "version_conflict",
                    "version",
                    format!("version {} is stored with other content", receipt.version),
                ));
            }
        };
        Ok(Self {
            document_id: document_id.as_str().to_owned(),
            version: receipt.version.get(),
            intake,
            state: VersionStateName::Accepted,
        })
    }
}

/// Where a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VersionStateName {
    /// Stored, not yet chunked.
    Accepted,
    /// Cut into chunks.
    Chunked,
    /// Its vectors are staged.
    Embedded,
    /// Queries find it.
    Visible,
    /// A newer version won.
    Superseded,
    /// Given up; the reason says why.
    Dead,
}

impl From<VersionState> for VersionStateName {
    fn from(state: VersionState) -> Self {
        match state {
            VersionState::Accepted => Self::Accepted,
            VersionState::Chunked => Self::Chunked,
            VersionState::Embedded => Self::Embedded,
            VersionState::Visible => Self::Visible,
            VersionState::Superseded => Self::Superseded,
            VersionState::Dead => Self::Dead,
        }
    }
}

/// Why a version was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReasonView {
    /// Stable code.
    pub code: String,
    /// The same for a person, one line.
    pub detail: String,
}

impl From<FailureReason> for ReasonView {
    fn from(reason: FailureReason) -> Self {
        Self { code: reason.code, detail: reason.detail }
    }
}

/// What a document's answer has beside its description and its history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DocumentDetails {
    /// The chunks of the visible version.
    pub chunks: bool,
    /// Its normalised text.
    pub text: bool,
    /// The groups that may read it.
    pub groups: bool,
}

/// A document: its visible version, or its newest one where none is visible.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct DocumentView {
    /// The document.
    pub document_id: String,
    /// The newest version.
    pub version: u64,
    /// Where the newest version is.
    #[schema(inline)]
    pub state: Option<VersionStateName>,
    /// Whether the newest version deletes the document.
    pub deleted: bool,
    /// The version that queries find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible_version: Option<u64>,
    /// Its title: what its producer gave, or, once it is visible, the one that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its address: from its metadata, or from the collection's template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its declared media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Its source; only for callers with the scope `write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its metadata: what its producer gave, and, once it is visible, what it says about itself.
    #[schema(value_type = Object)]
    pub metadata: DocumentMetadata,
    /// The groups that may read it, where asked for; null: everyone of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "listed")]
    #[schema(value_type = Option<Vec<String>>)]
    pub groups: Option<Option<Vec<String>>>,
    /// Size of the newest version's body.
    pub body_bytes: u64,
    /// Chunks of the newest version, once it is chunked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_count: Option<u32>,
    /// When the newest version was accepted.
    pub accepted_ms: u64,
    /// When its state last changed.
    pub updated_ms: u64,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonView>,
    /// All versions, newest first; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionView>,
    /// The chunks of the visible version, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkView>>,
    /// The normalised text of the visible version, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Tells null from absent.
#[expect(clippy::option_option, reason = "null and absent differ")]
fn listed<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Vec<String>>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// One version of a document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// The version.
    pub version: u64,
    /// Where it is.
    pub state: VersionStateName,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonView>,
    /// Whether it deletes the document.
    pub deletes: bool,
    /// BLAKE3 fingerprint of body and description, in hexadecimal.
    pub content_hash: String,
    /// Size of its body.
    pub body_bytes: u64,
    /// Chunks, once it is chunked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_count: Option<u32>,
    /// When it was accepted.
    pub accepted_ms: u64,
    /// When its state last changed.
    pub updated_ms: u64,
}

impl From<VersionRecord> for VersionView {
    fn from(record: VersionRecord) -> Self {
        Self {
            version: record.key.version.get(),
            state: record.state.into(),
            reason: record.reason.map(ReasonView::from),
            deletes: record.deletes,
            content_hash: record.content_hash.to_string(),
            body_bytes: record.body_bytes,
            chunk_count: record.chunk_count,
            accepted_ms: record.accepted_ms,
            updated_ms: record.updated_ms,
        }
    }
}

/// A chunk of a document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChunkView {
    /// Its id, as search results have it.
    pub chunk_id: String,
    /// Its place among the document's chunks, from 0.
    pub ordinal: u32,
    /// First byte in the normalised text.
    pub start_byte: u64,
    /// One past the last byte.
    pub end_byte: u64,
    /// Titles of the sections it stands in, outermost first.
    pub heading: Vec<String>,
    /// Its text.
    pub text: String,
}

/// Which documents to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListDocumentsRequest {
    /// Only ids that start with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Only documents that this condition on metadata, `document` and `title` admits, such as `lang = "en"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Only documents whose newest version is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<VersionStateName>,
    /// Most entries, 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
    /// Where the page before ended: its `next_cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Documents by id, without deleted ones.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DocumentList {
    /// The documents.
    pub documents: Vec<DocumentView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Which documents to delete. At least one condition is needed, and all have to hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteMatchingRequest {
    /// Only these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 10000)]
    pub ids: Option<Vec<String>>,
    /// Only ids that start with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Only documents that this condition on metadata, `document` and `title` admits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Say how many there are, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeleteMatchingOutcome {
    /// Documents that the request selects.
    pub matched: u64,
    /// Documents whose delete was accepted.
    pub deleted: u64,
    /// Whether it was only counted.
    pub dry_run: bool,
}

//! Document versions: as they are submitted, and as an index commits them.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::{
    CollectionId, CollectionKey, ContentHash, DocumentId, Epoch, FieldHasher, Version, VersionKey,
};
use super::metadata::DocumentMetadata;
use super::origin::MessageOrigin;
use super::principal::{AccessScope, Principal, check_groups};
use crate::fault::Refusal;

/// Longest title, in bytes.
pub const TITLE_BYTES_MAX: usize = 1024;
/// Longest declared media type, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 256;

/// Who may read a document, within its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DocumentAcl {
    /// Everyone of the tenant; the producer gave no list.
    #[default]
    Tenant,
    /// Members of these groups; an empty list lets nobody read.
    Groups(BTreeSet<String>),
}

impl DocumentAcl {
    /// Builds one from the producer's list, if it gave one.
    pub fn new(groups: Option<BTreeSet<String>>) -> Result<Self, Refusal> {
        match groups {
            None => Ok(Self::Tenant),
            Some(groups) => {
                check_groups(&groups, "acl")?;
                Ok(Self::Groups(groups))
            }
        }
    }

    /// Whether a member of these groups may read it.
    pub fn admits(&self, groups: &BTreeSet<String>) -> bool {
        match self {
            Self::Tenant => true,
            Self::Groups(readers) => readers.iter().any(|reader| groups.contains(reader)),
        }
    }

    /// The terms that an index stores. A reader matches if it shares one ([`reader_terms`]).
    pub fn terms(&self) -> Vec<String> {
        match self {
            // Groups have a prefix, so that a group called `*` opens nothing.
            Self::Tenant => vec!["*".to_owned()],
            Self::Groups(readers) => readers.iter().map(|reader| format!("g{reader}")).collect(),
        }
    }
}

/// The terms that a reader's query asks for.
pub fn reader_terms(groups: &BTreeSet<String>) -> Vec<String> {
    std::iter::once("*".to_owned()).chain(groups.iter().map(|group| format!("g{group}"))).collect()
}

/// A producer's description of a document, beside its body.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "struct Description")]
pub struct DocumentDescription {
    /// Declared media type, such as `text/markdown`. If absent, it is guessed from the bytes and the id.
    pub media_type: Option<String>,
    /// Title, part of what is embedded and of citations.
    pub title: Option<String>,
    /// Values for filters.
    pub metadata: DocumentMetadata,
    /// Who may read it.
    pub acl: DocumentAcl,
}

/// A checked request to store one document version, or to delete the document.
#[derive(Debug, Clone)]
pub struct Submission {
    collection: CollectionKey,
    document_id: DocumentId,
    version: Option<Version>,
    description: DocumentDescription,
    body: Bytes,
    content_hash: ContentHash,
    deletes: bool,
    origin: Option<MessageOrigin>,
}

impl Submission {
    /// A new version of a document, with a body of at most `body_bytes_max`. An absent version is
    /// assigned at intake; then concurrent producers race.
    pub fn new(
        principal: &Principal,
        collection: CollectionId,
        document_id: DocumentId,
        version: Option<Version>,
        description: DocumentDescription,
        body: Bytes,
        body_bytes_max: usize,
    ) -> Result<Self, Refusal> {
        principal.require(AccessScope::Write)?;
        if body.is_empty() {
            return Err(Refusal::invalid(
                "empty_body",
                "body",
                "body is empty; use delete to remove a document",
            ));
        }
        if body.len() > body_bytes_max {
            return Err(Refusal::invalid(
                "body_too_large",
                "body",
                format!("body has {} bytes; limits.body_bytes_max is {body_bytes_max}", body.len()),
            ));
        }
        check_single_line(description.title.as_deref(), TITLE_BYTES_MAX, "title")?;
        check_single_line(description.media_type.as_deref(), MEDIA_TYPE_BYTES_MAX, "media_type")?;
        // Over the description, too: new readers or metadata are new content.
        let content_hash = hash_content(&description, &body);
        Ok(Self {
            collection: CollectionKey { tenant: principal.tenant().clone(), collection },
            document_id,
            version,
            description,
            body,
            content_hash,
            deletes: false,
            origin: None,
        })
    }

    /// A deletion: a version of its own, without content.
    pub fn deletion(
        principal: &Principal,
        collection: CollectionId,
        document_id: DocumentId,
        version: Option<Version>,
    ) -> Result<Self, Refusal> {
        principal.require(AccessScope::Write)?;
        Ok(Self {
            collection: CollectionKey { tenant: principal.tenant().clone(), collection },
            document_id,
            version,
            description: DocumentDescription::default(),
            body: Bytes::new(),
            // All tombstones share a hash: two deletions at one version are duplicates.
            content_hash: ContentHash::from_bytes(FieldHasher::new("contexture tombstone v1").finish()),
            deletes: true,
            origin: None,
        })
    }

    /// The same submission, with the message it came in.
    #[must_use]
    pub fn with_origin(self, origin: Option<MessageOrigin>) -> Self {
        Self { origin, ..self }
    }

    /// The message it came in, if it came in one.
    pub fn origin(&self) -> Option<&MessageOrigin> {
        self.origin.as_ref()
    }

    /// The target collection; its tenant is the principal's.
    pub fn collection(&self) -> &CollectionKey {
        &self.collection
    }

    /// The document.
    pub fn document_id(&self) -> &DocumentId {
        &self.document_id
    }

    /// The producer's version, if it gave one.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Title, type, metadata, readers.
    pub fn description(&self) -> &DocumentDescription {
        &self.description
    }

    /// The bytes as they came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Fingerprint of body and description.
    pub fn content_hash(&self) -> ContentHash {
        self.content_hash
    }

    /// Whether this deletes the document.
    pub fn deletes(&self) -> bool {
        self.deletes
    }

    /// The key it gets under `version`.
    pub fn key(&self, version: Version) -> VersionKey {
        VersionKey {
            tenant: self.collection.tenant.clone(),
            collection: self.collection.collection.clone(),
            document_id: self.document_id.clone(),
            version,
        }
    }
}

fn check_single_line(text: Option<&str>, bytes_max: usize, field: &str) -> Result<(), Refusal> {
    let Some(text) = text else { return Ok(()) };
    if text.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            "invalid_text",
            field,
            format!("{field} must be one line of at most {bytes_max} bytes without control characters"),
        ));
    }
    Ok(())
}

/// The content hash of a description and a body. A stored body is verified against it.
pub fn hash_content(description: &DocumentDescription, body: &[u8]) -> ContentHash {
    // Deterministic: fields in order of declaration, metadata and groups sorted by their types. Such a
    // value cannot fail to serialise.
    let described = serde_json::to_vec(description).unwrap_or_default();
    ContentHash::from_bytes(FieldHasher::new("contexture content v1").field(&described).field(body).finish())
}

/// The committed record of a document in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "struct Head")]
pub struct DocumentHead {
    /// The document.
    pub document_id: DocumentId,
    /// The committed version.
    pub version: Version,
    /// Its content.
    pub content_hash: ContentHash,
    /// The epoch its chunks were made under.
    pub epoch: Epoch,
    /// Number of chunks, ordinals `0..chunk_count`.
    pub chunk_count: u32,
    /// Who may read it.
    pub acl: DocumentAcl,
    /// Whether it is a tombstone: the document was deleted at this version.
    pub deleted: bool,
}

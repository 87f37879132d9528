//! Events of documents as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::ReasonView;

/// How a document version ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentOutcomeEvent {
    /// What happened.
    #[serde(skip)]
    pub kind: DocumentEventKind,
    /// Where it stands; following goes on behind it.
    #[serde(skip)]
    pub cursor: String,
    /// The document.
    pub document_id: String,
    /// The version.
    pub version: u64,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonView>,
    /// When it was told.
    pub at_ms: u64,
}

/// What happened to a document version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentEventKind {
    /// Queries find it.
    #[default]
    Visible,
    /// It deletes the document, and queries find it no more.
    Deleted,
    /// It was given up.
    Dead,
}

impl DocumentEventKind {
    /// Its name as an event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::Deleted => "deleted",
            Self::Dead => "dead",
        }
    }
}

//! Sources as JSON: what a producer keeps a collection in step with.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::document::{ReasonView, VersionStateName};
use contexture_core::ports::source_ledger::{SourceDocument, SourceRecord};

/// A source of a collection: a folder, a site, a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceView {
    /// Its name; of a folder its absolute path.
    pub name: String,
    /// The number of its last run, from 1.
    pub run: u64,
    /// The number of the last run that ended; 0 if none did.
    pub finished_run: u64,
    /// Documents that it has, gone ones included until they are deleted.
    pub documents: u64,
    /// When its last run began.
    pub begun_ms: u64,
    /// When a run ended last; null if none did.
    pub finished_ms: Option<u64>,
}

impl From<SourceRecord> for SourceView {
    fn from(record: SourceRecord) -> Self {
        let SourceRecord { name, run, finished_run, documents, begun_ms, finished_ms, settled: _ } = record;
        Self { name: name.into(), run, finished_run, documents, begun_ms, finished_ms }
    }
}

/// The sources of a collection, by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceList {
    /// The sources.
    pub sources: Vec<SourceView>,
}

/// Names a source.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SourceSelection {
    /// Its name, 1 to 1024 bytes.
    pub source: String,
}

/// A run of a source.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceRunView {
    /// Its number, from 1.
    pub run: u64,
    /// The fingerprint of the whole source that an earlier run ended with, if everything is still as that run left
    /// it: each document visible in the version that was reported with its fingerprint, and nothing accepted
    /// since. If the source has this fingerprint now, there is nothing to list, report or submit. Null if something
    /// is not so.
    #[serde(default)]
    pub settled: Option<String>,
}

/// Which documents of a source to list.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListSourceDocumentsRequest {
    /// The source.
    pub source: String,
    /// Most entries, 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
    /// Where the page before ended: its `next_cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A document of a source, as a run saw it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceDocumentView {
    /// The document.
    pub document_id: String,
    /// What was reported with it; null if nothing was.
    pub fingerprint: Option<String>,
    /// The last run that saw it.
    pub run: u64,
    /// The newest version of the document; null if there is none.
    pub version: Option<u64>,
    /// The state of that version.
    pub state: Option<VersionStateName>,
    /// Whether that version deletes the document.
    pub deleted: bool,
    /// Whether the newest version is the one that was reported with the fingerprint, and no deletion: then
    /// nothing is to be submitted while the fingerprint is the same.
    pub in_step: bool,
    /// Why the newest version is dead.
    pub reason: Option<ReasonView>,
}

impl From<SourceDocument> for SourceDocumentView {
    fn from(found: SourceDocument) -> Self {
        let in_step = found.sighting.fingerprint.as_ref().is_some_and(|known| found.is_in_step(known));
        let SourceDocument { sighting, run, newest } = found;
        Self {
            document_id: sighting.document_id.to_string(),
            fingerprint: sighting.fingerprint.map(Into::into),
            run,
            version: newest.as_ref().map(|newest| newest.version.get()),
            state: newest.as_ref().map(|newest| newest.state.into()),
            deleted: newest.as_ref().is_some_and(|newest| newest.deletes),
            in_step,
            reason: newest.and_then(|newest| newest.reason).map(Into::into),
        }
    }
}

/// Documents of a source, by id.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceDocumentList {
    /// The documents.
    pub documents: Vec<SourceDocumentView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// A document that a run saw.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSightingRequest {
    /// The document.
    pub document_id: String,
    /// What tells that it has not changed, such as size and time or an entity tag; at most 256 bytes. Absent
    /// before the document is submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The version that its submission got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// What a run saw. Report a document before you submit it, and again with fingerprint and version afterwards.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportSourceDocumentsRequest {
    /// The source.
    pub source: String,
    /// Documents that are new, or may have changed; at most 10,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SourceSightingRequest>,
    /// Documents that have the fingerprint that is known; at most 10,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
}

/// The end of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishSourceRunRequest {
    /// The source.
    pub source: String,
    /// Whether documents that are gone are deleted; else they are only counted.
    #[serde(default)]
    pub prune: bool,
    /// The run went only through documents whose id begins with one of these; empty: through all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// Documents whose id begins with one of these could not be looked at, and are not gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// What tells that the whole source has not changed, such as a hash of all ids and fingerprints; at most 256
    /// bytes. Kept for the next run if all is in step. A run may be finished once more when its versions have
    /// ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// What a finished run found gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FinishedSourceRun {
    /// Documents that earlier runs saw, that this one did not see, and that are still there or on their way.
    pub gone: u64,
    /// How many of them were deleted; the deletions are accepted, and soon visible.
    pub deleted: u64,
    /// Some of them by id, at most 5.
    pub examples: Vec<String>,
}

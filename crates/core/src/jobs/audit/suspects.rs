//! Suspects: what looked wrong and waits for another inspection.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::report::AuditFinding;
use crate::domain::ids::{ChunkId, DocumentId};
use crate::ports::ledger::VersionRecord;

/// Inspections of a suspect, including the first.
pub const INSPECTIONS_MAX: u32 = 6;

/// What looked wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AuditSuspect {
    Document(DocumentId),
    Head(DocumentId),
    Point(ChunkId, Option<DocumentId>),
}

impl AuditSuspect {
    /// The document whose state in the ledger matters.
    pub(super) fn document_id(&self) -> Option<&DocumentId> {
        match self {
            Self::Document(document_id) | Self::Head(document_id) => Some(document_id),
            Self::Point(_, document_id) => document_id.as_ref(),
        }
    }
}

/// The verdict of one inspection.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "short-lived, a page of them at most")]
pub(super) enum SuspectVerdict {
    Fine,
    /// It would be wrong if nothing moved.
    Wrong(AuditFinding),
    /// A version in flight explains it.
    Moving,
}

/// A suspect, and what the ledger said of its document at the last inspection.
#[derive(Debug)]
pub(super) struct QueuedSuspect {
    pub(super) suspect: AuditSuspect,
    /// None if a version of the document was in flight.
    pub(super) versions: Option<Vec<VersionRecord>>,
    pub(super) inspections: u32,
    due: Instant,
}

/// Suspects in the order in which they are due. All wait equally long, so that is the order of arrival.
#[derive(Debug, Default)]
pub(super) struct AuditSuspectQueue(VecDeque<QueuedSuspect>);

impl AuditSuspectQueue {
    pub(super) fn add(
        &mut self,
        suspect: AuditSuspect,
        versions: Option<Vec<VersionRecord>>,
        inspections: u32,
        pause: Duration,
    ) {
        self.0.push_back(QueuedSuspect { suspect, versions, inspections, due: Instant::now() + pause });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the first is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|first| first.due)
    }

    /// Removes those that are due, at most `limit`.
    pub(super) fn take_due(&mut self, limit: usize) -> Vec<QueuedSuspect> {
        let now = Instant::now();
        let due = self.0.iter().take(limit).take_while(|waiting| waiting.due <= now).count();
        self.0.drain(..due).collect()
    }
}

//! What looked wrong, and waits to be looked at again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::report::AuditFinding;
use crate::domain::ids::{ChunkId, DocumentId};
use crate::ports::ledger::VersionRecord;

/// Looks at a suspect, the first one included.
pub const INSPECTIONS_MAX: u32 = 6;

/// Who is suspected.
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

/// What one look at a suspect says.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "short-lived, a page of them at most")]
pub(super) enum SuspectVerdict {
    Fine,
    /// It would be wrong if nothing moved.
    Wrong(AuditFinding),
    /// A version in flight explains it.
    Moving,
}

/// A suspect, and the ledger's word on its document when it was last looked at.
#[derive(Debug)]
pub(super) struct QueuedSuspect {
    pub(super) suspect: AuditSuspect,
    /// None while its document was on the move.
    pub(super) standing: Option<Vec<VersionRecord>>,
    pub(super) looks: u32,
    due: Instant,
}

/// Suspects in the order they are due.
#[derive(Debug, Default)]
pub(super) struct AuditSuspectQueue(VecDeque<QueuedSuspect>);

impl AuditSuspectQueue {
    pub(super) fn add(
        &mut self,
        suspect: AuditSuspect,
        standing: Option<Vec<VersionRecord>>,
        looks: u32,
        pause: Duration,
    ) {
        self.0.push_back(QueuedSuspect { suspect, standing, looks, due: Instant::now() + pause });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the first is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|first| first.due)
    }

    /// Those that are due, at most `limit`.
    pub(super) fn take_due(&mut self, limit: usize) -> Vec<QueuedSuspect> {
        let now = Instant::now();
        let due = self.0.iter().take(limit).take_while(|waiting| waiting.due <= now).count();
        self.0.drain(..due).collect()
    }
}

//! Publishes events about ended versions.
//!
//! Events go out after the ledger recorded the endings and before the acknowledgement, so every
//! ending is published at least once. A version that had ended before this delivery is published again
//! from the ledger: the process that ended it may have crashed before publishing.

use crate::domain::event::DocumentEvent;
use crate::domain::task::IngestTask;
use crate::fault::Fault;
use crate::ports::ledger::{VersionOutcome, VersionState};

use super::StageResources;

/// Events of one batch.
#[derive(Default)]
pub(super) struct EndingEvents {
    events: Vec<DocumentEvent>,
    known: Vec<IngestTask>,
}

impl EndingEvents {
    /// Adds a version that ends now.
    pub(super) fn ended(&mut self, task: &IngestTask, ending: &VersionOutcome) {
        self.events.push(match ending {
            VersionOutcome::Visible(_) => DocumentEvent::visible(task),
            VersionOutcome::Superseded => DocumentEvent::superseded(task),
            VersionOutcome::Dead(stage, reason) => DocumentEvent::dead(task, Some(*stage), reason),
        });
    }

    /// Adds a version that had ended before this delivery.
    pub(super) fn known(&mut self, task: IngestTask) {
        self.known.push(task);
    }

    /// Publishes the events, unless there is no broker for producers.
    pub(super) async fn publish(self, stages: &StageResources) -> Result<(), Fault> {
        let Some(sink) = &stages.events else { return Ok(()) };
        let Self { mut events, known } = self;
        for task in known {
            events.extend(event_from_ledger(stages, &task).await?);
        }
        if events.is_empty() {
            return Ok(());
        }
        sink.publish(events).await
    }
}

async fn event_from_ledger(
    stages: &StageResources,
    task: &IngestTask,
) -> Result<Option<DocumentEvent>, Fault> {
    let history = stages.ledger.history(&task.key.collection_key(), &task.key.document_id).await?;
    let Some(record) = history.into_iter().find(|record| record.key == task.key) else { return Ok(None) };
    Ok(match (record.state, record.reason) {
        (VersionState::Visible, _) => Some(DocumentEvent::visible(task)),
        (VersionState::Superseded, _) => Some(DocumentEvent::superseded(task)),
        (VersionState::Dead, Some(reason)) => Some(DocumentEvent::dead(task, None, &reason)),
        _ => None,
    })
}

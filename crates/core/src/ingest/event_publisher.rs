//! Telling how versions ended.
//!
//! It happens after the ledger has the endings and before the acknowledgement, so every ending
//! is told at least once: a version that had ended before this delivery is told from the ledger
//! again, since whoever ended it may have stopped before telling.

use crate::domain::event::DocumentEvent;
use crate::domain::task::IngestTask;
use crate::fault::Fault;
use crate::ports::ledger::{VersionOutcome, VersionState};

use super::StageResources;

/// What a batch has to tell.
#[derive(Default)]
pub(super) struct EndingEvents {
    events: Vec<DocumentEvent>,
    known: Vec<IngestTask>,
}

impl EndingEvents {
    /// A version ends now.
    pub(super) fn ended(&mut self, task: &IngestTask, ending: &VersionOutcome) {
        self.events.push(match ending {
            VersionOutcome::Visible(_) => DocumentEvent::visible(task),
            VersionOutcome::Superseded => DocumentEvent::superseded(task),
            VersionOutcome::Dead(stage, reason) => DocumentEvent::dead(task, Some(*stage), reason),
        });
    }

    /// A version had ended before.
    pub(super) fn known(&mut self, task: IngestTask) {
        self.known.push(task);
    }

    /// Tells it, if anybody can listen.
    pub(super) async fn tell(self, stages: &StageResources) -> Result<(), Fault> {
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

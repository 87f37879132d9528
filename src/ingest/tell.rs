//! Telling how versions ended.
//!
//! It happens after the ledger has the endings and before the acknowledgement, so every ending
//! is told at least once: a version that had ended before this delivery is told from the ledger
//! again, since whoever ended it may have stopped before telling.

use crate::domain::event::Event;
use crate::domain::task::Task;
use crate::fault::Fault;
use crate::ports::ledger::{Ending, State};

use super::Stages;

/// What a batch has to tell.
#[derive(Default)]
pub(super) struct Endings {
    events: Vec<Event>,
    known: Vec<Task>,
}

impl Endings {
    /// A version ends now.
    pub(super) fn ended(&mut self, task: &Task, ending: &Ending) {
        self.events.push(match ending {
            Ending::Visible(_) => Event::visible(task),
            Ending::Superseded => Event::superseded(task),
            Ending::Dead(stage, reason) => Event::dead(task, Some(*stage), reason),
        });
    }

    /// A version had ended before.
    pub(super) fn known(&mut self, task: Task) {
        self.known.push(task);
    }

    /// Tells it, if anybody can listen.
    pub(super) async fn tell(self, stages: &Stages) -> Result<(), Fault> {
        let Some(sink) = &stages.events else { return Ok(()) };
        let Self { mut events, known } = self;
        for task in known {
            events.extend(from_ledger(stages, &task).await?);
        }
        if events.is_empty() {
            return Ok(());
        }
        sink.publish(events).await
    }
}

async fn from_ledger(stages: &Stages, task: &Task) -> Result<Option<Event>, Fault> {
    let history = stages.ledger.history(&task.key.collection_key(), &task.key.document_id).await?;
    let Some(record) = history.into_iter().find(|record| record.key == task.key) else { return Ok(None) };
    Ok(match (record.state, record.reason) {
        (State::Visible, _) => Some(Event::visible(task)),
        (State::Superseded, _) => Some(Event::superseded(task)),
        (State::Dead, Some(reason)) => Some(Event::dead(task, None, &reason)),
        _ => None,
    })
}

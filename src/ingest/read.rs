//! How a stage gets its documents: from the stage before it in this process, or from the ledger.

use std::collections::HashMap;
use std::sync::Arc;

use super::chunk::stage::{checked_body, decoded, panicked};
use super::handover::CutDocument;
use super::{Outcome, Stages};
use crate::domain::chunk::ChunkSpan;
use crate::domain::task::{Stage, Task};
use crate::fault::Fault;
use crate::ports::ledger::StoredBody;

/// Documents by the place of their task, or the outcome of a task whose document cannot be had.
pub(super) type Found = HashMap<usize, Result<Arc<CutDocument>, Outcome>>;

/// How what the ledger holds of a task becomes its document.
pub(super) type ReadDocument =
    fn(&Task, Option<StoredBody>, Option<Vec<ChunkSpan>>) -> Result<CutDocument, Outcome>;

/// The documents of the tasks at `wanted` that are in flight.
pub(super) async fn in_flight(stages: &Stages, tasks: &[Task], wanted: &[usize]) -> Result<Found, Fault> {
    let mut found = Found::with_capacity(wanted.len());
    let mut missing = Vec::new();
    for index in wanted {
        match stages.handover.get(&tasks[*index]) {
            Some(document) => drop(found.insert(*index, Ok(document))),
            None => missing.push(*index),
        }
    }
    if !missing.is_empty() {
        found.extend(stored(stages, tasks, &missing, read_document).await?);
    }
    Ok(found)
}

/// The documents of the tasks at `wanted`, all of one generation, as `read` makes them of what the
/// ledger holds.
pub(super) async fn stored(
    stages: &Stages,
    tasks: &[Task],
    wanted: &[usize],
    read: ReadDocument,
) -> Result<Found, Fault> {
    let Some(generation) = wanted.first().map(|index| tasks[*index].generation) else {
        return Ok(Found::new());
    };
    let keys: Vec<_> = wanted.iter().map(|index| tasks[*index].key.clone()).collect();
    let (bodies, spans) =
        tokio::try_join!(stages.ledger.bodies(&keys), stages.ledger.spans(generation, &keys))?;
    let jobs: Vec<_> = wanted
        .iter()
        .zip(bodies.into_iter().zip(spans))
        .map(|(index, (body, spans))| (*index, tasks[*index].clone(), body, spans))
        .collect();
    let read_all = move || {
        let read = |(index, task, body, spans)| (index, read(&task, body, spans).map(Arc::new));
        jobs.into_iter().map(read).collect()
    };
    tokio::task::spawn_blocking(read_all).await.map_err(panicked)
}

/// The text and spans of a task in flight, as the chunk stage saw them.
fn read_document(
    task: &Task,
    body: Option<StoredBody>,
    spans: Option<Vec<ChunkSpan>>,
) -> Result<CutDocument, Outcome> {
    cut_document(task, checked_body(task, body)?, spans)
}

/// The text of a sound body, and its spans.
pub(super) fn cut_document(
    task: &Task,
    stored: StoredBody,
    spans: Option<Vec<ChunkSpan>>,
) -> Result<CutDocument, Outcome> {
    let Some(spans) = spans else {
        return Err(Outcome::HandOn(Stage::Chunk));
    };
    let (text, description) =
        decoded(task, stored).map_err(|reason| Outcome::Failed(Fault::Permanent(reason)))?;
    Ok(CutDocument { text, description, spans })
}

//! Replicas: the index here follows the ledger's log of visible versions.
//!
//! Where several processes share a ledger, each holds an index of its own, and a version that any
//! of them made visible reaches the others through the log, in its order. What is in the log is
//! content, not history: a document appears once, with the version that serves. So a replica
//! that starts from nothing, or comes back after a week, reads from the position stored in its
//! last commit and ends where all others are. Bodies come from the ledger; vectors are shared.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::chunk::ChunkSpan;
use crate::domain::fence::{Verdict, decide};
use crate::domain::task::Task;
use crate::fault::{Fault, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::{Change, State, StoredBody};
use crate::ports::lexical::Snapshot;

use super::chunk::stage::is_sound;
use super::handover::CutDocument;
use super::index::{build_writes, with_document};
use super::read::{self, cut_document};
use super::{Outcome, Stages};

/// Documents read and committed at once.
const PAGE_DOCUMENTS_MAX: usize = 512;
/// Time between two looks at the log.
const INTERVAL: Duration = Duration::from_millis(200);

/// Follows collections until `stop` is true: with `all`, every one of the ledger, otherwise those
/// that are open.
pub async fn run(stages: Arc<Stages>, all: bool, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(fault) = round(&stages, all).await {
            tracing::warn!(%fault, "the index cannot follow the ledger; it tries again");
        }
        let _ = tokio::time::timeout(INTERVAL, stop.wait_for(|stop| *stop)).await;
    }
}

/// Brings collections to the end of their logs. One that cannot be opened holds up no other.
pub async fn round(stages: &Stages, all: bool) -> Result<(), Fault> {
    if all {
        open_all(stages).await?;
    }
    for open in stages.catalog.opened().await {
        let _writing = open.writing.lock().await;
        catch_up(stages, &open).await?;
    }
    Ok(())
}

/// Brings one collection to the end of its log.
pub async fn bring_up(stages: &Stages, open: &OpenCollection) -> Result<(), Fault> {
    let _writing = open.writing.lock().await;
    catch_up(stages, open).await
}

async fn open_all(stages: &Stages) -> Result<(), Fault> {
    for record in stages.ledger.collections().await? {
        if let Err(fault) = stages.catalog.open(&record.key).await {
            tracing::warn!(tenant = %record.key.tenant, collection = %record.key.collection, %fault, "a collection cannot be opened");
        }
    }
    Ok(())
}

/// Brings a collection's index to the end of the log; the caller holds `open.writing`.
pub(super) async fn catch_up(stages: &Stages, open: &OpenCollection) -> Result<(), Fault> {
    let lexical = open.lexical()?;
    loop {
        let changes = stages.ledger.changes(&open.record.key, open.followed(), PAGE_DOCUMENTS_MAX).await?;
        let changes = within_bytes(changes, stages.limits.batch_body_bytes_max);
        let Some(last) = changes.last() else {
            open.set_ready();
            return Ok(());
        };
        let position = last.position;
        let tasks: Vec<Task> = changes.into_iter().map(|change| change.task).collect();
        let news = news(&*lexical.snapshot(), &tasks)?;
        if !news.is_empty() {
            let found = read::stored(stages, &tasks, &with_document(&tasks, &news), read_visible).await?;
            let (writes, missing) = build_writes(&tasks, &news, found).await?;
            if let Some((index, outcome)) =
                missing.iter().find(|(_, outcome)| **outcome != Outcome::AlreadyEnded)
            {
                return Err(unreadable(&tasks[*index], outcome));
            }
            lexical.commit(writes, position).await?;
        }
        open.follow_to(position);
    }
}

/// As many changes as their bodies fit, but at least one.
fn within_bytes(changes: Vec<Change>, bytes_max: u64) -> Vec<Change> {
    let mut bytes = 0;
    let mut fits = |change: &Change| {
        bytes += change.task.body_bytes;
        bytes <= bytes_max
    };
    let count = changes.iter().take_while(|change| fits(change)).count().max(1);
    changes.into_iter().take(count).collect()
}

/// The tasks that the index does not hold yet.
fn news(snapshot: &dyn Snapshot, tasks: &[Task]) -> Result<Vec<usize>, Fault> {
    let mut news = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let head = snapshot.head(&task.key.document_id)?.map(|head| (head.version, head.content_hash));
        if decide(head, task.key.version, task.content_hash) == Verdict::Apply {
            news.push(index);
        }
    }
    Ok(news)
}

/// The document of a visible version. One that was superseded since it was listed is left out:
/// the version that won stands further on in the log.
pub(super) fn read_visible(
    task: &Task,
    body: Option<StoredBody>,
    spans: Option<Vec<ChunkSpan>>,
) -> Result<CutDocument, Outcome> {
    match body {
        Some(stored) if stored.state == State::Visible => {
            if !is_sound(task, &stored) {
                let detail = "the stored body does not match the hash it was accepted with";
                return Err(Outcome::Failed(Fault::permanent(reason::BODY_CORRUPT, detail)));
            }
            cut_document(task, stored, spans)
        }
        _ => Err(Outcome::AlreadyEnded),
    }
}

fn unreadable(task: &Task, outcome: &Outcome) -> Fault {
    let why = match outcome {
        Outcome::Failed(fault) => fault.to_string(),
        _ => "its spans are not stored".to_owned(),
    };
    Fault::Transient(format!(
        "version {} of '{}' is visible but cannot be read from the ledger: {why}",
        task.key.version, task.key.document_id
    ))
}

//! Followers: an index that holds what the ledger's log of visible versions says.
//!
//! Where several processes share a ledger, each holds an index of its own, and a version that any
//! of them made visible reaches the others through the log, in its order. Generations that do not
//! serve are filled the same way in every process: one that is being built, and one that is kept
//! for a rollback. What is in the log is content, not history: a document appears once, with the
//! version that serves. So an index that starts from nothing, or comes back after a week, reads
//! from the position stored in its last commit and ends where all others are. Bodies come from the
//! ledger; vectors are shared. A version that is not prepared for a generation yet
//! ([`super::prepare`]) holds its index up; one that cannot be is there without text.
//!
//! Once the active generation is another than the one that serves here, that one goes on serving
//! until the index of the new one holds what it held when it was activated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::chunk::ChunkSpan;
use crate::domain::fence::{Verdict, decide};
use crate::domain::ids::{CollectionKey, VersionKey};
use crate::domain::task::{Stage, Task};
use crate::fault::{Fault, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::generations::{GenerationRecord, GenerationState};
use crate::ports::ledger::{State, StoredBody};
use crate::ports::lexical::{DocumentWrite, Snapshot};

use super::chunk::stage::is_sound;
use super::handover::CutDocument;
use super::index::{build_writes, with_document, without_text};
use super::read::{self, Found, cut_document};
use super::{Outcome, Stages, within_bytes};

/// Documents read and committed at once.
const PAGE_DOCUMENTS_MAX: usize = 512;
/// Time between two looks at the log.
const INTERVAL: Duration = Duration::from_millis(200);
/// The same for a generation that does not serve: nobody waits for it, and its commits and merges
/// take time and the disk from live documents.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// Failures of a generation that are looked at.
const FAILURES_MAX: usize = 100_000;

/// Follows collections until `stop` is true: with `all`, every one of the ledger, otherwise those
/// that are open.
pub async fn run(stages: Arc<Stages>, all: bool, mut stop: watch::Receiver<bool>) {
    let mut idle_looked: Option<Instant> = None;
    while !*stop.borrow() {
        let with_idle = idle_looked.is_none_or(|looked| looked.elapsed() >= IDLE_INTERVAL);
        if let Err(fault) = look(&stages, all, with_idle).await {
            tracing::warn!(%fault, "the index cannot follow the ledger; it tries again");
        }
        if with_idle {
            idle_looked = Some(Instant::now());
        }
        let _ = tokio::time::timeout(INTERVAL, stop.wait_for(|stop| *stop)).await;
    }
}

/// Brings every generation that is followed here to the end of its log, and lets active ones serve
/// as soon as they can. One that cannot be opened or filled holds up no other.
pub async fn round(stages: &Stages, all: bool) -> Result<(), Fault> {
    look(stages, all, true).await
}

/// The same, of generations that do not serve only `with_idle`.
async fn look(stages: &Stages, all: bool, with_idle: bool) -> Result<(), Fault> {
    let mut collections: Vec<Vec<GenerationRecord>> = Vec::new();
    for record in stages.ledger.generations(None).await? {
        match collections.last_mut() {
            Some(records) if records[0].home.key == record.home.key => records.push(record),
            _ => collections.push(vec![record]),
        }
    }
    let opened: BTreeSet<CollectionKey> =
        stages.catalog.opened().await.into_iter().map(|open| open.record.key.clone()).collect();
    for records in collections {
        let key = &records[0].home.key;
        if !all && !opened.contains(key) {
            continue;
        }
        let live = records.iter().filter(|record| record.state != GenerationState::Dropped);
        // Who alone writes the only generation there ever was has nothing to learn from the log. Where others
        // were dropped, what was committed to them may have come too late to be followed before.
        let is_followed = stages.replicas || records.len() > 1;
        for record in live.filter(|record| with_idle || record.state == GenerationState::Active) {
            let done = if is_followed { follow(stages, record).await } else { serve(stages, record).await };
            if let Err(fault) = done {
                tracing::warn!(
                    tenant = %key.tenant, collection = %key.collection, generation = record.home.generation, %fault,
                    "a generation cannot be followed"
                );
            }
        }
        for record in records.iter().filter(|record| record.state == GenerationState::Dropped) {
            stages.let_go_of(record).await;
        }
    }
    Ok(())
}

/// Brings one generation to the end of its log, or to where its builder is.
pub async fn bring_up(stages: &Stages, open: &OpenCollection) -> Result<(), Fault> {
    let _writing = open.writing.lock().await;
    catch_up(stages, open).await
}

async fn follow(stages: &Stages, record: &GenerationRecord) -> Result<(), Fault> {
    let open = stages.catalog.open_generation(&record.home).await?;
    {
        let _writing = open.writing.lock().await;
        catch_up(stages, &open).await?;
        // Where it stands has to be known after a restart, too, before it serves.
        if open.followed() >= record.activated_at
            && open.lexical()?.snapshot().position() < record.activated_at
        {
            open.lexical()?.commit(Vec::new(), open.followed()).await?;
        }
    }
    serve(stages, record).await
}

/// Lets an active generation serve here, if it holds what it has to.
async fn serve(stages: &Stages, record: &GenerationRecord) -> Result<(), Fault> {
    if record.state != GenerationState::Active {
        return Ok(());
    }
    let serving = stages.catalog.open(&record.home.key).await?;
    if serving.is_some_and(|open| open.record.generation == record.home.generation) {
        return Ok(());
    }
    let open = stages.catalog.open_generation(&record.home).await?;
    if open.followed() >= record.activated_at {
        let key = &record.home.key;
        tracing::info!(
            tenant = %key.tenant, collection = %key.collection, generation = record.home.generation,
            "another generation serves from now on"
        );
        stages.catalog.serve(&open).await;
    }
    Ok(())
}

/// Brings a generation's index to the end of the log, or to where its builder is; the caller holds
/// `open.writing`.
pub(super) async fn catch_up(stages: &Stages, open: &OpenCollection) -> Result<(), Fault> {
    let lexical = open.lexical()?;
    loop {
        let mut changes =
            stages.ledger.changes(&open.record.key, open.followed(), PAGE_DOCUMENTS_MAX).await?;
        let bytes_max = stages.limits.batch_body_bytes_max;
        let fitting = within_bytes(changes.iter().map(|change| &change.task), bytes_max);
        changes.truncate(fitting);
        for change in &mut changes {
            (change.task.generation, change.task.epoch) = (open.record.generation, open.record.epoch);
        }
        let tasks: Vec<Task> = changes.iter().map(|change| change.task.clone()).collect();
        let Page { writes, prepared } = page(stages, open, &*lexical.snapshot(), &tasks).await?;
        let Some(last) = changes[..prepared].last() else {
            open.set_ready();
            return Ok(());
        };
        if !writes.is_empty() {
            lexical.commit(writes, last.position).await?;
        }
        open.follow_to(last.position);
        if prepared < changes.len() {
            open.set_ready();
            return Ok(());
        }
    }
}

/// What is to be written for a page of the log.
struct Page {
    writes: Vec<DocumentWrite>,
    /// Entries from the first on that are prepared, or have failed.
    prepared: usize,
}

async fn page(
    stages: &Stages,
    open: &OpenCollection,
    snapshot: &dyn Snapshot,
    tasks: &[Task],
) -> Result<Page, Fault> {
    let mut news = news(snapshot, tasks)?;
    let mut found: Found = read::stored(stages, tasks, &with_document(tasks, &news), read_visible).await?;
    let is_unprepared =
        |found: &Found, index: &usize| matches!(found.get(index), Some(Err(Outcome::HandOn(Stage::Chunk))));
    let mut failed = Vec::new();
    let mut prepared = tasks.len();
    if news.iter().any(|index| is_unprepared(&found, index)) {
        let (key, generation) = (&open.record.key, open.record.generation);
        let failures = stages.ledger.failures(key, generation, FAILURES_MAX).await?;
        let failures: BTreeSet<VersionKey> = failures.into_iter().map(|failure| failure.key).collect();
        for index in news.iter().filter(|index| is_unprepared(&found, index)) {
            if !failures.contains(&tasks[*index].key) {
                prepared = *index;
                break;
            }
            failed.push(*index);
        }
    }
    news.retain(|index| *index < prepared && !failed.contains(index));
    found.retain(|index, _| *index < prepared && !failed.contains(index));
    let (mut writes, missing) = build_writes(tasks, &news, found).await?;
    if let Some((index, outcome)) = missing.iter().find(|(_, outcome)| **outcome != Outcome::AlreadyEnded) {
        return Err(unreadable(&tasks[*index], outcome));
    }
    writes.extend(failed.into_iter().map(|index| without_text(&tasks[index], false)));
    Ok(Page { writes, prepared })
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

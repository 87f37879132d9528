//! Keeps an index equal to the ledger's log of visible versions.
//!
//! Where several processes share a ledger, each has its own index. A version that one process made
//! visible reaches the others through the log, in log order. Generations that do not serve are
//! filled in the same way: one under construction, and one kept for a rollback.
//!
//! The log holds content, not history: a document appears once, with its visible version. An index
//! therefore reads from the position of its last commit and ends equal to all others, whether it
//! starts empty or returns after a week. Bodies come from the ledger; vectors are shared. A version
//! that is not prepared for a generation yet ([`super::prepare_documents`]) stops its index at that
//! position. A version that failed to prepare is committed without chunks.
//!
//! When another generation is activated, the old one serves until the index of the new one has
//! reached the position at which it was activated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::chunk::ChunkSpan;
use crate::domain::ids::{CollectionKey, VersionKey};
use crate::domain::task::{IngestStage, IngestTask};
use crate::domain::version_fence::{FenceDecision, check_version_fence};
use crate::fault::{Fault, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::extractor::DocumentExtractor;
use crate::ports::generations::{GenerationRecord, GenerationState};
use crate::ports::ledger::{StoredBody, VersionState};
use crate::ports::lexical::{DocumentWrite, LexicalSnapshot};

use super::chunk::stage::matches_accepted_hash;
use super::document_reader::{self, FoundDocuments, ReadDocument, chunked_document_from_spans};
use super::document_writes::{build_writes, indices_with_document, write_without_chunks};
use super::fault_log::FaultLog;
use super::{StageResources, TaskOutcome, tasks_within_bytes};

/// Most documents of one page, which is read and committed at once.
const PAGE_DOCUMENTS_MAX: usize = 512;
/// Time between two reads of the log.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);
/// Time between two reads for a generation that does not serve. Longer, because nobody waits for it
/// and its commits and merges compete with live documents for the disk.
const IDLE_FOLLOW_INTERVAL: Duration = Duration::from_secs(2);
/// Most failures of a generation that are read.
const FAILURES_MAX: usize = 100_000;

/// Follows collections until `stop` is true: with `all` every collection of the ledger, otherwise
/// the open ones.
pub async fn follow_ledger(stages: Arc<StageResources>, all: bool, mut stop: watch::Receiver<bool>) {
    let mut idle_looked: Option<Instant> = None;
    let mut faults = FaultLog::default();
    while !*stop.borrow() {
        let with_idle = idle_looked.is_none_or(|looked| looked.elapsed() >= IDLE_FOLLOW_INTERVAL);
        let followed = follow_collections(&stages, all, with_idle, &mut faults).await;
        faults.note("following the ledger", &followed);
        if with_idle {
            idle_looked = Some(Instant::now());
        }
        let _ = tokio::time::timeout(FOLLOW_INTERVAL, stop.wait_for(|stop| *stop)).await;
    }
}

/// Follows every generation once, to the end of its log. Active generations serve as soon as they
/// can. A generation that cannot be opened or filled does not delay the others.
pub async fn follow_once(stages: &StageResources, all: bool) -> Result<(), Fault> {
    follow_collections(stages, all, true, &mut FaultLog::default()).await
}

/// Follows every generation once; generations that do not serve only `with_idle`.
async fn follow_collections(
    stages: &StageResources,
    all: bool,
    with_idle: bool,
    faults: &mut FaultLog,
) -> Result<(), Fault> {
    // First, so that what was dropped is not taken for open below.
    if with_idle {
        stages.close_dropped_collections().await?;
    }
    let mut collections: Vec<Vec<GenerationRecord>> = Vec::new();
    for record in stages.ledger.generations(None).await? {
        // Ledgers list the generations of a collection together, so comparing with the last group suffices.
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
        // A process that alone writes the only generation ever made learns nothing from the log. Once
        // there was another generation, late commits to it reach this index only through the log.
        let is_followed = stages.replicas || records.len() > 1;
        for record in live.filter(|record| with_idle || record.state == GenerationState::Active) {
            let done = if is_followed {
                follow_generation(stages, record).await
            } else {
                serve_activated_generation(stages, record).await
            };
            let CollectionKey { tenant, collection } = key;
            faults.note(
                format_args!("following generation {} of {tenant}/{collection}", record.home.generation),
                &done,
            );
        }
        for record in records.iter().filter(|record| record.state == GenerationState::Dropped) {
            stages.close_dropped_generation(record).await;
        }
    }
    Ok(())
}

/// Brings one generation to the end of its log, or to the position of its builder.
pub async fn bring_index_up_to_date(stages: &StageResources, open: &OpenCollection) -> Result<(), Fault> {
    let _writing = open.writing.lock().await;
    catch_up_with_log(stages, open).await
}

async fn follow_generation(stages: &StageResources, record: &GenerationRecord) -> Result<(), Fault> {
    let open = stages.catalog.open_generation(&record.home).await?;
    {
        let _writing = open.writing.lock().await;
        catch_up_with_log(stages, &open).await?;
        // The position must be durable before the generation serves. Otherwise a restart would read an
        // older position and conclude that the generation may not serve yet.
        if open.log_position() >= record.activated_at
            && open.lexical()?.snapshot().position() < record.activated_at
        {
            open.lexical()?.commit(Vec::new(), open.log_position()).await?;
        }
    }
    serve_activated_generation(stages, record).await
}

/// Makes an active generation serve in this process, if its index has reached its activation position.
async fn serve_activated_generation(stages: &StageResources, record: &GenerationRecord) -> Result<(), Fault> {
    if record.state != GenerationState::Active {
        return Ok(());
    }
    let serving = stages.catalog.open(&record.home.key).await?;
    if serving.is_some_and(|open| open.record.generation == record.home.generation) {
        return Ok(());
    }
    let open = stages.catalog.open_generation(&record.home).await?;
    if open.log_position() >= record.activated_at {
        let key = &record.home.key;
        tracing::info!(
            tenant = %key.tenant, collection = %key.collection, generation = record.home.generation,
            "another generation serves from now on"
        );
        stages.catalog.serve(&open).await;
    }
    Ok(())
}

/// Brings a generation's index to the end of the log, or to the position of its builder. The caller
/// holds `open.writing`.
pub(super) async fn catch_up_with_log(stages: &StageResources, open: &OpenCollection) -> Result<(), Fault> {
    let lexical = open.lexical()?;
    loop {
        let mut changes =
            stages.ledger.changes(&open.record.key, open.log_position(), PAGE_DOCUMENTS_MAX).await?;
        let bytes_max = stages.limits.batch_body_bytes_max;
        let fitting = tasks_within_bytes(changes.iter().map(|change| &change.task), bytes_max);
        changes.truncate(fitting);
        // The log names the generation that served; spans and chunk ids are those of the followed one.
        for change in &mut changes {
            (change.task.generation, change.task.epoch) = (open.record.generation, open.record.epoch);
        }
        let tasks: Vec<IngestTask> = changes.iter().map(|change| change.task.clone()).collect();
        let LogPageWrites { writes, prepared } =
            prepare_log_page(stages, open, &*lexical.snapshot(), &tasks).await?;
        let Some(last) = changes[..prepared].last() else {
            open.set_ready();
            return Ok(());
        };
        // A page without news advances the position in memory only; reading it again costs little.
        if !writes.is_empty() {
            lexical.commit(writes, last.position).await?;
        }
        open.advance_log_position(last.position);
        // The next entry is not prepared yet. The index is as complete as it can be, so it is ready.
        if prepared < changes.len() {
            open.set_ready();
            return Ok(());
        }
    }
}

/// The writes of one page of the log.
struct LogPageWrites {
    writes: Vec<DocumentWrite>,
    /// Number of leading entries that are prepared or have failed.
    prepared: usize,
}

async fn prepare_log_page(
    stages: &StageResources,
    open: &OpenCollection,
    snapshot: &dyn LexicalSnapshot,
    tasks: &[IngestTask],
) -> Result<LogPageWrites, Fault> {
    let mut unindexed = tasks_not_indexed(snapshot, tasks)?;
    let mut found: FoundDocuments = document_reader::read_stored_documents(
        stages,
        tasks,
        &indices_with_document(tasks, &unindexed),
        read_visible_document,
    )
    .await?;
    let is_unprepared = |found: &FoundDocuments, index: &usize| {
        matches!(found.get(index), Some(Err(TaskOutcome::HandOn(IngestStage::Chunk))))
    };
    let mut failed = Vec::new();
    let mut prepared = tasks.len();
    if unindexed.iter().any(|index| is_unprepared(&found, index)) {
        let (key, generation) = (&open.record.key, open.record.generation);
        let failures = stages.ledger.failures(key, generation, FAILURES_MAX).await?;
        let failures: BTreeSet<VersionKey> = failures.into_iter().map(|failure| failure.key).collect();
        for index in unindexed.iter().filter(|index| is_unprepared(&found, index)) {
            if !failures.contains(&tasks[*index].key) {
                prepared = *index;
                break;
            }
            failed.push(*index);
        }
    }
    unindexed.retain(|index| *index < prepared && !failed.contains(index));
    found.retain(|index, _| *index < prepared && !failed.contains(index));
    let (mut writes, missing) = build_writes(tasks, &unindexed, found).await?;
    if let Some((index, outcome)) = missing.iter().find(|(_, outcome)| **outcome != TaskOutcome::AlreadyEnded)
    {
        return Err(unreadable_document(&tasks[*index], outcome));
    }
    writes.extend(failed.into_iter().map(|index| write_without_chunks(&tasks[index], false)));
    Ok(LogPageWrites { writes, prepared })
}

/// Returns the indices of the tasks that the index does not hold yet.
fn tasks_not_indexed(snapshot: &dyn LexicalSnapshot, tasks: &[IngestTask]) -> Result<Vec<usize>, Fault> {
    let mut unindexed = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let head = snapshot.head(&task.key.document_id)?.map(|head| (head.version, head.content_hash));
        if check_version_fence(head, task.key.version, task.content_hash) == FenceDecision::Apply {
            unindexed.push(index);
        }
    }
    Ok(unindexed)
}

/// Reads the document of a visible version. A version that was superseded since it was listed ends
/// as `AlreadyEnded`: the winning version follows later in the log.
pub(super) fn read_visible_document(
    extractor: &dyn DocumentExtractor,
    task: &IngestTask,
    body: Option<StoredBody>,
    spans: Option<Vec<ChunkSpan>>,
) -> ReadDocument {
    match body {
        Some(stored) if stored.state == VersionState::Visible => {
            if !matches_accepted_hash(task, &stored) {
                let detail = "the stored body does not match the hash it was accepted with";
                return Err(TaskOutcome::Failed(Fault::permanent(reason::BODY_CORRUPT, detail)));
            }
            chunked_document_from_spans(extractor, task, &stored, spans)
        }
        _ => Err(TaskOutcome::AlreadyEnded),
    }
}

fn unreadable_document(task: &IngestTask, outcome: &TaskOutcome) -> Fault {
    let why = match outcome {
        TaskOutcome::Failed(fault) => fault.to_string(),
        _ => "its spans are not stored".to_owned(),
    };
    Fault::transient(format!(
        "version {} of '{}' is visible but cannot be read from the ledger: {why}",
        task.key.version, task.key.document_id
    ))
}

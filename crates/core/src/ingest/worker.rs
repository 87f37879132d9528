//! The consumer loop of a stage.
//!
//! Receive a batch bounded by documents and bytes, run the stage, settle, again. A panic is
//! caught: the batch is run once more one task at a time, and the task that panics alone is
//! dead. So is one that came back [`REDELIVERIES_MAX`] times: it kills the process, not just its
//! task. When settling fails (the ledger or the broker is away) it is tried again until it
//! works or the process stops; nothing is acknowledged meanwhile. A consumer that fails is
//! replaced.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::{Fault, reason};
use crate::ports::broker::{BrokerConsumer, BrokerDelivery, SUSPECT_REDELIVERIES};
use crate::resilience::backoff;

use super::acknowledge::{self, AcknowledgeError};
use super::{StageResources, TaskOutcome, chunk, embed, index};

/// Redeliveries at which a message is dead instead of run: it was alone in its batch when its
/// last fourteen consumers were lost. A process may be killed several times for other reasons, and
/// always while it has the same first message in hand; ten such kills must not cost a document.
pub const REDELIVERIES_MAX: u32 = SUSPECT_REDELIVERIES + 14;

/// Messages of a worker's first batch; then batches grow while they are quick and shrink while
/// they are slow, so a slow model shows its work soon and a quick one pays for few flushes.
const FIRST_BATCH_MESSAGES: usize = 32;
/// A full batch that was quicker than this is followed by a larger one.
const BATCH_TIME_MIN: Duration = Duration::from_millis(500);
/// A batch that was slower than this is followed by a smaller one.
const BATCH_TIME_MAX: Duration = Duration::from_secs(4);
/// How long an embed worker consumes nothing at a time.
const EMBED_PAUSE_MAX: Duration = Duration::from_mins(10);
/// How long a chunk or embed worker waits for company of a first message.
const BATCH_LINGER: Duration = Duration::from_millis(5);

/// Runs a stage until `stop` is true; finishes the batch at hand, or hands it back where it waits for
/// a model.
pub async fn run_worker(stages: Arc<StageResources>, stage: IngestStage, mut stop: watch::Receiver<bool>) {
    let mut failures = 0;
    while !*stop.borrow() {
        if let Err(fault) = consume_stage(&stages, stage, stop.clone(), &mut failures).await {
            failures += 1;
            tracing::warn!(stage = stage.name(), %fault, failures, "a worker lost its queue and opens it again");
            let _ = tokio::time::timeout(backoff::reopen_delay(failures), stop.wait_for(|stop| *stop)).await;
        }
    }
}

/// Consumes until told to stop or until the queue fails; `failures` is zero once it gave a batch.
/// Stopping is looked at between batches.
async fn consume_stage(
    stages: &StageResources,
    stage: IngestStage,
    mut stop: watch::Receiver<bool>,
    failures: &mut u32,
) -> Result<(), Fault> {
    let mut consumer = stages.broker.consume(stage).await?;
    let (messages_max, linger) = match stage {
        IngestStage::Chunk => (stages.limits.chunk_batch_documents_max, BATCH_LINGER),
        IngestStage::Embed => (stages.limits.embed_batch_documents_max, BATCH_LINGER),
        IngestStage::Index => (stages.limits.commit_documents_max, stages.limits.commit_wait_max),
    };
    let mut take =
        if stage == IngestStage::Index { messages_max } else { FIRST_BATCH_MESSAGES.min(messages_max) };
    loop {
        if stage == IngestStage::Embed {
            wait_until_model_open(stages, &mut stop).await;
        }
        let deliveries = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            deliveries = consumer.receive(take, linger) => deliveries?,
        };
        *failures = 0;
        let _at_work = stages.tally.work();
        let began = Instant::now();
        let full = deliveries.len() >= take;
        let (killers, deliveries) =
            deliveries.into_iter().partition(|delivery| delivery.redeliveries >= REDELIVERIES_MAX);
        let (tags, tasks) = decode_deliveries(stage, &mut *consumer, killers).await?;
        if !tasks.is_empty() {
            let outcomes = vec![crash_loop_outcome(stage); tasks.len()];
            acknowledge_until_done(stages, stage, &mut *consumer, tags, tasks, outcomes, &mut stop).await?;
        }
        let (tags, tasks) = decode_deliveries(stage, &mut *consumer, deliveries).await?;
        for (tags, tasks) in split_tasks_by_bytes(tags, tasks, stages.limits.batch_body_bytes_max) {
            let outcomes = run_stage_catching_panics(stages, stage, &tasks, &stop).await;
            acknowledge_until_done(stages, stage, &mut *consumer, tags, tasks, outcomes, &mut stop).await?;
        }
        let took = began.elapsed();
        stages.meter.batch(stage, took);
        if took > BATCH_TIME_MAX {
            take = (take / 2).max(1);
        } else if full && took < BATCH_TIME_MIN {
            take = (take * 2).min(messages_max);
        }
    }
}

/// Waits while no model in use takes calls: the queue is the buffer, and nothing is spent. After
/// [`EMBED_PAUSE_MAX`] one batch goes through all the same, to be put off, for a broker does not let
/// messages be held for ever.
async fn wait_until_model_open(stages: &StageResources, stop: &mut watch::Receiver<bool>) {
    let opened = stages.catalog.opened().await;
    let waiting: Vec<_> = opened.iter().map(|open| open.embedder.waiting()).collect();
    let Some(Some(first)) = waiting.first() else { return };
    if !waiting.iter().all(|waiting| waiting.as_ref().is_some_and(|waiting| waiting.stopped)) {
        return;
    }
    tracing::warn!(model = first.model, why = first.why, "the embed stage stops consuming");
    let open_again: Vec<_> = opened.iter().map(|open| open.embedder.until_open()).collect();
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        _ = select_all(open_again) => tracing::info!("the embed stage goes on"),
        () = tokio::time::sleep(EMBED_PAUSE_MAX) => {}
    }
}

fn crash_loop_outcome(stage: IngestStage) -> TaskOutcome {
    TaskOutcome::Failed(Fault::permanent(
        reason::CRASH_LOOP,
        format!(
            "the {} stage never answered for this document in {REDELIVERIES_MAX} deliveries; it may kill its process",
            stage.name()
        ),
    ))
}

/// Tasks of this stage with their tags. What cannot be read is removed: it names no document,
/// and the ledger still knows every version in flight.
async fn decode_deliveries(
    stage: IngestStage,
    consumer: &mut dyn BrokerConsumer,
    deliveries: Vec<BrokerDelivery>,
) -> Result<(Vec<u64>, Vec<IngestTask>), Fault> {
    let (mut tags, mut tasks, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for delivery in deliveries {
        match delivery.envelope.map(crate::domain::task::TaskEnvelope::open) {
            Ok((addressed, task)) if addressed == stage => {
                tags.push(delivery.tag);
                tasks.push(task);
            }
            other => {
                let why = other.err().unwrap_or_else(|| "addressed to another stage".to_owned());
                tracing::error!(stage = stage.name(), why, "a stage message cannot be read and is removed");
                unreadable.push(delivery.tag);
            }
        }
    }
    if !unreadable.is_empty() {
        consumer.ack(unreadable).await?;
    }
    Ok((tags, tasks))
}

/// Cuts a batch where its bodies would exceed the bound; a single larger body goes alone.
fn split_tasks_by_bytes(
    tags: Vec<u64>,
    tasks: Vec<IngestTask>,
    bytes_max: u64,
) -> Vec<(Vec<u64>, Vec<IngestTask>)> {
    let mut batches: Vec<(Vec<u64>, Vec<IngestTask>)> = Vec::new();
    let mut bytes = 0;
    for (tag, task) in tags.into_iter().zip(tasks) {
        bytes += task.body_bytes;
        match batches.last_mut() {
            Some((tags, tasks)) if bytes <= bytes_max => {
                tags.push(tag);
                tasks.push(task);
            }
            _ => {
                bytes = task.body_bytes;
                batches.push((vec![tag], vec![task]));
            }
        }
    }
    batches
}

async fn run_stage(
    stages: &StageResources,
    stage: IngestStage,
    tasks: &[IngestTask],
    stop: &watch::Receiver<bool>,
) -> Vec<TaskOutcome> {
    match stage {
        IngestStage::Chunk => chunk::stage::chunk_batch(stages, tasks).await,
        IngestStage::Embed => embed::embed_batch(stages, tasks, stop).await,
        IngestStage::Index => index::index_batch(stages, tasks).await,
    }
}

async fn run_stage_catching_panics(
    stages: &StageResources,
    stage: IngestStage,
    tasks: &[IngestTask],
    stop: &watch::Receiver<bool>,
) -> Vec<TaskOutcome> {
    let guarded = |from: usize, to: usize| {
        AssertUnwindSafe(run_stage(stages, stage, &tasks[from..to], stop)).catch_unwind()
    };
    if let Ok(outcomes) = guarded(0, tasks.len()).await {
        return outcomes;
    }
    let mut outcomes = Vec::with_capacity(tasks.len());
    for index in 0..tasks.len() {
        match guarded(index, index + 1).await {
            Ok(outcome) => outcomes.extend(outcome),
            Err(_) => outcomes.push(TaskOutcome::Failed(Fault::permanent(
                reason::STAGE_PANICKED,
                format!("the {} stage panicked on this document", stage.name()),
            ))),
        }
    }
    outcomes
}

async fn acknowledge_until_done(
    stages: &StageResources,
    stage: IngestStage,
    consumer: &mut dyn BrokerConsumer,
    tags: Vec<u64>,
    tasks: Vec<IngestTask>,
    outcomes: Vec<TaskOutcome>,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Fault> {
    let mut failures = 0;
    loop {
        let settled = acknowledge::acknowledge_batch(
            stages,
            stage,
            consumer,
            tags.clone(),
            tasks.clone(),
            outcomes.clone(),
        )
        .await;
        let fault = match settled {
            Ok(()) => return Ok(()),
            Err(AcknowledgeError::ConsumerLost(fault)) => return Err(fault),
            Err(AcknowledgeError::Again(fault)) => fault,
        };
        failures += 1;
        tracing::warn!(stage = stage.name(), %fault, failures, "settling failed; nothing was acknowledged");
        let wait = tokio::time::timeout(backoff::reopen_delay(failures), stop.wait_for(|stop| *stop));
        if wait.await.is_ok() {
            return Err(fault);
        }
    }
}

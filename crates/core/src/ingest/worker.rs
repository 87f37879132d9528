//! The consumer loop of a stage.
//!
//! It receives a batch bounded in documents and bytes, runs the stage and acknowledges. A panic is
//! caught: the batch runs again one task at a time, and a task that panics alone becomes a dead letter.
//! So does a message that was redelivered [`REDELIVERIES_MAX`] times, because it kills the process and
//! not only its task. When acknowledging fails because the ledger or the broker is down, it is repeated
//! until it works or the process stops; nothing is acknowledged meanwhile. A failed consumer is replaced. While an engine
//! is away, nothing is consumed ([`engine_watch`]).

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
use crate::resilience::retry;

use super::acknowledge::{self, AcknowledgeError};
use super::{StageResources, TaskOutcome, chunk, embed, engine_watch, index};

/// Redeliveries after which a message becomes a dead letter without another run. It was alone in its batch
/// when its last fourteen consumers were lost. The number is generous: a process may be killed several times
/// for other reasons while it holds the same first message, and ten such kills must not cost a document.
pub const REDELIVERIES_MAX: u32 = SUSPECT_REDELIVERIES + 14;

/// Messages of a worker's first batch. Batches grow while they are fast and shrink while they are slow:
/// a slow model shows progress early, and a fast one pays for few flushes.
const FIRST_BATCH_MESSAGES: usize = 32;
/// A full batch that took less time is followed by a larger one.
const BATCH_TIME_MIN: Duration = Duration::from_millis(500);
/// A batch that took more time is followed by a smaller one.
const BATCH_TIME_MAX: Duration = Duration::from_secs(4);
/// Longest pause of an embed worker while no model takes calls.
const EMBED_PAUSE_MAX: Duration = Duration::from_mins(10);
/// Time that a chunk or embed worker waits for further messages after the first.
const BATCH_LINGER: Duration = Duration::from_millis(5);

/// Runs a stage until `stop` is true. It finishes the current batch, or returns it to the queue if it
/// waits for a model.
pub async fn run_worker(stages: Arc<StageResources>, stage: IngestStage, mut stop: watch::Receiver<bool>) {
    let mut failures = 0;
    while !*stop.borrow() {
        if let Err(fault) = consume_stage(&stages, stage, stop.clone(), &mut failures).await {
            failures += 1;
            tracing::warn!(stage = stage.name(), %fault, failures, "a worker lost its queue and opens it again");
            let _ = tokio::time::timeout(retry::reopen_delay(failures), stop.wait_for(|stop| *stop)).await;
        }
    }
}

/// Consumes until `stop` is true or the queue fails. A received batch resets `failures` to zero. `stop` is
/// checked between batches.
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
        engine_watch::wait_until_engines_answer(stages, stage, &mut stop).await;
        if stage == IngestStage::Embed {
            wait_until_model_open(stages, &mut stop).await;
        }
        let deliveries = tokio::select! {
            biased;
            // First, so that a busy queue cannot delay the shutdown.
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            deliveries = consumer.receive(take, linger) => deliveries?,
        };
        *failures = 0;
        // Held until the batch is acknowledged: builders of generations wait while live documents move.
        let _at_work = stages.counters.work();
        let began = Instant::now();
        let full = deliveries.len() >= take;
        // Messages that kill the process end first, before the others of the batch run.
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
            let outcomes = engine_watch::excuse_outages(stages, stage, &tasks, outcomes).await;
            acknowledge_until_done(stages, stage, &mut *consumer, tags, tasks, outcomes, &mut stop).await?;
        }
        let took = began.elapsed();
        stages.meter.batch(stage, took);
        // A batch that was not full says nothing about larger ones.
        if took > BATCH_TIME_MAX {
            take = (take / 2).max(1);
        } else if full && took < BATCH_TIME_MIN {
            take = (take * 2).min(messages_max);
        }
    }
}

/// Waits while no model in use takes calls. The queue is the buffer, and no attempt is spent. After
/// [`EMBED_PAUSE_MAX`] one batch is received anyway and delayed, because a broker does not let messages be
/// held for ever.
async fn wait_until_model_open(stages: &StageResources, stop: &mut watch::Receiver<bool>) {
    let opened = stages.catalog.opened().await;
    let waiting: Vec<_> = opened.iter().map(|open| open.embedder.waiting()).collect();
    let Some(Some(first)) = waiting.first() else { return };
    // If any model takes calls, its documents must not wait for the others.
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

/// Decodes deliveries into tasks of this stage with their tags. Unreadable messages are removed: they name
/// no document, and the ledger still knows every version in flight.
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

/// Splits a batch where its bodies would exceed the limit. A larger body forms a batch of its own.
fn split_tasks_by_bytes(
    tags: Vec<u64>,
    tasks: Vec<IngestTask>,
    bytes_max: u64,
) -> Vec<(Vec<u64>, Vec<IngestTask>)> {
    debug_assert_eq!(tags.len(), tasks.len(), "a tag acknowledges the task at its position");
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
        IngestStage::Chunk => chunk::stage::chunk_batch_until_stopped(stages, tasks, stop).await,
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
    // Stages are idempotent, so tasks that were done before the panic may run again.
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
        let acknowledged = acknowledge::acknowledge_batch(
            stages,
            stage,
            consumer,
            tags.clone(),
            tasks.clone(),
            outcomes.clone(),
        )
        .await;
        let fault = match acknowledged {
            Ok(()) => return Ok(()),
            Err(AcknowledgeError::ConsumerLost(fault)) => return Err(fault),
            Err(AcknowledgeError::Again(fault)) => fault,
        };
        failures += 1;
        tracing::warn!(stage = stage.name(), %fault, failures, "acknowledging failed; nothing was acknowledged");
        let wait = tokio::time::timeout(retry::reopen_delay(failures), stop.wait_for(|stop| *stop));
        // `Ok` means that `stop` came first. Unacknowledged messages are redelivered after the restart.
        if wait.await.is_ok() {
            return Err(fault);
        }
    }
}

//! Long-running tasks of a process: stages, intake, housekeeping, log followers, builders, audits, sampler.
//!
//! No task ends before the process does. [`spawn_restarting`] restarts one that panics, with backoff,
//! because no other process may take over its work. What the panicked run had started either continues or
//! is repeated, as after a crash. Running a task twice is safe.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backends::ProducerExchange;
use super::collection_creator::CollectionCreator;
use super::roles::{ProcessRole, StartupPlan};
use crate::config::{AuditConfig, BrokerConfig, ContextureConfig};
use crate::server::auth::local_principal;
use contexture_adapters::file_references::FileReferences;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Refusal;
use contexture_core::ingest::intake::{self, BrokerIntake, ProducerAccess};
use contexture_core::ingest::submit::DocumentSubmitter;
use contexture_core::ingest::{StageResources, housekeeping, log_follower, worker};
use contexture_core::jobs::audit::AuditPace;
use contexture_core::jobs::audit::schedule::{self as audit_schedule, AuditSchedule};
use contexture_core::jobs::generation_builder;
use contexture_core::jobs::question_sampler::{self, QuestionSampler};
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::producers::BodyReferenceFetcher;
use contexture_core::resilience::retry;

/// Time before a suspect is inspected again.
const RECHECK_PAUSE: Duration = Duration::from_millis(500);
/// The same where the index follows the ledger: it polls every 200 ms, and may take a while to catch up.
const RECHECK_PAUSE_FOLLOWING: Duration = Duration::from_secs(2);

/// Starts the tasks of a plan.
pub(super) fn start_background_tasks(
    stages: &Arc<StageResources>,
    intake: Option<Arc<BrokerIntake>>,
    plan: &StartupPlan,
    is_writer: bool,
    stop: &watch::Sender<bool>,
) -> Vec<JoinHandle<()>> {
    let mut workers = Vec::new();
    for stage in &plan.stages {
        for _ in 0..worker_count(*stage) {
            let (stages, stage) = (stages.clone(), *stage);
            workers.push(spawn_restarting(stage.name(), stop, move |stop| {
                worker::run_worker(stages.clone(), stage, stop)
            }));
        }
    }
    if let Some(intake) = intake {
        workers.push(spawn_restarting("submit", stop, move |stop| intake::run_intake(intake.clone(), stop)));
    }
    // Housekeeping finishes what workers leave behind, so it runs wherever any of them does.
    if !workers.is_empty() || plan.submit {
        let stages = stages.clone();
        workers.push(spawn_restarting("housekeeping", stop, move |stop| {
            housekeeping::run_housekeeping(stages.clone(), stop)
        }));
    }
    // With a local ledger, too: it fills a generation that is being built, and lets it serve once it is
    // active.
    if is_writer {
        let (stages, all) = (stages.clone(), plan.follow_all);
        workers.push(spawn_restarting("follow", stop, move |stop| {
            log_follower::follow_ledger(stages.clone(), all, stop)
        }));
    }
    // A builder embeds, so it runs where the embed stage does.
    if plan.stages.contains(&IngestStage::Embed) {
        let stages = stages.clone();
        workers.push(spawn_restarting("build", stop, move |stop| {
            generation_builder::run_builders(stages.clone(), stop)
        }));
    }
    workers
}

/// Workers of a stage. The index has a single writer. The embed stage has two workers: one computes
/// while the other waits for its points to reach the disk.
fn worker_count(stage: IngestStage) -> usize {
    match stage {
        IngestStage::Chunk | IngestStage::Index => 1,
        IngestStage::Embed => 2,
    }
}

/// Runs a task that ends when `stop` turns true. Restarts it with backoff when it panics.
pub(super) fn spawn_restarting<F>(
    name: &'static str,
    stop: &watch::Sender<bool>,
    run: impl Fn(watch::Receiver<bool>) -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send,
{
    let mut stop = stop.subscribe();
    tokio::spawn(async move {
        let mut panics = 0;
        // Unwind safe as far as a crash is: a new run starts from durable and shared state only, and mutexes
        // ignore poison.
        while AssertUnwindSafe(run(stop.clone())).catch_unwind().await.is_err() {
            panics += 1;
            tracing::error!(name, panics, "what runs until the process stops has panicked; it begins again");
            // `Ok` means that `stop` turned true, or that its sender is gone, during the wait.
            if tokio::time::timeout(retry::reopen_delay(panics), stop.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
        }
    })
}

/// Starts scheduled audits, in a long-running process that holds indexes.
pub(super) fn start_scheduled_audits(
    stages: &Arc<StageResources>,
    config: &ContextureConfig,
    plan: &StartupPlan,
    stop: &watch::Sender<bool>,
) -> Option<JoinHandle<()>> {
    let AuditConfig { interval, entries_per_second_max } = config.audit;
    // Each process audits the indexes that it follows. A process without any has nothing to audit.
    let interval = interval.filter(|_| plan.follow_all)?;
    let schedule = AuditSchedule { interval, pace: audit_pace(entries_per_second_max, plan.shared) };
    let stages = stages.clone();
    Some(spawn_restarting("audit", stop, move |stop| {
        audit_schedule::run_scheduled_audits(stages.clone(), schedule, stop)
    }))
}

/// The pace of an audit that runs beside traffic; 0 entries per second are no limit.
pub(super) fn audit_pace(entries_per_second: u32, shared: bool) -> AuditPace {
    AuditPace { entries_per_second, pause: if shared { RECHECK_PAUSE_FOLLOWING } else { RECHECK_PAUSE } }
}

/// The question sampler of a process that serves the API, where the configuration wants one. Otherwise
/// a serving process deletes the questions that were kept.
pub(super) async fn create_question_sampler(
    config: &ContextureConfig,
    role: &ProcessRole,
    stages: &StageResources,
) -> Result<Option<Arc<QuestionSampler>>, Refusal> {
    let count = config.retrieval.sample_questions;
    // A command must not delete what the servers keep.
    if !matches!(role, ProcessRole::Serve { .. }) {
        return Ok(None);
    }
    if count == 0 {
        question_sampler::forget_sampled_questions(&*stages.states).await?;
        return Ok(None);
    }
    Ok(Some(Arc::new(QuestionSampler::new(stages.states.clone(), count))))
}

/// Assembles the intake of the broker, and opens the folders that bodies may come from.
pub(super) fn open_intake(
    config: &BrokerConfig,
    exchange: ProducerExchange,
    submitter: Arc<DocumentSubmitter>,
    ledger: Arc<dyn Ledger>,
    creator: Option<CollectionCreator>,
) -> Result<BrokerIntake, Refusal> {
    Ok(BrokerIntake {
        submitter,
        ledger,
        producers: exchange.producers,
        events: exchange.events,
        access: ProducerAccess::new(local_principal()?.tenant().clone(), config.producers.clone()),
        references: open_file_references(config)?,
        create_collection: creator.map(CollectionCreator::into_function),
    })
}

/// Reads bodies that messages only refer to; none where no folder is allowed.
fn open_file_references(config: &BrokerConfig) -> Result<Option<Arc<dyn BodyReferenceFetcher>>, Refusal> {
    if config.body_roots.is_empty() {
        return Ok(None);
    }
    let files = FileReferences::new(&config.body_roots).map_err(|error| {
        Refusal::invalid(
            "invalid_config",
            "broker.body_roots",
            format!("broker.body_roots names a folder that cannot be opened: {error}"),
        )
    })?;
    Ok(Some(Arc::new(files)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::watch;

    use super::spawn_restarting;

    #[tokio::test(start_paused = true)]
    async fn what_panics_begins_again_until_it_is_told_to_end() {
        let stop = watch::Sender::new(false);
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let task = spawn_restarting("test", &stop, move |mut stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run > 1, "the first two panic");
                let _ = stop.wait_for(|stop| *stop).await;
            }
        });
        // The waits are over by then.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        assert!(!task.is_finished());
        stop.send_replace(true);
        task.await.expect("it ends in order");
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }
}

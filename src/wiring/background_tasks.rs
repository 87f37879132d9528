//! What a process does until it stops: stages, intake, housekeeping, followers, builders; audits and
//! samples, too, run by [`spawn_restarting`].
//!
//! Contract: none of it ends before the process does. A loop that panics begins again, after a wait,
//! because nobody else may do its work. What was under way goes on beside it or is done once more, as
//! after a crash; it bears both.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::roles::StartupPlan;
use contexture_core::domain::task::IngestStage;
use contexture_core::ingest::intake::{self, BrokerIntake};
use contexture_core::ingest::{StageResources, housekeeping, log_follower, worker};
use contexture_core::jobs::generation_builder;
use contexture_core::resilience::backoff;

/// Starts what these duties ask for.
pub(super) fn start_background_tasks(
    stages: &Arc<StageResources>,
    intake: Option<Arc<BrokerIntake>>,
    duties: &StartupPlan,
    is_writer: bool,
    stop: &watch::Sender<bool>,
) -> Vec<JoinHandle<()>> {
    let mut workers = Vec::new();
    for stage in &duties.stages {
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
    if !workers.is_empty() || duties.submit {
        let stages = stages.clone();
        workers.push(spawn_restarting("housekeeping", stop, move |stop| {
            housekeeping::run_housekeeping(stages.clone(), stop)
        }));
    }
    if is_writer {
        let (stages, all) = (stages.clone(), duties.follow_all);
        workers.push(spawn_restarting("follow", stop, move |stop| {
            log_follower::follow_ledger(stages.clone(), all, stop)
        }));
    }
    if duties.stages.contains(&IngestStage::Embed) {
        let stages = stages.clone();
        workers.push(spawn_restarting("build", stop, move |stop| {
            generation_builder::run_builders(stages.clone(), stop)
        }));
    }
    workers
}

/// One writes the index, because it has one writer. Two embed: while one waits for its points to
/// be on disk, the other computes.
fn worker_count(stage: IngestStage) -> usize {
    match stage {
        IngestStage::Chunk | IngestStage::Index => 1,
        IngestStage::Embed => 2,
    }
}

/// Runs a loop that ends once it is told to; one that panics begins again.
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
        while AssertUnwindSafe(run(stop.clone())).catch_unwind().await.is_err() {
            panics += 1;
            tracing::error!(name, panics, "what runs until the process stops has panicked; it begins again");
            if tokio::time::timeout(backoff::reopen_delay(panics), stop.wait_for(|stop| *stop)).await.is_ok()
            {
                return;
            }
        }
    })
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

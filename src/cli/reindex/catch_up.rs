//! Waits until a generation that is being built has caught up.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::GenerationOperations;
use crate::cli::console::ConsoleOutput;
use crate::cli::drain::waiting_text;
use crate::cli::exit::CommandFailure;
use crate::cli::progress_meter::ProgressMeter;
use crate::cli::signals::shutdown_signal;
use contexture_core::fault::{Refusal, RefusalKind};

/// Maximum time for which an activation waits for the last documents.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);
/// Time between two polls of the ledger.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Returns once the generation that is being built has caught up.
pub(super) async fn wait_until_caught_up(
    generations: &dyn GenerationOperations,
    timeout: Option<Duration>,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut meter: Option<ProgressMeter> = None;
    // One signal future for all rounds: a new one in each could miss a signal between them.
    let stopped = shutdown_signal();
    tokio::pin!(stopped);
    loop {
        let building = generations.building().await?;
        let (total, left) = (building.documents, building.remaining);
        let meter = meter.get_or_insert_with(|| ProgressMeter::new("reindex", "documents", total, console));
        let mut detail = String::new();
        if building.failed > 0 {
            detail = format!("; {} failed", building.failed);
        }
        if building.paused {
            detail.push_str("; paused");
        } else if let Some(waiting) = generations.waiting().await {
            detail = format!("{detail}; {}", waiting_text(&waiting));
        }
        meter.update(total.saturating_sub(left), &detail);
        if building.caught_up {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let message = format!("{left} documents are left; the re-index stays, and goes on");
            return Err(Refusal::new(RefusalKind::Deadline, "not_caught_up", "timeout", message).into());
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = &mut stopped => {
                let message = format!(
                    "interrupted; the re-index stays, and 'contexture reindex resume --collection {}' goes on",
                    generations.collection()
                );
                return Err(CommandFailure::failed("interrupted", message));
            }
        }
    }
}

/// Retries while the refusal is `not_caught_up`, at most [`CATCH_UP_MAX`]: the last documents may be on their
/// way.
pub(super) async fn retry_until_caught_up<T, F>(mut activate: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let deadline = Instant::now() + CATCH_UP_MAX;
    loop {
        match activate().await {
            Err(refusal) if refusal.code == "not_caught_up" && Instant::now() < deadline => {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            done => return done,
        }
    }
}

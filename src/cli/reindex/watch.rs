//! The wait until a generation has caught up.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::console::Console;
use crate::cli::exit::Failure;
use crate::cli::interrupt::interrupted;
use crate::cli::meter::Meter;
use crate::cli::settle::limited;
use crate::domain::ids::CollectionKey;
use crate::fault::{Refusal, RefusalKind};
use crate::wiring::Stack;

/// How long an activation waits for the last documents.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Returns once the generation that is being built has caught up.
pub(super) async fn until_caught_up(
    stack: &Stack,
    key: &CollectionKey,
    timeout: Option<Duration>,
    console: Console,
) -> Result<(), Failure> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let reindexing = stack.reindexing();
    let mut meter: Option<Meter> = None;
    let stopped = interrupted();
    tokio::pin!(stopped);
    loop {
        let standing = reindexing.building(key).await?;
        let (total, left) = (standing.log.entries, standing.log.after);
        let meter = meter.get_or_insert_with(|| Meter::new("reindex", "documents", total, console));
        let mut detail = String::new();
        if standing.record.failed > 0 {
            detail = format!("; {} failed", standing.record.failed);
        }
        if standing.record.is_paused {
            detail.push_str("; paused");
        } else if let Some(waiting) = stack.waiting_to_build(&standing.record.home).await {
            detail = format!("{detail}; {}", limited(&waiting));
        }
        meter.update(total.saturating_sub(left), &detail);
        if standing.is_caught_up() {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let message = format!("{left} documents are left; the re-index stays, and goes on");
            return Err(Refusal::new(RefusalKind::Deadline, "not_caught_up", "timeout", message).into());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = &mut stopped => {
                let message = format!(
                    "interrupted; the re-index stays, and 'contexture reindex resume --collection {}' goes on",
                    key.collection
                );
                return Err(Failure::failed("interrupted", message));
            }
        }
    }
}

/// Tries what is refused as long as a generation lacks documents: the last of them are on their way.
pub(super) async fn once_caught_up<T, F>(mut activate: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let deadline = Instant::now() + CATCH_UP_MAX;
    loop {
        match activate().await {
            Err(refusal) if refusal.code == "not_caught_up" && Instant::now() < deadline => {
                tokio::time::sleep(LOOK).await;
            }
            done => return done,
        }
    }
}

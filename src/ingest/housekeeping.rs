//! What nobody is waiting for: the outbox relay, leftover sweeps, lost messages.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::task::{Envelope, Stage};
use crate::fault::Fault;
use crate::ports::broker::Outgoing;

use super::{Stages, submit, sweep};

/// Time between rounds.
const ROUND: Duration = Duration::from_secs(5);
/// Age at which an unconfirmed first message is sent again.
const OUTBOX_AGE_MS: u64 = 5_000;
/// Time without movement after which a version with no message is sent again.
const STUCK_MS: u64 = 60_000;
/// Versions per round.
const VERSIONS_MAX: usize = 1_000;

/// Runs rounds until `stop` is true, the first at once.
pub async fn run(stages: Arc<Stages>, mut stop: watch::Receiver<bool>) {
    let mut first = true;
    while !*stop.borrow() {
        if let Err(fault) = round(&stages, first).await {
            tracing::warn!(%fault, "housekeeping failed; it tries again");
        }
        first = false;
        let _ = tokio::time::timeout(ROUND, stop.wait_for(|stop| *stop)).await;
    }
}

/// One round; `all` relays everything unconfirmed, as after a start.
pub async fn round(stages: &Stages, all: bool) -> Result<(), Fault> {
    relay(stages, all).await?;
    while sweep::run_leftovers(stages).await? > 0 {}
    requeue_lost(stages).await
}

async fn relay(stages: &Stages, all: bool) -> Result<(), Fault> {
    let before_ms = if all { u64::MAX } else { stages.clock.now_ms().saturating_sub(OUTBOX_AGE_MS) };
    let mut tasks = stages.ledger.unpublished(VERSIONS_MAX).await?;
    tasks.retain(|task| task.accepted_ms < before_ms);
    submit::publish_first(&*stages.ledger, &*stages.broker, tasks).await;
    Ok(())
}

/// Versions in flight while every queue is empty have lost their message, unless another process
/// holds it: what has not moved for as long as one can hold a message is sent again.
async fn requeue_lost(stages: &Stages) -> Result<(), Fault> {
    for stage in Stage::ALL {
        if stages.broker.depth(stage).await? > 0 {
            return Ok(());
        }
    }
    let unseen_ms = u64::try_from(stages.broker.unseen_max().as_millis()).unwrap_or(u64::MAX);
    let before_ms = stages.clock.now_ms().saturating_sub(STUCK_MS.max(unseen_ms));
    let lost = stages.ledger.stuck(before_ms, VERSIONS_MAX).await?;
    if lost.is_empty() {
        return Ok(());
    }
    tracing::warn!(versions = lost.len(), "versions in flight had no message; they are sent again");
    let messages = lost.into_iter().map(|(stage, task)| Outgoing::now(Envelope::new(stage, task))).collect();
    stages.broker.publish(messages).await
}

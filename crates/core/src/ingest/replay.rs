//! Dead versions on their way again.

use crate::fault::Fault;
use crate::ports::ledger::DeadLetterFilter;

use super::{StageResources, submit};

/// Versions per round.
const REPLAY_VERSIONS_MAX: usize = 1_000;

/// Replays every dead version the filter selects; returns how many went out. A version that a
/// newer one has overtaken becomes superseded instead.
pub async fn replay_dead_versions(stages: &StageResources, filter: &DeadLetterFilter) -> Result<u64, Fault> {
    // What dies again while this runs is newer than the start, and left alone.
    let started_ms = stages.clock.now_ms();
    let mut replayed = 0;
    loop {
        let mut dead = stages.ledger.dead(filter, REPLAY_VERSIONS_MAX).await?;
        dead.retain(|letter| letter.died_ms < started_ms);
        if dead.is_empty() {
            return Ok(replayed);
        }
        let ids: Vec<u64> = dead.iter().map(|letter| letter.id).collect();
        let tasks = stages.ledger.replay(&ids).await?;
        replayed += tasks.len() as u64;
        submit::publish_first_messages(&*stages.ledger, &*stages.broker, tasks).await;
    }
}

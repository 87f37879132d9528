//! Waits until every accepted version of a collection has ended.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::exit::CommandFailure;
use super::text_format;
use crate::wiring::{IngestProgress, ServiceStack};
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::embedder::EmbedderWaitStatus;
use contexture_core::ports::ledger::VersionCounts;

/// Longest time between two looks at the ledger; an ending is noticed sooner.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two looks: counting is not free.
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Longest time the counters may follow behind the ledger.
const COUNTER_LAG_MAX: Duration = Duration::from_secs(5);

/// Returns the counts once nothing of the collection is in flight; refused when `deadline`
/// passes first. `show` is called whenever something may have moved, with what the model waits for.
pub(crate) async fn wait_until_drained(
    stack: &ServiceStack,
    collection: &CollectionKey,
    deadline: Option<Instant>,
    mut show: impl FnMut(IngestProgress, &VersionCounts, &str),
) -> Result<VersionCounts, CommandFailure> {
    let mut progress = stack.progress();
    loop {
        let counts = stack.ledger.counts(collection).await?;
        let waits = waiting_suffix(stack, collection).await;
        show(*progress.borrow_and_update(), &counts, &waits);
        if counts.in_flight == 0 {
            return Ok(counts);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(still_in_flight(collection, counts.in_flight).into());
        }
        tokio::time::sleep(POLL_PAUSE).await;
        // Whichever comes first; a closed channel must not turn this into a busy loop.
        if let Ok(Err(_)) = timeout(POLL_INTERVAL, progress.changed()).await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// What the collection's model lets its callers wait for, to stand behind the progress.
async fn waiting_suffix(stack: &ServiceStack, collection: &CollectionKey) -> String {
    match stack.waiting(collection).await {
        Some(waiting) => format!("; {}", waiting_text(&waiting)),
        None => String::new(),
    }
}

/// A wait in words.
pub(crate) fn waiting_text(waiting: &EmbedderWaitStatus) -> String {
    let parked = match waiting.workers {
        0 => String::new(),
        workers => format!(", {} parked", text_format::count_with_noun(workers.into(), "worker")),
    };
    let wait = text_format::duration(waiting.wait);
    format!("limited by {}: {}, {wait}{parked}", waiting.model, waiting.why)
}

/// The counters of this process once they tell of `settled` endings: they follow the ledger a
/// moment later, when what lost has been swept.
pub(crate) async fn counters_after(stack: &ServiceStack, settled: u64) -> IngestProgress {
    let mut progress = stack.progress();
    if stack.is_shared() {
        // Other processes do the work, and count it.
        return *progress.borrow();
    }
    // Late counters make a summary low, not wrong about what is visible.
    let _ = timeout(COUNTER_LAG_MAX, progress.wait_for(|progress| progress.settled >= settled)).await;
    *progress.borrow()
}

fn still_in_flight(collection: &CollectionKey, in_flight: u64) -> Refusal {
    Refusal::new(
        RefusalKind::Deadline,
        "still_in_flight",
        "timeout",
        format!(
            "{in_flight} accepted versions of '{name}' are not visible yet; they stay accepted, and \
             'contexture status --collection {name}' shows them",
            name = collection.collection
        ),
    )
}

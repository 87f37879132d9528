//! Waits until no version of a collection is in flight: each is visible, superseded or dead.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::exit::CommandFailure;
use super::remote::RemoteServer;
use super::text_format;
use crate::operations::CollectionsApi;
use crate::wiring::{IngestProgress, ServiceStack};
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::principal::Principal;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::embedder::EmbedderWaitStatus;
use contexture_core::ports::ledger::VersionCounts;

/// Longest time between two polls of the ledger. A version that ends in this process wakes it earlier.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two polls, because counting costs a query.
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Time between two looks at a server's counts.
const SERVER_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time without an end after which the queues are looked at, and between two looks.
const STANDSTILL_MIN: Duration = Duration::from_secs(5);
/// Longest wait for a server to have nothing in flight: others may submit all the time.
const SERVER_DRAIN_MAX: Duration = Duration::from_mins(1);
/// Longest time to wait for the counters to catch up with the ledger.
const COUNTER_LAG_MAX: Duration = Duration::from_secs(5);

/// Returns the counts once nothing of the collection is in flight. Refuses with `still_in_flight` when
/// `deadline` passes first. `show` is called after each poll, also with what the model waits for.
pub(crate) async fn wait_until_drained(
    stack: &ServiceStack,
    collection: &CollectionKey,
    deadline: Option<Instant>,
    mut show: impl FnMut(IngestProgress, &VersionCounts, &str),
) -> Result<VersionCounts, CommandFailure> {
    let mut progress = stack.progress();
    let mut standstill = Standstill::default();
    loop {
        // The ledger decides, not the counters: other processes may do the work.
        let counts = stack.ledger.counts(collection).await?;
        let waits =
            waiting_suffix(stack, collection).await + &standstill.explain(stack, counts.in_flight).await;
        show(*progress.borrow_and_update(), &counts, &waits);
        if counts.in_flight == 0 {
            return Ok(counts);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(still_in_flight_refusal(collection.collection.as_str(), counts.in_flight).into());
        }
        tokio::time::sleep(POLL_PAUSE).await;
        // Wakes on a change or after the interval. A closed channel reports an error at once, so that case
        // sleeps by itself instead of looping without pause.
        if let Ok(Err(_)) = timeout(POLL_INTERVAL, progress.changed()).await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// What the collection's model makes its callers wait for, or an engine that is away, as a suffix of the progress line.
async fn waiting_suffix(stack: &ServiceStack, collection: &CollectionKey) -> String {
    let model = stack.waiting(collection).await.map(|waiting| format!("; {}", waiting_text(&waiting)));
    let engine = stack.engine_outage().map(|outage| format!("; waiting: {outage}"));
    model.into_iter().chain(engine).collect()
}

/// A wait in which nothing ends: other processes do the work, and perhaps there are none.
struct Standstill {
    in_flight: u64,
    since: Instant,
    asked: Option<Instant>,
    said: String,
}

impl Default for Standstill {
    fn default() -> Self {
        Self { in_flight: 0, since: Instant::now(), asked: None, said: String::new() }
    }
}

impl Standstill {
    /// Says which queues nobody consumes, as a suffix of the progress line, once nothing has ended for a while.
    async fn explain(&mut self, stack: &ServiceStack, in_flight: u64) -> String {
        if in_flight != self.in_flight || in_flight == 0 {
            *self = Self { in_flight, ..Self::default() };
        }
        if !stack.is_shared() || self.since.elapsed() < STANDSTILL_MIN {
            return String::new();
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= STANDSTILL_MIN) {
            self.asked = Some(Instant::now());
            // A broker that is away is said elsewhere.
            self.said = stack.unattended_stages().await.map_or_else(|_| String::new(), unattended_text);
        }
        self.said.clone()
    }
}

/// Queues that nobody consumes, and what to do.
fn unattended_text(stages: Vec<(IngestStage, u64)>) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let each = stages.into_iter().map(|(stage, messages)| {
        format!("{} for the {} stage", text_format::count_with_noun(messages, "message"), stage.name())
    });
    let each: Vec<String> = each.collect();
    format!(
        "; no process works on {}: start 'contexture work submit chunk embed index' or 'contexture serve' with the \
         same configuration",
        each.join(", ")
    )
}

/// A wait as text: model, reason, time and parked workers.
pub(crate) fn waiting_text(waiting: &EmbedderWaitStatus) -> String {
    let parked = match waiting.workers {
        0 => String::new(),
        workers => format!(", {} parked", text_format::count_with_noun(workers.into(), "worker")),
    };
    let wait = text_format::duration(waiting.wait);
    format!("limited by {}: {}, {wait}{parked}", waiting.model, waiting.why)
}

/// The counters of this process once they show `settled` ended versions. They lag behind the ledger,
/// because a version is counted after its losers have been swept.
pub(crate) async fn counters_after(stack: &ServiceStack, settled: u64) -> IngestProgress {
    let mut progress = stack.progress();
    if stack.is_shared() {
        // Other processes do the work and count it, so there is nothing to wait for.
        return *progress.borrow();
    }
    // A timeout is ignored: late counters make chunk counts too low, but what is visible comes from the ledger.
    let _ = timeout(COUNTER_LAG_MAX, progress.wait_for(|progress| progress.settled >= settled)).await;
    *progress.borrow()
}

/// Waits until nothing of a server's collection is in flight, at most [`SERVER_DRAIN_MAX`].
pub(crate) async fn wait_until_server_drained(
    server: &RemoteServer,
    caller: &Principal,
    collection: &str,
) -> Result<(), Refusal> {
    let deadline = Instant::now() + SERVER_DRAIN_MAX;
    loop {
        let in_flight = server.collection(caller, collection).await?.counts.in_flight;
        if in_flight == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(still_in_flight_refusal(collection, in_flight));
        }
        tokio::time::sleep(SERVER_POLL_INTERVAL).await;
    }
}

/// The refusal of a wait that a deadline ended.
pub(crate) fn still_in_flight_refusal(collection: &str, in_flight: u64) -> Refusal {
    Refusal::new(
        RefusalKind::Deadline,
        "still_in_flight",
        "timeout",
        format!(
            "{in_flight} accepted versions of '{collection}' are not visible yet; they stay accepted, and \
             'contexture status --collection {collection}' shows them"
        ),
    )
}

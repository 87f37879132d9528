//! The builder: prepares visible documents for generations that lack them.
//!
//! A new generation lacks everything at first, and then each version that becomes visible. The log of
//! visible versions is the queue for both, the backfill and later writes. A generation that is kept for a
//! rollback is filled in the same way.
//!
//! The ledger holds the cursor of a generation, and the spans of what is prepared. So if a builder dies,
//! another one continues and repeats at most a page. A lease admits one builder per generation.
//!
//! Live documents come first. Pages are small enough to take about [`PAGE_TIME`]. After each page the
//! builder waits until the stages of this process are idle, but for at most [`YIELD_MAX`], so it is never
//! starved. It uses only its share of a provider's limit per minute
//! ([`GenerationBuildPace::provider_percent`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::domain::ids::{CollectionKey, GenerationNumber};
use crate::fault::Fault;
use crate::ingest::usage::ModelUsage;
use crate::ingest::{IngestCounters, StageResources, prepare_documents, tasks_within_bytes};
use crate::ports::catalog::OpenCollection;
use crate::ports::generations::{GenerationBuildPace, GenerationRecord, GenerationState};
use crate::resilience::rate_limit::MinuteRateLimit;
use crate::resilience::retry;

/// Time between two checks for generations to build.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The same for the only generation of a collection. The stages fill it, so the builder only moves its
/// cursor.
const SOLE_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// How long the lease of a builder lasts. Every page renews it.
const LEASE_DURATION: Duration = Duration::from_secs(20);
/// Documents of the first page. Later pages grow and shrink towards [`PAGE_TIME`].
const PAGE_FIRST: usize = 16;
/// Fewest documents of a page: under load a page of one takes nearly as long.
const PAGE_MIN: usize = 4;
/// Most documents of a page.
const PAGE_MAX: usize = 256;
/// How long a page should take.
const PAGE_TIME: Duration = Duration::from_millis(40);
/// How long a builder waits for live documents after a page. If they never end, it continues beside them.
const YIELD_MAX: Duration = Duration::from_millis(200);
/// How long a document may take from one stage to the next. Stages count as busy for that long.
const HANDOVER_TIME: Duration = Duration::from_millis(20);
/// Interval at which the stages are polled.
const YIELD_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A generation to build.
type BuildTarget = (CollectionKey, GenerationNumber);

/// Builds until `stop` is true.
pub async fn run_builders(stages: Arc<StageResources>, stop: watch::Receiver<bool>) {
    let mut builders: HashMap<BuildTarget, JoinHandle<()>> = HashMap::new();
    let mut sole_checked: Option<Instant> = None;
    let mut stopped = stop.clone();
    while !*stop.borrow() {
        let with_sole = sole_checked.is_none_or(|checked| checked.elapsed() >= SOLE_POLL_INTERVAL);
        // Every write moves the end of the log past the cursor, and for a sole generation there is nothing
        // to do. So those are included in one pass of 50.
        if with_sole {
            sole_checked = Some(Instant::now());
        }
        match generations_to_build(&stages, with_sole).await {
            Ok(targets) => {
                // A builder ends when it is done or another process has the lease. It is started again if
                // documents are lacking.
                builders.retain(|_, builder| !builder.is_finished());
                for target in targets {
                    builders.entry(target.clone()).or_insert_with(|| {
                        tokio::spawn(build_generation(stages.clone(), target, stop.clone()))
                    });
                }
            }
            Err(fault) => tracing::warn!(%fault, "builds cannot be looked at; they are tried again"),
        }
        let _ = tokio::time::timeout(POLL_INTERVAL, stopped.wait_for(|stop| *stop)).await;
    }
    // Builders see the same signal. Waiting for them lets each give its lease back.
    for (_, builder) in builders {
        let _ = builder.await;
    }
}

/// Generations that may lack documents.
async fn generations_to_build(stages: &StageResources, with_sole: bool) -> Result<Vec<BuildTarget>, Fault> {
    let records = stages.ledger.generations(None).await?;
    let mut live: HashMap<&CollectionKey, usize> = HashMap::new();
    for record in &records {
        *live.entry(&record.home.key).or_default() += usize::from(record.state != GenerationState::Dropped);
    }
    let lacks = |record: &&GenerationRecord| {
        is_buildable(record) && record.cursor < record.log_end && (with_sole || live[&record.home.key] > 1)
    };
    let target = |record: &GenerationRecord| (record.home.key.clone(), record.home.generation);
    Ok(records.iter().filter(lacks).map(target).collect())
}

fn is_buildable(record: &GenerationRecord) -> bool {
    record.state != GenerationState::Dropped && !record.is_paused
}

/// Builds one generation to the end of the log, unless another process does.
async fn build_generation(stages: Arc<StageResources>, target: BuildTarget, mut stop: watch::Receiver<bool>) {
    let (collection, generation) = &target;
    let role = format!("build/{}/{}/{generation}", collection.tenant, collection.collection);
    let mut pacing = BuilderPacing::default();
    let mut failures = 0;
    while !*stop.borrow() {
        let wait = match build_page(&stages, &target, &role, &mut pacing, &stop).await {
            Ok(BuildPageOutcome::Finished) => break,
            Ok(BuildPageOutcome::Page) => {
                failures = 0;
                pacing.wait(stages.clock.now_ms())
            }
            Ok(BuildPageOutcome::Postponed(fault)) | Err(fault) => {
                failures += 1;
                tracing::warn!(
                    tenant = %collection.tenant, collection = %collection.collection, generation, %fault,
                    "a generation cannot be built on; it is tried again"
                );
                match fault {
                    // The provider said when to come back; backoff would only guess.
                    Fault::Throttled { retry_after, .. } => retry_after,
                    _ => retry::reopen_delay(failures),
                }
            }
        };
        let _ = tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await;
        if !*stop.borrow() {
            yield_to_live_documents(&stages).await;
        }
    }
    if let Err(fault) = stages.ledger.release_lease(&role).await {
        tracing::debug!(%fault, "a builder's lease was not given up; it ends by itself");
    }
}

/// Waits while stages of this process work, at most [`YIELD_MAX`].
async fn yield_to_live_documents(stages: &StageResources) {
    let deadline = Instant::now() + YIELD_MAX;
    while stages.counters.is_at_work(HANDOVER_TIME) && Instant::now() < deadline {
        tokio::time::sleep(YIELD_POLL_INTERVAL).await;
    }
}

/// How an attempt at a page ended.
enum BuildPageOutcome {
    /// A page is done; there may be more.
    Page,
    /// The page is done but for documents that must wait.
    Postponed(Fault),
    /// Nothing is left, or another process builds it.
    Finished,
}

/// Prepares the next page of a generation, and advances its cursor.
async fn build_page(
    stages: &StageResources,
    target: &BuildTarget,
    role: &str,
    pacing: &mut BuilderPacing,
    stop: &watch::Receiver<bool>,
) -> Result<BuildPageOutcome, Fault> {
    let (collection, generation) = target;
    let records = stages.ledger.generations(Some(collection)).await?;
    let record = records.into_iter().find(|record| record.home.generation == *generation);
    let Some(record) = record.filter(is_buildable) else { return Ok(BuildPageOutcome::Finished) };
    // Takes the lease, or renews it. False while another process holds it.
    if record.cursor >= record.log_end || !stages.ledger.acquire_lease(role, LEASE_DURATION).await? {
        return Ok(BuildPageOutcome::Finished);
    }
    // A page is at most one second of the requested rate, so a slow rate does not come in bursts.
    let per_second = record.pace.documents_per_second.map_or(usize::MAX, |rate| rate as usize);
    let limit = pacing.documents.min(per_second.max(1));
    let found = stages.ledger.unprepared(collection, *generation, record.cursor, limit).await?;
    let listed = found.changes.len();
    let mut changes = found.changes;
    let bytes_max = stages.limits.batch_body_bytes_max;
    changes.truncate(tasks_within_bytes(changes.iter().map(|change| &change.task), bytes_max));
    // The rest of the log is prepared only if neither the limit nor the bytes cut the page short.
    let is_last = listed < limit && changes.len() == listed;
    if changes.is_empty() {
        // Everything up to the end is prepared already, by the stages or by an earlier builder.
        stages.ledger.advance_cursor(collection, *generation, found.end, 0).await?;
        return Ok(BuildPageOutcome::Page);
    }
    let open = stages.catalog.open_generation(&record.home).await?;
    let began = Instant::now();
    let tasks: Vec<_> = changes.iter().map(|change| change.task.clone()).collect();
    let done =
        prepare_documents::prepare_visible_documents(stages, &open, &tasks, &pacing.counters, stop).await?;
    pacing.note(&open, &record.pace, &done, tasks.len(), began.elapsed(), stages.clock.now_ms()).await;
    // The cursor stops in front of the first document that has to wait. What is prepared behind it is
    // recognised by its spans and not prepared again.
    let first_left = done.postponed.iter().map(|(index, _)| *index).min();
    let cursor = match first_left {
        Some(index) => changes[index].position - 1,
        None if is_last => found.end,
        None => changes.last().map_or(record.cursor, |change| change.position),
    };
    debug_assert!(cursor >= record.cursor, "what is prepared lies behind the cursor");
    stages.ledger.advance_cursor(collection, *generation, cursor, done.documents).await?;
    let fault = done.postponed.into_iter().next().map(|(_, fault)| fault);
    Ok(fault.map_or(BuildPageOutcome::Page, BuildPageOutcome::Postponed))
}

/// How large pages are, and how long to wait after one.
struct BuilderPacing {
    documents: usize,
    wait_until_ms: u64,
    by_documents: MinuteRateLimit,
    by_requests: MinuteRateLimit,
    by_tokens: MinuteRateLimit,
    counters: IngestCounters,
}

impl Default for BuilderPacing {
    fn default() -> Self {
        Self {
            documents: PAGE_FIRST,
            wait_until_ms: 0,
            by_documents: MinuteRateLimit::default(),
            by_requests: MinuteRateLimit::default(),
            by_tokens: MinuteRateLimit::default(),
            counters: IngestCounters::default(),
        }
    }
}

impl BuilderPacing {
    /// Adjusts page size and rates after a page.
    async fn note(
        &mut self,
        open: &OpenCollection,
        pace: &GenerationBuildPace,
        done: &prepare_documents::PreparedDocuments,
        documents: usize,
        took: Duration,
        now_ms: u64,
    ) {
        if took > PAGE_TIME * 2 {
            self.documents = (self.documents / 2).max(PAGE_MIN);
        // Only a page that was filled shows that a larger one would be fast enough.
        } else if took < PAGE_TIME / 2 && documents == self.documents {
            self.documents = (self.documents * 2).min(PAGE_MAX);
        }
        let per_minute = pace.documents_per_second.map(|rate| rate.saturating_mul(60));
        let mut until_ms = take_from_rate(&mut self.by_documents, per_minute, documents as u64, now_ms);
        let ModelUsage { requests, tokens, .. } = done.spent;
        if requests > 0 {
            let bears = open.embedder.pace().await.unwrap_or_default();
            // At least 1, or a small share of a small limit would stop the build for ever.
            let share = |limit: Option<u32>| {
                let share = limit.map(|limit| u64::from(limit) * u64::from(pace.provider_percent) / 100);
                share.map(|share| u32::try_from(share).unwrap_or(u32::MAX).max(1))
            };
            let (calls, words) = (share(bears.requests_per_minute), share(bears.tokens_per_minute));
            until_ms = until_ms.max(take_from_rate(&mut self.by_requests, calls, requests, now_ms));
            until_ms = until_ms.max(take_from_rate(&mut self.by_tokens, words, tokens, now_ms));
        }
        self.wait_until_ms = until_ms;
    }

    fn wait(&self, now_ms: u64) -> Duration {
        Duration::from_millis(self.wait_until_ms.saturating_sub(now_ms))
    }
}

/// Takes units of a limit per minute. Returns when the next may be taken, in ms since the Unix epoch.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ms since the Unix epoch")]
fn take_from_rate(rate: &mut MinuteRateLimit, per_minute: Option<u32>, units: u64, now_ms: u64) -> u64 {
    let Some(limit) = per_minute else { return now_ms };
    let now = now_ms as f64;
    rate.take(units as f64, limit, now);
    rate.available_at_ms(limit, now).ceil() as u64
}

//! The builder: prepares visible documents for the generations that lack them.
//!
//! A generation that is being built lacks everything at first, and from then on each version that
//! becomes visible: the log of visible versions is the queue, for the backfill and for what is
//! written meanwhile. One that is kept for a rollback goes on the same way. The cursor stands in the
//! ledger, and what is prepared is told by its spans, so a builder that dies is followed by another
//! one, which repeats a page at most. A lease names the builder of a generation.
//!
//! Live documents come first: between two pages, which are small enough to take about
//! [`PAGE_TIME`], the builder waits until no stage of this process is at work or was a moment ago, yet
//! not longer than [`YIELD_MAX`], so that it is never starved either. Of what a provider bears per
//! minute it takes its share and no more ([`GenerationBuildPace::provider_percent`]).

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
use crate::resilience::backoff;
use crate::resilience::rate_limit::MinuteRateLimit;

/// Time between two looks at what is to be built.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often the only generation of a collection is looked at: its stages prepare it.
const SOLE_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// How long a builder's lease lasts.
const LEASE_DURATION: Duration = Duration::from_secs(20);
/// Documents of a first page; then pages grow and shrink towards [`PAGE_TIME`].
const PAGE_FIRST: usize = 16;
/// Fewest documents of a page: under load a page of one takes nearly as long.
const PAGE_MIN: usize = 4;
/// Most documents of a page.
const PAGE_MAX: usize = 256;
/// How long a page should take.
const PAGE_TIME: Duration = Duration::from_millis(40);
/// How long a builder gives way to live documents after a page; where they never end, it goes on
/// beside them.
const YIELD_MAX: Duration = Duration::from_millis(200);
/// How long a document may be on its way from one stage to the next.
const HANDOVER_TIME: Duration = Duration::from_millis(20);
/// How often it looks whether they are done.
const YIELD_POLL_INTERVAL: Duration = Duration::from_millis(5);

type BuildTarget = (CollectionKey, GenerationNumber);

/// Builds until `stop` is true.
pub async fn run_builders(stages: Arc<StageResources>, stop: watch::Receiver<bool>) {
    let mut builders: HashMap<BuildTarget, JoinHandle<()>> = HashMap::new();
    let mut sole_looked: Option<Instant> = None;
    let mut stopped = stop.clone();
    while !*stop.borrow() {
        let with_sole = sole_looked.is_none_or(|looked| looked.elapsed() >= SOLE_POLL_INTERVAL);
        if with_sole {
            sole_looked = Some(Instant::now());
        }
        match generations_to_build(&stages, with_sole).await {
            Ok(places) => {
                builders.retain(|_, builder| !builder.is_finished());
                for place in places {
                    builders.entry(place.clone()).or_insert_with(|| {
                        tokio::spawn(build_generation(stages.clone(), place, stop.clone()))
                    });
                }
            }
            Err(fault) => tracing::warn!(%fault, "builds cannot be looked at; they are tried again"),
        }
        let _ = tokio::time::timeout(POLL_INTERVAL, stopped.wait_for(|stop| *stop)).await;
    }
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
    let place = |record: &GenerationRecord| (record.home.key.clone(), record.home.generation);
    Ok(records.iter().filter(lacks).map(place).collect())
}

fn is_buildable(record: &GenerationRecord) -> bool {
    record.state != GenerationState::Dropped && !record.is_paused
}

/// Builds one generation to the end of the log, unless another process does.
async fn build_generation(stages: Arc<StageResources>, place: BuildTarget, mut stop: watch::Receiver<bool>) {
    let (collection, generation) = &place;
    let role = format!("build/{}/{}/{generation}", collection.tenant, collection.collection);
    let mut pacing = BuilderPacing::default();
    let mut failures = 0;
    while !*stop.borrow() {
        let wait = match build_page(&stages, &place, &role, &mut pacing, &stop).await {
            Ok(BuildPageOutcome::Over) => break,
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
                    Fault::Throttled { retry_after, .. } => retry_after,
                    _ => backoff::reopen_delay(failures),
                }
            }
        };
        let _ = tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await;
        if !*stop.borrow() {
            yield_to_live_documents(&stages).await;
        }
    }
    if let Err(fault) = stages.ledger.resign(&role).await {
        tracing::debug!(%fault, "a builder's lease was not given up; it ends by itself");
    }
}

/// Waits while stages of this process are at work, but not for long.
async fn yield_to_live_documents(stages: &StageResources) {
    let deadline = Instant::now() + YIELD_MAX;
    while stages.tally.is_at_work(HANDOVER_TIME) && Instant::now() < deadline {
        tokio::time::sleep(YIELD_POLL_INTERVAL).await;
    }
}

/// How a look at a generation ended.
enum BuildPageOutcome {
    /// A page is done; there may be more.
    Page,
    /// Something has to wait.
    Postponed(Fault),
    /// Nothing is left, or it is not this process's to do.
    Over,
}

async fn build_page(
    stages: &StageResources,
    place: &BuildTarget,
    role: &str,
    pacing: &mut BuilderPacing,
    stop: &watch::Receiver<bool>,
) -> Result<BuildPageOutcome, Fault> {
    let (collection, generation) = place;
    let records = stages.ledger.generations(Some(collection)).await?;
    let record = records.into_iter().find(|record| record.home.generation == *generation);
    let Some(record) = record.filter(is_buildable) else { return Ok(BuildPageOutcome::Over) };
    if record.cursor >= record.log_end || !stages.ledger.lead(role, LEASE_DURATION).await? {
        return Ok(BuildPageOutcome::Over);
    }
    let per_second = record.pace.documents_per_second.map_or(usize::MAX, |rate| rate as usize);
    let limit = pacing.documents.min(per_second.max(1));
    let found = stages.ledger.unprepared(collection, *generation, record.cursor, limit).await?;
    let listed = found.changes.len();
    let mut changes = found.changes;
    let bytes_max = stages.limits.batch_body_bytes_max;
    changes.truncate(tasks_within_bytes(changes.iter().map(|change| &change.task), bytes_max));
    let is_last = listed < limit && changes.len() == listed;
    if changes.is_empty() {
        stages.ledger.advance_cursor(collection, *generation, found.end, 0).await?;
        return Ok(BuildPageOutcome::Page);
    }
    let open = stages.catalog.open_generation(&record.home).await?;
    let began = Instant::now();
    let tasks: Vec<_> = changes.iter().map(|change| change.task.clone()).collect();
    let done =
        prepare_documents::prepare_visible_documents(stages, &open, &tasks, &pacing.tally, stop).await?;
    pacing.note(&open, &record.pace, &done, tasks.len(), began.elapsed(), stages.clock.now_ms()).await;
    let first_left = done.postponed.iter().map(|(index, _)| *index).min();
    let cursor = match first_left {
        Some(index) => changes[index].position - 1,
        None if is_last => found.end,
        None => changes.last().map_or(record.cursor, |change| change.position),
    };
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
    tally: IngestCounters,
}

impl Default for BuilderPacing {
    fn default() -> Self {
        Self {
            documents: PAGE_FIRST,
            wait_until_ms: 0,
            by_documents: MinuteRateLimit::default(),
            by_requests: MinuteRateLimit::default(),
            by_tokens: MinuteRateLimit::default(),
            tally: IngestCounters::default(),
        }
    }
}

impl BuilderPacing {
    /// Learns from a page.
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
        } else if took < PAGE_TIME / 2 && documents == self.documents {
            self.documents = (self.documents * 2).min(PAGE_MAX);
        }
        let per_minute = pace.documents_per_second.map(|rate| rate.saturating_mul(60));
        let mut until_ms = take_from_rate(&mut self.by_documents, per_minute, documents as u64, now_ms);
        let ModelUsage { requests, tokens, .. } = done.spent;
        if requests > 0 {
            let bears = open.embedder.pace().await.unwrap_or_default();
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

/// Takes units of a limit per minute; when the next may be taken, in ms.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ms since the Unix epoch")]
fn take_from_rate(rate: &mut MinuteRateLimit, per_minute: Option<u32>, units: u64, now_ms: u64) -> u64 {
    let Some(limit) = per_minute else { return now_ms };
    let now = now_ms as f64;
    rate.take(units as f64, limit, now);
    rate.at_ms(limit, now).ceil() as u64
}

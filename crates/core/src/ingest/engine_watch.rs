//! Whether the engines behind the stages answer: the ledger, and the vectors; and whether the disk has room.
//!
//! An engine that is away is no fault of a document. When a stage fails, the engines of its documents are asked
//! something small, those that the stage needs: every stage needs the ledger, the embed stage the vectors. If one does
//! not answer, its documents wait without a spent attempt, and the stages that need it stop consuming until it does. One
//! line in the log says that it is away, and one that it is back. An engine that answers, and still refuses a document,
//! costs that document an attempt as ever.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{StageResources, TaskOutcome};
use crate::domain::ids::{ChunkId, CollectionKey};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::Fault;
use crate::ports::disk_space::DiskSpace;
use crate::resilience::retry;

/// Longest wait for the answer to a probe.
pub const PROBE_MAX: Duration = Duration::from_secs(2);
/// Delay of a message whose engine is away: the shortest of the retry queues.
const OUTAGE_DELAY: Duration = retry::RETRY_TIERS[0];
/// Longest time between two probes.
const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// Longest time that a stage does not consume. After it one batch is received and delayed, because a broker does not
/// let messages be held for ever.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// An engine that stages need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageEngine {
    /// Versions, bodies, spans, cache.
    Ledger,
    /// Vectors.
    Vectors,
    /// The disk of the data directory.
    Disk,
}

impl StageEngine {
    /// Its name in logs and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Vectors => "vectors",
            Self::Disk => "disk",
        }
    }

    /// Whether a stage can do nothing without it.
    fn is_needed_by(self, stage: IngestStage) -> bool {
        match self {
            Self::Ledger => true,
            Self::Vectors => stage == IngestStage::Embed,
            // What is embedded and what is deleted takes little, and a deletion makes room.
            Self::Disk => stage != IngestStage::Index,
        }
    }
}

/// An engine that does not answer, or a disk without room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOutage {
    /// Which.
    pub engine: StageEngine,
    /// What it says, or that it says nothing.
    pub what: String,
    /// Since when, ms since the Unix epoch.
    pub since_ms: u64,
    /// What is asked to see whether it is back; none for the disk.
    probe: Option<EngineProbe>,
}

impl fmt::Display for EngineOutage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.engine {
            StageEngine::Disk => formatter.write_str(&self.what),
            engine => write!(formatter, "no answer from the {}: {}", engine.name(), self.what),
        }
    }
}

/// What is asked of the engines of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EngineProbe {
    collection: CollectionKey,
    /// Any id; it need not exist.
    point: ChunkId,
}

/// What this process knows of its engines.
#[derive(Debug, Default)]
pub struct EngineWatch {
    disk: Option<Arc<dyn DiskSpace>>,
    outage: Mutex<Option<EngineOutage>>,
    /// Held while the engines are asked whether they are back, so that one worker asks for all.
    asking: tokio::sync::Mutex<()>,
}

impl EngineWatch {
    /// Watches this disk, too.
    pub fn new(disk: Arc<dyn DiskSpace>) -> Self {
        Self { disk: Some(disk), ..Self::default() }
    }

    /// The engine that is away, if one is.
    pub fn outage(&self) -> Option<EngineOutage> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<EngineOutage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, outage: &EngineOutage) {
        let mut known = self.lock();
        if known.as_ref().is_some_and(|known| known.engine == outage.engine) {
            return;
        }
        tracing::warn!(
            engine = outage.engine.name(),
            what = outage.what,
            "an engine cannot be used; its stages wait, and no attempt is spent"
        );
        *known = Some(outage.clone());
    }

    fn end(&self, now_ms: u64) {
        if let Some(ended) = self.lock().take() {
            let seconds = now_ms.saturating_sub(ended.since_ms) / 1000;
            tracing::info!(
                engine = ended.engine.name(),
                seconds,
                "an engine can be used again; its stages go on"
            );
        }
    }
}

/// Turns failures for want of an engine into waits that cost no attempt.
pub(super) async fn excuse_outages(
    stages: &StageResources,
    stage: IngestStage,
    tasks: &[IngestTask],
    mut outcomes: Vec<TaskOutcome>,
) -> Vec<TaskOutcome> {
    let failed = |outcome: &TaskOutcome| matches!(outcome, TaskOutcome::Failed(Fault::Transient(_)));
    let mut asked = BTreeSet::new();
    for index in 0..tasks.len().min(outcomes.len()) {
        let collection = tasks[index].key.collection_key();
        if !failed(&outcomes[index]) || !asked.insert(collection.clone()) {
            continue;
        }
        let IngestTask { epoch, key, content_hash, .. } = &tasks[index];
        let point = ChunkId::derive(epoch, key, content_hash, 0);
        let probe = EngineProbe { collection: collection.clone(), point };
        let Some(outage) = find_outage(stages, stage, Some(probe)).await else { continue };
        stages.engines.begin(&outage);
        for (task, outcome) in tasks.iter().zip(&mut outcomes) {
            if failed(outcome) && task.key.collection_key() == collection {
                *outcome = TaskOutcome::Failed(Fault::Throttled {
                    retry_after: OUTAGE_DELAY,
                    what: outage.to_string(),
                });
            }
        }
    }
    outcomes
}

/// Waits while an engine that this stage needs is away. Nothing is consumed meanwhile: the queue is the buffer.
pub(super) async fn wait_until_engines_answer(
    stages: &StageResources,
    stage: IngestStage,
    stop: &mut watch::Receiver<bool>,
) {
    let needed = |outage: &EngineOutage| outage.engine.is_needed_by(stage);
    if let Some(short) = find_shortage(stages, stage) {
        stages.engines.begin(&short);
    }
    let until = Instant::now() + PAUSE_MAX;
    let mut failures = 1;
    while stages.engines.outage().is_some_and(|outage| needed(&outage)) && Instant::now() < until {
        let pause = retry::reopen_delay(failures).min(PROBE_INTERVAL_MAX);
        if timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
        failures += 1;
        let _asking = stages.engines.asking.lock().await;
        // Whoever asked before may have had an answer.
        if let Some(outage) = stages.engines.outage()
            && find_outage(stages, stage, outage.probe).await.is_none()
        {
            stages.engines.end(stages.clock.now_ms());
        }
    }
}

/// Whether the disk is too short of room for a stage.
fn find_shortage(stages: &StageResources, stage: IngestStage) -> Option<EngineOutage> {
    if !StageEngine::Disk.is_needed_by(stage) {
        return None;
    }
    let what = stages.engines.disk.as_ref()?.shortage()?;
    Some(EngineOutage { engine: StageEngine::Disk, what, since_ms: stages.clock.now_ms(), probe: None })
}

/// Asks the disk, and the engines of a collection that a stage needs; returns one that cannot be used.
async fn find_outage(
    stages: &StageResources,
    stage: IngestStage,
    probe: Option<EngineProbe>,
) -> Option<EngineOutage> {
    if let Some(short) = find_shortage(stages, stage) {
        return Some(short);
    }
    let probe = probe?;
    let away = |engine, what| {
        Some(EngineOutage { engine, what, since_ms: stages.clock.now_ms(), probe: Some(probe.clone()) })
    };
    if let Some(what) = silence(stages.ledger.collection(&probe.collection)).await {
        return away(StageEngine::Ledger, what);
    }
    if !StageEngine::Vectors.is_needed_by(stage) {
        return None;
    }
    // Without a deadline of its own: opening may load a model, and one that is cut off never ends.
    let open = stages.catalog.open(&probe.collection).await.ok()??;
    let what = silence(open.vectors.stored(&[probe.point])).await?;
    away(StageEngine::Vectors, what)
}

/// Why a call got no answer; none if it got one, whatever it says.
async fn silence<T>(call: impl Future<Output = Result<T, Fault>>) -> Option<String> {
    match timeout(PROBE_MAX, call).await {
        Ok(Err(Fault::Transient(cause))) => Some(cause.to_string()),
        Ok(_) => None,
        Err(_) => Some(format!("no answer within {PROBE_MAX:?}")),
    }
}
